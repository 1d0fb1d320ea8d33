/** What may be set about scaling: platform defaults (upstream's `config-autoscaler`) and a revision's annotations. */
import { parseGoDuration } from './duration.ts';
import type { Aggregation } from './window.ts';

/** Defaults for all revisions. Source and ranges: knative.dev/serving `config-autoscaler`. Durations in milliseconds. */
export interface AutoscalerConfig {
  /** Of revisions whose annotations name none. */
  class: string;
  containerConcurrencyTargetDefault: number;
  requestsPerSecondTargetDefault: number;
  /** Share of the concurrent requests an instance can take to aim at, 0–1; `container-concurrency-target-percentage`. */
  concurrencyUtilization: number;
  /** The same for requests per second; upstream has no key for it. */
  requestsPerSecondUtilization: number;
  targetBurstCapacity: number;
  stableWindowMs: number;
  panicWindowPercentage: number;
  panicThresholdPercentage: number;
  maxScaleUpRate: number;
  maxScaleDownRate: number;
  scaleDownDelayMs: number;
  enableScaleToZero: boolean;
  scaleToZeroGracePeriodMs: number;
  scaleToZeroPodRetentionMs: number;
  initialScale: number;
  allowZeroInitialScale: boolean;
  minScale: number;
  maxScale: number;
  /** Largest `max-scale` that may be written; 0 is none. Refused on writing, not applied afterwards, as upstream. */
  maxScaleLimit: number;
  /** What an activator is taken to hold, for the number that ServerlessServices show. */
  activatorCapacity: number;
  progressDeadlineMs: number;
}

export const DEFAULT_AUTOSCALER_CONFIG: AutoscalerConfig = {
  class: 'kpa.autoscaling.knative.dev',
  containerConcurrencyTargetDefault: 100,
  requestsPerSecondTargetDefault: 200,
  concurrencyUtilization: 0.7,
  requestsPerSecondUtilization: 0.7,
  targetBurstCapacity: 211,
  stableWindowMs: 60_000,
  panicWindowPercentage: 10,
  panicThresholdPercentage: 200,
  maxScaleUpRate: 1000,
  maxScaleDownRate: 2,
  scaleDownDelayMs: 0,
  enableScaleToZero: true,
  scaleToZeroGracePeriodMs: 30_000,
  scaleToZeroPodRetentionMs: 0,
  initialScale: 1,
  // Upstream's default is false; what upstream flags off is on here: a thousand deploys must not need a thousand instances.
  allowZeroInitialScale: true,
  minScale: 0,
  maxScale: 0,
  maxScaleLimit: 0,
  activatorCapacity: 100,
  progressDeadlineMs: 600_000,
};

type Reading = (text: string) => AutoscalerConfig[keyof AutoscalerConfig] | undefined;
const fraction: Reading = (text) => {
  const value = parseDecimal(text);
  // Both 70 and 0.7 have always meant 70 %.
  return value !== undefined && value > 1 ? value / 100 : value;
};
const flag: Reading = (text) =>
  /^(1|t|true)$/i.test(text) ? true : /^(0|f|false)$/i.test(text) ? false : undefined;

