/**
 * Annotations that are wrong. Source: knative.dev/serving `pkg/apis/autoscaling/annotation_validation.go`,
 * `pkg/apis/serving/{metadata_validation,v1/revision_validation}.go`, knative.dev/networking `metadata_validation.go`.
 */
import type { AutoscalerConfigMap } from '../../config/index.ts';
import { parseGoDuration } from '../../go-duration.ts';
import { parseQuantity } from '../../quantity.ts';
import { badKey, badValue, type KnativeProblem, outOfBounds, problem } from './errors.ts';

/** Annotations of an object; none is the same as absent. */
export type Annotations = Record<string, string> | undefined;

export const GROUP = 'autoscaling.knative.dev/';
const KPA = 'kpa.autoscaling.knative.dev';
export const HPA = 'hpa.autoscaling.knative.dev';
const MAX_INT32 = 2147483647;
const TARGET_MIN = 0.01;
const WINDOW = { min: 6000, max: 3_600_000 };
const ALGORITHMS = ['linear', 'weighted-exponential', 'weightedExponential'];
const SECOND_PRECISION = 'must be specified with at most second precision';

/** `min-scale` → `minScale`; the two spellings of most of these annotations. */
const camel = (name: string): string =>
  name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
const FLOAT = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const INTEGER = /^[+-]?\d+$/;
const number = (text: string): number => (FLOAT.test(text) ? Number(text) : Number.NaN);
const integer = (text: string): number => (INTEGER.test(text) ? Number(text) : Number.NaN);
const isWholeSeconds = (milliseconds: number): boolean => milliseconds % 1000 === 0;

interface Given {
  key: string;
  value: string;
}

function reader(annotations: Annotations): (name: string) => Given | undefined {
  return (name) => {
    for (const key of [GROUP + name, GROUP + camel(name)]) {
      const value = annotations?.[key];
      if (value !== undefined) return { key, value };
    }
    return undefined;
  };
}

/** Problems of the autoscaling annotations among `annotations`, which lie at `path`. */
export function validateAutoscaling(
  annotations: Annotations,
  path: string,
  config: AutoscalerConfigMap,
): KnativeProblem[] {
  if (!Object.keys(annotations ?? {}).some((key) => key.startsWith(GROUP))) return [];
  const get = reader(annotations);
  return [
    ...validateClass(get, path),
    ...validateBounds(get, path, config),
    ...validateNumbers(get, path),
    ...validateTimes(get, path),
    ...validateMetric(get, path, config),
    ...validateInitialScale(get, path, config),
  ];
}

type Get = ReturnType<typeof reader>;

function validateClass(get: Get, path: string): KnativeProblem[] {
  const name = get('class');
  const problems: KnativeProblem[] = [];
  if (name?.value.endsWith('.knative.dev') && name.value !== KPA && name.value !== HPA) {
    problems.push(badValue(name.value, `${path}.${name.key}`));
  }
  const algorithm = get('metric-aggregation-algorithm');
  if (name?.value === KPA && algorithm?.value && !ALGORITHMS.includes(algorithm.value)) {
    problems.push(badValue(algorithm.value, `${path}.${algorithm.key}`));
  }
  return problems;
}

/** `min-scale` and `max-scale`, the two that a Service may carry on itself as well. */
function validateBounds(get: Get, path: string, { maxScaleLimit }: AutoscalerConfigMap): KnativeProblem[] {
  const problems: KnativeProblem[] = [];
  const whole = (given: Given | undefined): number => {
    if (given === undefined) return 0;
    const value = integer(given.value);
    if (Number.isNaN(value)) problems.push(badValue(given.value, `${path}.${given.key}`));
    else if (value < 0 || value > MAX_INT32) {
      problems.push(outOfBounds(given.value, 0, MAX_INT32, `${path}.${given.key}`));
    } else return value;
    return 0;
  };
  const given = { min: get('min-scale'), max: get('max-scale'), activation: get('activation-scale') };
  const min = whole(given.min);
  const max = whole(given.max);
  if (max !== 0 && max < min) {
    problems.push({
      message: `max-scale=${max} is less than min-scale=${min}`,
      paths: [`${path}.${GROUP}max-scale`, `${path}.${GROUP}min-scale`],
    });
  }
  if (given.max !== undefined && maxScaleLimit !== 0) {
    const at = `${path}.${given.max.key}`;
    if (max > maxScaleLimit) problems.push(outOfBounds(max, 1, maxScaleLimit, at));
    if (max === 0) problems.push(problem(`max-scale=0 (unlimited), must be less than ${maxScaleLimit}`, at));
  }
  if (given.activation === undefined) return problems;
  const at = `${path}.${given.activation.key}`;
  const scale = integer(given.activation.value);
  if (Number.isNaN(scale) || Math.abs(scale) > MAX_INT32) problems.push(badValue(given.activation.value, at));
  else if (min > scale) {
    problems.push(problem(`min-scale=${min} is greater than activation-scale=${scale}`, at));
  } else if (max < scale && max !== 0) {
    problems.push(problem(`max-scale=${max} is less than activation-scale=${scale}`, at));
  } else if (scale < 2) problems.push(problem(`activation-scale=${scale} must be greater than 1`, at));
  return problems;
}

