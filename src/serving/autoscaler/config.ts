/** What may be set about scaling: platform defaults (upstream's `config-autoscaler`) and a revision's annotations. */
import { messageOf } from '../../base/errors.ts';
import { type AutoscalerConfigMap, parseConfigAutoscaler } from '../../kinds/config/autoscaler.ts';
import { parseGoDuration } from '../../kinds/go-duration.ts';
import { type MetricSpec, metricSpec } from '../../kinds/scaling/metric.ts';
import type { Aggregation } from './window.ts';

/** Defaults for all revisions: `config-autoscaler`, and from `config-deployment` the deadline. Durations in milliseconds. */
export interface AutoscalerConfig extends AutoscalerConfigMap {
  progressDeadlineMs: number;
}

export const DEFAULT_AUTOSCALER_CONFIG: AutoscalerConfig = {
  ...parseConfigAutoscaler(),
  progressDeadlineMs: 600_000,
};

/** How one revision scales: the defaults with its annotations applied, and what follows from them. */
export interface ScalingSpec {
  class: string;
  /** What is counted by the gateway; `source` takes its place. */
  metric: 'concurrency' | 'rps';
  /** Another metric to scale by. */
  source: MetricSpec | undefined;
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
  /** How an idle revision stays warm, for the classes that have it; undefined: upstream's way to zero. */
  keepAlive: 'hybrid' | 'fixed' | undefined;
  /** The fixed keep-alive, and what holds while the hybrid one knows nothing better; `autoscaling.petrel.dev/keep-alive`. */
  keepAliveMs: number;
  /** For the HPA class: how long recommendations count, as the annotation `window` says; undefined: Kubernetes' defaults. */
  stabilizationMs: number | undefined;
  /** What cannot be understood and counts as absent. */
  problem: string | undefined;
}

/** The class that scales by what the machine reports; the others count requests. */
export const HPA_CLASS = 'hpa.autoscaling.knative.dev';
/** Classes of our own: warmth by idle times. What holds while there are requests is the KPA's. */
const KEEP_ALIVE_CLASSES: Readonly<Record<string, 'hybrid' | 'fixed'>> = {
  'hybrid.autoscaling.petrel.dev': 'hybrid',
  'keep-alive.autoscaling.petrel.dev': 'fixed',
};
const KEEP_ALIVE = 'autoscaling.petrel.dev/keep-alive';
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
const DEFAULT_KEEP_ALIVE_MS = 600_000;
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

  const scalingClass = text('class') ?? config.podAutoscalerClass;
  const keepAliveMs = parseGoDuration(annotations[KEEP_ALIVE]);
  const hpa = scalingClass === HPA_CLASS;
  const metric = text('metric') === 'rps' ? 'rps' : 'concurrency';
  let source: MetricSpec | undefined;
  let problem: string | undefined;
  try {
    source = metricSpec(annotations, hpa ? (text('metric') ?? 'cpu') : undefined, number('target', 0.01));
  } catch (error) {
    problem = messageOf(error);
  }
  const percentage = number('target-utilization-percentage', 1, 100);
  const utilization =
    percentage !== undefined
      ? percentage / 100
      : metric === 'rps'
        ? config.targetUtilization
        : config.containerConcurrencyTargetFraction;
  const total = totalPerInstance(metric, number('target', 0.01), containerConcurrency, config);
  const stableWindowMs = duration('window', 6000, HOUR) ?? config.stableWindowMs;
  const panicPercent = number('panic-window-percentage', 1, 100) ?? config.panicWindowPercentage;
  const burst = number('target-burst-capacity', -1);
  const initialScale = integer('initial-scale', config.allowZeroInitialScale ? 0 : 1);
  return {
    class: scalingClass,
    metric,
    source,
    problem,
    stabilizationMs: hpa ? duration('window', 0, HOUR) : undefined,
    aggregation:
      text('metric-aggregation-algorithm') === 'weighted-exponential' ? 'weighted-exponential' : 'linear',
    total: source ? source.target : total,
    target: source ? source.target : Math.max(0.01, total * utilization),
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
    keepAlive: KEEP_ALIVE_CLASSES[scalingClass],
    keepAliveMs: keepAliveMs !== undefined && keepAliveMs >= 0 ? keepAliveMs : DEFAULT_KEEP_ALIVE_MS,
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
