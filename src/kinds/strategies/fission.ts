/**
 * What Fission's API refuses, and the few fields that it fills. Messages are those of its own rules. What Fission leaves empty stays
 * empty here too, so that its CLI finds what it wrote; the translation knows what an empty field means.
 */
import { isDeepStrictEqual } from 'node:util';
import { IMMUTABLE, invalid, notSupported, required } from '../field.ts';
import { dns1123Label } from '../name.ts';
import type { FieldError, UntypedObject } from '../object.ts';
import type { ResourceStrategy } from '../resource.ts';
import { textQuantities } from './pod-defaults.ts';
import { check, validateEnv, validateEnvFrom, validateResources } from './pod-parts.ts';
import { defaults, indexed, type Untyped } from './untyped.ts';

const EXECUTORS = ['poolmgr', 'newdeploy', 'container'];
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE'];
const STREAMING = ['auto', 'sse', 'chunked', 'websocket'];
const SOURCES = ['header', 'queryparam'];
const ARCHIVES = ['literal', 'url', 'oci'];
const BUILD_STATES = ['pending', 'running', 'succeeded', 'failed', 'none'];
const WATCHED = ['POD', 'SERVICE', 'REPLICATIONCONTROLLER', 'JOB'];
const DIGEST = /^sha256:[a-f0-9]{64}$/;
const HOST = /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$/;
const ROUTER_PATHS = ['/router-healthz', '/readyz', '/_version', '/auth/login'];
/** Least time Fission waits for an instance, seconds. */
const LEAST_SPECIALIZATION = 120;
/** Largest literal archive, bytes. */
const LITERAL_MAX = 256 * 1024;

/** A rule about several fields, in the form in which an API server reports a CEL rule. */
const rule = (holds: boolean, path: string, message: string): FieldError[] =>
  holds ? [] : [invalid(path, 'object', message)];

const oneOf = (value: Untyped, allowed: readonly string[], path: string): FieldError[] =>
  value === undefined || value === null || value === '' || allowed.includes(value)
    ? []
    : [notSupported(path, value, allowed)];

const atLeast = (value: Untyped, least: number, path: string): FieldError[] =>
  value === undefined || value === null || value >= least
    ? []
    : [invalid(path, value, `should be greater than or equal to ${least}`)];

const label = (value: Untyped, path: string): FieldError[] => (value ? check(dns1123Label, value, path) : []);

function validateReference(reference: Untyped, path: string): FieldError[] {
  if (!reference) return [required(path)];
  const { type = 'name', name, alias, version, functionweights } = reference;
  const errors = [
    ...oneOf(type, ['name', 'function-weights'], `${path}.type`),
    ...rule(!(alias && version), path, 'functionref.alias and functionref.version are mutually exclusive'),
    ...rule(!alias || type === 'name', path, "functionref.alias is only valid when type is 'name'"),
    ...rule(!version || type === 'name', path, "functionref.version is only valid when type is 'name'"),
    ...label(alias, `${path}.alias`),
    ...label(version, `${path}.version`),
  ];
  if (type === 'name')
    return [...errors, ...(name ? label(name, `${path}.name`) : [required(`${path}.name`)])];
  const weights = Object.entries<number>(functionweights ?? {});
  if (weights.length === 0) return [...errors, required(`${path}.functionweights`)];
  const sum = weights.reduce((total, [, weight]) => total + weight, 0);
  return [
    ...errors,
    ...weights.flatMap(([fn, weight]) => [
      ...label(fn, `${path}.functionweights`),
      ...atLeast(weight, 0, `${path}.functionweights[${fn}]`),
    ]),
    ...(sum > 0 ? [] : [invalid(`${path}.functionweights`, sum, 'at least one weight must be above 0')]),
  ];
}

const HOST_FIELDS = ['hostNetwork', 'hostPID', 'hostIPC'];