function validateNumbers(get: Get, path: string): KnativeProblem[] {
  const problems: KnativeProblem[] = [];
  const ranged: [string, number, number][] = [
    ['panic-window-percentage', 1, 100],
    ['panic-threshold-percentage', 110, 1000],
    ['target-utilization-percentage', 1, 100],
  ];
  for (const [name, low, high] of ranged) {
    const given = get(name);
    if (given === undefined) continue;
    const value = number(given.value);
    if (Number.isNaN(value)) problems.push(badValue(given.value, `${path}.${given.key}`));
    else if (value < low || value > high)
      problems.push(outOfBounds(given.value, low, high, `${path}.${given.key}`));
  }
  const target = get('target');
  if (target !== undefined) {
    const value = number(target.value);
    if (Number.isNaN(value)) problems.push(badValue(target.value, `${path}.${target.key}`));
    else if (value < TARGET_MIN) {
      problems.push(
        problem(`target ${target.value} should be at least ${TARGET_MIN}`, `${path}.${target.key}`),
      );
    }
  }
  const burst = get('target-burst-capacity');
  if (burst !== undefined) {
    const value = number(burst.value);
    if (!(value >= 0 || value === -1)) problems.push(badValue(burst.value, `${path}.${burst.key}`));
  }
  return problems;
}

function validateTimes(get: Get, path: string): KnativeProblem[] {
  const times: [name: string, low: number, shown: string, whole: boolean][] = [
    ['window', WINDOW.min, '6s', true],
    ['scale-to-zero-pod-retention-period', 0, '0s', false],
    ['scale-down-delay', 0, '0s', true],
  ];
  return times.flatMap(([name, low, shown, whole]) => {
    const given = get(name);
    if (given === undefined) return [];
    const at = `${path}.${given.key}`;
    const value = parseGoDuration(given.value);
    if (value === undefined) return [badValue(given.value, at)];
    if (value < low || value > WINDOW.max) return [outOfBounds(given.value, shown, '1h0m0s', at)];
    return whole && !isWholeSeconds(value) ? [problem(SECOND_PRECISION, at)] : [];
  });
}

function validateMetric(get: Get, path: string, config: AutoscalerConfigMap): KnativeProblem[] {
  const metric = get('metric');
  if (metric === undefined) return [];
  const name = get('class')?.value ?? config.podAutoscalerClass;
  const fine =
    name === KPA ? ['concurrency', 'rps'].includes(metric.value) : name !== HPA || metric.value !== '';
  return fine ? [] : [badValue(metric.value, `${path}.${metric.key}`)];
}

function validateInitialScale(get: Get, path: string, config: AutoscalerConfigMap): KnativeProblem[] {
  const given = get('initial-scale');
  if (given === undefined) return [];
  const at = `${path}.${given.key}`;
  const value = integer(given.value);
  if (!Number.isSafeInteger(value)) return [badValue(given.value, at)];
  if (value < 0) return [badValue(given.value, `${at} must be greater than 0`)];
  return value === 0 && !config.allowZeroInitialScale
    ? [badValue(given.value, `${at}=0 not allowed by cluster`)]
    : [];
}

/**
 * Autoscaling annotations belong to revisions. `bounds`: but the bounds of all revisions together may stand on a
 * Service, so that they can be changed without a new revision.
 */
