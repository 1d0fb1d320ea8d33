/** What the gateway counted for one revision, and what the autoscaler makes of it. */
import type { RevisionStats } from '../../gateway/contract.ts';
import type { ScalingSpec } from '../autoscaler/config.ts';
import { type DeciderState, decide, initialState } from '../autoscaler/decide.ts';
import { createAverageWindow } from '../autoscaler/window.ts';

/** A second without a report means nothing happened; reports come a little late now and then. */
const SILENCE_MS = 1500;

export interface LoadHistory {
  /** A report of the gateway. */
  record(now: number, stats: RevisionStats, intervalMs: number): void;
  /** Silence is load of zero: the gateway reports only what is in use. */
  fillSilence(now: number): void;
  /** Instances the load asks for; undefined while nothing has been measured. */
  desired(now: number, readyPods: number, reachable: boolean): number | undefined;
  /** Measured, and found to be nothing, and no panic: the answer stays as it is until something happens. */
  quiet(now: number): boolean;
}

export function createLoadHistory(spec: ScalingSpec, readyPods: number, now: number): LoadHistory {
  const stable = createAverageWindow(spec.stableWindowMs, spec.aggregation);
  const panic = createAverageWindow(spec.panicWindowMs, spec.aggregation);
  const state: DeciderState = initialState(spec, readyPods, now);
  let reported = now;
  const put = (at: number, value: number) => {
    stable.record(at, value);
    panic.record(at, value);
  };
  return {
    record(at, stats, intervalMs) {
      reported = at;
      // Buckets hold one second: what was averaged over less, or more, counts for as long as it lasted.
      put(at, spec.metric === 'rps' ? stats.requestCount : (stats.averageConcurrency * intervalMs) / 1000);
    },
    fillSilence(at) {
      if (at - reported >= SILENCE_MS) put(at, 0);
    },
    desired(at, ready, reachable) {
      const empty = stable.isEmpty(at);
      return decide(spec, state, {
        now: at,
        stable: empty ? undefined : stable.average(at),
        panic: empty ? undefined : panic.average(at),
        readyPods: ready,
        reachable,
      })?.desired;
    },
    quiet: (at) =>
      state.panicSince === undefined &&
      !stable.isEmpty(at) &&
      stable.average(at) === 0 &&
      panic.average(at) === 0,
  };
}
