/**
 * A small Kubernetes API in memory for tests of whatever uses `KubeTransport`: resourceVersions, generation, uid, status
 * subresource, optimistic concurrency, finalizers, owner garbage collection, label and metadata field selectors, watches.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Json, UntypedObject } from '../kinds/object.ts';
import type { KubeRequest, KubeResponse, KubeTransport } from './transport.ts';

export interface FakeApi extends KubeTransport {
  /** Every write that was answered with success, oldest first, as `METHOD /path`. */
  readonly writes: string[];
  /** Makes requests for which it returns a status code fail with that code. */
  fail: ((request: KubeRequest) => number | undefined) | undefined;
  /** Ends all watches, as a server does now and then. */
  endWatches(): void;
  /** Forgets history: a watch from before answers 410. */
  compact(): void;
  objects(plural: string): UntypedObject[];
}

interface Target {
  group: string;
  version: string;
  plural: string;
  namespace: string | undefined;
  name: string | undefined;
  subresource: string | undefined;
}
interface Change {
  version: number;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: UntypedObject;
  resource: string;
}

class Refusal extends Error {
  readonly code: number;
  readonly reason: string;
  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

export function createFakeApi(): FakeApi {
  const store = new Map<string, Map<string, UntypedObject>>();
  const history: Change[] = [];
  const watchers = new Set<() => void>();
  const enders = new Set<() => void>();
  const writes: string[] = [];
  let version = 0;
  let compactedTo = 0;
  let uids = 0;

  const bucket = (resource: string) => {
    let objects = store.get(resource);
    if (!objects) {
      objects = new Map();
      store.set(resource, objects);
    }
    return objects;
  };
  const resourceOf = (target: Target) => `${target.group}/${target.plural}`;
  const keyOf = (object: UntypedObject) => `${object.metadata.namespace ?? ''}/${object.metadata.name}`;

  const commit = (type: Change['type'], resource: string, object: UntypedObject) => {
    object.metadata.resourceVersion = String(++version);
    if (type === 'DELETED') bucket(resource).delete(keyOf(object));
    else bucket(resource).set(keyOf(object), object);
    history.push({ version, type, object, resource });
    for (const wake of watchers) wake();
    if (type === 'DELETED') collect(object.metadata.uid ?? '');
    return object;
  };

  const collect = (ownerUid: string) => {
    for (const [resource, objects] of store) {
      for (const object of [...objects.values()]) {
        const owners = object.metadata.ownerReferences;
        if (owners?.length && owners.every((owner) => owner.uid === ownerUid)) remove(resource, object);
      }
    }
  };

  const remove = (resource: string, object: UntypedObject) => {
    const copy = structuredClone(object);
    if (!copy.metadata.finalizers?.length) return commit('DELETED', resource, copy);
    if (copy.metadata.deletionTimestamp) return copy;
    copy.metadata.deletionTimestamp = new Date(0).toISOString();
    return commit('MODIFIED', resource, copy);
  };

  const mustFind = (target: Target): UntypedObject => {
    const found = bucket(resourceOf(target)).get(`${target.namespace ?? ''}/${target.name}`);
    if (!found) throw new Refusal(404, 'NotFound', `${target.plural} "${target.name}" not found`);
    return found;
  };

  const create = (target: Target, object: UntypedObject) => {
    const { metadata } = object;
    if (!metadata.name && metadata.generateName)
      metadata.name = metadata.generateName + (++uids).toString(36).padStart(5, '0');
    if (target.namespace) metadata.namespace = target.namespace;
    if (bucket(resourceOf(target)).has(keyOf(object))) {
      throw new Refusal(409, 'AlreadyExists', `${target.plural} "${metadata.name}" already exists`);
    }
    metadata.uid = `uid-${++uids}`;
    metadata.generation = 1;
    metadata.creationTimestamp = new Date(Date.now()).toISOString().replace(/\.\d+Z$/, 'Z');
    return commit('ADDED', resourceOf(target), object);
  };

  const replace = (target: Target, next: UntypedObject, old: UntypedObject) => {
    if (next.metadata.resourceVersion && next.metadata.resourceVersion !== old.metadata.resourceVersion) {
      throw new Refusal(
        409,
        'Conflict',
        `Operation cannot be fulfilled on ${target.plural} "${target.name}": the object has been modified`,
      );
    }
    const merged: UntypedObject =
      target.subresource === 'status' ? { ...old, status: next.status } : { ...next, status: old.status };
    merged.metadata = { ...(target.subresource === 'status' ? old : next).metadata, uid: old.metadata.uid };
    merged.metadata.creationTimestamp = old.metadata.creationTimestamp;
    merged.metadata.deletionTimestamp = old.metadata.deletionTimestamp;
    const specChanged = JSON.stringify(merged.spec) !== JSON.stringify(old.spec);
    merged.metadata.generation = (old.metadata.generation ?? 1) + (specChanged ? 1 : 0);
    merged.metadata.resourceVersion = old.metadata.resourceVersion;
    const copy = structuredClone(merged);
    if (JSON.stringify(copy) === JSON.stringify(old)) return old;
    if (copy.metadata.deletionTimestamp && !copy.metadata.finalizers?.length)
      return commit('DELETED', resourceOf(target), copy);
    return commit('MODIFIED', resourceOf(target), copy);
  };

  const write = async (request: KubeRequest, target: Target): Promise<Json | UntypedObject> => {
    const body = request.body ? JSON.parse(Buffer.from(request.body as string).toString('utf8')) : undefined;
    if (request.method === 'POST') return create(target, body);
    const old = mustFind(target);
    if (request.method === 'DELETE') return remove(resourceOf(target), old);
    if (request.method === 'PUT') return replace(target, body, old);
    const type = request.headers?.['content-type'] ?? '';
    let next = structuredClone(old);
    if (type.includes('json-patch')) {
      const { applyPatch } = await import('rfc6902');
      const problem = applyPatch(next, body).find((result) => result !== null);
      if (problem) throw new Refusal(422, 'Invalid', problem.message);
    } else next = mergePatch(next as unknown as Json, body) as unknown as UntypedObject;
    return replace(target, next, old);
  };

  async function* watch(
    resource: string,
    matches: (object: UntypedObject) => boolean,
    from: number,
    signal?: AbortSignal,
  ) {
    let ended = false;
    let position = history.length;
    while (position > 0 && history[position - 1]!.version > from) position--;
    const visible = new Set<string>();
    for (const change of history.slice(0, position)) {
      if (change.resource !== resource) continue;
      if (change.type !== 'DELETED' && matches(change.object)) visible.add(keyOf(change.object));
      else visible.delete(keyOf(change.object));
    }
    const end = () => {
      ended = true;
      wake();
    };
    let wake = () => {};
    const notify = () => wake();
    watchers.add(notify);
    enders.add(end);
    signal?.addEventListener('abort', end, { once: true });
    try {
      while (!ended && !signal?.aborted) {
        while (position < history.length) {
          const change = history[position++]!;
          if (change.resource !== resource) continue;
          const key = keyOf(change.object);
          const shown = visible.has(key);
          const show = change.type !== 'DELETED' && matches(change.object);
          if (!shown && !show) continue;
          if (show) visible.add(key);
          else visible.delete(key);
          const type = show ? (shown ? 'MODIFIED' : 'ADDED') : 'DELETED';
          yield Buffer.from(`${JSON.stringify({ type, object: change.object })}\n`);
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (ended || signal?.aborted || position < history.length) resolve();
        });
      }
    } finally {
      watchers.delete(notify);
      enders.delete(end);
    }
  }

