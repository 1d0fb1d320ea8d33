/**
 * One decision of Knative's autoscaler: how many instances the load of the last seconds asks for. Arithmetic, order and
 * rounding are upstream's (`pkg/autoscaler/scaling/autoscaler.go`), so that what users tune behaves as documented.
 */
import type { ScalingSpec } from './config.ts';
import { createMaximumWindow, type MaximumWindow } from './window.ts';

/** How often upstream decides; also the step of the scale-down delay. */
export const TICK_MS = 2000;

/** What the autoscaler remembers of one revision between decisions. */
export interface DeciderState {
  /** Start of the panic or its last extension, milliseconds; undefined when calm. */
  panicSince: number | undefined;
  /** Most instances wanted during this panic. */
  maxPanicPods: number;
  delay: MaximumWindow | undefined;
}

export interface Observation {
  now: number;
  /** Averages of the metric; undefined when nothing has been measured for a whole window. */
  stable: number | undefined;
  panic: number | undefined;
  readyPods: number;
  /** Some route leads to the revision. */
  reachable: boolean;
}

export interface Decision {
  desired: number;
  /** Requests that could be taken beyond the burst that is to be absorbed; −1 when not computed. */
  excessBurstCapacity: number;
}

/**
 * The state to begin with. With more than one instance ready the history was lost (a restart of the platform): panic mode
 * keeps what runs until there is enough data to decide.
 */
export function initialState(spec: ScalingSpec, readyPods: number, now: number): DeciderState {
  return {
    panicSince: readyPods > 1 ? now : undefined,
    maxPanicPods: readyPods,
    delay: spec.scaleDownDelayMs > 0 ? createMaximumWindow(spec.scaleDownDelayMs, TICK_MS) : undefined,
  };
}

/** Decides and updates `state`. Undefined when there is no data: leave everything as it is. */
export function decide(spec: ScalingSpec, state: DeciderState, seen: Observation): Decision | undefined {
  const { now, stable, panic, reachable } = seen;
  if (stable === undefined || panic === undefined) return undefined;
  const ready = Math.max(1, seen.readyPods);
  const most = Math.ceil(spec.maxScaleUpRate * ready);
  const least = reachable ? Math.floor(ready / spec.maxScaleDownRate) : 0;
  const stableWish = Math.ceil(stable / spec.target);
  const panicWish = Math.ceil(panic / spec.target);
  const within = (wish: number) => {
    const bounded = Math.min(Math.max(wish, least), most);
    return wish > 0 && spec.activationScale > 1 ? Math.max(bounded, spec.activationScale) : bounded;
  };
  const stableDesired = within(stableWish);
  const panicDesired = within(panicWish);

  if (panicWish / ready >= spec.panicThreshold) state.panicSince = now;
  else if (state.panicSince !== undefined && state.panicSince + spec.stableWindowMs < now) {
    state.panicSince = undefined;
    state.maxPanicPods = 0;
  }

  let desired = stableDesired;
  if (state.panicSince !== undefined) {
    state.maxPanicPods = Math.max(state.maxPanicPods, stableDesired, panicDesired);
    desired = state.maxPanicPods;
  }
  if (reachable && state.delay) {
    state.delay.record(now, desired);
    desired = state.delay.current();
  }
  return { desired, excessBurstCapacity: excessBurstCapacity(spec, seen.readyPods, panic) };
}

/** Free capacity less the burst to absorb: 0 switches the buffer off, −1 keeps it always on. */
export function excessBurstCapacity(spec: ScalingSpec, readyPods: number, panic: number): number {
  if (spec.targetBurstCapacity === 0) return 0;
  if (spec.targetBurstCapacity < 0) return -1;
  return Math.floor(readyPods * spec.total - spec.targetBurstCapacity - panic);
}