export function validateOuterAutoscaling(
  annotations: Annotations,
  path: string,
  config: AutoscalerConfigMap,
  bounds: boolean,
): KnativeProblem[] {
  const taken = ['min-scale', 'max-scale'].flatMap((name) => [GROUP + name, GROUP + camel(name)]);
  const problems = Object.keys(annotations ?? {}).flatMap((key) =>
    key.startsWith('autoscaling.knative.dev') && !(bounds && taken.includes(key))
      ? [
          badKey(
            key,
            path,
            'autoscaling annotations must be put under "spec.template.metadata.annotations" to work',
          ),
        ]
      : [],
  );
  if (!bounds) return problems;
  return [...problems, ...validateBounds(reader(withOnly(annotations, taken)), path, config)];
}

const withOnly = (annotations: Annotations, keys: string[]): Annotations =>
  Object.fromEntries(Object.entries(annotations ?? {}).filter(([key]) => keys.includes(key)));

/** A duration of whole seconds, not below zero: the value of `key`, or of its other spelling. */
function validateSeconds(
  annotations: Annotations,
  path: string,
  name: string,
  keys: string[],
): KnativeProblem[] {
  const key = keys.find((k) => annotations?.[k] !== undefined);
  const text = key === undefined ? undefined : annotations?.[key];
  if (!text) return [];
  const at = `${path}.${key}`;
  const value = parseGoDuration(text);
  if (value === undefined) return [badValue(text, at)];
  if (!isWholeSeconds(value)) return [problem(`${name}=${text} is not at second precision`, at)];
  return value < 0 ? [problem(`${name}=${text} must be positive`, at)] : [];
}

/** `rollout-duration` of a Service or Route. */
export const validateRollout = (annotations: Annotations, path: string): KnativeProblem[] =>
  validateSeconds(annotations, path, 'rollout-duration', [
    'serving.knative.dev/rollout-duration',
    'serving.knative.dev/rolloutDuration',
  ]);

/** Annotations of `networking.knative.dev` that mean something on a revision's template; all others are refused there. */
const NETWORKING = new Set(
  [
    'ingress.class',
    'ingress-class',
    'certificate.class',
    'certificate-class',
    'disableAutoTLS',
    'disable-auto-tls',
    'disable-external-domain-tls',
    'httpOption',
    'http-protocol',
  ].map((name) => `networking.knative.dev/${name}`),
);
const SIDECAR = 'queue.sidecar.serving.knative.dev/';
const SIDECAR_RESOURCES = ['cpu', 'memory', 'ephemeral-storage'].flatMap((resource) =>
  ['request', 'limit'].map((bound) => `${SIDECAR}${resource}-resource-${bound}`),
);
const SIDECAR_PERCENTAGE = [`${SIDECAR}resource-percentage`, `${SIDECAR}resourcePercentage`];

/** Problems of the annotations of a revision's template that are not about scaling. */
export function validateTemplateAnnotations(annotations: Annotations, path: string): KnativeProblem[] {
  const problems = Object.keys(annotations ?? {}).flatMap((key) =>
    key.startsWith('networking.knative.dev') && !NETWORKING.has(key) ? [badKey(key, path)] : [],
  );
  for (const key of SIDECAR_RESOURCES) {
    const value = annotations?.[key];
    if (value !== undefined && Number.isNaN(parseQuantity(value)))
      problems.push(badValue(value, `${path}.[${key}]`));
  }
  const key = SIDECAR_PERCENTAGE.find((k) => annotations?.[k] !== undefined);
  const percentage = key === undefined ? undefined : annotations?.[key];
  if (percentage !== undefined) {
    const value = number(percentage);
    if (Number.isNaN(value)) problems.push(badValue(percentage, `${path}.[${key}]`));
    else if (value < 0.1 || value > 100) problems.push(outOfBounds(value, 0.1, 100, `${path}.[${key}]`));
  }
  problems.push(
    ...validateSeconds(annotations, path, 'progress-deadline', ['serving.knative.dev/progress-deadline']),
  );
  return problems;
}

/** What a template is warned of; upstream says it without a path. */
export const warnTemplateAnnotations = (annotations: Annotations): KnativeProblem[] =>
  SIDECAR_PERCENTAGE.some((key) => annotations?.[key] !== undefined)
    ? [
        problem(
          'Queue proxy resource percentage annotation is deprecated. Please use the available annotations to explicitly set resource values per service',
        ),
      ]
    : [];