  const read = (request: KubeRequest, target: Target, parameters: URLSearchParams): KubeResponse => {
    if (target.name !== undefined) return answer(200, mustFind(target));
    const matches = (object: UntypedObject) =>
      (!target.namespace || object.metadata.namespace === target.namespace) &&
      matchesLabels(object, parameters.get('labelSelector')) &&
      matchesFields(object, parameters.get('fieldSelector'));
    if (parameters.get('watch') !== 'true') {
      const items = [...bucket(resourceOf(target)).values()].filter(matches);
      return answer(200, {
        kind: 'List',
        apiVersion: 'v1',
        metadata: { resourceVersion: String(version) },
        items,
      });
    }
    const from = Number(parameters.get('resourceVersion') || version);
    if (from < compactedTo)
      throw new Refusal(410, 'Expired', `too old resource version: ${from} (${compactedTo})`);
    return { status: 200, headers: {}, body: watch(resourceOf(target), matches, from, request.signal) };
  };

  return {
    writes,
    fail: undefined,
    async request(request) {
      // An answer never comes in the turn of its question, as over a network.
      await nextTurn();
      const url = new URL(request.path, 'http://api');
      try {
        const code = this.fail?.(request);
        if (code) throw new Refusal(code, code === 409 ? 'Conflict' : 'InternalError', 'made to fail');
        const target = parsePath(url.pathname);
        if (request.method === 'GET') return read(request, target, url.searchParams);
        const result = await write(request, target);
        writes.push(`${request.method} ${url.pathname}`);
        return answer(request.method === 'POST' ? 201 : 200, result);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        const { code, reason, message } = error;
        return answer(code, {
          apiVersion: 'v1',
          kind: 'Status',
          metadata: {},
          status: 'Failure',
          code,
          reason,
          message,
        });
      }
    },
    close() {
      for (const end of [...enders]) end();
    },
    endWatches() {
      for (const end of [...enders]) end();
    },
    compact() {
      compactedTo = ++version;
    },
    objects: (plural) =>
      [...store]
        .filter(([resource]) => resource.endsWith(`/${plural}`))
        .flatMap(([, objects]) => [...objects.values()]),
  };
}

