/**
 * The newest entries of all streams in memory, in the form in which they are written: an append copies its record here, the disk is
 * written from here, and who is at the head reads here. Bounded over all streams; the oldest goes first.
 */
import type { Entry } from './contract.ts';
import { frameLength, offsetOf, recordOf, timeOf } from './frame.ts';

/** Sizes of blocks: a stream begins with a small one. */
const BLOCK = { first: 8 * 1024, largest: 256 * 1024 };

/** A piece of memory that is filled from its beginning. */
export interface Block {
  readonly buffer: Buffer;
  readonly owner: HotTail;
  used: number;
  /** Frames in it that are not on disk yet. */
  pending: number;
  /** Offset of the first entry that is on disk; undefined: there is none yet. */
  first: number | undefined;
  /** Where the entries from `first` on begin. */
  readonly positions: number[];
}

/** The memory that all streams share. */
export class HotMemory {
  readonly #limit: number;
  readonly #blocks = new Set<Block>();
  #bytes = 0;
  /** Of records that are not on disk yet. */
  pending = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(block: Block): void {
    this.#blocks.add(block);
    this.#bytes += block.buffer.length;
    if (this.#bytes <= this.#limit) return;
    for (const old of this.#blocks) {
      // What is not on disk stays, and so do those after it: a tail has no holes.
      if (old === block || old.pending > 0 || !old.owner.forget(old)) continue;
      this.remove(old);
      if (this.#bytes <= this.#limit) return;
    }
  }

  remove(block: Block): void {
    if (this.#blocks.delete(block)) this.#bytes -= block.buffer.length;
  }
}

/** The newest entries of one stream. */
export class HotTail {
  readonly #memory: HotMemory;
  readonly #blocks: Block[] = [];

  constructor(memory: HotMemory) {
    this.#memory = memory;
  }

  /** A block with room for that many bytes at `used`, which the caller moves. */
  reserve(bytes: number): Block {
    const last = this.#blocks.at(-1);
    if (last !== undefined && last.buffer.length - last.used >= bytes) return last;
    const size = Math.max(
      bytes,
      last === undefined ? BLOCK.first : Math.min(last.buffer.length * 2, BLOCK.largest),
    );
    const block: Block = {
      buffer: Buffer.allocUnsafeSlow(size),
      owner: this,
      used: 0,
      pending: 0,
      first: undefined,
      positions: [],
    };
    this.#blocks.push(block);
    this.#memory.add(block);
    return block;
  }

  /** The oldest entry that is here; undefined: none is. */
  get first(): number | undefined {
    return this.#blocks[0]?.first;
  }

  /** From an offset that is here on; at least one, then up to about `maxBytes`. */
  read(from: number, maxBytes: number): Entry[] {
    const entries: Entry[] = [];
    let index = this.#find(from);
    let bytes = 0;
    for (; index < this.#blocks.length; index++) {
      const { buffer, first, positions } = this.#blocks[index]!;
      if (first === undefined) break;
      for (let i = Math.max(0, from - first); i < positions.length; i++) {
        const position = positions[i]!;
        const length = frameLength(buffer, position);
        if (entries.length > 0 && bytes + length > maxBytes) return entries;
        entries.push(entryAt(buffer, position, length));
        bytes += length;
      }
    }
    return entries;
  }

  /** Gives the oldest block back; false: this is not the oldest. */
  forget(block: Block): boolean {
    if (this.#blocks[0] !== block) return false;
    this.#blocks.shift();
    return true;
  }

  clear(): void {
    for (const block of this.#blocks.splice(0)) this.#memory.remove(block);
  }

  #find(offset: number): number {
    let low = 0;
    let high = this.#blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#blocks[middle]!.first ?? Number.POSITIVE_INFINITY) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** A frame's entry; its record lies in the buffer. */
export function entryAt(buffer: Buffer, position: number, length: number): Entry {
  return {
    offset: offsetOf(buffer, position),
    at: timeOf(buffer, position),
    record: recordOf(buffer, position, length),
  };
}
