/** Verbs on resources: which handler answers which method on which kind of target. */
import type { KubeRequest, KubeResponse } from '../../kube/transport.ts';
import type { Stored } from '../store/contract.ts';
import { bodyText, decodeObject, parseJson } from './body.ts';
import type { ApiContext, User } from './context.ts';
import { createObject } from './create.ts';
import { type DeleteRequest, deleteObject } from './delete.ts';
import { methodNotAllowed, noSuchPath, notFound } from './errors.ts';
import { listObjects } from './list.ts';
import { flag, listParameters, watchParameters } from './options.ts';
import { decodePatch } from './patch.ts';
import { JSON_TYPE, json, jsonList, jsonText } from './reply.ts';
import { parseSelection } from './selection.ts';
import { storeKey, type Target } from './target.ts';
import { updateObject } from './update.ts';
import type { WatchHub } from './watch.ts';
import { apiVersionOf } from './write.ts';

/** One request on one resource. */
export interface Call {
  context: ApiContext;
  watches: WatchHub;
  request: KubeRequest;
  user: User;
  target: Target;
  query: URLSearchParams;
}

export async function handleResource(call: Call): Promise<KubeResponse> {
  const { request, target, query } = call;
  const { method } = request;
  if (target.subresource !== '' && !target.definition.subresources.includes(target.subresource))
    throw noSuchPath();
  if (target.name === '') {
    if (method === 'GET') return flag(query, 'watch') ? watch(call) : list(call);
    if (method === 'POST') return create(call);
    if (method === 'DELETE') return deleteCollection(call);
    throw methodNotAllowed();
  }
  if (method === 'GET') return flag(query, 'watch') ? watch(call) : get(call);
  if (method === 'PUT' || method === 'PATCH') return update(call);
  if (method === 'DELETE' && target.subresource === '') return remove(call);
  throw methodNotAllowed();
}

function get({ context: { store }, target: { definition, namespace, name } }: Call): KubeResponse {
  const stored = store.get(storeKey(definition), namespace, name);
  if (stored === undefined) throw notFound(definition, name);
  return jsonText(200, stored.text);
}

function list({ context, target, query }: Call): KubeResponse {
  const { definition } = target;
  const { metadata, items } = listObjects(
    context,
    storeKey(definition),
    parseSelection(target, query),
    listParameters(query),
  );
  const head = { kind: `${definition.kind}List`, apiVersion: apiVersionOf(definition), metadata };
  return jsonList(
    head,
    items.map((item) => item.text),
  );
}

function watch({ watches, request, target, query }: Call): KubeResponse {
  const { definition } = target;
  const body = watches.open(
    definition,
    storeKey(definition),
    parseSelection(target, query),
    watchParameters(query),
    undefined,
    request.signal,
  );
  return { status: 200, headers: { 'content-type': JSON_TYPE }, body };
}

async function create({ context, request, target, query }: Call): Promise<KubeResponse> {
  const object = await decodeObject(request);
  return answer(201, await createObject(context, target, object, { dryRun: isDryRun(query) }));
}

async function update({ context, request, target, query }: Call): Promise<KubeResponse> {
  const patch = request.method === 'PATCH';
  const options = { dryRun: isDryRun(query), patch };
  if (patch) {
    const apply = decodePatch(request);
    return answer(200, await updateObject(context, target, (old) => apply(old.clone()), options));
  }
  const object = await decodeObject(request);
  return answer(200, await updateObject(context, target, () => object, options));
}

async function remove({ context, request, target, query }: Call): Promise<KubeResponse> {
  const result = await deleteObject(context, target, deleteRequest(request, query));
  return 'text' in result ? answer(200, result) : json(200, result);
}

async function deleteCollection({ context, request, target, query }: Call): Promise<KubeResponse> {
  const { definition } = target;
  const { metadata, items } = listObjects(
    context,
    storeKey(definition),
    parseSelection(target, query),
    listParameters(query),
  );
  const options = deleteRequest(request, query);
  await Promise.all(
    items.map(({ namespace, name }) =>
      deleteObject(context, { ...target, namespace, name }, options).catch((error) => {
        if (error.code !== 404) throw error;
      }),
    ),
  );
  const head = { kind: `${definition.kind}List`, apiVersion: apiVersionOf(definition), metadata };
  return jsonList(
    head,
    items.map((item) => item.text),
  );
}

const answer = (code: number, stored: Stored): KubeResponse => jsonText(code, stored.text);
const isDryRun = (query: URLSearchParams): boolean => query.getAll('dryRun').includes('All');

function deleteRequest(request: KubeRequest, query: URLSearchParams): DeleteRequest {
  const text = bodyText(request);
  const body = (text === '' ? {} : parseJson(text)) as unknown as DeleteRequest & { dryRun?: string[] };
  const grace = query.get('gracePeriodSeconds');
  return {
    gracePeriodSeconds: body.gracePeriodSeconds ?? (grace === null ? undefined : Number(grace)),
    propagationPolicy: body.propagationPolicy ?? query.get('propagationPolicy') ?? undefined,
    orphanDependents: body.orphanDependents ?? flag(query, 'orphanDependents'),
    preconditions: body.preconditions,
    dryRun: isDryRun(query) || (Array.isArray(body.dryRun) && body.dryRun.includes('All')),
  };
}
