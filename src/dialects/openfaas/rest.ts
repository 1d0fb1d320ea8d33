/** OpenFaaS' `/system` operations on Petrel's objects. One row per operation. */

import type { KubeObject, ObjectMeta } from '../../kinds/object.ts';
import type { Service } from '../../kinds/serving.ts';
import { type KubeClient, orUndefined, type ResourceRef } from '../../kube/client.ts';
import { KSERVICES, NAMESPACES, REVISIONS, SECRETS } from '../../kube/refs.ts';
import { type FunctionDeployment, namespaceOf, serviceOf, statusOf } from './translate.ts';

/** What is told to the client. */
export interface Answer {
  status: number;
  /** JSON unless it is a text. */
  body?: unknown;
}

export interface Call {
  query: URLSearchParams;
  /** What stands behind the operation's path. */
  rest: string;
  // biome-ignore lint/suspicious/noExplicitAny: JSON of a stranger, checked where it is read
  body: any;
}

type Operation = (client: KubeClient, call: Call, version: string) => Promise<Answer>;

/** On a Service, at once and for all its revisions. */
const MIN_SCALE = 'autoscaling.petrel.dev/min-scale';
const SECRET_LABEL = 'com.openfaas.secret';

const namespaceIn = ({ query, body }: Call): string =>
  namespaceOf(typeof body?.namespace === 'string' ? body.namespace : query.get('namespace'));
const refuse = (status: number, body: string): Answer => ({ status, body });
const accepted: Answer = { status: 202 };

const replicasOf = async (client: KubeClient, { metadata, status }: Service): Promise<number> => {
  const name = status?.latestReadyRevisionName;
  if (name === undefined) return 0;
  const revision = await orUndefined(
    client.get<KubeObject & { status?: { actualReplicas?: number } }>(REVISIONS, metadata.namespace, name),
  );
  return revision?.status?.actualReplicas ?? 0;
};

const view = async (client: KubeClient, service: Service) =>
  statusOf(service, await replicasOf(client, service));

/** Why a deployment cannot be one; undefined when it can. */
function problem(body: FunctionDeployment | undefined): string | undefined {
  if (typeof body?.service !== 'string' || body.service === '')
    return 'service: must be the name of the function';
  if (typeof body.image !== 'string' || body.image === '') return 'image: must name an image';
  return undefined;
}

async function write(client: KubeClient, call: Call, update: boolean): Promise<Answer> {
  const wrong = problem(call.body);
  if (wrong !== undefined) return refuse(400, wrong);
  const namespace = namespaceIn(call);
  const deployment = call.body as FunctionDeployment;
  const found = await orUndefined(client.get<Service>(KSERVICES, namespace, deployment.service));
  if (update && found === undefined) return refuse(404, `function ${deployment.service} not found`);
  const owner = found?.metadata.ownerReferences?.find(({ controller }) => controller);
  if (owner)
    return refuse(409, `${deployment.service} belongs to ${owner.kind} ${owner.name}: change that one`);
  const service = serviceOf(deployment, namespace, found);
  if (found) await client.update<Service>(KSERVICES, service);
  else await client.create<Service>(KSERVICES, service);
  return accepted;
}

const FUNCTION: Operation = async (client, call) => {
  const service = await orUndefined(client.get<Service>(KSERVICES, namespaceIn(call), call.rest));
  if (service === undefined) return refuse(404, `function ${call.rest} not found`);
  return { status: 200, body: await view(client, service) };
};

interface Secret extends KubeObject {
  metadata: ObjectMeta;
  data?: Record<string, string>;
}

const SECRET_REF = SECRETS as ResourceRef;

function secretOf(call: Call, found?: Secret): Secret | undefined {
  const { name, value, rawValue } = call.body ?? {};
  if (typeof name !== 'string' || name === '') return undefined;
  const bytes = typeof rawValue === 'string' ? rawValue : Buffer.from(String(value ?? '')).toString('base64');
  return {
    ...found,
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      ...found?.metadata,
      name,
      namespace: namespaceIn(call),
      labels: { ...found?.metadata.labels, [SECRET_LABEL]: 'true' },
    },
    data: { [name]: bytes },
  };
}

/** What a namespace of OpenFaaS says of itself; others are not for its clients to change. */
const NAMESPACE_MARK = 'openfaas';

/** What clients may say of a namespace: names and texts. Undefined when it is something else. */
function namespaceFrom(call: Call, found?: KubeObject): KubeObject | undefined {
  const { name, labels = {}, annotations = {} } = call.body ?? {};
  const named = call.rest || name;
  if (typeof named !== 'string' || named === '' || (name ?? named) !== named) return undefined;
  for (const map of [labels, annotations])
    if (typeof map !== 'object' || Object.values(map ?? {}).some((value) => typeof value !== 'string'))
      return undefined;
  const mark = { [NAMESPACE_MARK]: '1' };
  return {
    ...found,
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      ...found?.metadata,
      name: named,
      labels: { ...labels, ...mark },
      annotations: { ...annotations, ...mark },
    },
  };
}

const isOpenfaas = ({ metadata }: KubeObject): boolean =>
  metadata.annotations?.[NAMESPACE_MARK] !== undefined;
const foreign = (name: string): Answer => refuse(403, `namespace ${name} was not made by OpenFaaS' clients`);

