/**
 * The mark below which everything is resolved, of messages that are resolved in any order: what may be committed. Pure.
 */
export class LowWater {
  /** Offsets begun and not below the mark, in order; `undefined` where resolved. A ring would save little: the head moves in strides. */
  #pending: (bigint | undefined)[] = [];
  #head = 0;
  #next: bigint;
  #mark: bigint;
  readonly #start: bigint;

  /** `start`: the first offset that is not resolved. */
  constructor(start: bigint) {
    this.#next = start;
    this.#mark = start;
    this.#start = start;
  }

  /** The offset to go on from after a crash: everything below it is resolved. */
  get mark(): bigint {
    return this.#mark;
  }

  /** Whether anything was resolved. */
  get moved(): boolean {
    return this.#mark !== this.#start;
  }

  /** Messages begun and above the mark, resolved or not. */
  get size(): number {
    return this.#pending.length - this.#head;
  }

  /**
   * Begins a message; offsets must rise, with gaps where the log has none. Undefined: it was begun already, and is not to be handled
   * again. Else what to call, once, when it is resolved; it answers whether the mark has moved.
   */
  begin(offset: bigint): (() => boolean) | undefined {
    if (offset < this.#next) return undefined;
    this.#next = offset + 1n;
    const at = this.#pending.push(offset) - 1 - this.#head + this.#dropped;
    return () => {
      this.#pending[at - this.#dropped + this.#head] = undefined;
      return this.#advance();
    };
  }

  /** How many have left the front, for the places that `begin` remembers. */
  #dropped = 0;

  #advance(): boolean {
    const from = this.#mark;
    while (this.#head < this.#pending.length && this.#pending[this.#head] === undefined) {
      this.#head++;
      this.#dropped++;
    }
    this.#mark = this.#pending[this.#head] ?? this.#next;
    if (this.#head > 4096 || this.#head === this.#pending.length) {
      this.#pending.splice(0, this.#head);
      this.#head = 0;
    }
    return this.#mark !== from;
  }
}
