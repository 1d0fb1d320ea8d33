/**
 * Appends of one stream in groups: what comes while one group is being written goes out with the next, as one write that is on disk when
 * it returns. Records are copied once, into the memory that is written from and read from.
 */
import { messageOf, type PetrelError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { storageError } from '../../base/sqlite.ts';
import type { Entry } from './contract.ts';
import { writeDigest } from './dedup.ts';
import type { Files } from './files.ts';
import { frameBytes, HEAD_BYTES, sealFrame } from './frame.ts';
import type { Handles } from './handles.ts';
import { type Block, entryAt, type HotMemory, type HotTail } from './hot.ts';
import type { Segment } from './segment.ts';
import type { Segments } from './segments.ts';

/** Bound on one group, bytes: how long the others of it wait. */
const GROUP_BYTES = 4 * 1024 * 1024;

/** One entry that is not on disk yet. */
interface Pending {
  block: Block;
  position: number;
  length: number;
  key: string | undefined;
  at: number;
  resolve(appended: Appended): void;
  reject(error: PetrelError): void;
}

export interface Appended {
  offset: number;
  duplicate: boolean;
}

export interface WriterOptions {
  files: Files;
  handles: Handles;
  log: Logger;
  segments: Segments;
  hot: HotTail;
  memory: HotMemory;
  /** Largest segment, now. */
  segmentBytes(): number;
  /** Whether the last segment is to be closed for its age, whatever its size. */
  isStale(): boolean;
  /** An entry with a key is on disk: its digest is there in the buffer. Before its append is answered. */
  settled(key: string, buffer: Buffer, position: number, offset: number, at: number): void;
  /** Nothing is kept of the entry with that key. */
  refused(key: string): void;
  /** After each group that is on disk, before its appends are answered. `entries` is made when it is asked for. */
  written(entries: () => Entry[]): void;
  /** A new segment was begun. */
  rolled(): void;
}

export class Writer {
  readonly #options: WriterOptions;
  #pending: Pending[] = [];
  #pendingBytes = 0;
  #busy: Promise<void> | undefined;
  /** The last segment failed: what it says to have written may not be there. */
  #broken = false;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Not on disk yet, bytes. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Resolves when it is on disk. With a key: what `settled` tells of, and its digest, which is copied. */
  append(record: Buffer, at: number, key?: string, digest?: Uint32Array): Promise<Appended> {
    const length = frameBytes(record.length, digest !== undefined);
    const block = this.#options.hot.reserve(length);
    const position = block.used;
    block.used += length;
    block.pending++;
    if (digest !== undefined) writeDigest(digest, block.buffer, position + HEAD_BYTES);
    block.buffer.set(record, position + length - record.length);
    const { promise, resolve, reject } = Promise.withResolvers<Appended>();
    this.#pending.push({ block, position, length, key, at, resolve, reject });
    this.#waits(length);
    this.#begin();
    return promise;
  }

  /** Runs when nothing is being written; what is appended meanwhile waits. */
  async exclusively(work: () => Promise<void>): Promise<void> {
    while (this.#busy !== undefined) await this.#busy;
    this.#busy = work().finally(() => {
      this.#busy = undefined;
      if (this.#pending.length > 0) this.#begin();
    });
    return this.#busy;
  }

  /** Resolves when everything appended so far has been answered. */
  async idle(): Promise<void> {
    while (this.#busy !== undefined) await this.#busy.catch(() => {});
  }

  #waits(bytes: number): void {
    this.#pendingBytes += bytes;
    this.#options.memory.pending += bytes;
  }

  #begin(): void {
    if (this.#busy !== undefined) return;
    // Later in this turn: what arrives together is written together.
    this.#busy = new Promise<void>((resolve) => setImmediate(resolve))
      .then(() => this.#drain())
      .finally(() => {
        this.#busy = undefined;
        if (this.#pending.length > 0) this.#begin();
      });
  }

  async #drain(): Promise<void> {
    while (this.#pending.length > 0) {
      const group = this.#take();
      try {
        const [position, offset] = await this.#write(group);
        this.#commit(group, position, offset);
      } catch (error) {
        this.#refuse(group, error);
      }
      // Also what the rest of this turn brings: fewer and larger writes where many come at once.
      if (this.#pending.length > 0) await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  #take(): Pending[] {
    const all = this.#pending;
    if (this.#pendingBytes <= GROUP_BYTES) {
      this.#pending = [];
      return all;
    }
    let bytes = 0;
    let count = 0;
    while (count < all.length && (count === 0 || bytes + all[count]!.length <= GROUP_BYTES))
      bytes += all[count++]!.length;
    this.#pending = all.slice(count);
    all.length = count;
    return all;
  }

  /** Resolves with where in the segment it stands, and the offset of its first. */
  async #write(group: readonly Pending[]): Promise<[position: number, offset: number]> {
    const { segments, segmentBytes, isStale, rolled } = this.#options;
    const bytes = group.reduce((sum, { length }) => sum + length, 0);
    const first = segments.end;
    const parts = seal(group, first);
    for (let again = false; ; again = true) {
      let segment = segments.last;
      if (
        segment === undefined ||
        this.#broken ||
        (segment.size > 0 && (segment.size + bytes > segmentBytes() || isStale()))
      ) {
        segment = await segments.roll();
        this.#broken = false;
        rolled();
      }
      const { path, size } = segment;
      try {
        await segment.reserve.before(size + bytes);
        await this.#options.handles.use(path, (fd) => this.#options.files.write(fd, parts, size));
        return [size, first];
      } catch (error) {
        await this.#undo(segment, error);
        // A full disk is full for another file too.
        if (again || !this.#broken) throw error;
      }
    }
  }

  /** After a failed write any part of it may be there. */
  async #undo(segment: Segment, error: unknown): Promise<void> {
    const { path, size } = segment;
    const { handles, files, log } = this.#options;
    // After a failed flush the system believes that its memory is the disk's content: nothing that it says of this file counts any more.
    this.#broken = storageError(error, path).code !== 'DiskFull';
    if (this.#broken)
      log.error('an event log could not be written and is left; a new file is begun', {
        file: path,
        error: messageOf(error),
      });
    try {
      await segment.reserve.before(Number.POSITIVE_INFINITY);
      await handles.use(path, (fd) => files.truncate(fd, size));
      segment.reserve.cut(size);
    } catch (failure) {
      this.#broken = true;
      log.error('what was half written to an event log could not be cut', {
        file: path,
        error: messageOf(failure),
      });
    }
    if (this.#broken) handles.forget(path);
  }

  #commit(group: readonly Pending[], start: number, first: number): void {
    const { segments, written } = this.#options;
    const segment = segments.last;
    let position = start;
    let offset = first;
    for (const { block, position: at, length, key, at: time } of group) {
      block.first ??= offset;
      block.positions.push(at);
      block.pending--;
      segment?.grown(offset, position, time);
      if (key !== undefined) this.#options.settled(key, block.buffer, at + HEAD_BYTES, offset, time);
      position += length;
      offset++;
    }
    this.#waits(start - position);
    segments.grown(position - start, offset);
    segment?.reserve.after(segment.size, position - start, this.#options.segmentBytes());
    written(() => group.map(({ block, position: at, length }) => entryAt(block.buffer, at, length)));
    for (let i = 0; i < group.length; i++) group[i]!.resolve({ offset: first + i, duplicate: false });
  }

  #refuse(group: readonly Pending[], error: unknown): void {
    const failure = storageError(error, this.#options.segments.directory);
    for (const { block, length, key, reject } of group) {
      block.pending--;
      if (key !== undefined) this.#options.refused(key);
      this.#waits(-length);
      reject(failure);
    }
  }
}

/** Gives offsets, and what is to be written: neighbours in memory in one piece. */
function seal(group: readonly Pending[], first: number): Buffer[] {
  const parts: Buffer[] = [];
  let start = 0;
  let end = -1;
  let buffer: Buffer | undefined;
  for (let i = 0; i < group.length; i++) {
    const { block, position, length, key, at } = group[i]!;
    sealFrame(block.buffer, position, length, key !== undefined, first + i, at);
    if (block.buffer !== buffer || position !== end) {
      if (buffer !== undefined) parts.push(buffer.subarray(start, end));
      buffer = block.buffer;
      start = position;
    }
    end = position + length;
  }
  if (buffer !== undefined) parts.push(buffer.subarray(start, end));
  return parts;
}
