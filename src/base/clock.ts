/** Time as a parameter: what waits or measures takes a `Clock`, so that tests and simulations own the time. */

/** A timer that has not fired yet. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the epoch, for what people and other machines read. Jumps when the machine's clock is set. */
  now(): number;
  /** Milliseconds from an arbitrary start, for durations and for what is due: only ever moves forward, by time that has passed. */
  monotonic(): number;
  /** Calls `callback` once after `ms` milliseconds. A pending timer does not keep the process alive. */
  after(ms: number, callback: () => void): Timer;
}

/** The machine's own time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  // Counted from the epoch at the process's start, so that 0 is long ago.
  monotonic: () => performance.timeOrigin + performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Milliseconds since the epoch as Kubernetes writes a time: RFC 3339 in UTC, to the second. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** Resolves after `ms` milliseconds of `clock`, or at once when `signal` aborts. Never rejects. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const wake = () => {
      timer.cancel();
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const timer = clock.after(ms, wake);
    signal?.addEventListener('abort', wake, { once: true });
  });
}

/** A clock that stands still until it is told to move. */
export interface SimulatedClock extends Clock {
  /** Moves time forward by `ms`, firing due timers in order and letting promises settle after each. */
  advance(ms: number): Promise<void>;
  /** Sets the time of day, forward or back by `ms`, as somebody who corrects a clock does; no time passes. */
  jump(ms: number): void;
  /** Timers that have not fired. */
  pending(): number;
}

/** A clock for tests and for the simulator. */
export function simulatedClock(start = 1_700_000_000_000): SimulatedClock {
  let time = start;
  let jumped = 0;
  let sequence = 0;
  const timers = new Set<{ due: number; order: number; callback: () => void }>();
  // A call to an API in memory takes a few turns of the event loop; what follows from it, a few more.
  const settle = async () => {
    for (let turn = 0; turn < 12; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  };
  const next = (until: number) => {
    let first: { due: number; order: number; callback: () => void } | undefined;
    for (const timer of timers) {
      if (timer.due > until) continue;
      if (!first || timer.due < first.due || (timer.due === first.due && timer.order < first.order))
        first = timer;
    }
    return first;
  };
  return {
    now: () => time + jumped,
    monotonic: () => time,
    after(ms, callback) {
      const timer = { due: time + Math.max(0, ms), order: sequence++, callback };
      timers.add(timer);
      return { cancel: () => timers.delete(timer) };
    },
    async advance(ms) {
      const until = time + ms;
      await settle();
      for (let timer = next(until); timer; timer = next(until)) {
        timers.delete(timer);
        time = Math.max(time, timer.due);
        timer.callback();
        await settle();
      }
      time = until;
      await settle();
    },
    jump(ms) {
      jumped += ms;
    },
    pending: () => timers.size,
  };
}
