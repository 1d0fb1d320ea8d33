/**
 * The open streams of one connection. Ids count up, so an id's place follows from itself. A `Map` would make a new table every few hundred
 * requests, and tables that have grown old keep what they once held from the garbage collector's quick passes.
 */

const SMALLEST = 64;
const LARGEST = 65_536;

export class StreamTable<T> {
  #ids = new Uint32Array(SMALLEST);
  #values: (T | undefined)[] = new Array<T | undefined>(SMALLEST).fill(undefined);
  /** What found its place taken by a stream that is open for long. */
  #others: Map<number, T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): T | undefined {
    const at = id & (this.#ids.length - 1);
    if (this.#ids[at] === id) return this.#values[at];
    return this.#others?.get(id);
  }

  /** `id`: above 0, and not there yet. */
  set(id: number, value: T): void {
    this.#size++;
    if (2 * this.#size > this.#ids.length && this.#ids.length < LARGEST) this.#grow();
    this.#place(id, value);
  }

  #place(id: number, value: T): void {
    const at = id & (this.#ids.length - 1);
    if (this.#ids[at] !== 0) {
      this.#others ??= new Map();
      this.#others.set(id, value);
      return;
    }
    this.#ids[at] = id;
    this.#values[at] = value;
  }

  #grow(): void {
    const open = [...this.entries()];
    const size = this.#ids.length * 2;
    this.#ids = new Uint32Array(size);
    this.#values = new Array<T | undefined>(size).fill(undefined);
    this.#others = undefined;
    for (const [id, value] of open) this.#place(id, value);
  }

  /** Whether it was there. */
  delete(id: number): boolean {
    const at = id & (this.#ids.length - 1);
    if (this.#ids[at] === id && id !== 0) {
      this.#ids[at] = 0;
      this.#values[at] = undefined;
    } else if (this.#others?.delete(id) !== true) return false;
    else if (this.#others.size === 0) this.#others = undefined;
    this.#size--;
    return true;
  }

  *entries(): Generator<[number, T]> {
    for (let at = 0; at < this.#ids.length; at++)
      if (this.#ids[at] !== 0) yield [this.#ids[at]!, this.#values[at] as T];
    if (this.#others !== undefined) yield* this.#others;
  }

  /** All that are open now, in no order; may be changed meanwhile. */
  values(): T[] {
    return [...this.entries()].map(([, value]) => value);
  }

  clear(): void {
    this.#ids.fill(0);
    this.#values.fill(undefined);
    this.#others = undefined;
    this.#size = 0;
  }
}
