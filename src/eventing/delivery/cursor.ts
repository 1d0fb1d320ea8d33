/**
 * How far a subscription is in its stream: what it has looked at, and what of that is not resolved. Pure. Deliveries end in any order; what
 * is written down is contiguous from below, with the resolved beyond as ranges.
 */
import { Fifo } from './fifo.ts';
import type { Task } from './task.ts';

export class Cursor {
  /** The next offset to look at. */
  seen: number;
  /** Not resolved, and resolved behind one that is not; in order of offsets. */
  readonly #pending = new Fifo<Task>();
  /** Resolved in an earlier life, beyond `seen`: inclusive pairs. */
  readonly #skip: number[];
  #unresolved = 0;

  constructor(position: { low: number; above: readonly number[] }) {
    this.seen = position.low;
    this.#skip = [...position.above];
  }

  /** Events that were looked at and are not resolved. */
  get unresolved(): number {
    return this.#unresolved;
  }

  /** Everything below is resolved. */
  low(seen = this.seen): number {
    return this.#pending.at(0)?.item.offset ?? seen;
  }

  /** Whether an offset was resolved in an earlier life. Asked for with rising offsets. */
  skips(offset: number): boolean {
    const skip = this.#skip;
    while (skip.length > 0 && skip[1]! < offset) skip.splice(0, 2);
    return skip.length > 0 && skip[0]! <= offset;
  }

  /** It was looked at and is to be delivered. Offsets rise. */
  add(task: Task): void {
    this.#pending.push(task);
    this.#unresolved++;
  }

  resolve(task: Task): void {
    if (task.resolved) return;
    task.resolved = true;
    this.#unresolved--;
    while (this.#pending.at(0)?.resolved) this.#pending.shift();
  }

  /** Whether an offset that was looked at is resolved. */
  isResolved(offset: number): boolean {
    for (let i = 0; i < this.#pending.length; i++) {
      const task = this.#pending.at(i)!;
      if (task.item.offset === offset) return task.resolved;
    }
    return true;
  }

  /** As it is to be written down; `without`: as if those were resolved. `seen`: where the stream's head is, for who is at it. */
  snapshot(seen = this.seen, without?: ReadonlySet<Task>): { low: number; above: number[] } {
    const pending = this.#pending;
    const above: number[] = [];
    let low = seen;
    let begun = false;
    let next = 0;
    for (let i = 0; i < pending.length; i++) {
      const task = pending.at(i)!;
      if (task.resolved || without?.has(task)) continue;
      const { offset } = task.item;
      if (!begun) low = offset;
      else if (offset > next) above.push(next, offset - 1);
      begun = true;
      next = offset + 1;
    }
    if (begun && seen > next) above.push(next, seen - 1);
    for (let i = 0; i + 1 < this.#skip.length; i += 2) {
      const from = Math.max(this.#skip[i]!, seen);
      const to = this.#skip[i + 1]!;
      if (to >= from) above.push(from, to);
    }
    return { low, above };
  }
}