/** What a pod spec may not ask for. */
function validatePodSafety(spec: Untyped, path: string): FieldError[] {
  if (!spec) return [];
  return [
    ...HOST_FIELDS.flatMap((field) => rule(!spec[field], path, `${path}.${field} is not allowed`)),
    ...['serviceAccountName', 'serviceAccount'].flatMap((field) =>
      rule(!spec[field], path, `${path}.${field} override is not allowed`),
    ),
    ...[
      ...indexed(spec.containers, `${path}.containers`),
      ...indexed(spec.initContainers, `${path}.initContainers`),
    ].flatMap(([at, container]) => validateContainerSafety(container, at)),
  ];
}

function validateContainerSafety(container: Untyped, path: string): FieldError[] {
  const context = container?.securityContext;
  if (!context) return [];
  const at = `${path}.securityContext`;
  const added: string[] = context.capabilities?.add ?? [];
  return [
    ...rule(!context.privileged, at, `${at}.privileged=true is not allowed`),
    ...rule(!context.allowPrivilegeEscalation, at, `${at}.allowPrivilegeEscalation=true is not allowed`),
    ...rule(
      added.every((name) => name === 'NET_BIND_SERVICE'),
      at,
      `${at}.capabilities.add may only contain NET_BIND_SERVICE (PSA restricted)`,
    ),
  ];
}

/** Secrets and ConfigMaps: of the function's own namespace, each at a place of its own. */
function validateFiles(list: Untyped, path: string, namespace: string | undefined): FieldError[] {
  const places = new Set<string>();
  return indexed(list, path).flatMap(([at, { name, namespace: of, mountPath }]) => {
    const place = mountPath || `${of || namespace}/${name}`;
    const errors = [
      ...(name ? label(name, `${at}.name`) : [required(`${at}.name`)]),
      ...(of && namespace && of !== namespace
        ? [invalid(`${at}.namespace`, of, `must be the function's own namespace, ${namespace}`)]
        : []),
      ...(mountPath &&
      (mountPath.startsWith('/') || mountPath.split('/').some((part: string) => part === '..' || part === ''))
        ? [invalid(`${at}.mountPath`, mountPath, 'must be a clean relative path')]
        : []),
      ...(places.has(place) ? [invalid(at, place, 'another reference has the same directory')] : []),
    ];
    places.add(place);
    return errors;
  });
}

