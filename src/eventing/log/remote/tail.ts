/** The newest entries of a stream elsewhere, in memory: who keeps up reads them from here. */
import type { Entry } from '../contract.ts';

/** Bytes of one stream's newest entries. */
const TAIL_BYTES = 4 * 1024 * 1024;

export class Tail {
  #entries: Entry[] = [];
  #bytes = 0;

  /** The oldest offset that is here; undefined: none. */
  get first(): number | undefined {
    return this.#entries[0]?.offset;
  }

  push(entries: readonly Entry[]): void {
    for (const entry of entries) this.#bytes += entry.record.length;
    this.#entries.push(...entries);
    if (this.#bytes <= TAIL_BYTES) return;
    let gone = 0;
    while (this.#bytes > TAIL_BYTES / 2 && gone < this.#entries.length - 1)
      this.#bytes -= this.#entries[gone++]?.record.length ?? 0;
    this.#entries = this.#entries.slice(gone);
  }

  /** From that offset on, about `maxBytes`; undefined when it is older than what is here. */
  read(from: number, maxBytes: number): Entry[] | undefined {
    const { first } = this;
    if (first === undefined || from < first) return undefined;
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle]?.offset ?? 0) < from) low = middle + 1;
      else high = middle;
    }
    const found: Entry[] = [];
    for (let bytes = 0; low < this.#entries.length && bytes < maxBytes; low++) {
      const entry = this.#entries[low];
      if (entry === undefined) break;
      bytes += entry.record.length;
      found.push(entry);
    }
    return found;
  }
}