const CONFIG_KEYS: Record<string, [keyof AutoscalerConfig, Reading]> = {
  'pod-autoscaler-class': ['class', (text) => text],
  'container-concurrency-target-default': ['containerConcurrencyTargetDefault', parseDecimal],
  'container-concurrency-target-percentage': ['concurrencyUtilization', fraction],
  'requests-per-second-target-default': ['requestsPerSecondTargetDefault', parseDecimal],
  'target-burst-capacity': ['targetBurstCapacity', parseDecimal],
  'stable-window': ['stableWindowMs', parseGoDuration],
  'panic-window-percentage': ['panicWindowPercentage', parseDecimal],
  'panic-threshold-percentage': ['panicThresholdPercentage', parseDecimal],
  'max-scale-up-rate': ['maxScaleUpRate', parseDecimal],
  'max-scale-down-rate': ['maxScaleDownRate', parseDecimal],
  'scale-down-delay': ['scaleDownDelayMs', parseGoDuration],
  'enable-scale-to-zero': ['enableScaleToZero', flag],
  'scale-to-zero-grace-period': ['scaleToZeroGracePeriodMs', parseGoDuration],
  'scale-to-zero-pod-retention-period': ['scaleToZeroPodRetentionMs', parseGoDuration],
  'initial-scale': ['initialScale', parseDecimal],
  'allow-zero-initial-scale': ['allowZeroInitialScale', flag],
  'min-scale': ['minScale', parseDecimal],
  'max-scale': ['maxScale', parseDecimal],
  'max-scale-limit': ['maxScaleLimit', parseDecimal],
  'activator-capacity': ['activatorCapacity', parseDecimal],
};

/**
 * The data of the ConfigMap `config-autoscaler` over `defaults`. Unknown keys (`_example`) and values that are none are left
 * out: what is wrong is refused when the ConfigMap is written.
 */
export function autoscalerConfig(
  data: Record<string, string>,
  defaults: AutoscalerConfig = DEFAULT_AUTOSCALER_CONFIG,
): AutoscalerConfig {
  const read = Object.entries(data).flatMap(([key, text]) => {
    const [field, reading] = CONFIG_KEYS[key] ?? [];
    const value = reading?.(text);
    return value === undefined ? [] : [[field, value]];
  });
  return { ...defaults, ...Object.fromEntries(read) };
}

/** How one revision scales: the defaults with its annotations applied, and what follows from them. */
export interface ScalingSpec {
  class: string;
  metric: 'concurrency' | 'rps';
  aggregation: Aggregation;
  /** What one instance can take at all. */
  total: number;
  /** What one instance is meant to take; more means another instance. */
  target: number;
  targetBurstCapacity: number;
  stableWindowMs: number;
  panicWindowMs: number;
  /** Ratio of wanted to ready instances at which panic begins. */
  panicThreshold: number;
  maxScaleUpRate: number;
  maxScaleDownRate: number;
  scaleDownDelayMs: number;
  minScale: number;
  /** 0 is unlimited. */
  maxScale: number;
  initialScale: number;
  /** Instances on waking from zero; 0 when not set. */
  activationScale: number;
  enableScaleToZero: boolean;
  scaleToZeroGracePeriodMs: number;
  scaleToZeroPodRetentionMs: number;
  progressDeadlineMs: number;
}

const GROUP = 'autoscaling.knative.dev/';
/** Annotation (without group) → the other spelling that is accepted. */
const ALIASES: Record<string, string> = {
  'min-scale': 'minScale',
  'max-scale': 'maxScale',
  'initial-scale': 'initialScale',
  'scale-down-delay': 'scaleDownDelay',
  'target-burst-capacity': 'targetBurstCapacity',
  'target-utilization-percentage': 'targetUtilizationPercentage',
  'panic-window-percentage': 'panicWindowPercentage',
  'panic-threshold-percentage': 'panicThresholdPercentage',
  'scale-to-zero-pod-retention-period': 'scaleToZeroPodRetentionPeriod',
  'metric-aggregation-algorithm': 'metricAggregationAlgorithm',
};
const PROGRESS_DEADLINE = 'serving.knative.dev/progress-deadline';
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/**
 * The scaling of a revision with these template annotations. Values out of range are refused when the object is
 * written; one that got here all the same counts as absent.
 */
