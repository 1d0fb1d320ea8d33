/** `config-autoscaler`: defaults and bounds of scaling. Source: knative.dev/serving `pkg/autoscaler/config`. */
import { formatGoDuration } from '../go-duration.ts';
import {
  bool,
  type ConfigData,
  duration,
  field,
  float,
  int32,
  readFields,
  requireAll,
  text,
} from './read.ts';

/** Durations in milliseconds. */
export interface AutoscalerConfigMap {
  podAutoscalerClass: string;
  enableScaleToZero: boolean;
  allowZeroInitialScale: boolean;
  maxScaleUpRate: number;
  maxScaleDownRate: number;
  /** Share of the concurrency limit to aim at, 0–1. */
  containerConcurrencyTargetFraction: number;
  /** The same for every other metric; no key sets it. */
  targetUtilization: number;
  containerConcurrencyTargetDefault: number;
  requestsPerSecondTargetDefault: number;
  /** -1 is unlimited. */
  targetBurstCapacity: number;
  activatorCapacity: number;
  panicWindowPercentage: number;
  panicThresholdPercentage: number;
  initialScale: number;
  minScale: number;
  /** 0 is unlimited. */
  maxScale: number;
  /** Cap on `max-scale`; 0 is none. */
  maxScaleLimit: number;
  stableWindowMs: number;
  scaleDownDelayMs: number;
  scaleToZeroGracePeriodMs: number;
  scaleToZeroPodRetentionMs: number;
}

const TARGET_UTILIZATION = 0.7;
/** Source: knative.dev/serving `pkg/apis/autoscaling/register.go`. */
const TARGET_MIN = 0.01;
const WINDOW = { min: 6000, max: 3_600_000 };

const FIELDS = {
  podAutoscalerClass: field(text, 'kpa.autoscaling.knative.dev', 'pod-autoscaler-class'),
  enableScaleToZero: field(bool, true, 'enable-scale-to-zero'),
  // Upstream's default is false. A thousand deploys must not need a thousand instances.
  allowZeroInitialScale: field(bool, true, 'allow-zero-initial-scale'),
  maxScaleUpRate: field(float, 1000, 'max-scale-up-rate'),
  maxScaleDownRate: field(float, 2, 'max-scale-down-rate'),
  containerConcurrencyTargetFraction: field(
    float,
    TARGET_UTILIZATION,
    'container-concurrency-target-percentage',
  ),
  containerConcurrencyTargetDefault: field(float, 100, 'container-concurrency-target-default'),
  requestsPerSecondTargetDefault: field(float, 200, 'requests-per-second-target-default'),
  targetBurstCapacity: field(float, 211, 'target-burst-capacity'),
  panicWindowPercentage: field(float, 10, 'panic-window-percentage'),
  activatorCapacity: field(float, 100, 'activator-capacity'),
  panicThresholdPercentage: field(float, 200, 'panic-threshold-percentage'),
  initialScale: field(int32, 1, 'initial-scale'),
  minScale: field(int32, 0, 'min-scale'),
  maxScale: field(int32, 0, 'max-scale'),
  maxScaleLimit: field(int32, 0, 'max-scale-limit'),
  stableWindowMs: field(duration, 60_000, 'stable-window'),
  scaleDownDelayMs: field(duration, 0, 'scale-down-delay'),
  scaleToZeroGracePeriodMs: field(duration, 30_000, 'scale-to-zero-grace-period'),
  scaleToZeroPodRetentionMs: field(duration, 0, 'scale-to-zero-pod-retention-period'),
};

const wholeSeconds = (milliseconds: number): boolean => milliseconds % 1000 === 0;