/** `METHOD /path` → what it does; a path that ends in `/` takes a name behind it. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  'GET /system/functions': async (client, call) => {
    const { items } = await client.list<Service>(KSERVICES, { namespace: namespaceIn(call) });
    return { status: 200, body: await Promise.all(items.map((service) => view(client, service))) };
  },
  'POST /system/functions': (client, call) => write(client, call, false),
  'PUT /system/functions': (client, call) => write(client, call, true),
  'DELETE /system/functions': async (client, call) => {
    const name = call.body?.functionName;
    if (typeof name !== 'string' || name === '')
      return refuse(400, 'functionName: must be the name of the function');
    const found = await orUndefined(client.get<Service>(KSERVICES, namespaceIn(call), name));
    if (found === undefined) return refuse(404, `function ${name} not found`);
    const owner = found.metadata.ownerReferences?.find(({ controller }) => controller);
    if (owner)
      return refuse(409, `${name} belongs to ${owner.kind} ${owner.name}: petrel delete ${owner.name}`);
    await client.delete(KSERVICES, namespaceIn(call), name);
    return accepted;
  },
  'GET /system/function/': FUNCTION,
  'POST /system/scale-function/': async (client, call) => {
    const replicas = call.body?.replicas;
    if (!Number.isInteger(replicas) || replicas < 0) return refuse(400, 'replicas: must be a whole number');
    const found = await orUndefined(client.get<Service>(KSERVICES, namespaceIn(call), call.rest));
    if (found === undefined) return refuse(404, `function ${call.rest} not found`);
    const { [MIN_SCALE]: _, ...annotations } = found.metadata.annotations ?? {};
    await client.update<Service>(KSERVICES, {
      ...found,
      metadata: {
        ...found.metadata,
        annotations: replicas > 0 ? { ...annotations, [MIN_SCALE]: String(replicas) } : annotations,
      },
    });
    return accepted;
  },
  'GET /system/secrets': async (client, call) => {
    const namespace = namespaceIn(call);
    const { items } = await client.list<Secret>(SECRET_REF, { namespace, labelSelector: SECRET_LABEL });
    return { status: 200, body: items.map(({ metadata }) => ({ name: metadata.name, namespace })) };
  },
  'POST /system/secrets': async (client, call) => {
    const secret = secretOf(call);
    if (secret === undefined) return refuse(400, 'name: must be the name of the secret');
    await client.create<Secret>(SECRET_REF, secret);
    return { status: 201 };
  },
  'PUT /system/secrets': async (client, call) => {
    const found = await orUndefined(
      client.get<Secret>(SECRET_REF, namespaceIn(call), String(call.body?.name)),
    );
    const secret = secretOf(call, found);
    if (found === undefined || secret === undefined) return refuse(404, 'secret not found');
    await client.update<Secret>(SECRET_REF, secret);
    return accepted;
  },
  'DELETE /system/secrets': async (client, call) => {
    const name = String(call.body?.name);
    const found = await orUndefined(client.get<Secret>(SECRET_REF, namespaceIn(call), name));
    // Secrets of others are nobody's business here.
    if (found?.metadata.labels?.[SECRET_LABEL] === undefined) return refuse(404, 'secret not found');
    await client.delete(SECRET_REF, namespaceIn(call), name);
    return accepted;
  },
  'GET /system/namespaces': async (client) => {
    const { items } = await client.list<KubeObject>(NAMESPACES);
    return {
      status: 200,
      body: items.map(({ metadata }) => metadata.name).filter((name) => !name.startsWith('kube-')),
    };
  },
  'GET /system/namespace/': async (client, { rest }) => {
    const found = await orUndefined(client.get<KubeObject>(NAMESPACES, undefined, namespaceOf(rest)));
    if (found === undefined) return refuse(404, `namespace ${rest} not found`);
    const { name, labels = {}, annotations = {} } = found.metadata;
    return { status: 200, body: { name, labels, annotations } };
  },
  'POST /system/namespace': async (client, call) => {
    const namespace = namespaceFrom({ ...call, rest: '' });
    if (namespace === undefined) return refuse(400, 'name: must be the name of the namespace');
    await client.create<KubeObject>(NAMESPACES, namespace);
    return { status: 201 };
  },
  'PUT /system/namespace/': async (client, call) => {
    const found = await orUndefined(client.get<KubeObject>(NAMESPACES, undefined, call.rest));
    if (found === undefined) return refuse(404, `namespace ${call.rest} not found`);
    if (!isOpenfaas(found)) return foreign(call.rest);
    const namespace = namespaceFrom(call, found);
    if (namespace === undefined) return refuse(400, 'name: must be that of the path');
    await client.update<KubeObject>(NAMESPACES, namespace);
    return accepted;
  },
  'DELETE /system/namespace/': async (client, { rest }) => {
    const found = await orUndefined(client.get<KubeObject>(NAMESPACES, undefined, rest));
    if (found === undefined) return refuse(404, `namespace ${rest} not found`);
    if (!isOpenfaas(found)) return foreign(rest);
    await client.delete(NAMESPACES, undefined, rest);
    return accepted;
  },
  'GET /system/info': async (_client, _call, version) => ({
    status: 200,
    body: {
      provider: {
        provider: 'petrel',
        orchestration: 'kubernetes',
        version: { release: version, sha: '' },
      },
      version: { release: version, sha: '' },
      arch: process.arch === 'x64' ? 'x86_64' : process.arch,
    },
  }),
};
