/** Verbs on resources: which handler answers which method on which kind of target. */
import type { UntypedObject } from '../../kinds/object.ts';
import type { KubeRequest, KubeResponse } from '../../kube/transport.ts';
import type { Stored } from '../store/contract.ts';
import type { ApiContext, User } from './context.ts';
import { createObject } from './create.ts';
import { decodeDeleteOptions, decodeObject, decodeTransient, fieldValidation } from './decode.ts';
import { type DeleteRequest, deleteObject } from './delete.ts';
import { type ApiError, methodNotAllowed, noSuchPath, notFound } from './errors.ts';
import { listObjects } from './list.ts';
import { acceptedForm } from './negotiation.ts';
import { flag, listParameters, watchParameters, wholeNumber } from './options.ts';
import { decodePatch } from './patch.ts';
import { bindPod, evictPod, nodeProxy, podLog } from './pods.ts';
import { eventEncoder, includeObject, type Rendering, renderList, renderObject } from './render.ts';
import { JSON_TYPE, json } from './reply.ts';
import { parseSelection } from './selection.ts';
import { storeKey, type Target } from './target.ts';
import { updateObject } from './update.ts';
import type { WatchHub } from './watch.ts';
import { asServed } from './write.ts';

/** One request on one resource. */
export interface Call {
  context: ApiContext;
  watches: WatchHub;
  request: KubeRequest;
  user: User;
  target: Target;
  query: URLSearchParams;
}

type Handler = (call: Call) => KubeResponse | Promise<KubeResponse>;
type Methods = Partial<Record<KubeRequest['method'], Handler>>;

const COLLECTION: Methods = {
  GET: (call) => (flag(call.query, 'watch') ? watch(call) : list(call)),
  POST: create,
  DELETE: deleteCollection,
};
/** By subresource; the empty one is the object itself. */
const OBJECT: Record<string, Methods> = {
  '': {
    GET: (call) => (flag(call.query, 'watch') ? watch(call) : get(call)),
    PUT: replace,
    PATCH: patch,
    DELETE: remove,
  },
  status: { GET: get, PUT: replace, PATCH: patch },
  finalize: { PUT: replace, PATCH: patch },
  log: { GET: ({ context, target, query, request }) => podLog(context, target, query, request.signal) },
  proxy: { GET: ({ context, target, query, request }) => nodeProxy(context, target, query, request.signal) },
  binding: { POST: bind },
  eviction: {
    POST: async ({ context, target, request, query }) =>
      evictPod(
        context,
        target,
        await decodeTransient(request, 'Eviction', 'io.k8s.api.policy.v1.Eviction'),
        isDryRun(query),
      ),
  },
};

export async function handleResource(call: Call): Promise<KubeResponse> {
  const { request, target } = call;
  const { name, subresource, definition } = target;
  if (subresource !== '' && !definition.subresources.includes(subresource)) throw noSuchPath();
  const methods = name === '' ? COLLECTION : OBJECT[subresource];
  const handler = methods?.[request.method];
  if (handler === undefined) throw methodNotAllowed();
  return handler(call);
}

/** How the answer to a call looks. */
export function rendering({ context, target, request, query }: Call): Rendering {
  return {
    definition: target.definition,
    form: acceptedForm(request.headers?.accept),
    include: includeObject(query),
    now: context.clock.now(),
  };
}

function get(call: Call): KubeResponse {
  const { definition, namespace, name } = call.target;
  const stored = call.context.store.get(storeKey(definition), namespace, name);
  if (stored === undefined) throw notFound(definition, name);
  return renderObject(rendering(call), 200, stored);
}

function page({ context, target, query }: Call) {
  return listObjects(
    context,
    storeKey(target.definition),
    parseSelection(target, query),
    listParameters(query),
  );
}

const list = (call: Call): KubeResponse => renderList(rendering(call), page(call));

/** Changes of the objects that the call selects, as a stream. */
export function watch(call: Call): KubeResponse {
  const { watches, request, target, query, context } = call;
  const { definition } = target;
  const body = watches.open(
    definition,
    storeKey(definition),
    parseSelection(target, query),
    watchParameters(query),
    eventEncoder(rendering(call), () => context.clock.now()),
    request.signal,
  );
  return { status: 200, headers: { 'content-type': JSON_TYPE }, body };
}

