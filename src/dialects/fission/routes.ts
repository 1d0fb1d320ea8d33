/** HTTPTriggers, MessageQueueTriggers, functions, versions and aliases → path routes of the gateway. Pure. */
import { createHmac } from 'node:crypto';
import type { EndpointAddress, PathRoute, PathTarget, RouteAccess } from '../../gateway/contract.ts';
import { parseGoDuration } from '../../kinds/go-duration.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { PACKAGE_PATH } from './images.ts';
import type { FunctionAlias, FunctionReference, HttpTrigger, Problem, QueueTrigger } from './model.ts';
import { translatedName } from './parts.ts';

/** What the router asks of the objects behind a reference. */
export interface Directory {
  functionOf(namespace: string, name: string): KubeObject | undefined;
  versionOf(namespace: string, name: string): KubeObject | undefined;
  aliasOf(namespace: string, name: string): FunctionAlias | undefined;
  /** The version that an alias means by a package's digest. */
  versionByDigest(namespace: string, functionName: string, digest: string): string | undefined;
}

export type Targets = PathTarget[];

const routeOf = (namespace: string, name: string): string => `${namespace}/${translatedName(name)}`;

/** Whole percentages, sum 100, in the proportion of the weights; what is lost by rounding goes to the largest. */
export function percentages(
  weights: readonly (readonly [name: string, weight: number])[],
): [string, number][] {
  const sum = weights.reduce((total, [, weight]) => total + weight, 0);
  const shares = weights.map(([name, weight]): [string, number] => [name, Math.floor((weight * 100) / sum)]);
  const largest = shares.reduce((best, share) => (share[1] > best[1] ? share : best));
  largest[1] += 100 - shares.reduce((total, [, share]) => total + share, 0);
  return shares.filter(([, share]) => share > 0);
}

/** Name of the version that an alias means now. */
export function resolvedVersion(alias: FunctionAlias, directory: Directory): string | undefined {
  const { version, packageDigest, functionName } = alias.spec;
  const namespace = alias.metadata.namespace ?? 'default';
  const name =
    version || (packageDigest && directory.versionByDigest(namespace, functionName, packageDigest));
  return name && directory.versionOf(namespace, name) ? name : undefined;
}

/** Where an alias goes; a weight is the first version's part. */
export function aliasTargets(alias: FunctionAlias, directory: Directory): Targets | Problem {
  const namespace = alias.metadata.namespace ?? 'default';
  const first = resolvedVersion(alias, directory);
  const { weight, secondaryVersion, version, packageDigest } = alias.spec;
  if (first === undefined)
    return { reason: 'VersionNotFound', message: `There is no version "${version || packageDigest}".` };
  if (!secondaryVersion || weight === undefined || weight === null)
    return [{ route: routeOf(namespace, first), percent: 100 }];
  if (!directory.versionOf(namespace, secondaryVersion))
    return { reason: 'VersionNotFound', message: `There is no version "${secondaryVersion}".` };
  const shares = percentages([
    [first, weight],
    [secondaryVersion, 100 - weight],
  ]);
  return shares.map(([name, percent]) => ({ route: routeOf(namespace, name), percent }));
}

/** Where a reference of an object in `namespace` goes. */
export function referenceTargets(
  reference: FunctionReference,
  namespace: string,
  directory: Directory,
): Targets | Problem {
  const missing = (name: string): Problem => ({
    reason: 'FunctionNotFound',
    message: `There is no function "${name}" in namespace "${namespace}".`,
  });
  if (reference.type === 'function-weights') {
    const weights = Object.entries(reference.functionweights ?? {}).filter(([, weight]) => weight > 0);
    const absent = weights.find(([name]) => !directory.functionOf(namespace, name));
    if (absent) return missing(absent[0]);
    return percentages(weights).map(([name, percent]) => ({
      route: routeOf(namespace, name),
      percent,
      headers: functionHeaders(directory.functionOf(namespace, name)),
    }));
  }
  const { name = '', alias, version } = reference;
  if (version) {
    if (directory.versionOf(namespace, version))
      return [{ route: routeOf(namespace, version), percent: 100 }];
    return { reason: 'VersionNotFound', message: `There is no version "${version}".` };
  }
  if (alias) {
    const found = directory.aliasOf(namespace, alias);
    if (found) return aliasTargets(found, directory);
    return { reason: 'AliasNotFound', message: `There is no alias "${alias}".` };
  }
  if (!directory.functionOf(namespace, name)) return missing(name);
  return [{ route: routeOf(namespace, name), percent: 100 }];
}

/** Seconds since the epoch: of routes that match alike the older one answers. */
const ageOf = ({ metadata }: KubeObject): number =>
  Math.floor(Date.parse(metadata.creationTimestamp ?? '') / 1000) || 0;

/** Path and query as the client sent them. */
const FULL_URL = '{petrel.target}';

/** Headers by which a function knows itself. The version is that of the spec: a status says nothing to a function. */
function functionHeaders(fn: KubeObject | undefined): Record<string, string> {
  if (!fn) return {};
  return {
    'x-fission-function-uid': fn.metadata.uid ?? '',
    'x-fission-function-name': fn.metadata.name,
    'x-fission-function-namespace': fn.metadata.namespace ?? 'default',
    'x-fission-function-resourceversion': String(fn.metadata.generation ?? 1),
  };
}

