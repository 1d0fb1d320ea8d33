/** What was counted or measured for one revision, and what the autoscaler makes of it. */
import type { RevisionStats } from '../../gateway/contract.ts';
import { HPA_CLASS, type ScalingSpec } from '../autoscaler/config.ts';
import { type DeciderState, decide, initialState, type Observation } from '../autoscaler/decide.ts';
import { decideHpa, hpaState } from '../autoscaler/hpa.ts';
import type { MetricScope } from '../autoscaler/metrics.ts';
import { createAverageWindow } from '../autoscaler/window.ts';

/** A second without a report means nothing happened; reports come a little late now and then. */
const SILENCE_MS = 1500;
/** Buckets hold one second, and so does what a report tells. */
const REPORT_MS = 1000;

export interface LoadHistory {
  /** A report of the gateway. */
  record(now: number, stats: RevisionStats, intervalMs: number): void;
  /** A value of the metric that is watched instead of the gateway's counts. */
  measure(now: number, value: number, scope: MetricScope, readyPods: number, target: number): void;
  /** Silence is load of zero: the gateway reports only what is in use. A metric stays what it was. */
  fillSilence(now: number): void;
  /** Instances asked for; undefined while nothing has been measured. */
  desired(now: number, readyPods: number, reachable: boolean): number | undefined;
  /**
   * What will be asked for at the next report if so many requests go on until then: the same decision, ahead of time. It
   * changes nothing; undefined where the load is not measured by requests at once.
   */
  projected(now: number, requests: number, readyPods: number, reachable: boolean): number | undefined;
  /** Measured, and found to be nothing, and no panic: the answer stays as it is until something happens. */
  quiet(now: number): boolean;
  /** The revision scales differently from now on; what was measured is kept. */
  respec(spec: ScalingSpec): void;
}

export function createHistory(spec: ScalingSpec, readyPods: number, now: number): LoadHistory {
  return spec.class === HPA_CLASS ? createHpaHistory(spec) : createLoadHistory(spec, readyPods, now);
}

/** Decides once for each value: between two of them nothing is known to have changed. */
function createHpaHistory(initial: ScalingSpec): LoadHistory {
  let spec = initial;
  const state = hpaState();
  let answer: number | undefined;
  return {
    record() {},
    measure(now, value, scope, ready, current) {
      if (!spec.source) return;
      const settings = {
        target: spec.source.target,
        min: spec.minScale,
        max: spec.maxScale,
        stabilizationMs: spec.stabilizationMs,
      };
      const mean = scope === 'instance' ? value : value / Math.max(1, ready);
      answer = decideHpa(settings, state, { now, mean, ready, current });
    },
    fillSilence() {},
    desired: (_now, _ready, reachable) => (reachable ? answer : 0),
    projected: () => undefined,
    quiet: () => true,
    respec(next) {
      spec = next;
    },
  };
}

function createLoadHistory(initial: ScalingSpec, readyPods: number, now: number): LoadHistory {
  let spec = initial;
  let stable = createAverageWindow(spec.stableWindowMs, spec.aggregation);
  let panic = createAverageWindow(spec.panicWindowMs, spec.aggregation);
  let state: DeciderState = initialState(spec, readyPods, now);
  let reported = now;
  /** Last value of a metric. */
  let gauge: number | undefined;
  const put = (at: number, value: number) => {
    stable.record(at, value);
    panic.record(at, value);
  };
  const seen = (at: number, ready: number, reachable: boolean, windows = { stable, panic }): Observation => {
    const empty = windows.stable.isEmpty(at);
    return {
      now: at,
      stable: empty ? undefined : windows.stable.average(at),
      panic: empty ? undefined : windows.panic.average(at),
      readyPods: ready,
      reachable,
    };
  };
  return {
    record(at, stats, intervalMs) {
      if (spec.source) return;
      reported = at;
      // Buckets hold one second: what was averaged over less, or more, counts for as long as it lasted.
      put(
        at,
        spec.metric === 'rps' ? stats.requestCount : (stats.averageConcurrency * intervalMs) / REPORT_MS,
      );
    },
    measure(at, reading, scope, ready) {
      const value = scope === 'instance' ? reading * Math.max(1, ready) : reading;
      const second = Math.floor(at / REPORT_MS);
      // Several values in one second: the first stands for it, the last goes on.
      if (gauge === undefined || second > Math.floor(reported / REPORT_MS)) put(at, value);
      gauge = value;
      reported = at;
    },
    fillSilence(at) {
      if (gauge !== undefined) {
        const from = Math.max(
          Math.floor(reported / REPORT_MS) + 1,
          Math.floor((at - spec.stableWindowMs) / REPORT_MS),
        );
        for (let second = from; second * REPORT_MS <= at; second++) put(second * REPORT_MS, gauge);
        reported = Math.max(reported, at);
      } else if (!spec.source && at - reported >= SILENCE_MS) put(at, 0);
    },
    desired: (at, ready, reachable) => decide(spec, state, seen(at, ready, reachable))?.desired,
    projected(at, requests, ready, reachable) {
      if (spec.source || spec.metric !== 'concurrency') return undefined;
      const next = Math.max(at, reported + REPORT_MS);
      const windows = {
        stable: stable.resized(spec.stableWindowMs),
        panic: panic.resized(spec.panicWindowMs),
      };
      windows.stable.record(next, requests);
      windows.panic.record(next, requests);
      return decide(spec, { ...state, delay: undefined }, seen(next, ready, reachable, windows))?.desired;
    },
    quiet: (at) =>
      state.panicSince === undefined &&
      !stable.isEmpty(at) &&
      stable.average(at) === 0 &&
      panic.average(at) === 0,
    respec(next) {
      const { source, aggregation, stableWindowMs, panicWindowMs, scaleDownDelayMs } = spec;
      spec = next;
      if (JSON.stringify(next.source) !== JSON.stringify(source)) gauge = undefined;
      if (next.aggregation !== aggregation) {
        stable = createAverageWindow(next.stableWindowMs, next.aggregation);
        panic = createAverageWindow(next.panicWindowMs, next.aggregation);
      } else {
        if (next.stableWindowMs !== stableWindowMs) stable = stable.resized(next.stableWindowMs);
        if (next.panicWindowMs !== panicWindowMs) panic = panic.resized(next.panicWindowMs);
      }
      if (next.scaleDownDelayMs !== scaleDownDelayMs) {
        state = { ...state, delay: initialState(next, 0, 0).delay };
      }
    },
  };
}
