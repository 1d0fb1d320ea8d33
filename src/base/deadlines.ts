/**
 * Time-outs without a timer per request: things with a deadline stand in a set, one timer fires at the earliest and
 * sweeps. There is no timer while nothing waits for anything.
 */

export interface Timed {
  /** Milliseconds on the clock of `performance.now()`; Infinity is none. */
  deadline: number;
  /** The deadline has passed; sets the next one. */
  expire(now: number): void;
}

/** Sweeps are at least this far apart, so that many different deadlines cost one sweep. */
const GRAIN_MS = 10;

export class Deadlines {
  readonly #items = new Set<Timed>();
  #timer: NodeJS.Timeout | null = null;
  #armedAt = Number.POSITIVE_INFINITY;

  add(item: Timed): void {
    this.#items.add(item);
    this.arm(item.deadline);
  }

  delete(item: Timed): void {
    this.#items.delete(item);
    if (this.#items.size === 0) this.#disarm();
  }

  /** Call when an item's deadline has moved closer. Cheap when an earlier one is armed. */
  arm(deadline: number): void {
    if (deadline >= this.#armedAt || this.#items.size === 0) return;
    this.#disarm();
    this.#armedAt = deadline;
    const delay = Math.max(1, Math.ceil(deadline - performance.now()));
    this.#timer = setTimeout(() => this.#sweep(), Math.min(delay, 0x7fffffff));
  }

  #disarm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#armedAt = Number.POSITIVE_INFINITY;
  }

  #sweep(): void {
    this.#timer = null;
    this.#armedAt = Number.NEGATIVE_INFINITY;
    const now = performance.now();
    for (const item of this.#items) if (item.deadline <= now) item.expire(now);
    let earliest = Number.POSITIVE_INFINITY;
    for (const item of this.#items) if (item.deadline < earliest) earliest = item.deadline;
    this.#armedAt = Number.POSITIVE_INFINITY;
    if (earliest !== Number.POSITIVE_INFINITY) this.arm(Math.max(earliest, now + GRAIN_MS));
  }
}
