/** The files of one stream: in which an entry is, which may go, where the next is written. */
import type { Entry } from './contract.ts';
import { offsetOf, timeOf } from './frame.ts';
import { entryAt } from './hot.ts';
import { firstOffsetOf, Segment, type Storage } from './segment.ts';

/** Segments of one stream whose index stays in memory; the one that grows not counted. */
const INDEXES = 8;
/** Bytes beyond what is asked for that are worth fetching with it. */
const LEAST_PIECE = 16 * 1024;
const MOST_PIECE = 256 * 1024;

export class Segments {
  readonly directory: string;
  readonly #storage: Storage;
  readonly #list: Segment[];
  readonly #indexed: Segment[] = [];
  #bytes: number;
  /** Offset of the next entry. */
  end: number;

  private constructor(storage: Storage, directory: string, list: Segment[], end: number) {
    this.#storage = storage;
    this.directory = directory;
    this.#list = list;
    this.end = end;
    this.#bytes = list.reduce((sum, { size }) => sum + size, 0);
  }

  /** What is in the directory, which is there. Only the last file is read; the others are trusted by their size. */
  static async open(storage: Storage, directory: string): Promise<Segments> {
    const firsts: number[] = [];
    for (const name of await storage.files.list(directory)) {
      const first = firstOffsetOf(name);
      if (first !== undefined) firsts.push(first);
    }
    firsts.sort((a, b) => a - b);
    const list = await Promise.all(
      firsts.map(async (first) => {
        const segment = new Segment(storage, directory, first, 0);
        segment.size = await storage.files.size(segment.path);
        return segment;
      }),
    );
    const end = (await list.at(-1)?.recover()) ?? 0;
    return new Segments(storage, directory, list, end);
  }

  get start(): number {
    return this.#list[0]?.first ?? this.end;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The one that grows. */
  get last(): Segment | undefined {
    return this.#list.at(-1);
  }

  get oldest(): { segment: Segment; end: number } | undefined {
    const segment = this.#list[0];
    return segment === undefined ? undefined : { segment, end: this.#list[1]?.first ?? this.end };
  }

  /** Begins a new file, in which the next entry goes. When it rejects the old one is still the last. */
  async roll(): Promise<Segment> {
    const old = this.last;
    await old?.reserve.trim(old.size).catch(() => {}); // what is left behind its entries is known for what it is
    const segment = new Segment(this.#storage, this.directory, this.end, 0);
    await segment.create();
    await this.#storage.files.syncDirectory(this.directory);
    if (old?.first === this.end) {
      // Nothing acknowledged was in it, and the new one has its name.
      this.#list.pop();
      this.#bytes -= old.size;
    } else if (old !== undefined) {
      await old.save(this.end);
      old.rest();
    }
    this.#list.push(segment);
    return segment;
  }

  /** The last one has grown: it holds all entries below `end` now. */
  grown(bytes: number, end: number): void {
    const last = this.last;
    if (last === undefined) return;
    last.size += bytes;
    this.#bytes += bytes;
    this.end = end;
  }

  /** Takes the oldest away, which is not the last. A crash meanwhile leaves a file that goes the next time. */
  async dropOldest(): Promise<void> {
    const old = this.#list.shift();
    if (old === undefined) return;
    this.#bytes -= old.size;
    const indexed = this.#indexed.indexOf(old);
    if (indexed >= 0) this.#indexed.splice(indexed, 1);
    await old.delete();
  }

  /** From that offset on, from the disk; at least one if there is any, then about `maxBytes`. */
  async read(from: number, maxBytes: number): Promise<Entry[]> {
    const piece = Math.min(MOST_PIECE, Math.max(LEAST_PIECE, maxBytes));
    const end = this.end;
    const entries: Entry[] = [];
    let bytes = 0;
    for (let next = Math.max(from, this.start); next < end && entries.length === 0; ) {
      const index = this.#find(next);
      const segment = this.#list[index];
      if (segment === undefined) break;
      const below = this.#list[index + 1]?.first ?? end;
      try {
        const reached = await segment.walk(
          await this.#position(segment, next, below),
          { verify: true, below, piece },
          (buffer, start, length) => {
            const entry = entryAt(buffer, start, length);
            if (entry.offset < next) return true;
            entries.push(entry);
            bytes += length;
            return bytes < maxBytes;
          },
        );
        const last = entries.at(-1);
        if (last !== undefined) segment.resumeAt(last.offset + 1, reached);
      } catch (error) {
        // Retention took it while it was read: reading goes on with what is the oldest now.
        if (this.#list.includes(segment)) throw error;
      }
      next = Math.max(below, this.start);
    }
    return entries;
  }

  /** The first offset of that time or later; `end` when there is none. */
  async seek(at: number): Promise<number> {
    const list = [...this.#list];
    for (const [index, segment] of list.entries()) {
      const below = list[index + 1]?.first ?? this.end;
      const position = (await this.#index(segment, below)).since(at);
      if (position === undefined) continue;
      let found = below;
      await segment.walk(position, { verify: false, below }, (buffer, start) => {
        if (timeOf(buffer, start) < at) return true;
        found = offsetOf(buffer, start);
        return false;
      });
      if (found < below) return found;
    }
    return this.end;
  }

  /** Calls `visit` for the heads of all entries from that offset on; see `Segment.walk`. */
  async heads(from: number, visit: (buffer: Buffer, start: number) => void): Promise<void> {
    const end = this.end;
    const list = this.#list.slice(this.#find(from));
    for (const [index, segment] of list.entries()) {
      const below = Math.min(list[index + 1]?.first ?? end, end);
      const position = segment.first >= from ? 0 : await this.#position(segment, from, below);
      await segment.walk(position, { verify: false, below }, (buffer, start) => {
        if (offsetOf(buffer, start) >= from) visit(buffer, start);
        return true;
      });
    }
  }

  /** In good order: the next start need not look. */
  async close(): Promise<void> {
    const { last } = this;
    await last?.reserve.trim(last.size).catch(() => {}); // then the next start looks
    await last?.save(this.end);
  }

  /** No file of it stays open. */
  release(): void {
    for (const { path } of this.#list) this.#storage.handles.forget(path);
  }

  #position(segment: Segment, offset: number, below: number): Promise<number> {
    this.#remember(segment);
    return segment.positionFor(offset, below);
  }

  #index(segment: Segment, below: number) {
    this.#remember(segment);
    return segment.index(below);
  }

  /** Bounds how many know where their entries are. */
  #remember(segment: Segment): void {
    if (segment === this.last || (!segment.isResting && this.#indexed.at(-1) === segment)) return;
    const known = this.#indexed.indexOf(segment);
    if (known >= 0) this.#indexed.splice(known, 1);
    this.#indexed.push(segment);
    if (this.#indexed.length > INDEXES) this.#indexed.shift()?.rest();
  }

  /** The file that the entry is in, or would be. */
  #find(offset: number): number {
    let low = 0;
    let high = this.#list.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#list[middle]!.first <= offset) low = middle;
      else high = middle - 1;
    }
    return Math.max(low, 0);
  }
}