/** `/fission-function/<namespace>/<name>`; in the namespace `default` also without it. */
export function functionRoutes(
  namespace: string,
  /** `hello`, or `hello:prod`. */
  address: string,
  to: Targets,
  object: KubeObject,
  fn: KubeObject | undefined,
): Record<string, PathRoute> {
  const paths = [`/fission-function/${namespace}/${address}`];
  if (namespace === 'default') paths.push(`/fission-function/${address}`);
  return Object.fromEntries(
    paths.map((value): [string, PathRoute] => [
      `fission${value}`,
      {
        hosts: [],
        path: { type: 'prefix', value },
        methods: [],
        rewrite: 'strip',
        to,
        headers: { ...functionHeaders(fn), 'x-fission-full-url': FULL_URL },
        count: '',
        order: ageOf(object),
      },
    ]),
  );
}

const METHODS_OF_CORS = ['GET', 'POST', 'HEAD'];

function corsOf({ corsConfig: cors }: HttpTrigger['spec'], methods: string[]): RouteAccess | undefined {
  if (!cors) return undefined;
  const maxAge = parseGoDuration(cors.maxAge || undefined);
  return {
    cors: {
      origins: cors.allowOrigins ?? [],
      methods: cors.allowMethods?.length ? cors.allowMethods : methods.length > 0 ? methods : METHODS_OF_CORS,
      headers: cors.allowHeaders ?? [],
      expose: cors.exposeHeaders ?? [],
      credentials: cors.allowCredentials ?? false,
      ...(maxAge === undefined ? {} : { maxAgeSeconds: Math.round(maxAge / 1000) }),
    },
  };
}

const VARIABLE = /\{([A-Za-z_][\w-]*)(?::(?:[^{}]|\{[^{}]*\})*)?\}/g;

/** The route of a trigger, or why it has none. A trigger's prefix wins over its URL. */
export function triggerRoute(trigger: HttpTrigger, directory: Directory): PathRoute | Problem {
  const { spec, metadata } = trigger;
  const namespace = metadata.namespace ?? 'default';
  const targets = referenceTargets(spec.functionref, namespace, directory);
  if ('reason' in targets) return targets;
  const methods = [...new Set([...(spec.methods ?? []), ...(spec.method ? [spec.method] : [])])];
  const { prefix, relativeurl = '' } = spec;
  const value = prefix || relativeurl;
  const variables = [...value.matchAll(VARIABLE)].map(([, name = '']) => name);
  if (prefix && variables.length > 0)
    return {
      reason: 'UnsupportedPath',
      message: 'A prefix with variables is not supported; use relativeurl.',
    };
  const only = spec.functionref.type === 'function-weights' ? undefined : spec.functionref.name;
  const access = corsOf(spec, methods);
  return {
    hosts: spec.host ? [spec.host.toLowerCase()] : [],
    path: prefix
      ? { type: 'prefix', value: prefix }
      : { type: variables.length > 0 ? 'template' : 'exact', value: relativeurl },
    methods,
    rewrite: prefix ? (spec.keepPrefix ? 'keep' : 'strip') : { to: '/' },
    to: targets,
    headers: {
      ...functionHeaders(only === undefined ? undefined : directory.functionOf(namespace, only)),
      'x-fission-full-url': FULL_URL,
      ...Object.fromEntries(variables.map((name) => [`x-fission-params-${name.toLowerCase()}`, `{${name}}`])),
    },
    ...(access ? { access } : {}),
    ...(spec.invocationMode === 'async' ? { async: true } : {}),
    count: value,
    order: ageOf(trigger),
  };
}

/** Path by which a trigger's messages come; it has a secret in it, since who knows it speaks as the trigger. */
export function queuePath(secret: string, { metadata: { namespace, name } }: KubeObject): string {
  const key = createHmac('sha256', secret).update('message queue triggers').digest('hex').slice(0, 32);
  return `/fission-mqt/${key}/${namespace ?? 'default'}/${name}`;
}

/** The route of a trigger's messages: the function sees whose they are, and of what type. */
export function queueRoute(trigger: QueueTrigger, directory: Directory, secret: string): PathRoute | Problem {
  const { functionref, topic, respTopic, errorTopic, contentType } = trigger.spec;
  const namespace = trigger.metadata.namespace ?? 'default';
  const targets = referenceTargets(functionref, namespace, directory);
  if ('reason' in targets) return targets;
  const only = functionref.type === 'function-weights' ? undefined : functionref.name;
  return {
    hosts: [],
    path: { type: 'exact', value: queuePath(secret, trigger) },
    methods: [],
    rewrite: { to: '/' },
    to: targets,
    headers: {
      ...functionHeaders(only === undefined ? undefined : directory.functionOf(namespace, only)),
      'x-fission-mqtrigger-topic': topic,
      ...(respTopic && { 'x-fission-mqtrigger-resptopic': respTopic }),
      ...(errorTopic && { 'x-fission-mqtrigger-errortopic': errorTopic }),
      ...(contentType && { 'content-type': contentType }),
    },
    count: '',
    order: 0,
  };
}

/** The router's own paths, and the storage service. */
export function ownRoutes(
  server: EndpointAddress,
  { storagePath, internalPath }: { storagePath: string; internalPath: string },
): Record<string, PathRoute> {
  const route = (
    type: 'exact' | 'prefix',
    value: string,
    rewrite: PathRoute['rewrite'] = 'keep',
  ): PathRoute => ({
    hosts: [],
    path: { type, value },
    methods: [],
    rewrite,
    to: server,
    order: 0,
  });
  return {
    'fission/own/healthz': route('exact', '/router-healthz'),
    'fission/own/readyz': route('exact', '/readyz'),
    'fission/own/version': route('exact', '/_version'),
    'fission/own/login': route('exact', '/auth/login'),
    'fission/own/miss': route('prefix', '/fission-function'),
    'fission/own/package': route('prefix', PACKAGE_PATH, 'strip'),
    'fission/own/storage': route('prefix', storagePath, 'strip'),
    'fission/own/internal': route('prefix', internalPath),
  };
}
