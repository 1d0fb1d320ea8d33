/**
 * What a source has taken from its server and not resolved: a bounded number is being handed over, what has the same key one after the
 * other. Counts what waits, and tells of it while there is any.
 */
import type { Clock, Timer } from '../../base/clock.ts';
import { Lanes } from './lanes.ts';

export interface IntakeOptions {
  clock: Clock;
  /** Tasks at once. */
  concurrency: number;
  /** Told when something waits, once a second while it does, and when nothing waits any more. */
  lag?(waiting: number): void;
  /** What waits at the server besides, where it can be asked. */
  beyond?(): Promise<number>;
}

const TELL_MS = 1000;

export class Intake {
  readonly #options: IntakeOptions;
  readonly #lanes = new Lanes();
  readonly #queue: (() => void)[] = [];
  #running = 0;
  #outstanding = 0;
  #held = false;
  #idle: (() => void)[] = [];
  #room: { below: number; wake: () => void }[] = [];
  #timer: Timer | undefined;
  #asking = false;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** Taken in and not come to an end. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** Runs `task` when it is its turn: after those with the same key (undefined: at any time). A task that rejects ends like any other. */
  take(key: string | undefined, task: () => Promise<void>): void {
    this.#outstanding++;
    if (this.#timer === undefined) this.#tell();
    const run = () => this.#turn(task);
    if (key === undefined) void run();
    else void this.#lanes.run(key, run);
  }

  /** Resolves when fewer than `limit` are outstanding. */
  room(limit: number): Promise<void> {
    if (this.#outstanding < limit) return Promise.resolve();
    return new Promise((wake) => this.#room.push({ below: limit, wake }));
  }

  /** Begins no further task until `release`; resolves when those that run have ended, or after `ms`. */
  hold(ms: number): Promise<void> {
    this.#held = true;
    if (this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(ms, resolve);
      this.#idle.push(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  release(): void {
    this.#held = false;
    while (this.#running < this.#options.concurrency && this.#queue.length > 0) this.#queue.shift()?.();
  }

  /** Forgets what has not begun, and tells of nothing any more. */
  close(): void {
    this.#held = true;
    this.#queue.length = 0;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#outstanding = 0;
    for (const { wake } of this.#room.splice(0)) wake();
  }

  #turn(task: () => Promise<void>): Promise<void> {
    if (!this.#held && this.#running < this.#options.concurrency) return this.#run(task);
    return new Promise((resolve) => {
      this.#queue.push(() => resolve(this.#run(task)));
    });
  }

  async #run(task: () => Promise<void>): Promise<void> {
    this.#running++;
    try {
      await task();
    } catch {
      // The task has seen to it that the message stays with its server.
    }
    this.#running--;
    if (this.#outstanding > 0) this.#outstanding--;
    if (this.#running === 0) for (const wake of this.#idle.splice(0)) wake();
    if (this.#room.length > 0) this.#wakeRoom();
    if (!this.#held && this.#queue.length > 0) this.#queue.shift()?.();
  }

  #wakeRoom(): void {
    this.#room = this.#room.filter(({ below, wake }) => {
      if (this.#outstanding >= below) return true;
      wake();
      return false;
    });
  }

  #tell(): void {
    const { lag, beyond, clock } = this.#options;
    if (lag === undefined) return;
    const waiting = this.#outstanding;
    if (beyond === undefined || this.#asking) lag(waiting);
    else {
      this.#asking = true;
      if (waiting > 0) lag(waiting);
      void beyond()
        .then((more) => lag(Math.max(more, this.#outstanding)))
        .catch(() => lag(this.#outstanding))
        .finally(() => {
          this.#asking = false;
        });
    }
    this.#timer =
      waiting > 0
        ? clock.after(TELL_MS, () => {
            this.#timer = undefined;
            this.#tell();
          })
        : undefined;
  }
}
