/** One timer for the earliest of many moments; none when nothing is due. */
import type { Clock, Timer } from '../base/clock.ts';

/** Longest sleep, ms: the time of day may be set meanwhile, and setTimeout has a limit. */
const LONGEST_MS = 3_600_000;

export interface Alarm {
  /** Makes sure that the alarm goes off at `at` (milliseconds since the epoch) or before. */
  by(at: number): void;
  cancel(): void;
}

/** `ring` is called once for the earliest moment asked for; what is due later has to be asked for again then. */
export function createAlarm(clock: Clock, ring: () => void): Alarm {
  let timer: Timer | undefined;
  let set = Number.POSITIVE_INFINITY;
  const cancel = () => {
    timer?.cancel();
    timer = undefined;
    set = Number.POSITIVE_INFINITY;
  };
  const by = (at: number) => {
    if (at >= set || !Number.isFinite(at)) return;
    timer?.cancel();
    set = at;
    const wait = Math.max(0, at - clock.now());
    timer = clock.after(Math.min(wait, LONGEST_MS), () => {
      cancel();
      if (clock.now() >= at) ring();
      else by(at);
    });
  };
  return { by, cancel };
}
