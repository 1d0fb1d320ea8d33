/** One file of a stream: its entries from an offset on, one after the other. Only the last of a stream grows. */
import { join } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Files } from './files.ts';
import { findFrame, frameLength, HEAD_BYTES, isIntact, KEY_BYTES, offsetOf, timeOf } from './frame.ts';
import type { Handles } from './handles.ts';
import { isRoom, Reserve } from './reserve.ts';
import { SegmentIndex } from './segment-index.ts';

/** What is read at once. */
const PIECE_BYTES = 256 * 1024;

/** Told of each frame: where it lies in the buffer, its length, and where in the file. False ends the walk. */
export type Visit = (buffer: Buffer, start: number, length: number, position: number) => boolean | undefined;

export interface Storage {
  files: Files;
  handles: Handles;
  log: Logger;
}

/** Digits of an offset in a file's name: all that a number counts exactly. */
const DIGITS = 16;

/** Offset of the first entry, by the file's name; undefined: this is no segment. */
export function firstOffsetOf(name: string): number | undefined {
  const match = /^(\d{16})\.log$/.exec(name);
  return match === null ? undefined : Number(match[1]);
}

export class Segment {
  readonly first: number;
  readonly path: string;
  /** Bytes of it that hold entries. */
  size: number;
  /** Behind the entries, while it grows. */
  readonly reserve: Reserve;
  readonly #storage: Storage;
  #index: SegmentIndex | undefined;
  /** The index is on disk as it is here. */
  #saved = false;
  /** The latest time in it, once it is known. */
  #latest: number | undefined;
  /** Damaged places that were told of, and where it goes on behind them. */
  readonly #damage = new Map<number, number | undefined>();
  /** Where the last reading ended. */
  #resume: { offset: number; position: number } | undefined;

  constructor(storage: Storage, directory: string, first: number, size: number) {
    this.#storage = storage;
    this.first = first;
    this.path = join(directory, `${String(first).padStart(DIGITS, '0')}.log`);
    this.size = size;
    this.reserve = new Reserve(storage.files, storage.handles, this.path);
  }

