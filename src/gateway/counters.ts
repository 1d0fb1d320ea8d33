/**
 * Counts shared by all workers of a gateway, so that `containerConcurrency` and queue limits hold exactly however
 * many threads admit requests. A row is one cache line: a total that everyone changes atomically, and one cell per
 * worker that only this worker writes, from which the total is repaired when a worker dies.
 */

const CELLS = 16;
const ROWS_PER_PAGE = 256;
/** Cell of the queue length last reported as demand. */
const REPORTED = CELLS - 1;

/** Workers a gateway can have. */
export const MAX_WORKERS = CELLS - 2;

/** Where a row lives; crosses between threads. */
export interface RowRef {
  page: SharedArrayBuffer;
  /** Unique over all pages while the row is in use; also gives its place in the page. */
  id: number;
}

function offset(ref: RowRef): number {
  return (ref.id % ROWS_PER_PAGE) * CELLS;
}

/** One row seen by one worker. */
export class Counter {
  readonly ref: RowRef;
  readonly #cells: Int32Array;
  readonly #total: number;
  readonly #own: number;

  constructor(ref: RowRef, worker: number) {
    this.ref = ref;
    this.#cells = new Int32Array(ref.page);
    this.#total = offset(ref);
    this.#own = this.#total + 1 + worker;
  }

  /** Over all workers. */
  get total(): number {
    return Atomics.load(this.#cells, this.#total);
  }

  /** Of this worker. */
  get own(): number {
    return this.#cells[this.#own]!;
  }

  /** Adds one unless the total has reached `limit`; `limit` 0 is none. */
  tryAdd(limit: number): boolean {
    const cells = this.#cells;
    if (limit === 0) Atomics.add(cells, this.#total, 1);
    else {
      for (;;) {
        const seen = Atomics.load(cells, this.#total);
        if (seen >= limit) return false;
        if (Atomics.compareExchange(cells, this.#total, seen, seen + 1) === seen) break;
      }
    }
    cells[this.#own] = cells[this.#own]! + 1;
    return true;
  }

  /** Takes one back; returns the total left. */
  remove(): number {
    const cells = this.#cells;
    cells[this.#own] = cells[this.#own]! - 1;
    return Atomics.sub(cells, this.#total, 1) - 1;
  }

  /** Whether `total` is worth reporting: the first, or twice what was reported. Notes it as reported. */
  shouldReport(total: number): boolean {
    const at = this.#total + REPORTED;
    const reported = Atomics.load(this.#cells, at);
    if (reported > 0 && total < reported * 2) return false;
    return Atomics.compareExchange(this.#cells, at, reported, total) === reported;
  }

  /** The next one that waits is reported at once. */
  resetReport(): void {
    Atomics.store(this.#cells, this.#total + REPORTED, 0);
  }

  /** Takes back everything this worker held; for a worker that died. */
  forget(): void {
    const held = this.#cells[this.#own]!;
    this.#cells[this.#own] = 0;
    if (held !== 0) Atomics.sub(this.#cells, this.#total, held);
  }
}

/** Hands out rows, on the main side. */
export class RowAllocator {
  readonly #free: RowRef[] = [];
  #rows = 0;

  allocate(): RowRef {
    if (this.#free.length === 0) {
      const page = new SharedArrayBuffer(ROWS_PER_PAGE * CELLS * Int32Array.BYTES_PER_ELEMENT);
      for (let row = ROWS_PER_PAGE - 1; row >= 0; row--) this.#free.push({ page, id: this.#rows + row });
      this.#rows += ROWS_PER_PAGE;
    }
    return this.#free.pop()!;
  }

  /** Gives a row back; every worker must have stopped using it. */
  release(ref: RowRef): void {
    new Int32Array(ref.page).fill(0, offset(ref), offset(ref) + CELLS);
    this.#free.push(ref);
  }
}
