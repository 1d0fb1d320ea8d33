/** How a Pod that is told to end ends in time: who sends requests to it hears of it first, its containers have their grace, and what runs then is killed. */
import type { Clock, Timer } from '../../base/clock.ts';

/** Between the news that a Pod ends and the end of its programs: requests that are on their way still arrive at somebody. */
const SETTLE_MS = 100;

export interface PodEnding {
  /** The Pod ends. */
  readonly begun: boolean;
  /** It ends, but whoever sends requests to it may not know yet. */
  readonly settling: boolean;
  /** How long a container that is told to end now may take, ms. */
  leftMs(): number;
  /** Begins, or has less time from now on. `serving`: somebody may be sending requests to it. */
  begin(graceMs: number, serving: boolean): void;
  /** Nothing is killed any more. */
  cancel(): void;
}

/** `kill` ends at once whatever runs; `settled` is called when those who send requests have had time to hear of it. */
export function createPodEnding(clock: Clock, kill: () => void, settled: () => void): PodEnding {
  let begun = false;
  let killAt: Timer | undefined;
  let settling: Timer | undefined;
  /** By the monotonic clock. */
  let deadline = 0;
  return {
    get begun() {
      return begun;
    },
    get settling() {
      return settling !== undefined;
    },
    leftMs: () => Math.max(0, deadline - clock.monotonic()),
    begin(graceMs, serving) {
      const first = !begun;
      begun = true;
      killAt?.cancel();
      deadline = clock.monotonic() + graceMs;
      if (graceMs <= 0) kill();
      else killAt = clock.after(graceMs, kill);
      if (!first || !serving || graceMs <= SETTLE_MS) return;
      settling = clock.after(SETTLE_MS, () => {
        settling = undefined;
        settled();
      });
    },
    cancel() {
      killAt?.cancel();
      settling?.cancel();
      settling = undefined;
    },
  };
}
