/**
 * Which keys came lately: digests of 128 bits in tables of plain numbers, one table after the other in time. The oldest table goes when
 * its newest key has left the window, and when there are too many: then the window is shorter than asked for.
 */
import { hash } from 'node:crypto';
import { KEY_BYTES } from './frame.ts';

/** Keys of one table: the first is small, the others larger. Half of a table's slots are used at most. */
const TABLE_KEYS = { first: 64, largest: 262_144 };
/** A slot: 16 bytes of digest, 8 of offset plus one (0: it is free), 8 of time. One look costs one line of the processor's cache. */
const SLOT = { words: 8, numbers: 4, offset: 2, time: 3 };

/** So many keys are remembered at most, over all streams (64 MiB); beyond it the oldest are forgotten before their time. */
export const MAX_KEYS = 4 * TABLE_KEYS.largest;

/** Four words; overwritten by the next `digest`. */
const words = new Uint32Array(4);

/** The first 128 bits of the key's SHA-1, which nobody needs to attack: whoever can choose a key can repeat it. Valid until the next call. */
export function digest(key: string): Uint32Array {
  const text = hash('sha1', key, 'latin1');
  for (let i = 0; i < 4; i++) {
    const at = i * 4;
    words[i] =
      text.charCodeAt(at) |
      (text.charCodeAt(at + 1) << 8) |
      (text.charCodeAt(at + 2) << 16) |
      (text.charCodeAt(at + 3) << 24);
  }
  return words;
}

/** The digest as it lies in a frame. Valid until the next call. */
export function digestIn(buffer: Buffer, position: number): Uint32Array {
  for (let i = 0; i < 4; i++) words[i] = buffer.readUInt32LE(position + i * 4);
  return words;
}

export function writeDigest(of: Uint32Array, buffer: Buffer, position: number): void {
  for (let i = 0; i < KEY_BYTES / 4; i++) buffer.writeUInt32LE(of[i]!, position + i * 4);
}

class Table {
  readonly limit: number;
  count = 0;
  /** Time of the newest key. */
  newest = Number.NEGATIVE_INFINITY;
  readonly #words: Uint32Array;
  readonly #numbers: Float64Array;
  readonly #mask: number;

  constructor(limit: number) {
    this.limit = limit;
    const slots = limit * 2;
    this.#mask = slots - 1;
    this.#numbers = new Float64Array(slots * SLOT.numbers);
    this.#words = new Uint32Array(this.#numbers.buffer);
  }

  /** The offset of a key that came at `since` or later; -1: none. */
  find(of: Uint32Array, since: number): number {
    const at = this.#slot(of) * SLOT.numbers;
    const offset = this.#numbers[at + SLOT.offset]!;
    return offset > 0 && this.#numbers[at + SLOT.time]! >= since ? offset - 1 : -1;
  }

  add(of: Uint32Array, offset: number, time: number): void {
    const slot = this.#slot(of);
    const at = slot * SLOT.numbers;
    if (this.#numbers[at + SLOT.offset] === 0) {
      this.#words.set(of, slot * SLOT.words);
      this.count++;
    }
    this.#numbers[at + SLOT.offset] = offset + 1;
    this.#numbers[at + SLOT.time] = time;
    if (time > this.newest) this.newest = time;
  }

  /** Where the digest is, or would be. */
  #slot(of: Uint32Array): number {
    const words = this.#words;
    const numbers = this.#numbers;
    let slot = of[0]! & this.#mask;
    while (numbers[slot * SLOT.numbers + SLOT.offset] !== 0) {
      const at = slot * SLOT.words;
      if (
        words[at] === of[0] &&
        words[at + 1] === of[1] &&
        words[at + 2] === of[2] &&
        words[at + 3] === of[3]
      )
        break;
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }
}

/** The memory that all streams share. */
export class DedupMemory {
  readonly #limit: number;
  /** In the order in which they were made. */
  readonly #tables = new Map<Table, Dedup>();
  #keys = 0;

  /** `limit`: keys, room for which is counted whether it is used or not. */
  constructor(limit = MAX_KEYS) {
    this.#limit = limit;
  }

  add(table: Table, owner: Dedup): void {
    this.#tables.set(table, owner);
    this.#keys += table.limit;
    for (const [oldest, of] of this.#tables) {
      if (this.#keys <= this.#limit || oldest === table) return;
      of.forget(oldest);
    }
  }

  remove(table: Table): void {
    if (this.#tables.delete(table)) this.#keys -= table.limit;
  }
}

/** The window of one stream. */
export class Dedup {
  readonly #memory: DedupMemory;
  /** Newest first. */
  readonly #tables: Table[] = [];

  constructor(memory: DedupMemory) {
    this.#memory = memory;
  }

  /** The offset of the event with that key that came within `windowMs` before `at`; -1: none did. */
  find(of: Uint32Array, at: number, windowMs: number): number {
    for (const table of this.#tables) {
      const offset = table.find(of, at - windowMs);
      if (offset >= 0) return offset;
    }
    return -1;
  }

  /** Answers whether that took new memory: `expire` is to be called when its keys have left the window. */
  add(of: Uint32Array, offset: number, at: number, windowMs: number): boolean {
    let table = this.#tables[0];
    const full = table === undefined || table.count >= table.limit;
    if (table === undefined || full) {
      this.expire(at - windowMs);
      table = new Table(
        table === undefined ? TABLE_KEYS.first : Math.min(table.limit * 4, TABLE_KEYS.largest),
      );
      this.#tables.unshift(table);
      this.#memory.add(table, this);
    }
    table.add(of, offset, at);
    return full;
  }

  /** Forgets what came before that time, as far as that frees memory. Answers when the newest key came; undefined: there is none left. */
  expire(before: number): number | undefined {
    for (let last = this.#tables.at(-1); last !== undefined && last.newest < before; ) {
      this.forget(last);
      last = this.#tables.at(-1);
    }
    return this.#tables[0]?.newest;
  }

  /** Keys remembered, those that have left the window and not yet gone included. */
  get size(): number {
    return this.#tables.reduce((sum, table) => sum + table.count, 0);
  }

  forget(table: Table): void {
    const index = this.#tables.indexOf(table);
    if (index >= 0) this.#tables.splice(index, 1);
    this.#memory.remove(table);
  }

  clear(): void {
    for (const table of [...this.#tables]) this.forget(table);
  }
}