function parsePath(path: string): Target {
  const parts = path.split('/').filter(Boolean).map(decodeURIComponent);
  const group = parts[0] === 'api' ? '' : parts[1]!;
  const rest = parts.slice(parts[0] === 'api' ? 2 : 3);
  const version = parts[parts[0] === 'api' ? 1 : 2]!;
  const scoped = rest[0] === 'namespaces' && rest.length > 2;
  const [plural, name, subresource] = scoped ? rest.slice(2) : rest;
  return { group, version, plural: plural!, namespace: scoped ? rest[1] : undefined, name, subresource };
}

function answer(status: number, body: unknown): KubeResponse {
  const bytes = Buffer.from(JSON.stringify(body));
  return {
    status,
    headers: { 'content-type': 'application/json' },
    body: (async function* () {
      yield bytes;
    })(),
  };
}

/** RFC 7396. */
function mergePatch(target: Json, patch: Json): Json {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch;
  const base = target !== null && typeof target === 'object' && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete base[key];
    else base[key] = mergePatch(base[key] ?? null, value);
  }
  return base;
}

function matchesLabels(object: UntypedObject, selector: string | null): boolean {
  const labels = object.metadata.labels ?? {};
  return requirements(selector).every(({ key, operator, value }) =>
    operator === 'exists' ? key in labels : operator === '!=' ? labels[key] !== value : labels[key] === value,
  );
}

function matchesFields(object: UntypedObject, selector: string | null): boolean {
  return requirements(selector).every(({ key, operator, value }) => {
    // biome-ignore lint/suspicious/noExplicitAny: walks an untyped object by a path given as text
    const found = key.split('.').reduce((inner: any, part) => inner?.[part], object) ?? '';
    return operator === '!=' ? String(found) !== value : String(found) === value;
  });
}

function requirements(selector: string | null): { key: string; operator: string; value: string }[] {
  return (selector ?? '')
    .split(',')
    .filter(Boolean)
    .map((part) => {
      const match = /^([^=!]+)(!=|==?)(.*)$/.exec(part.trim());
      if (!match) return { key: part.trim(), operator: 'exists', value: '' };
      return { key: match[1]!, operator: match[2] === '!=' ? '!=' : '=', value: match[3]! };
    });
}