  get #sidecar(): string {
    return `${this.path.slice(0, -3)}idx`;
  }

  /** A new file, in the place of one of its name that holds nothing. Its directory is to be synced then. */
  async create(): Promise<void> {
    const { files, handles } = this.#storage;
    const draft = `${this.path}.new`;
    await files.remove(draft);
    await files.close(await files.open(draft, true));
    handles.forget(this.path);
    await files.rename(draft, this.path);
    await files.remove(this.#sidecar);
    this.#index = new SegmentIndex();
  }

  /** After what has been written at the end. */
  grown(offset: number, position: number, at: number): void {
    this.#index?.add(offset, position, at);
    this.#saved = false;
  }

  /** The latest time in it; of an empty one -Infinity. */
  async latest(end: number): Promise<number> {
    this.#latest = (await this.index(end)).latest;
    return this.#latest;
  }

  /**
   * What the last segment of a stream holds after a start: everything is checked unless it was closed in good order, and what was never
   * written to its end is cut. Resolves with the offset after its last entry.
   */
  async recover(): Promise<number> {
    if (await this.#load()) return this.#recoveredEnd;
    const index = new SegmentIndex();
    let end = this.first;
    const good = await this.walk(
      0,
      { verify: true, below: Number.POSITIVE_INFINITY },
      (buffer, start, _, position) => {
        const offset = offsetOf(buffer, start);
        index.add(offset, position, timeOf(buffer, start));
        end = offset + 1;
        return true;
      },
    );
    if (good < this.size) {
      if (!(await this.#isRoom(good)))
        this.#storage.log.warn(
          'the end of an event log was not complete and is cut: it was never acknowledged',
          {
            file: this.path,
            position: good,
            bytes: this.size - good,
          },
        );
      await this.#storage.handles.use(this.path, (fd) => this.#storage.files.truncate(fd, good));
      this.#damage.delete(good);
      this.size = good;
    }
    this.#index = index;
    return end;
  }

  #recoveredEnd = 0;

  /** From there on it was only kept ready. */
  async #isRoom(position: number): Promise<boolean> {
    const rest = Buffer.allocUnsafeSlow(this.size - position);
    const { files, handles } = this.#storage;
    const bytes = await handles.use(this.path, (fd) => files.read(fd, rest, position));
    return isRoom(rest.subarray(0, bytes));
  }

  async #load(): Promise<boolean> {
    const bytes = await this.#storage.files.load(this.#sidecar);
    const found = bytes === undefined ? undefined : SegmentIndex.decode(bytes, this.size);
    if (found === undefined) return false;
    this.#index = found.index;
    this.#saved = true;
    this.#recoveredEnd = found.end;
    return true;
  }

  /** Where its entries are. `end`: the offset that the next segment begins with. */
  async index(end: number): Promise<SegmentIndex> {
    if (this.#index !== undefined || (await this.#load())) return this.#index!;
    const index = new SegmentIndex();
    await this.walk(0, { verify: false, below: end }, (buffer, start, _, position) => {
      index.add(offsetOf(buffer, start), position, timeOf(buffer, start));
      return true;
    });
    this.#index = index;
    await this.save(end);
    return index;
  }

  /** Writes down where its entries are, so that nobody has to look again. A failure costs time at the next start, nothing else. */
  async save(end: number): Promise<void> {
    if (this.#index === undefined || this.#saved) return;
    try {
      await this.#storage.files.save(this.#sidecar, this.#index.encode(this.size, end));
      this.#saved = true;
    } catch (error) {
      this.#storage.log.warn(
        'the index of an event log could not be written; it is made again when it is needed',
        {
          file: this.#sidecar,
          error: messageOf(error),
        },
      );
    }
  }

  /** Forgets what can be read again. */
  rest(): void {
    this.#latest = this.#index?.latest ?? this.#latest;
    this.#index = undefined;
    this.#resume = undefined;
  }

  get isResting(): boolean {
    return this.#index === undefined;
  }

  /** Where to begin reading for that entry. */
  async positionFor(offset: number, end: number): Promise<number> {
    if (this.#resume?.offset === offset) return this.#resume.position;
    return (await this.index(end)).before(offset);
  }

  /** The next reading from that entry on begins there. */
  resumeAt(offset: number, position: number): void {
    this.#resume = { offset, position };
  }

  async delete(): Promise<void> {
    this.#storage.handles.forget(this.path);
    await this.#storage.files.remove(this.path);
    await this.#storage.files.remove(this.#sidecar);
  }

  /**
   * Reads frames from a position on, until `visit` says so, an entry is not below `below`, or the end. `verify`: each frame is whole in
   * the buffer and as it was written; without, only its head (and digest) is sure to be there. A damaged place is told of and skipped.
   * Resolves with the position reached: behind the last entry, or of a rest in which there is none.
   */
  async walk(
    from: number,
    { verify, below, piece = PIECE_BYTES }: { verify: boolean; below: number; piece?: number },
    visit: Visit,
  ): Promise<number> {
    return this.#storage.handles.use(this.path, async (fd) => {
      let position = from;
      let wanted = piece;
      while (position < this.size) {
        const buffer = Buffer.allocUnsafeSlow(Math.min(wanted, this.size - position));
        const bytes = (await this.#storage.files.read(fd, buffer, position)) === buffer.length;
        let at = 0;
        wanted = piece;
        let damaged = !bytes;
        while (!damaged && at < buffer.length) {
          const left = buffer.length - at;
          const atEnd = position + buffer.length >= this.size;
          if (left < HEAD_BYTES + KEY_BYTES && !atEnd) break;
          const length = left < HEAD_BYTES ? 0 : frameLength(buffer, at);
          if (length === 0 || position + at + length > this.size) {
            damaged = true;
          } else if (length > left && verify) {
            wanted = Math.max(piece, length);
            break;
          } else if (verify && !isIntact(buffer, at, length)) {
            damaged = true;
          } else {
            if (offsetOf(buffer, at) >= below) return position + at;
            if (visit(buffer, at, length, position + at) === false) return position + at + length;
            at += length;
          }
        }
        position += at;
        if (damaged) {
          const next = await this.#skip(fd, position, below);
          if (next === undefined) return position;
          position = next;
        }
      }
      return position;
    });
  }

  /** Where entries go on behind a damaged place; undefined: nowhere. */
  async #skip(fd: number, position: number, below: number): Promise<number | undefined> {
    if (this.#damage.has(position)) return this.#damage.get(position);
    const rest = Buffer.allocUnsafeSlow(this.size - position);
    const bytes = await this.#storage.files.read(fd, rest, position);
    const found = findFrame(rest.subarray(0, bytes), 1, this.first, below);
    const next = found < 0 ? undefined : position + found;
    this.#damage.set(position, next);
    if (next === undefined && isRoom(rest.subarray(0, bytes))) return undefined;
    // A segment without a next one has a torn end after every kill: who recovers it tells of that.
    if (next !== undefined || below !== Number.POSITIVE_INFINITY)
      this.#storage.log.error('an event log is damaged: entries are lost', {
        file: this.path,
        position,
        bytes: (next ?? this.size) - position,
      });
    return next;
  }
}