export function scalingSpec(
  annotations: Record<string, string>,
  containerConcurrency: number,
  config: AutoscalerConfig = DEFAULT_AUTOSCALER_CONFIG,
): ScalingSpec {
  const text = (name: string) => annotations[GROUP + name] ?? annotations[GROUP + (ALIASES[name] ?? name)];
  const number = (name: string, min: number, max = Number.POSITIVE_INFINITY) => {
    const value = parseDecimal(text(name));
    return value !== undefined && value >= min && value <= max ? value : undefined;
  };
  const integer = (name: string, min: number) => {
    const value = number(name, min, 2 ** 31 - 1);
    return value !== undefined && Number.isInteger(value) ? value : undefined;
  };
  const duration = (name: string, min: number, max: number) => {
    const value = parseGoDuration(text(name));
    return value !== undefined && value >= min && value <= max ? value : undefined;
  };

  const metric = text('metric') === 'rps' ? 'rps' : 'concurrency';
  const percentage = number('target-utilization-percentage', 1, 100);
  const utilization =
    percentage !== undefined
      ? percentage / 100
      : metric === 'rps'
        ? config.requestsPerSecondUtilization
        : config.concurrencyUtilization;
  const total = totalPerInstance(metric, number('target', 0.01), containerConcurrency, config);
  const stableWindowMs = duration('window', 6000, HOUR) ?? config.stableWindowMs;
  const panicPercent = number('panic-window-percentage', 1, 100) ?? config.panicWindowPercentage;
  const burst = number('target-burst-capacity', -1);
  const initialScale = integer('initial-scale', config.allowZeroInitialScale ? 0 : 1);
  return {
    class: text('class') ?? config.class,
    metric,
    aggregation:
      text('metric-aggregation-algorithm') === 'weighted-exponential' ? 'weighted-exponential' : 'linear',
    total,
    target: Math.max(0.01, total * utilization),
    targetBurstCapacity:
      burst !== undefined && (burst >= 0 || burst === -1) ? burst : config.targetBurstCapacity,
    stableWindowMs,
    panicWindowMs: panicWindow(stableWindowMs, panicPercent),
    panicThreshold:
      (number('panic-threshold-percentage', 110, 1000) ?? config.panicThresholdPercentage) / 100,
    maxScaleUpRate: config.maxScaleUpRate,
    maxScaleDownRate: config.maxScaleDownRate,
    scaleDownDelayMs: duration('scale-down-delay', 0, HOUR) ?? config.scaleDownDelayMs,
    minScale: integer('min-scale', 0) ?? config.minScale,
    maxScale: integer('max-scale', 0) ?? config.maxScale,
    initialScale: initialScale ?? config.initialScale,
    activationScale: integer('activation-scale', 2) ?? 0,
    enableScaleToZero: config.enableScaleToZero,
    scaleToZeroGracePeriodMs: config.scaleToZeroGracePeriodMs,
    scaleToZeroPodRetentionMs:
      duration('scale-to-zero-pod-retention-period', 0, HOUR) ?? config.scaleToZeroPodRetentionMs,
    progressDeadlineMs: parseGoDuration(annotations[PROGRESS_DEADLINE]) || config.progressDeadlineMs,
  };
}

/** Share of the stable window, in whole seconds. Computed in nanoseconds, as upstream, where halves round up. */
function panicWindow(stableWindowMs: number, percent: number): number {
  const nanoseconds = Math.trunc((stableWindowMs * 1e6 * percent) / 100);
  return Math.max(1000, Math.floor((nanoseconds + 5e8) / 1e9) * 1000);
}

/** A number as Go's `strconv.ParseFloat` reads one, without its hexadecimal, infinite and undefined ones. */
function parseDecimal(text: string | undefined): number | undefined {
  return text !== undefined && DECIMAL.test(text) ? Number(text) : undefined;
}

function totalPerInstance(
  metric: ScalingSpec['metric'],
  annotated: number | undefined,
  containerConcurrency: number,
  config: AutoscalerConfig,
): number {
  if (metric === 'rps') return annotated ?? config.requestsPerSecondTargetDefault;
  const limit = containerConcurrency > 0 ? containerConcurrency : undefined;
  if (annotated === undefined) return limit ?? config.containerConcurrencyTargetDefault;
  return limit === undefined ? annotated : Math.min(annotated, limit);
}
