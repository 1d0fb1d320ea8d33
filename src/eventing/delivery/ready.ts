/** Tasks of a lane that may begin: replies and dead letters first, events as they come, batches when they are full or have waited. */
import type { Clock, Timer } from '../../base/clock.ts';
import { Fifo } from './fifo.ts';
import { Orders } from './orders.ts';
import type { Task } from './task.ts';

/** More than one at a time; `waitMs`: for more to come. */
export type Batching = { size: number; waitMs: number } | undefined;

export class Ready {
  readonly #tasks = new Fifo<Task>();
  readonly #alone = new Fifo<Task>();
  readonly #orders = new Orders();
  readonly #clock: Clock;
  readonly #due: () => void;
  #timer: Timer | undefined;
  #waited = false;

  /** `due`: a batch has waited for long enough. */
  constructor(clock: Clock, due: () => void) {
    this.#clock = clock;
    this.#due = due;
  }

  get length(): number {
    return this.#tasks.length + this.#alone.length;
  }

  /** A new task; it stands behind others of its order. */
  add(task: Task): void {
    if (this.#orders.enter(task)) this.#tasks.push(task);
  }

  /** A task that had its turn in its order already, or has none. */
  again(task: Task): void {
    (task.phase === 'subscriber' ? this.#tasks : this.#alone).push(task);
  }

  /** A task is resolved: the next of its order may go. True when there is one. */
  leave(task: Task): boolean {
    const next = this.#orders.leave(task);
    if (next !== undefined) this.#tasks.push(next);
    return next !== undefined;
  }

  /** Whether `take` has something; if it only has to wait for more, `due` is called then. `full`: no more will come. */
  startable(batch: Batching, full: () => boolean): boolean {
    if (this.#alone.length > 0) return true;
    const first = this.#tasks.at(0);
    if (first === undefined) return false;
    if (batch === undefined || this.#waited || batch.waitMs === 0) return true;
    if (this.#tasks.length + this.#orders.behind(first) >= batch.size || full()) return true;
    this.#timer ??= this.#clock.after(batch.waitMs, () => {
      this.#timer = undefined;
      this.#waited = true;
      this.#due();
    });
    return false;
  }

  /** What goes next, after `startable` said that there is something. */
  take(batch: Batching): Task[] {
    const alone = this.#alone.shift();
    if (alone !== undefined) return [alone];
    if (batch === undefined) return [this.#tasks.shift()!];
    const tasks: Task[] = [];
    while (tasks.length < batch.size) {
      const task = this.#tasks.shift();
      if (task === undefined) break;
      tasks.push(task);
      this.#orders.follow(task, tasks, batch.size);
    }
    this.#waited = false;
    this.#timer?.cancel();
    this.#timer = undefined;
    return tasks;
  }

  close(): void {
    this.#timer?.cancel();
  }
}
