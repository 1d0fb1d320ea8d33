/** What is particular to Pods: binding to a node, eviction, and their logs, which the node's agent has; and what else it tells. */
import type { UntypedObject } from '../../kinds/object.ts';
import type { KubeResponse } from '../../kube/transport.ts';
import type { ApiContext } from './context.ts';
import type { DeleteOptions } from './decode.ts';
import { deleteObject } from './delete.ts';
import { ApiError, badRequest, conflict, internal, notFound } from './errors.ts';
import { json, success } from './reply.ts';
import { storeKey, type Target } from './target.ts';

const CREATED = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };

/** Puts a Pod on a node, once. Source: kubernetes `registry/core/pod/storage`, `BindingREST`. */
export async function bindPod(
  { store }: ApiContext,
  { definition, namespace, name }: Target,
  binding: UntypedObject,
): Promise<KubeResponse> {
  const node = binding.target?.name;
  if (typeof node !== 'string' || node === '') throw badRequest('target.name: Required value');
  const resource = storeKey(definition);
  const stored = store.latest(resource, namespace, name);
  if (stored === undefined) throw notFound(definition, name);
  const pod = stored.clone();
  const { uid } = binding.metadata;
  if (uid && uid !== pod.metadata.uid) {
    throw conflict(
      definition,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${pod.metadata.uid}`,
    );
  }
  if (pod.metadata.deletionTimestamp !== undefined) {
    throw conflict(definition, name, `pod ${name} is being deleted, cannot be assigned to a host`);
  }
  if (pod.spec.nodeName) {
    throw conflict(
      definition,
      name,
      `pod ${name} is already assigned to node ${JSON.stringify(pod.spec.nodeName)}`,
    );
  }
  pod.spec.nodeName = node;
  pod.metadata.annotations = { ...pod.metadata.annotations, ...binding.metadata.annotations };
  if (Object.keys(pod.metadata.annotations).length === 0) delete pod.metadata.annotations;
  await store.put(resource, pod);
  return json(201, CREATED);
}

/** Deletes a Pod as its eviction asks. There are no disruption budgets that could refuse it. */
export async function evictPod(
  context: ApiContext,
  target: Target,
  eviction: UntypedObject,
  dryRun: boolean,
): Promise<KubeResponse> {
  const options = (eviction.deleteOptions ?? {}) as DeleteOptions;
  const simulate = dryRun || (options.dryRun?.includes('All') ?? false);
  await deleteObject(context, target, { ...options, dryRun: simulate });
  return json(201, { ...success({}), details: undefined, code: 201 });
}

/** Parameters of a log request that the node's agent is asked with. Source: core/v1 `PodLogOptions`. */
const LOG_PARAMETERS = [
  'follow',
  'previous',
  'sinceSeconds',
  'sinceTime',
  'timestamps',
  'tailLines',
  'limitBytes',
];

/** A container's output, from the agent of the Pod's node. */
export async function podLog(
  { store }: ApiContext,
  { definition, namespace, name }: Target,
  query: URLSearchParams,
  signal: AbortSignal | undefined,
): Promise<KubeResponse> {
  const stored = store.get(storeKey(definition), namespace, name);
  if (stored === undefined) throw notFound(definition, name);
  const { spec } = stored.object;
  const container = containerOf(stored.object, query.get('container') ?? '');
  if (!spec.nodeName) throw badRequest(`pod ${name} does not have a host assigned`);
  const parameters = new URLSearchParams();
  for (const key of LOG_PARAMETERS) {
    const value = query.get(key);
    if (value !== null) parameters.set(key, value);
  }
  return askAgent(store, spec.nodeName, ['containerLogs', namespace, name, container], parameters, signal);
}

/** What a node's agent answers. Source: core/v1 `connectGetNodeProxyWithPath`. */
export async function nodeProxy(
  { store }: ApiContext,
  { definition, name, path = [] }: Target,
  query: URLSearchParams,
  signal: AbortSignal | undefined,
): Promise<KubeResponse> {
  if (store.get(storeKey(definition), '', name) === undefined) throw notFound(definition, name);
  return askAgent(store, name, path, query, signal);
}

async function askAgent(
  store: ApiContext['store'],
  node: string,
  path: string[],
  query: URLSearchParams,
  signal: AbortSignal | undefined,
): Promise<KubeResponse> {
  const agent = agentOf(store, node);
  try {
    const { fetchLog } = await import('./pod-log.ts');
    return await fetchLog({ ...agent, path: `/${path.map(encodeURIComponent).join('/')}?${query}`, signal });
  } catch (error) {
    throw internal(`the agent of node ${JSON.stringify(node)} does not answer: ${(error as Error).message}`);
  }
}

interface NamedContainer {
  name: string;
}

function containerOf(pod: UntypedObject, asked: string): string {
  const { spec, metadata } = pod;
  const containers = (spec.containers ?? []) as NamedContainer[];
  const initial = (spec.initContainers ?? []) as NamedContainer[];
  const names = (list: NamedContainer[]): string => `[${list.map((c) => c.name).join(' ')}]`;
  if (asked === '') {
    const [only] = containers;
    if (containers.length === 1 && only !== undefined) return only.name;
    const also = initial.length > 0 ? ` or one of the init containers: ${names(initial)}` : '';
    throw badRequest(
      `a container name must be specified for pod ${metadata.name}, choose one of: ${names(containers)}${also}`,
    );
  }
  if ([...containers, ...initial].some((c) => c.name === asked)) return asked;
  throw badRequest(`container ${asked} is not valid for pod ${metadata.name}`);
}

/** Where a node's agent listens and the token it takes, both of which it has written into the API. */
function agentOf(store: ApiContext['store'], node: string): { host: string; port: number; token: string } {
  const status = store.get('/nodes', '', node)?.object.status;
  const port = status?.daemonEndpoints?.kubeletEndpoint?.Port;
  const address = (status?.addresses ?? []).find((a: { type: string }) => a.type === 'InternalIP')?.address;
  const token = store.get('/secrets', 'kube-system', `node-agent-${node}`)?.object.data?.token;
  if (typeof port !== 'number' || typeof address !== 'string' || typeof token !== 'string') {
    throw new ApiError(
      503,
      'ServiceUnavailable',
      `node ${JSON.stringify(node)} has no agent that serves logs`,
      {
        retryAfterSeconds: 1,
      },
    );
  }
  return { host: address, port, token: Buffer.from(token, 'base64').toString() };
}
