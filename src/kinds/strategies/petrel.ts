/** Functions and Runtimes: defaults and rules of our own. */
import { isDeepStrictEqual } from 'node:util';
import type { AutoscalerConfigMap } from '../config/index.ts';
import { duplicate, forbidden, invalid, notSupported, required } from '../field.ts';
import {
  CODE_ANNOTATIONS,
  IMAGE_RUNTIME,
  POD_LABELS_ANNOTATION,
  REVISION_NAME_ANNOTATION,
  ZYGOTES,
} from '../function.ts';
import { validateLabels } from '../metadata.ts';
import { dns1035Label } from '../name.ts';
import type { FieldError, UntypedObject } from '../object.ts';
import type { ResourceStrategy } from '../resource.ts';
import { validateAccess } from './function-access.ts';
import { validateBuild, validateRuntimeBuild } from './function-build.ts';
import { validateServices } from './function-services.ts';
import { validateVersions } from './function-versions.ts';
import { validateAutoscaling } from './knative/annotations.ts';
import { texts } from './knative/errors.ts';
import { validateOwnMetric, validateOwnTemplate } from './knative/own-annotations.ts';
import { textQuantities } from './pod-defaults.ts';
import {
  check,
  validateDescendingPath,
  validateEnv,
  validateEnvFrom,
  validateMounts,
  validateResources,
  validateVolumes,
} from './pod-parts.ts';
import { defaults, indexed, items, type Untyped } from './untyped.ts';

/** Bounds that a Function's Knative Service has too. Seconds, requests, instances. */
const LIMITS = {
  timeoutSeconds: 600,
  concurrency: 1000,
  instances: 10_000,
  pool: 1000,
  share: 1000,
} as const;
const DEFAULT_TIMEOUT_SECONDS = 300;
const SHAPES = ['handler', 'program', 'fission'];
const DIGEST = /^sha256:[0-9a-f]{64}$/;
/** What the platform sets in every instance. */
const RESERVED_ENV = new Set([
  'PORT',
  'K_SERVICE',
  'K_CONFIGURATION',
  'K_REVISION',
  'PETREL_GATEWAY_URL',
  'PETREL_FUNCTIONS_URL',
]);

function within(value: Untyped, low: number, high: number, path: string): FieldError[] {
  if (value === undefined || value === null) return [];
  return Number.isInteger(value) && value >= low && value <= high
    ? []
    : [invalid(path, value, `must be between ${low} and ${high}, inclusive`)];
}

/** `{min, max}`; a max of 0 is no limit. */
function validateBounds(bounds: Untyped, high: number, path: string): FieldError[] {
  const { min, max } = bounds ?? {};
  const errors = [...within(min, 0, high, `${path}.min`), ...within(max, 0, high, `${path}.max`)];
  if (errors.length === 0 && typeof min === 'number' && max > 0 && min > max) {
    errors.push(invalid(`${path}.min`, min, `must be less than or equal to max (${max})`));
  }
  return errors;
}

function validateEnvironment(env: Untyped, path: string): FieldError[] {
  const errors = validateEnv(env, path);
  for (const [at, { name }] of indexed(env, path)) {
    if (RESERVED_ENV.has(name)) errors.push(invalid(`${at}.name`, name, 'is set by the platform'));
  }
  return errors;
}

/** The rule that Knative has for the name of a template. */
function validateRevisionName({ name, annotations }: UntypedObject['metadata']): FieldError[] {
  const wanted = annotations?.[REVISION_NAME_ANNOTATION];
  if (wanted === undefined) return [];
  const at = `metadata.annotations[${REVISION_NAME_ANNOTATION}]`;
  if (!wanted.startsWith(`${name}-`)) return [invalid(at, wanted, `must begin with "${name}-"`)];
  return check(dns1035Label, wanted, at);
}

/** JSON of a map of labels, each one valid. */
function validatePodLabels({ annotations }: UntypedObject['metadata']): FieldError[] {
  const text = annotations?.[POD_LABELS_ANNOTATION];
  if (text === undefined) return [];
  const at = `metadata.annotations[${POD_LABELS_ANNOTATION}]`;
  try {
    const labels: unknown = JSON.parse(text);
    if (
      typeof labels === 'object' &&
      labels !== null &&
      Object.values(labels).every((v) => typeof v === 'string')
    )
      return validateLabels(labels as Record<string, string>, at);
  } catch {
    // Told below, with whatever else is no map of labels.
  }
  return [invalid(at, text, 'must be a JSON object whose values are strings')];
}

function validateZygote({ annotations }: UntypedObject['metadata']): FieldError[] {
  const wanted = annotations?.[CODE_ANNOTATIONS.zygote];
  if (wanted === undefined || ZYGOTES.some((each) => each === wanted)) return [];
  return [notSupported(`metadata.annotations[${CODE_ANNOTATIONS.zygote}]`, wanted, [...ZYGOTES])];
}

/** What is said of code, or done by its runtime, has no meaning for an image. */
const OF_CODE = ['package', 'entry', 'handler', 'shape', 'build', 'state', 'debugPort', 'onceOnly'] as const;

function validateImage(spec: Untyped): FieldError[] {
  const errors = OF_CODE.filter((field) => spec[field] !== undefined).map((field) =>
    forbidden(`spec.${field}`, 'does not go with spec.image'),
  );
  if (spec.runtime !== IMAGE_RUNTIME)
    errors.push(notSupported('spec.runtime', spec.runtime, [IMAGE_RUNTIME]));
  if (typeof spec.image !== 'string' || spec.image.trim() === '' || /\s/.test(spec.image))
    errors.push(
      invalid(
        'spec.image',
        spec.image,
        'must be a reference to an image, such as registry.example.com/shop:1.2',
      ),
    );
  return errors;
}