async function create(call: Call): Promise<KubeResponse> {
  const { context, request, target, query, user } = call;
  const form = rendering(call);
  const { object, warnings } = await decodeObject(request, target.definition, fieldValidation(query));
  const options = { dryRun: isDryRun(query), user: user.name, warnings };
  const stored = await createObject(context, target, object, options);
  return renderObject(form, 201, stored, warningHeaders(warnings));
}

async function replace(call: Call): Promise<KubeResponse> {
  const { request, target, query } = call;
  const { object, warnings } = await decodeObject(request, target.definition, fieldValidation(query));
  return update(call, warnings, () => object);
}

async function patch(call: Call): Promise<KubeResponse> {
  const { request, target, query } = call;
  const apply = await decodePatch(request, target.definition, fieldValidation(query));
  const warnings: string[] = [];
  return update(call, warnings, (old) => {
    const { definition } = target;
    const patched = apply(definition.storedAs === undefined ? old.clone() : asServed(definition, old));
    warnings.push(...patched.warnings);
    return patched.object;
  });
}

async function update(
  call: Call,
  warnings: string[],
  change: (old: Stored) => UntypedObject,
): Promise<KubeResponse> {
  const { context, target, query, request, user } = call;
  const form = rendering(call);
  const options = {
    dryRun: isDryRun(query),
    user: user.name,
    patch: request.method === 'PATCH',
    warnings,
  };
  const stored = await updateObject(context, target, change, options);
  return renderObject(form, 200, stored, warningHeaders(warnings));
}

async function bind({ context, request, target }: Call): Promise<KubeResponse> {
  return bindPod(context, target, await decodeTransient(request, 'Binding', 'io.k8s.api.core.v1.Binding'));
}

async function remove(call: Call): Promise<KubeResponse> {
  const { context, request, target, query } = call;
  const result = await deleteObject(context, target, await deleteRequest(request, query));
  return 'text' in result ? renderObject(rendering(call), 200, result) : json(200, result);
}

async function deleteCollection(call: Call): Promise<KubeResponse> {
  const { context, request, target, query } = call;
  const options = await deleteRequest(request, query);
  const selected = page(call);
  await Promise.all(
    selected.items.map(({ namespace, name }) =>
      deleteObject(context, { ...target, namespace, name }, options).catch((error: ApiError) => {
        // Gone by itself meanwhile.
        if (error.code !== 404) throw error;
      }),
    ),
  );
  return renderList(rendering(call), selected);
}

const isDryRun = (query: URLSearchParams): boolean => query.getAll('dryRun').includes('All');

/** Clients limit the size of a head: beyond a total, each text is cut, and those that still do not fit are left out. */
const WARNINGS_MAX = { total: 4096, item: 256 };

/** Source: RFC 7234, 5.5, and apiserver `endpoints/filters/warning.go`; clients show the text. */
function warningHeaders(warnings: string[]): Record<string, string> {
  if (warnings.length === 0) return {};
  let texts = warnings.map((text) => text.replace(/\p{Cc}+/gu, ' '));
  if (texts.join('').length > WARNINGS_MAX.total) {
    const fitting = WARNINGS_MAX.total / WARNINGS_MAX.item;
    texts = texts.slice(0, fitting).map((text) => text.slice(0, WARNINGS_MAX.item));
  }
  const value = texts.map((text) => `299 - ${JSON.stringify(text)}`).join(', ');
  // A head is bytes; clients read these as UTF-8.
  return { warning: Buffer.from(value).toString('latin1') };
}

/** From the body, where there is one, else from the query. */
async function deleteRequest(request: KubeRequest, query: URLSearchParams): Promise<DeleteRequest> {
  const body = await decodeDeleteOptions(request);
  return {
    gracePeriodSeconds: body.gracePeriodSeconds ?? wholeNumber(query, 'gracePeriodSeconds'),
    propagationPolicy: body.propagationPolicy ?? query.get('propagationPolicy') ?? undefined,
    orphanDependents: body.orphanDependents ?? flag(query, 'orphanDependents'),
    preconditions: body.preconditions,
    dryRun: isDryRun(query) || (body.dryRun?.includes('All') ?? false),
  };
}