/** Throws `ConfigMapError`. */
export function parseConfigAutoscaler(data: ConfigData = {}): AutoscalerConfigMap {
  const c = {
    ...readFields(FIELDS, data, 'failed to parse data: '),
    targetUtilization: TARGET_UTILIZATION,
  };
  // Upstream takes both shares and percentages here.
  if (c.containerConcurrencyTargetFraction > 1) c.containerConcurrencyTargetFraction /= 100;
  const fraction = c.containerConcurrencyTargetFraction;
  const target = fraction * c.containerConcurrencyTargetDefault;
  const leastMax = c.maxScaleLimit > 0 ? 1 : 0;
  const time = formatGoDuration;
  requireAll(
    [
      c.scaleToZeroGracePeriodMs > 0,
      () => `scale-to-zero-grace-period must be positive, was: ${time(c.scaleToZeroGracePeriodMs)}`,
    ],
    [c.scaleDownDelayMs >= 0, () => `scale-down-delay cannot be negative, was: ${time(c.scaleDownDelayMs)}`],
    [
      wholeSeconds(c.scaleDownDelayMs),
      () => `scale-down-delay = ${time(c.scaleDownDelayMs)}, must be specified with at most second precision`,
    ],
    [
      c.scaleToZeroPodRetentionMs >= 0,
      () =>
        `scale-to-zero-pod-retention-period cannot be negative, was: ${time(c.scaleToZeroPodRetentionMs)}`,
    ],
    [
      c.targetBurstCapacity >= 0 || c.targetBurstCapacity === -1,
      () =>
        `target-burst-capacity must be either non-negative or -1 (for unlimited), was: ${c.targetBurstCapacity.toFixed(6)}`,
    ],
    [
      fraction > 0 && fraction <= 1,
      () =>
        `container-concurrency-target-percentage = ${fraction.toFixed(6)} is outside of valid range of (0, 100]`,
    ],
    [
      target >= TARGET_MIN,
      () =>
        `container-concurrency-target-percentage and container-concurrency-target-default yield target concurrency of ${target}, can't be less than ${TARGET_MIN}`,
    ],
    [
      c.requestsPerSecondTargetDefault >= TARGET_MIN,
      () =>
        `requests-per-second-target-default must be at least ${TARGET_MIN}, was: ${c.requestsPerSecondTargetDefault}`,
    ],
    [c.activatorCapacity >= 1, () => `activator-capacity = ${c.activatorCapacity}, must be at least 1`],
    [c.maxScaleUpRate > 1, () => `max-scale-up-rate = ${c.maxScaleUpRate}, must be greater than 1.0`],
    [c.maxScaleDownRate > 1, () => `max-scale-down-rate = ${c.maxScaleDownRate}, must be greater than 1.0`],
    [
      c.stableWindowMs >= WINDOW.min && c.stableWindowMs <= WINDOW.max,
      () =>
        `stable-window = ${time(c.stableWindowMs)}, must be in [${time(WINDOW.min)}; ${time(WINDOW.max)}] range`,
    ],
    [
      wholeSeconds(c.stableWindowMs),
      () => `stable-window = ${time(c.stableWindowMs)}, must be specified with at most second precision`,
    ],
    [
      c.panicWindowPercentage >= 1 && c.panicWindowPercentage <= 100,
      () => `panic-window-percentage = ${c.panicWindowPercentage}, must be in [1, 100] interval`,
    ],
    [
      c.initialScale > 0 || (c.initialScale === 0 && c.allowZeroInitialScale),
      () =>
        `initial-scale = ${c.initialScale}, must be at least 0 (or at least 1 when allow-zero-initial-scale is false)`,
    ],
    [c.minScale >= 0, () => `min-scale = ${c.minScale}, must be at least 0`],
    [
      c.maxScale >= leastMax && !(c.maxScaleLimit > 0 && c.maxScale > c.maxScaleLimit),
      () => `max-scale = ${c.maxScale}, must be in [${leastMax}, max-scale-limit(${c.maxScaleLimit})] range`,
    ],
    [c.maxScaleLimit >= 0, () => `max-scale-limit = ${c.maxScaleLimit}, must be at least 0`],
    [
      c.minScale <= c.maxScale || c.maxScale === 0,
      () => `min-scale (${c.minScale}) must be less than max-scale (${c.maxScale})`,
    ],
  );
  return c;
}
