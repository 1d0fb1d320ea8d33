/** Tasks that go one after the other because an attribute of theirs is the same. */
import { Fifo } from './fifo.ts';
import type { Task } from './task.ts';

interface Row {
  /** Tasks that are ready, under way or waiting for another attempt: one, or those of one batch. */
  out: number;
  readonly behind: Fifo<Task>;
}

export class Orders {
  readonly #rows = new Map<string, Row>();

  /** Whether a task may go; if not, it stands behind those before it. */
  enter(task: Task): boolean {
    const { order } = task;
    if (order === undefined) return true;
    const row = this.#rows.get(order);
    if (row === undefined) {
      this.#rows.set(order, { out: 1, behind: new Fifo() });
      return true;
    }
    row.behind.push(task);
    return false;
  }

  /** How many stand behind a task that goes. */
  behind(task: Task): number {
    return task.order === undefined ? 0 : (this.#rows.get(task.order)?.behind.length ?? 0);
  }

  /** Lets those behind a task go with it, until there are `size`. */
  follow(task: Task, into: Task[], size: number): void {
    const row = task.order === undefined ? undefined : this.#rows.get(task.order);
    // One that failed before goes alone: what stands behind it may not overtake others of its batch that wait.
    if (row === undefined || task.failures > 0) return;
    while (into.length < size) {
      const next = row.behind.shift();
      if (next === undefined) return;
      row.out++;
      into.push(next);
    }
  }

  /** A task is resolved. Answers the one that may go now. */
  leave(task: Task): Task | undefined {
    const { order } = task;
    if (order === undefined) return undefined;
    const row = this.#rows.get(order);
    if (row === undefined || --row.out > 0) return undefined;
    const next = row.behind.shift();
    if (next === undefined) this.#rows.delete(order);
    else row.out = 1;
    return next;
  }
}
