/**
 * Two sums over the last ten seconds, in steps of one second. The cells may be shared between threads: a count can
 * be lost when two of them begin a second at the same moment, which does not matter to what is decided by it.
 */

const BUCKETS = 10;
const FIELDS = 3;
const BUCKET_MS = 1000;

/** 32-bit cells a window takes. */
export const WINDOW_CELLS = BUCKETS * FIELDS;

export class RollingWindow {
  readonly #cells: Int32Array;
  readonly #from: number;

  constructor(cells: Int32Array = new Int32Array(WINDOW_CELLS), from = 0) {
    this.#cells = cells;
    this.#from = from;
  }

  /** `now` in milliseconds, at most some seconds behind what was said before. */
  add(now: number, first: number, second: number): void {
    const at = this.#bucket(now);
    if (first !== 0) Atomics.add(this.#cells, at + 1, first);
    if (second !== 0) Atomics.add(this.#cells, at + 2, second);
  }

  #bucket(now: number): number {
    const second = Math.floor(now / BUCKET_MS) + 1;
    const at = this.#from + (second % BUCKETS) * FIELDS;
    const seen = Atomics.load(this.#cells, at);
    if (seen !== second && Atomics.compareExchange(this.#cells, at, seen, second) === seen) {
      Atomics.store(this.#cells, at + 1, 0);
      Atomics.store(this.#cells, at + 2, 0);
    }
    return at;
  }

  /** Both sums over the last ten seconds. */
  sums(now: number): { first: number; second: number } {
    const oldest = Math.floor(now / BUCKET_MS) + 1 - BUCKETS;
    let first = 0;
    let second = 0;
    for (let at = this.#from; at < this.#from + WINDOW_CELLS; at += FIELDS) {
      if (Atomics.load(this.#cells, at) <= oldest) continue;
      first += Atomics.load(this.#cells, at + 1);
      second += Atomics.load(this.#cells, at + 2);
    }
    return { first, second };
  }

  /** The second sum of the present second. */
  secondNow(now: number): number {
    return Atomics.load(this.#cells, this.#bucket(now) + 2);
  }

  clear(): void {
    for (let at = this.#from; at < this.#from + WINDOW_CELLS; at++) Atomics.store(this.#cells, at, 0);
  }
}
