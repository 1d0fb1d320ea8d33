/** From what the load asks for to what is done: bounds, and the way to zero. Source: upstream's `kpa/scaler.go`. */
import type { ScalingSpec } from './config.ts';

/** Whether the revision takes traffic: `Unknown` while it is being brought up. */
export type Activity = 'True' | 'False' | 'Unknown';

export interface ScaleState {
  active: Activity;
  /** Since when `active` has been what it is, milliseconds. */
  since: number;
  /** The initial scale has been reached once. */
  initialized: boolean;
  reachable: boolean;
  /** Since when the gateway has been able to hold requests for the revision, milliseconds. Ours always can. */
  bufferedSince: number;
}

export interface ScaleOutcome {
  /** Instances to have; undefined: leave it as it is. */
  scale: number | undefined;
  /** The revision no longer counts as active from now on. */
  deactivate?: boolean;
  /** The activation has taken too long: it is given up. */
  timedOut?: boolean;
  /** Milliseconds after which to ask again even though nothing has happened. */
  againMs?: number;
}

const MIN_ACTIVATORS = 2;
/** Spare time for reporting why an activation failed before it is given up. */
const ACTIVATION_BUFFER_MS = 30_000;

/** The least and the most instances a revision may have now; `max` 0 is unlimited. */
export function scaleBounds(
  spec: ScalingSpec,
  state: Pick<ScaleState, 'initialized' | 'reachable'>,
): { min: number; max: number } {
  const min = state.reachable ? spec.minScale : 0;
  const starting = spec.initialScale > 1 && !state.initialized && state.reachable;
  return { min: starting ? Math.max(spec.initialScale, min) : min, max: spec.maxScale };
}

/** `desired` within the bounds. As upstream, the lower bound wins over the upper. */
export function applyBounds({ min, max }: { min: number; max: number }, desired: number): number {
  if (desired < min) return min;
  return max !== 0 && desired > max ? max : desired;
}

/** What to do about a wish for `desired` instances (already an integer ≥ 0) at `now`. */
export function outcome(spec: ScalingSpec, state: ScaleState, desired: number, now: number): ScaleOutcome {
  const bounded = applyBounds(scaleBounds(spec, state), desired);
  if (bounded !== 0) return { scale: bounded };
  if (!spec.enableScaleToZero) return { scale: 1 };
  const lasted = now - state.since;
  if (state.active === 'Unknown') {
    const timeout = spec.progressDeadlineMs + ACTIVATION_BUFFER_MS;
    return lasted > timeout
      ? { scale: 0, timedOut: true }
      : { scale: undefined, againMs: timeout - lasted + 1 };
  }
  if (state.active === 'True') {
    if (lasted < spec.stableWindowMs) return { scale: 1, againMs: spec.stableWindowMs - lasted };
    return { scale: undefined, deactivate: true, againMs: 0 };
  }
  const retention = state.reachable ? spec.scaleToZeroPodRetentionMs : 0;
  if (lasted >= Math.max(spec.scaleToZeroGracePeriodMs, retention)) return { scale: 0 };
  if (lasted < retention) return { scale: undefined, againMs: retention - lasted };
  const buffered = now - state.bufferedSince;
  if (buffered >= spec.scaleToZeroGracePeriodMs) return { scale: 0 };
  return { scale: undefined, againMs: spec.scaleToZeroGracePeriodMs - buffered };
}

/** Whether the revision counts as active, as upstream's `computeActiveCondition` has it. */
export interface ActivityChange {
  active: Activity;
  initialized: boolean;
  /** It became inactive because it did not come up in time. */
  timedOut: boolean;
}

/** What follows for the activity from `want` instances (−1: not known yet) and `ready` ones. */
export function activity(
  spec: ScalingSpec,
  state: Pick<ScaleState, 'active' | 'initialized' | 'reachable'>,
  want: number,
  ready: number,
): ActivityChange {
  const min = state.reachable ? spec.minScale : 0;
  const needed = Math.max(min, state.initialized ? 1 : spec.initialScale);
  const initialized = state.initialized || ready >= needed;
  // Once it is initialised the initial scale no longer counts, even for the decision that made it so.
  const least = initialized ? needed : Math.max(min, spec.initialScale);
  if (want === 0 || least === 0) {
    return { active: 'False', initialized, timedOut: state.active === 'Unknown' && least > 0 };
  }
  if (want <= 0 && state.active === 'False') return { active: 'False', initialized, timedOut: false };
  return { active: ready < least ? 'Unknown' : 'True', initialized, timedOut: false };
}

/** Activators that a ServerlessService shows for these instances. Source: upstream's `computeNumActivators`. */
export function activators(
  spec: Pick<ScalingSpec, 'total' | 'targetBurstCapacity'>,
  ready: number,
  capacity: number,
): number {
  if (spec.targetBurstCapacity === 0) return MIN_ACTIVATORS;
  const covered = ready * spec.total + Math.max(0, spec.targetBurstCapacity);
  return Math.max(MIN_ACTIVATORS, Math.ceil(covered / capacity));
}
