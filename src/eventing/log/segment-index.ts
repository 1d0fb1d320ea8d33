/**
 * Where in a segment which entries are: one row for each stretch of it. Kept beside a segment that is full, or that was closed in good
 * order; it can always be made again from the segment.
 */
import { crc32 } from 'node:zlib';

/** A row for each so many bytes. */
export const STRETCH_BYTES = 64 * 1024;

/** First value of the file, and its version. */
const MAGIC = 0x50455831;
const HEAD = 4;
const ROW = 3;

export class SegmentIndex {
  /** Of each stretch: its first offset, where it begins, the latest time in it. */
  readonly #offsets: number[] = [];
  readonly #positions: number[] = [];
  readonly #times: number[] = [];
  /** The latest time in all of it. */
  latest = Number.NEGATIVE_INFINITY;

  add(offset: number, position: number, at: number): void {
    const last = this.#positions.length - 1;
    if (last < 0 || position - this.#positions[last]! >= STRETCH_BYTES) {
      this.#offsets.push(offset);
      this.#positions.push(position);
      this.#times.push(at);
    } else if (at > this.#times[last]!) this.#times[last] = at;
    if (at > this.latest) this.latest = at;
  }

  /** A position at or before that entry's. */
  before(offset: number): number {
    let low = 0;
    let high = this.#offsets.length - 1;
    if (high < 0) return 0;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#offsets[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return this.#positions[low]!;
  }

  /** Where the first stretch begins that has an entry of that time or later; undefined: none has. */
  since(at: number): number | undefined {
    const stretch = this.#times.findIndex((time) => time >= at);
    return this.#positions[stretch];
  }

  /** For a file: good for the segment while it has `size` bytes; `end` is the offset after its last entry. */
  encode(size: number, end: number): Uint8Array {
    const rows = this.#offsets.length;
    const values = new Float64Array(HEAD + rows * ROW + 1);
    values.set([MAGIC, size, end, this.latest]);
    for (let row = 0; row < rows; row++)
      values.set([this.#offsets[row]!, this.#positions[row]!, this.#times[row]!], HEAD + row * ROW);
    const bytes = new Uint8Array(values.buffer);
    values[values.length - 1] = crc32(bytes.subarray(0, bytes.length - 8));
    return bytes;
  }

  /** What `encode` made; undefined when it is damaged, or of another size of the segment. */
  static decode(bytes: Buffer, size: number): { index: SegmentIndex; end: number } | undefined {
    if (bytes.length % 8 !== 0 || bytes.length < (HEAD + 1) * 8) return undefined;
    const values = new Float64Array(bytes.length / 8);
    new Uint8Array(values.buffer).set(bytes);
    if (values[0] !== MAGIC || values[1] !== size || (values.length - HEAD - 1) % ROW !== 0) return undefined;
    if (crc32(bytes.subarray(0, bytes.length - 8)) !== values.at(-1)) return undefined;
    const index = new SegmentIndex();
    for (let at = HEAD; at < values.length - 1; at += ROW) {
      index.#offsets.push(values[at]!);
      index.#positions.push(values[at + 1]!);
      index.#times.push(values[at + 2]!);
    }
    index.latest = values[3]!;
    return { index, end: values[2]! };
  }
}
