/**
 * A queue of keys for level-triggered work: a key waits at most once however often it is added, is worked on by one
 * worker at a time, and comes back later with exponential back-off when its work failed.
 */
import { type Clock, systemClock, type Timer } from '../base/clock.ts';
import { backoffDelay } from './backoff.ts';

export interface QueueOptions {
  clock?: Clock;
  random?: () => number;
  /** Back-off per key, milliseconds. */
  baseMs?: number;
  maxMs?: number;
}

export interface WorkQueue {
  /** While the key is being worked on: again after that. */
  add(key: string): void;
  /** Not before `ms` milliseconds; an earlier pending time wins. */
  addAfter(key: string, ms: number): void;
  /** After the back-off of this key, which grows with every call until `forget`. Returns the wait, milliseconds. */
  addRateLimited(key: string): number;
  /** Resets the back-off of a key. */
  forget(key: string): void;
  /** The next key to work on, or undefined when none waits. The caller must call `done`. */
  take(): string | undefined;
  done(key: string): void;
  /** Keys waiting now; delayed ones and those in work not counted. */
  readonly length: number;
  /** Called whenever a key has become available. */
  onAvailable: () => void;
  /** Drops everything that waits and accepts nothing more. */
  close(): void;
}

export function createQueue(options: QueueOptions = {}): WorkQueue {
  const clock = options.clock ?? systemClock;
  const limits = {
    baseMs: options.baseMs ?? 20,
    maxMs: options.maxMs ?? 60_000,
    random: options.random ?? Math.random,
  };
  /** Insertion order is the order of work. */
  const waiting = new Set<string>();
  const working = new Set<string>();
  /** Added while in work. */
  const dirty = new Set<string>();
  const delayed = new Map<string, { due: number; timer: Timer }>();
  const failures = new Map<string, number>();
  let closed = false;

  const queue: WorkQueue = {
    onAvailable: () => {},
    get length() {
      return waiting.size;
    },
    add(key) {
      if (closed) return;
      delayed.get(key)?.timer.cancel();
      delayed.delete(key);
      if (working.has(key)) {
        dirty.add(key);
        return;
      }
      if (waiting.has(key)) return;
      waiting.add(key);
      queue.onAvailable();
    },
    addAfter(key, ms) {
      if (closed) return;
      if (ms <= 0) return queue.add(key);
      const due = clock.monotonic() + ms;
      const pending = delayed.get(key);
      if (pending && pending.due <= due) return;
      pending?.timer.cancel();
      delayed.set(key, { due, timer: clock.after(ms, () => queue.add(key)) });
    },
    addRateLimited(key) {
      const count = (failures.get(key) ?? 0) + 1;
      failures.set(key, count);
      const delay = backoffDelay(count, limits);
      queue.addAfter(key, delay);
      return delay;
    },
    forget(key) {
      failures.delete(key);
    },
    take() {
      for (const key of waiting) {
        waiting.delete(key);
        working.add(key);
        return key;
      }
      return undefined;
    },
    done(key) {
      working.delete(key);
      if (dirty.delete(key)) queue.add(key);
    },
    close() {
      closed = true;
      waiting.clear();
      dirty.clear();
      for (const { timer } of delayed.values()) timer.cancel();
      delayed.clear();
    },
  };
  return queue;
}
