/** What of a function an invocation means, and what is told of it. */
import type { FunctionAlias, PetrelFunction } from '../../kinds/function.ts';
import type { KubeObject } from '../../kinds/object.ts';
import type { Service } from '../../kinds/serving.ts';
import { type KubeClient, orUndefined } from '../../kube/client.ts';
import { FUNCTION_ALIASES, FUNCTIONS, KSERVICES, REVISIONS, ROUTES } from '../../kube/refs.ts';
import type { FunctionName } from './name.ts';

const GENERATION = 'serving.knative.dev/configurationGeneration';
const SERVICE = 'serving.knative.dev/service';
const LATEST = '$LATEST';

/** Where requests for it go. */
export interface Target {
  /** `<namespace>/<name>` of a Route. */
  route: string;
  /** `<namespace>/<name>`; absent: what the Route says. */
  revision?: string;
  /** What has run, as far as it is known beforehand: a number, `$LATEST`, or the alias when it has several versions. */
  version: string;
}

/** Undefined when there is no such function, alias or version. */
export async function findTarget(client: KubeClient, asked: FunctionName): Promise<Target | undefined> {
  const { namespace, name, alias } = asked;
  if (alias !== undefined && /^\d{1,9}$/.test(alias)) {
    const labelSelector = `${SERVICE}=${name},${GENERATION}=${alias}`;
    const [revision] = (await client.list<KubeObject>(REVISIONS, { namespace, labelSelector })).items;
    return (
      revision && {
        route: `${namespace}/${name}`,
        revision: `${namespace}/${revision.metadata.name}`,
        version: alias,
      }
    );
  }
  // An alias is a Route of its own.
  const route = alias === undefined ? name : `${name}-${alias}`;
  if ((await orUndefined(client.get(ROUTES, namespace, route))) === undefined) return undefined;
  return {
    route: `${namespace}/${route}`,
    version: alias === undefined ? LATEST : await versionOf(client, namespace, route, alias),
  };
}

async function versionOf(
  client: KubeClient,
  namespace: string,
  route: string,
  alias: string,
): Promise<string> {
  const found = await orUndefined(client.get<FunctionAlias>(FUNCTION_ALIASES, namespace, route));
  if (found === undefined || found.spec.secondary !== undefined) return alias;
  const { revisionName } = found.spec;
  if (revisionName === undefined) return LATEST;
  const revision = await orUndefined(client.get<KubeObject>(REVISIONS, namespace, revisionName));
  return revision?.metadata.labels?.[GENERATION] ?? alias;
}

export const arnOf = ({ name, alias }: Pick<FunctionName, 'name' | 'alias'>): string =>
  `arn:aws:lambda:us-east-1:000000000000:function:${name}${alias === undefined ? '' : `:${alias}`}`;

/** A function as `GetFunctionConfiguration` tells it: neither variables nor where its code is. Undefined when there is none. */
export async function configurationOf(
  client: KubeClient,
  asked: FunctionName,
): Promise<Record<string, unknown> | undefined> {
  const [fn, service, target] = await Promise.all([
    orUndefined(client.get<PetrelFunction>(FUNCTIONS, asked.namespace, asked.name)),
    orUndefined(client.get<Service>(KSERVICES, asked.namespace, asked.name)),
    findTarget(client, asked),
  ]);
  const object = fn ?? service;
  if (object === undefined || target === undefined) return undefined;
  const ready = object.status?.conditions?.find(({ type }) => type === 'Ready');
  const state = ready?.status === 'True' ? 'Active' : ready?.status === 'False' ? 'Failed' : 'Pending';
  const { timeoutSeconds = 300 } = fn?.spec ?? {};
  return {
    FunctionName: asked.name,
    FunctionArn: arnOf(asked),
    Version: target.version,
    Runtime: fn?.spec.runtime ?? 'container',
    ...(fn?.spec.handler === undefined ? {} : { Handler: fn.spec.handler }),
    Timeout: timeoutSeconds,
    LastModified: object.metadata.creationTimestamp?.replace('Z', '.000+0000'),
    PackageType: fn === undefined ? 'Image' : 'Zip',
    State: state,
    ...(state === 'Active' ? {} : { StateReason: ready?.message ?? 'it is being made' }),
    LastUpdateStatus: state === 'Active' ? 'Successful' : state === 'Failed' ? 'Failed' : 'InProgress',
  };
}