function validateFunctionSpec(spec: Untyped, path: string, namespace: string | undefined): FieldError[] {
  const strategy = spec.InvokeStrategy?.ExecutionStrategy ?? {};
  const executor: string = strategy.ExecutorType || 'poolmgr';
  const scaled = executor === 'newdeploy' || executor === 'container';
  const { MinScale: min = 0, MaxScale: max = 0, TargetCPUPercent: cpu = 0 } = strategy;
  const at = `${path}.InvokeStrategy.ExecutionStrategy`;
  const errors = [
    ...rule(
      EXECUTORS.includes(executor),
      path,
      'ExecutionStrategy.ExecutorType must be one of poolmgr, newdeploy, container',
    ),
    ...rule(
      ['', 'execution'].includes(spec.InvokeStrategy?.StrategyType ?? ''),
      path,
      "InvokeStrategy.StrategyType must be 'execution'",
    ),
    ...rule(
      executor !== 'container' || Boolean(spec.podspec),
      path,
      'executor type container requires a pod spec (spec.podspec)',
    ),
    ...rule(
      !spec.provisionedConcurrency || executor === 'poolmgr',
      path,
      'provisionedConcurrency is only supported with executortype poolmgr',
    ),
    ...label(spec.environment?.name, `${path}.environment.name`),
    ...label(spec.package?.packageref?.name, `${path}.package.packageref.name`),
    ...(executor !== 'container' && !spec.environment?.name ? [required(`${path}.environment.name`)] : []),
  ];
  if (scaled) {
    const of = 'for newdeploy/container executors';
    errors.push(
      ...rule(min >= 0, path, `minimum scale must be greater than or equal to 0 ${of}`),
      ...rule(max > 0, path, `maximum scale must be greater than 0 ${of}`),
      ...rule(max >= min, path, `maximum scale must be greater than or equal to minimum scale ${of}`),
      ...rule(cpu >= 0 && cpu <= 100, path, `TargetCPUPercent must be a value between 0 and 100 ${of}`),
    );
  }
  if (strategy.SpecializationTimeout > 0)
    errors.push(
      ...atLeast(strategy.SpecializationTimeout, LEAST_SPECIALIZATION, `${at}.SpecializationTimeout`),
    );
  for (const field of ['functionTimeout', 'idletimeout', 'concurrency', 'requestsPerPod', 'retainPods'])
    errors.push(...atLeast(spec[field], 0, `${path}.${field}`));
  const { streaming, tool, state, provisionedConcurrency, versioning } = spec;
  return [
    ...errors,
    ...validateFiles(spec.secrets, `${path}.secrets`, namespace),
    ...validateFiles(spec.configmaps, `${path}.configmaps`, namespace),
    ...validateEnv(spec.env, `${path}.env`),
    ...validateEnvFrom(spec.envFrom, `${path}.envFrom`),
    ...validateResources(spec.resources, `${path}.resources`),
    ...validatePodSafety(spec.podspec, `${path}.podspec`),
    ...oneOf(streaming?.protocol, STREAMING, `${path}.streaming.protocol`),
    ...atLeast(streaming?.idleTimeoutSeconds, 0, `${path}.streaming.idleTimeoutSeconds`),
    ...atLeast(streaming?.maxDurationSeconds, 0, `${path}.streaming.maxDurationSeconds`),
    ...(tool && !tool.description ? [required(`${path}.tool.description`)] : []),
    ...(tool?.toolName && !/^[a-zA-Z0-9_-]{1,64}$/.test(tool.toolName)
      ? [invalid(`${path}.tool.toolName`, tool.toolName, "should match '^[a-zA-Z0-9_-]{1,64}$'")]
      : []),
    ...oneOf(state?.sticky?.source, SOURCES, `${path}.state.sticky.source`),
    ...validateInvocation(spec.invocation, `${path}.invocation`),
    ...atLeast(provisionedConcurrency?.target, 1, `${path}.provisionedConcurrency.target`),
    ...oneOf(versioning?.mode, ['auto', 'manual'], `${path}.versioning.mode`),
    ...atLeast(versioning?.retain, 1, `${path}.versioning.retain`),
  ];
}

function validateInvocation(invocation: Untyped, path: string): FieldError[] {
  if (!invocation) return [];
  const targets = ['onSuccess', 'onFailure'].flatMap((field) => {
    const target = invocation[field];
    return rule(
      !target || Boolean(target.function) !== Boolean(target.topic),
      `${path}.${field}`,
      'exactly one of function and topic must be set',
    );
  });
  return [...targets, ...atLeast(invocation.retry?.maxAttempts, 1, `${path}.retry.maxAttempts`)];
}

function validateArchive(archive: Untyped, path: string): FieldError[] {
  if (!archive) return [];
  const { literal, url, oci, checksum, secretref } = archive;
  const given = [literal, url, oci].filter(Boolean).length;
  const bytes = Math.floor(((literal ?? '').length * 3) / 4);
  return [
    ...oneOf(archive.type, ARCHIVES, `${path}.type`),
    ...rule(given <= 1, path, 'at most one of literal, url, or oci may be set'),
    ...rule(
      checksum?.type === 'sha256' || (!checksum?.type && !checksum?.sum),
      `${path}.checksum`,
      "checksum must be empty, or its type must be 'sha256' (the only supported checksum type)",
    ),
    ...rule(!secretref || (Boolean(url) && !oci), path, 'secretref requires a url archive'),
    ...(bytes > LITERAL_MAX + 3
      ? [
          invalid(
            `${path}.literal`,
            `${bytes} bytes`,
            `must be no more than ${LITERAL_MAX} bytes; upload it as an archive`,
          ),
        ]
      : []),
    ...(oci && !oci.image ? [required(`${path}.oci.image`)] : []),
    ...(oci?.digest && !DIGEST.test(oci.digest)
      ? [invalid(`${path}.oci.digest`, oci.digest, "should match '^sha256:[a-f0-9]{64}$'")]
      : []),
  ];
}

