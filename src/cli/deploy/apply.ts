/** Declared objects → created, changed, or left as they are: what `kubectl apply` does, with its annotation. */
import { isDeepStrictEqual } from 'node:util';
import { PetrelError } from '../../base/errors.ts';
import type { Json, UntypedObject } from '../../kinds/object.ts';
import { type KubeClient, KubeError, orUndefined, type ResourceRef } from '../../kube/client.ts';
import type { KubeTransport } from '../../kube/transport.ts';
import { closest } from '../suggest.ts';

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

type Fields = { [key: string]: Json };
export type Outcome = 'created' | 'configured' | 'unchanged';

const isFields = (value: Json | undefined): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * The JSON merge patch that brings `live` to `wanted`: what `before` declared and `wanted` does not is taken away, what others have set
 * stays. Lists count as a whole. Source: kubectl's three-way merge for kinds without a schema.
 */
export function threeWayPatch(before: Fields, wanted: Fields, live: Fields): Fields {
  const patch: Fields = {};
  for (const [key, value] of Object.entries(wanted)) {
    const now = live[key];
    if (isFields(value) && isFields(now)) {
      const was = before[key];
      const inner = threeWayPatch(isFields(was) ? was : {}, value, now);
      if (Object.keys(inner).length > 0) patch[key] = inner;
    } else if (!isDeepStrictEqual(value, now)) patch[key] = value;
  }
  for (const key of Object.keys(before)) if (!(key in wanted) && key in live) patch[key] = null;
  return patch;
}

/** Creates the object or changes the one that is there. */
export async function applyObject(
  client: KubeClient,
  resource: ResourceRef,
  declared: UntypedObject,
): Promise<{ outcome: Outcome; object: UntypedObject }> {
  const { status: _status, ...wanted } = declared;
  const { namespace, name } = wanted.metadata;
  const { [LAST_APPLIED]: _old, ...annotations } = wanted.metadata.annotations ?? {};
  const plain = { ...wanted, metadata: { ...wanted.metadata, annotations } };
  const marked: UntypedObject = {
    ...wanted,
    metadata: {
      ...wanted.metadata,
      annotations: { ...annotations, [LAST_APPLIED]: `${sortedJson(plain)}\n` },
    },
  };
  const live = await orUndefined(client.get<UntypedObject>(resource, namespace, name));
  if (!live) {
    try {
      return { outcome: 'created', object: await client.create(resource, marked, { strict: true }) };
    } catch (error) {
      if (!(error instanceof KubeError) || error.reason !== 'AlreadyExists') throw error;
      return applyObject(client, resource, declared);
    }
  }
  const patch = threeWayPatch(lastApplied(live), marked as unknown as Fields, live as unknown as Fields);
  if (Object.keys(patch).length === 0) return { outcome: 'unchanged', object: live };
  const object = await client.patch<UntypedObject>(resource, namespace, name, 'merge', patch, {
    strict: true,
  });
  const same = object.metadata.resourceVersion === live.metadata.resourceVersion;
  return { outcome: same ? 'unchanged' : 'configured', object };
}

/** JSON as kubectl writes it, so that its next apply of the same file finds nothing to change. */
function sortedJson(value: unknown): string {
  const text = JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
  return text.replace(
    /[<>&\u2028\u2029]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function lastApplied(live: UntypedObject): Fields {
  try {
    const value: Json = JSON.parse(live.metadata.annotations?.[LAST_APPLIED] ?? '{}');
    return isFields(value) ? value : {};
  } catch {
    return {};
  }
}

interface Discovered {
  name: string;
  kind: string;
  namespaced: boolean;
}

/** Finds the resource behind a kind, asking each group version once. */
export function resourceFinder(transport: KubeTransport): (object: UntypedObject) => Promise<ResourceRef> {
  const known = new Map<string, Promise<Discovered[] | undefined>>();
  const discover = async (apiVersion: string): Promise<Discovered[] | undefined> => {
    const path = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const response = await transport.request({ method: 'GET', path });
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of response.body) text += decoder.decode(chunk, { stream: true });
    return response.status === 200 ? (JSON.parse(text) as { resources: Discovered[] }).resources : undefined;
  };
  return async ({ apiVersion, kind }) => {
    const asked = known.get(apiVersion) ?? discover(apiVersion);
    known.set(apiVersion, asked);
    const resources = (await asked)?.filter(({ name }) => !name.includes('/'));
    const found = resources?.find((resource) => resource.kind === kind);
    const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
    if (found) {
      const { name: plural, namespaced } = found;
      return { group: group ?? '', version: version ?? '', plural, kind, namespaced };
    }
    const near = closest(kind, resources?.map((resource) => resource.kind) ?? []);
    throw new PetrelError('InvalidArgument', `there is no kind ${kind} in ${apiVersion}`, {
      why: resources ? '' : `the API has no group version ${apiVersion}`,
      fix: near ? `did you mean ${near}?` : 'kubectl api-resources lists the kinds',
    });
  };
}
