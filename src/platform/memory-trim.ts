/**
 * Gives memory back after a burst. V8 lets the heap grow while much is allocated, and keeps what it has when all is quiet again:
 * a thousand deploys would leave a third of the process as garbage. So once the allocating is over, one full collection follows.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { type Clock, systemClock } from '../base/clock.ts';
import { collector } from '../base/garbage.ts';

/** Quiet for this long is idle, ms: a full collection holds up everything on this thread for about a tenth of a second. */
const QUIET_MS = 5000;
/** Fewer collections than this since the last trim have left nothing that is worth another. */
const WORTH_TRIMMING = 30;

export interface MemoryTrim {
  /** V8 has collected `count` times. */
  collected(count: number): void;
}

/** Decides when: `trim` is called when nothing was collected for a while after a good deal was. Holds no timer when idle. */
export function createMemoryTrim(clock: Clock, trim: () => void): MemoryTrim {
  let since = 0;
  let last = 0;
  let waiting = false;
  const look = () => {
    const left = last + QUIET_MS - clock.monotonic();
    if (left > 0) {
      clock.after(left, look);
      return;
    }
    waiting = false;
    since = 0;
    trim();
  };
  return {
    collected(count) {
      since += count;
      last = clock.monotonic();
      if (waiting || since < WORTH_TRIMMING) return;
      waiting = true;
      clock.after(QUIET_MS, look);
    },
  };
}

/** Watches this process's collector for as long as the process lives; keeps nothing alive itself. */
export function trimWhenIdle(clock: Clock = systemClock): void {
  const collect = collector();
  let trimming = false;
  const memory = createMemoryTrim(clock, () => {
    trimming = true;
    collect({ type: 'major', flavor: 'last-resort' });
  });
  const observer = new PerformanceObserver((list) => {
    // Its own collections are no sign of life.
    if (!trimming) memory.collected(list.getEntries().length);
    trimming = false;
  });
  observer.observe({ entryTypes: ['gc'] });
}