function validatePath(value: Untyped, field: string): FieldError[] {
  if (!value) return [];
  const bad =
    !value.startsWith('/') ||
    value === '/' ||
    /(^|\/)\.\.(\/|$)/.test(value) ||
    ROUTER_PATHS.includes(value) ||
    value.startsWith('/fission-function/');
  return rule(
    !bad,
    'spec',
    `HTTPTriggerSpec.${field} must start with '/', not be '/', not contain '..' path segments, not collide with a router-owned path (/router-healthz, /readyz, /_version, /auth/login), and not start with /fission-function/`,
  );
}

function validateHttpTrigger({ spec = {} }: UntypedObject): FieldError[] {
  const { corsConfig: cors, routeConfig: route } = spec;
  return [
    ...rule(
      Boolean(spec.relativeurl || spec.prefix),
      'spec',
      'HTTPTriggerSpec: at least one of relativeurl or prefix must be set',
    ),
    ...validatePath(spec.relativeurl, 'relativeurl'),
    ...validatePath(spec.prefix, 'prefix'),
    ...(HOST.test(spec.host ?? '') ? [] : [invalid('spec.host', spec.host, 'must be a DNS-1123 subdomain')]),
    ...oneOf(spec.method, METHODS, 'spec.method'),
    ...indexed(spec.methods, 'spec.methods').flatMap(([at, method]) => oneOf(method, METHODS, at)),
    ...oneOf(spec.invocationMode, ['async'], 'spec.invocationMode'),
    ...validateReference(spec.functionref, 'spec.functionref'),
    ...rule(
      !(cors?.allowCredentials && cors.allowOrigins?.includes('*')),
      'spec.corsConfig',
      'corsConfig.allowOrigins=["*"] cannot be combined with allowCredentials=true; browsers refuse the response',
    ),
    ...oneOf(route?.provider, ['ingress', 'gateway'], 'spec.routeConfig.provider'),
    ...rule(
      !route?.path || route.path.startsWith('/'),
      'spec.routeConfig',
      "routeConfig.path must be an absolute path (start with '/')",
    ),
  ];
}

const immutable = (object: UntypedObject, old: UntypedObject, field: string): FieldError[] =>
  isDeepStrictEqual(object.spec?.[field], old.spec?.[field])
    ? []
    : [invalid(`spec.${field}`, object.spec?.[field], IMMUTABLE)];

