/** What may be set about scaling: platform defaults (upstream's `config-autoscaler`) and a revision's annotations. */
import { parseGoDuration } from './duration.ts';
import type { Aggregation } from './window.ts';

/** Defaults for all revisions. Source and ranges: knative.dev/serving `config-autoscaler`. Durations in milliseconds. */
export interface AutoscalerConfig {
  containerConcurrencyTargetDefault: number;
  requestsPerSecondTargetDefault: number;
  /** Share of the hard limit to aim at, 0–1. */
  targetUtilization: number;
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
  /** Cap on `max-scale`; 0 is none. */
  maxScaleLimit: number;
  progressDeadlineMs: number;
}

export const DEFAULT_AUTOSCALER_CONFIG: AutoscalerConfig = {
  containerConcurrencyTargetDefault: 100,
  requestsPerSecondTargetDefault: 200,
  targetUtilization: 0.7,
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
  progressDeadlineMs: 600_000,
};

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
    const value = text(name);
    const parsed = value === undefined || value.trim() === '' ? Number.NaN : Number(value);
    return parsed >= min && parsed <= max ? parsed : undefined;
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
  const utilization =
    (number('target-utilization-percentage', 1, 100) ?? config.targetUtilization * 100) / 100;
  const total = totalPerInstance(metric, number('target', 0.01), containerConcurrency, config);
  const stableWindowMs = duration('window', 6000, HOUR) ?? config.stableWindowMs;
  const panicPercent = number('panic-window-percentage', 1, 100) ?? config.panicWindowPercentage;
  const burst = number('target-burst-capacity', -1);
  const initialScale = integer('initial-scale', config.allowZeroInitialScale ? 0 : 1);
  const maxScale = integer('max-scale', 0) ?? config.maxScale;
  return {
    class: text('class') ?? 'kpa.autoscaling.knative.dev',
    metric,
    aggregation:
      text('metric-aggregation-algorithm') === 'weighted-exponential' ? 'weighted-exponential' : 'linear',
    total,
    target: Math.max(0.01, total * utilization),
    targetBurstCapacity:
      burst !== undefined && (burst >= 0 || burst === -1) ? burst : config.targetBurstCapacity,
    stableWindowMs,
    panicWindowMs: Math.max(1000, Math.round((stableWindowMs * panicPercent) / 100 / 1000) * 1000),
    panicThreshold:
      (number('panic-threshold-percentage', 110, 1000) ?? config.panicThresholdPercentage) / 100,
    maxScaleUpRate: config.maxScaleUpRate,
    maxScaleDownRate: config.maxScaleDownRate,
    scaleDownDelayMs: duration('scale-down-delay', 0, HOUR) ?? config.scaleDownDelayMs,
    minScale: integer('min-scale', 0) ?? config.minScale,
    maxScale:
      config.maxScaleLimit > 0 ? Math.min(maxScale || config.maxScaleLimit, config.maxScaleLimit) : maxScale,
    initialScale: initialScale ?? config.initialScale,
    activationScale: integer('activation-scale', 2) ?? 0,
    enableScaleToZero: config.enableScaleToZero,
    scaleToZeroGracePeriodMs: config.scaleToZeroGracePeriodMs,
    scaleToZeroPodRetentionMs:
      duration('scale-to-zero-pod-retention-period', 0, HOUR) ?? config.scaleToZeroPodRetentionMs,
    progressDeadlineMs: parseGoDuration(annotations[PROGRESS_DEADLINE]) || config.progressDeadlineMs,
  };
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
