/**
 * Which keys came lately: digests of 128 bits in tables of plain numbers, one table after the other in time. The oldest table goes when
 * its newest key has left the window, and when there are too many: then the window is shorter than asked for.
 */
import { hash } from 'node:crypto';
import { KEY_BYTES } from './frame.ts';

/** Keys of one table, and how many tables there are. 16 bytes of digest, 8 of offset, 8 of time, at most half full. */
const TABLE_KEYS = 65_536;
const SMALLEST_TABLE = 1024;
const MAX_TABLES = 8;

/** So many keys are remembered at most; beyond it the oldest are forgotten before their time. */
export const MAX_KEYS = TABLE_KEYS * MAX_TABLES;

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
  readonly #digests: Uint32Array;
  readonly #offsets: Float64Array;
  readonly #times: Float64Array;
  readonly #mask: number;

  constructor(limit: number) {
    this.limit = limit;
    const slots = limit * 2;
    this.#mask = slots - 1;
    this.#digests = new Uint32Array(slots * 4);
    // Offset plus one: 0 is a free slot.
    this.#offsets = new Float64Array(slots);
    this.#times = new Float64Array(slots);
  }

  /** The offset of a key that came at `since` or later; -1: none. */
  find(of: Uint32Array, since: number): number {
    const slot = this.#slot(of);
    return this.#offsets[slot]! > 0 && this.#times[slot]! >= since ? this.#offsets[slot]! - 1 : -1;
  }

  add(of: Uint32Array, offset: number, at: number): void {
    const slot = this.#slot(of);
    if (this.#offsets[slot] === 0) {
      this.#digests.set(of, slot * 4);
      this.count++;
    }
    this.#offsets[slot] = offset + 1;
    this.#times[slot] = at;
    if (at > this.newest) this.newest = at;
  }

  /** Where the digest is, or would be. */
  #slot(of: Uint32Array): number {
    const [a, b, c, d] = of;
    let slot = a! & this.#mask;
    while (this.#offsets[slot] !== 0) {
      const at = slot * 4;
      if (
        this.#digests[at] === a &&
        this.#digests[at + 1] === b &&
        this.#digests[at + 2] === c &&
        this.#digests[at + 3] === d
      )
        break;
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }
}

/** The window of one stream. */
export class Dedup {
  /** Newest first. */
  readonly #tables: Table[] = [];

  /** The offset of the event with that key that came within `windowMs` before `at`; -1: none did. */
  find(of: Uint32Array, at: number, windowMs: number): number {
    for (const table of this.#tables) {
      const offset = table.find(of, at - windowMs);
      if (offset >= 0) return offset;
    }
    return -1;
  }

  add(of: Uint32Array, offset: number, at: number, windowMs: number): void {
    let table = this.#tables[0];
    if (table === undefined || table.count >= table.limit) {
      while (this.#tables.length > 0 && this.#tables.at(-1)!.newest < at - windowMs) this.#tables.pop();
      if (this.#tables.length >= MAX_TABLES) this.#tables.pop();
      table = new Table(table === undefined ? SMALLEST_TABLE : Math.min(table.limit * 4, TABLE_KEYS));
      this.#tables.unshift(table);
    }
    table.add(of, offset, at);
  }

  /** Keys remembered, those that have left the window and not yet gone included. */
  get size(): number {
    return this.#tables.reduce((sum, table) => sum + table.count, 0);
  }

  clear(): void {
    this.#tables.length = 0;
  }
}