/** Every kind's rules by its name. */
export const FISSION_STRATEGIES: Record<string, ResourceStrategy> = {
  Function: {
    setDefaults({ spec }) {
      textQuantities(spec?.resources);
      if (spec?.streaming) defaults(spec.streaming, { protocol: 'auto' });
      if (spec?.versioning) defaults(spec.versioning, { mode: 'auto' });
    },
    validate: ({ metadata, spec = {} }) => validateFunctionSpec(spec, 'spec', metadata.namespace),
  },
  Environment: {
    setDefaults({ spec }) {
      textQuantities(spec?.resources);
      if (spec) defaults(spec, { version: 1, terminationGracePeriod: 90 });
    },
    validate: ({ spec = {} }) => [
      ...([1, 2, 3].includes(spec.version)
        ? []
        : [notSupported('spec.version', spec.version, ['1', '2', '3'])]),
      ...(spec.runtime?.image ? [] : [required('spec.runtime.image')]),
      ...oneOf(
        spec.allowedFunctionsPerContainer,
        ['single', 'infinite'],
        'spec.allowedFunctionsPerContainer',
      ),
      ...atLeast(spec.poolsize, 0, 'spec.poolsize'),
      ...atLeast(spec.terminationGracePeriod, 0, 'spec.terminationGracePeriod'),
      ...validateResources(spec.resources, 'spec.resources'),
      ...['runtime', 'builder'].flatMap((part) => [
        ...validatePodSafety(spec[part]?.podspec, `spec.${part}.podspec`),
        ...validateContainerSafety(spec[part]?.container, `spec.${part}.container`),
      ]),
    ],
    validateUpdate: (object, old) => immutable(object, old, 'version'),
  },
  Package: {
    prepareForCreate(object) {
      object.status = { buildstatus: 'pending' };
    },
    validate: ({ spec = {}, status }) => [
      ...label(spec.environment?.name, 'spec.environment.name'),
      ...validateArchive(spec.source, 'spec.source'),
      ...validateArchive(spec.deployment, 'spec.deployment'),
      ...oneOf(status?.buildstatus, BUILD_STATES, 'status.buildstatus'),
    ],
  },
  HTTPTrigger: { validate: validateHttpTrigger },
  TimeTrigger: {
    setDefaults({ spec }) {
      if (spec) defaults(spec, { method: 'POST', subpath: '/' });
    },
    validate: ({ spec = {} }) => [
      ...(spec.cron ? [] : [required('spec.cron')]),
      ...oneOf(spec.method, METHODS, 'spec.method'),
      ...validateReference(spec.functionref, 'spec.functionref'),
    ],
  },
  KubernetesWatchTrigger: {
    validate: ({ spec = {} }) => [
      ...label(spec.namespace, 'spec.namespace'),
      ...(WATCHED.includes(String(spec.type ?? '').toUpperCase())
        ? []
        : [
            invalid(
              'spec.type',
              spec.type,
              'spec.type must be one of POD, SERVICE, REPLICATIONCONTROLLER, JOB (case-insensitive)',
            ),
          ]),
      ...validateReference(spec.functionref, 'spec.functionref'),
    ],
  },
  MessageQueueTrigger: {
    validate: ({ spec = {} }) => [
      ...(spec.topic ? [] : [required('spec.topic')]),
      ...validateReference(spec.functionref, 'spec.functionref'),
      ...validatePodSafety(spec.podspec, 'spec.podspec'),
    ],
  },
  CanaryConfig: {
    validate: ({ spec = {} }) =>
      ['trigger', 'newfunction', 'oldfunction'].flatMap((field) =>
        spec[field] ? label(spec[field], `spec.${field}`) : [required(`spec.${field}`)],
      ),
  },
  FissionTenant: {
    validate: ({ spec = {} }) =>
      spec.namespace ? label(spec.namespace, 'spec.namespace') : [required('spec.namespace')],
    validateUpdate: (object, old) => immutable(object, old, 'namespace'),
  },
  FunctionVersion: {
    validate: ({ spec = {} }) => [
      ...(spec.functionName
        ? label(spec.functionName, 'spec.functionName')
        : [required('spec.functionName')]),
      ...atLeast(spec.sequence, 1, 'spec.sequence'),
    ],
    validateUpdate: (object, old) =>
      isDeepStrictEqual(object.spec, old.spec)
        ? []
        : [invalid('spec', 'object', 'FunctionVersion spec is immutable')],
  },
  FunctionAlias: {
    validate: ({ spec = {} }) => [
      ...(spec.functionName
        ? label(spec.functionName, 'spec.functionName')
        : [required('spec.functionName')]),
      ...rule(
        Boolean(spec.version) !== Boolean(spec.packageDigest),
        'spec',
        'exactly one of version and packageDigest must be set',
      ),
      ...(spec.packageDigest && !DIGEST.test(spec.packageDigest)
        ? [invalid('spec.packageDigest', spec.packageDigest, "should match '^sha256:[a-f0-9]{64}$'")]
        : []),
      ...rule(
        (spec.weight ?? null) === null || Boolean(spec.secondaryVersion),
        'spec',
        'weight requires secondaryVersion',
      ),
      ...rule(
        !spec.secondaryVersion || spec.secondaryVersion !== spec.version,
        'spec',
        'secondaryVersion must differ from version',
      ),
      ...atLeast(spec.weight, 0, 'spec.weight'),
      ...(spec.weight > 100
        ? [invalid('spec.weight', spec.weight, 'should be less than or equal to 100')]
        : []),
    ],
  },
  Workflow: {
    validate: ({ spec = {} }) => [
      ...(spec.startAt ? [] : [required('spec.startAt')]),
      ...(Object.keys(spec.states ?? {}).length > 0 ? [] : [required('spec.states')]),
    ],
  },
  WorkflowRun: { validate: ({ spec = {} }) => (spec.workflowRef ? [] : [required('spec.workflowRef')]) },
};