function validateFunction({ metadata, spec = {} }: UntypedObject): FieldError[] {
  const errors: FieldError[] = [
    ...validateRevisionName(metadata),
    ...validatePodLabels(metadata),
    ...validateZygote(metadata),
  ];
  if (spec.image !== undefined) errors.push(...validateImage(spec));
  else if (!spec.runtime)
    errors.push(required('spec.runtime', 'name of a Runtime; `kubectl get runtimes` lists them'));
  else errors.push(...check(dns1035Label, spec.runtime, 'spec.runtime'));
  const digest: unknown = spec.package?.digest;
  if (spec.image === undefined && !digest)
    errors.push(required('spec.package.digest', 'digest of a package that the package store holds'));
  else if (digest && !DIGEST.test(String(digest))) {
    errors.push(invalid('spec.package.digest', digest, 'must be "sha256:" and 64 lower-case hex digits'));
  }
  if (spec.entry !== undefined) {
    if (spec.entry === '')
      errors.push(invalid('spec.entry', '', 'must name a file of the package, or be left out'));
    else errors.push(...validateDescendingPath(spec.entry, 'spec.entry'));
  }
  if (spec.shape !== undefined && !SHAPES.includes(spec.shape))
    errors.push(notSupported('spec.shape', spec.shape, SHAPES));
  const volumes = new Set<string>(items(spec.volumes).map((v) => v.name));
  return [
    ...errors,
    ...within(spec.concurrency, 0, LIMITS.concurrency, 'spec.concurrency'),
    ...within(spec.timeoutSeconds, 1, LIMITS.timeoutSeconds, 'spec.timeoutSeconds'),
    ...validateBounds(spec.scale, LIMITS.instances, 'spec.scale'),
    ...validateEnvironment(spec.env, 'spec.env'),
    ...validateEnvFrom(spec.envFrom, 'spec.envFrom'),
    ...validateVolumes(spec.volumes, 'spec.volumes'),
    ...validateMounts(spec.volumeMounts, 'spec.volumeMounts', volumes),
    ...validateUnmounted(spec, volumes),
    ...validateResources(spec.resources, 'spec.resources'),
    ...validateAccess(spec),
    ...validateVersions(spec),
    ...validateBuild(spec.build),
    ...validateServices(spec),
  ];
}

/** A volume that nothing mounts is a mistake, and Knative refuses it. */
function validateUnmounted(spec: Untyped, volumes: Set<string>): FieldError[] {
  const mounted = new Set(items(spec.volumeMounts).map((m) => m.name));
  const unused = [...volumes].filter((name) => !mounted.has(name));
  return unused.map((name) => invalid('spec.volumes', name, 'is not mounted by any of spec.volumeMounts'));
}

/** What is said of scaling goes to the function's template: what could not stand there is refused here. */
function denyFunction({ metadata: { annotations } }: UntypedObject, config: AutoscalerConfigMap) {
  const path = 'metadata.annotations';
  const problems = [
    ...validateAutoscaling(annotations, path, config),
    ...validateOwnTemplate(annotations, path),
    ...validateOwnMetric(annotations, undefined, path, config),
  ];
  return problems.length === 0 ? undefined : `validation failed: ${texts(problems).join('\n')}`;
}

export const FUNCTION_STRATEGY: ResourceStrategy = {
  deny: (object, _, { config }) => denyFunction(object, config.autoscaler),
  setDefaults(object) {
    object.spec ??= {};
    textQuantities(object.spec.resources);
    if (object.spec.image !== undefined) defaults(object.spec, { runtime: IMAGE_RUNTIME });
    defaults(object.spec, { timeoutSeconds: DEFAULT_TIMEOUT_SECONDS, concurrency: 0 });
  },
  validate: validateFunction,
};

function validateDebugger({ protocol, port }: Untyped): FieldError[] {
  const missing = protocol ? [] : [required('spec.debugger.protocol', 'what is spoken on the port')];
  return [...missing, ...within(port ?? 0, 1, 65_535, 'spec.debugger.port')];
}

function validateRuntime({ spec = {} }: UntypedObject): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec.language) errors.push(required('spec.language'));
  const seen = new Set<string>();
  for (const [at, extension] of indexed(spec.extensions, 'spec.extensions')) {
    if (!/^\.[A-Za-z0-9]+$/.test(extension))
      errors.push(invalid(at, extension, 'must be a dot and letters or digits, such as ".ts"'));
    if (seen.has(extension)) errors.push(duplicate(at, extension));
    seen.add(extension);
  }
  if (items(spec.command).length === 0) errors.push(required('spec.command', 'argv of a generic instance'));
  for (const [at, argument] of indexed(spec.command, 'spec.command')) {
    if (argument.includes('\0')) errors.push(invalid(at, argument, 'must not contain a NUL character'));
  }
  return [
    ...errors,
    ...validateEnvironment(spec.env, 'spec.env'),
    ...validateBounds(spec.pool, LIMITS.pool, 'spec.pool'),
    ...within(spec.share, 1, LIMITS.share, 'spec.share'),
    ...validateRuntimeBuild(spec),
    ...(spec.debugger ? validateDebugger(spec.debugger) : []),
  ];
}

export const RUNTIME_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    object.spec ??= {};
    defaults(object.spec, { extensions: [] });
  },
  validate: validateRuntime,
  validateUpdate: (object, old) =>
    isDeepStrictEqual(object.spec?.language, old.spec?.language)
      ? []
      : [invalid('spec.language', object.spec?.language, 'field is immutable')],
};
