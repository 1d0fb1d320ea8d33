/** What may be written later: never in competition with the requests and deploys that cause it. */

import type { Clock, Timer } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';

export interface Background {
  /** Runs `task` when it is quiet. Of several tasks with one key, only the last is run. */
  add(key: string, task: () => Promise<unknown>): void;
  /** Something that people wait for is going on: whatever can wait, waits. */
  busy(): void;
  /** Drops what has not begun and resolves when the rest has ended. */
  stop(): Promise<void>;
}

export interface BackgroundOptions {
  clock: Clock;
  log: Logger;
  /** Milliseconds without `busy` before anything is run. Default 500. */
  quietMs?: number;
  /** Nothing waits longer than this, milliseconds, however busy it is. Default 10,000. */
  patienceMs?: number;
  /** Tasks at once. Default 4. */
  concurrency?: number;
}

/** A task that fails is run again so many times, each time after the quiet. */
const RETRIES = 5;

interface Task {
  run(): Promise<unknown>;
  failures: number;
}

export function createBackground(options: BackgroundOptions): Background {
  const { clock, log, quietMs = 500, patienceMs = 10_000, concurrency = 4 } = options;
  const waiting = new Map<string, Task>();
  const running = new Set<Promise<void>>();
  let lastBusy = Number.NEGATIVE_INFINITY;
  let waitingSince = 0;
  let timer: Timer | undefined;
  let stopped = false;

  const arm = (ms: number) => {
    timer ??= clock.after(ms, () => {
      timer = undefined;
      pump();
    });
  };

  const put = (key: string, task: Task) => {
    if (stopped) return;
    if (waiting.size === 0 && running.size === 0) waitingSince = clock.monotonic();
    waiting.delete(key);
    waiting.set(key, task);
    if (running.size === 0) arm(quietMs);
  };

  const work = async (key: string, task: Task) => {
    try {
      await task.run();
    } catch (error) {
      const message = messageOf(error);
      log.debug('something written afterwards was not written', {
        key,
        error: message,
        failures: task.failures,
      });
      if (task.failures < RETRIES && !waiting.has(key)) put(key, { ...task, failures: task.failures + 1 });
    }
  };

  const pump = () => {
    const now = clock.monotonic();
    const quiet = lastBusy + quietMs;
    if (waiting.size > 0 && quiet > now && waitingSince + patienceMs > now) return arm(quiet - now);
    for (const [key, task] of waiting) {
      if (running.size >= concurrency || stopped) return;
      waiting.delete(key);
      const done = work(key, task).finally(() => {
        running.delete(done);
        if (waiting.size === 0) return;
        // A task that failed waits like a new one; others follow at once.
        if (waiting.values().next().value?.failures) arm(quietMs);
        else pump();
      });
      running.add(done);
    }
  };

  return {
    add: (key, run) => put(key, { run, failures: 0 }),
    busy() {
      lastBusy = clock.monotonic();
    },
    async stop() {
      stopped = true;
      timer?.cancel();
      waiting.clear();
      await Promise.all(running);
    },
  };
}
