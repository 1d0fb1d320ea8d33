/** One stream: appends without repetition, reading, and what of it may go. */
import type { Clock } from '../../base/clock.ts';
import { messageOf, PetrelError } from '../../base/errors.ts';
import type { StreamSpec } from '../model.ts';
import type { Entry, Stream } from './contract.ts';
import { Dedup, type DedupMemory, digest, digestIn, MAX_KEYS } from './dedup.ts';
import { HEAD_BYTES, isKeyed, MAX_RECORD, offsetOf, timeOf } from './frame.ts';
import { type HotMemory, HotTail } from './hot.ts';
import type { Storage } from './segment.ts';
import type { Segments } from './segments.ts';
import { type Appended, Writer } from './writer.ts';

/** Segments are an eighth of what the stream may keep, in bytes and in time, within these, so that retention is not coarse. */
const SEGMENT = { least: 256 * 1024, most: 64 * 1024 * 1024, leastMs: 1000, share: 8 };

/** Beyond so many bytes that wait for the disk, over all streams, new ones are refused. */
const PENDING_BYTES = 64 * 1024 * 1024;

export interface StreamOptions {
  spec: StreamSpec;
  storage: Storage;
  segments: Segments;
  memory: HotMemory;
  dedup: DedupMemory;
  clock: Clock;
  /** Something may go at that time, ms since the epoch. */
  expireAt(at: number): void;
}

export class LogStream implements Stream {
  #spec: StreamSpec;
  readonly copies = true;
  readonly #options: StreamOptions;
  readonly #segments: Segments;
  readonly #writer: Writer;
  readonly #hot: HotTail;
  readonly #listeners = new Set<(entries: readonly Entry[]) => void>();
  readonly #dedup: Dedup;
  /** Keys on their way to the disk. */
  readonly #coming = new Map<string, Promise<Appended>>();
  /** The keys of before the start are being looked up. */
  #remembering: Promise<void> | undefined;
  /** Nothing goes before somebody has said what is needed. */
  #needed = 0;
  #retaining = false;
  #retainAgain = false;
  #closed = false;
  /** The last segment was begun then. */
  #segmentSince: number;

  constructor(options: StreamOptions) {
    const { spec, storage, segments, memory, clock } = options;
    this.#options = options;
    this.#spec = spec;
    this.#segments = segments;
    this.#segmentSince = clock.now();
    this.#hot = new HotTail(memory);
    this.#dedup = new Dedup(options.dedup);
    this.#writer = new Writer({
      ...storage,
      segments,
      hot: this.#hot,
      memory,
      segmentBytes: () =>
        Math.min(SEGMENT.most, Math.max(SEGMENT.least, Math.floor(this.#spec.maxBytes / SEGMENT.share))),
      isStale: () =>
        clock.now() - this.#segmentSince > Math.max(SEGMENT.leastMs, this.#spec.maxAgeMs / SEGMENT.share),
      rolled: () => {
        this.#segmentSince = clock.now();
        this.#retainSoon();
      },
      settled: (key, buffer, position, offset, at) => {
        this.#coming.delete(key);
        const { dedupMs } = this.#spec;
        if (this.#dedup.add(digestIn(buffer, position), offset, at, dedupMs))
          options.expireAt(at + dedupMs + 1);
      },
      refused: (key) => this.#coming.delete(key),
      written: (entries) => {
        this.#tell(entries);
        if (this.#segments.bytes > this.#spec.maxBytes) this.#retainSoon();
      },
    });
    this.#remember();
    this.#retainSoon();
  }

  get spec(): StreamSpec {
    return this.#spec;
  }

  get start(): number {
    return this.#segments.start;
  }

  get end(): number {
    return this.#segments.end;
  }

  get bytes(): number {
    return this.#segments.bytes;
  }

  update(spec: StreamSpec): void {
    this.#spec = spec;
    if (spec.dedupMs === 0) this.#dedup.clear();
    this.#retainSoon();
  }

  append(record: Buffer, at: number, dedupKey?: string): Promise<Appended> {
    const problem = this.#refusal(record);
    if (problem !== undefined) return Promise.reject(problem);
    if (dedupKey === undefined || this.#spec.dedupMs === 0) return this.#writer.append(record, at);
    if (this.#remembering !== undefined) {
      const kept = Buffer.from(record);
      return this.#remembering.then(() => this.append(kept, at, dedupKey));
    }
    const first = this.#coming.get(dedupKey);
    if (first !== undefined) return first.then(({ offset }) => ({ offset, duplicate: true }));
    const words = digest(dedupKey);
    const known = this.#dedup.find(words, at, this.#spec.dedupMs);
    if (known >= 0) return Promise.resolve({ offset: known, duplicate: true });
    const coming = this.#writer.append(record, at, dedupKey, words);
    this.#coming.set(dedupKey, coming);
    return coming;
  }

  read(from: number, maxBytes: number): Entry[] | Promise<Entry[]> {
    if (from >= this.end) return [];
    const first = Math.max(from, this.start);
    const hot = this.#hot.first;
    return hot !== undefined && first >= hot
      ? this.#hot.read(first, maxBytes)
      : this.#segments.read(first, maxBytes);
  }

  onAppend(listener: (entries: readonly Entry[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  need(offset: number): void {
    const before = this.#needed;
    this.#needed = offset;
    if (offset > before) this.#retainSoon();
  }

  seek(at: number): Promise<number> {
    return this.#segments.seek(at);
  }

  /** Takes away what is too old or too much, keys included. Never rejects. */
  expire(): Promise<void> {
    const { dedupMs } = this.#spec;
    const newest = this.#dedup.expire(this.#options.clock.now() - dedupMs);
    if (newest !== undefined) this.#options.expireAt(newest + dedupMs + 1);
    return this.#retain();
  }

  async #retain(): Promise<void> {
    this.#retainAgain = true;
    if (this.#retaining || this.#closed) return;
    this.#retaining = true;
    try {
      while (this.#retainAgain) {
        this.#retainAgain = false;
        while (await this.#dropOne());
      }
    } catch (error) {
      this.#options.storage.log.warn('old events could not be taken away', {
        stream: this.#spec.key,
        error: messageOf(error),
      });
    } finally {
      this.#retaining = false;
    }
  }

  /** Refuses from now on; resolves when what was appended is on disk and its files are closed. `keep`: as it is for the next start. */
  async close(keep: boolean): Promise<void> {
    this.#closed = true;
    await this.#writer.idle();
    if (keep) await this.#segments.close();
    this.#segments.release();
    this.#hot.clear();
    this.#dedup.clear();
    this.#listeners.clear();
  }

  #refusal(record: Buffer): PetrelError | undefined {
    if (this.#closed)
      return new PetrelError('NotReady', `${this.#spec.key} is being closed`, { fix: 'Try again.' });
    if (record.length === 0 || record.length > MAX_RECORD)
      return new PetrelError('InvalidArgument', `a record of ${record.length} bytes cannot be stored`);
    if (this.#options.memory.pending > PENDING_BYTES)
      return new PetrelError('NotReady', 'more events came than the disk takes', {
        why: `${PENDING_BYTES} bytes wait to be written.`,
        fix: 'Try again in a moment, more slowly.',
      });
    if (this.bytes + this.#writer.pendingBytes + record.length <= this.#spec.hardMaxBytes) return undefined;
    this.#retainSoon();
    return new PetrelError('DiskFull', `${this.#spec.key} is full`, {
      why: `It holds ${this.bytes} bytes of events that are still needed, and may hold ${this.#spec.hardMaxBytes}.`,
      fix: 'See which subscription is behind (petrel trigger list), or raise the limit; accepting goes on as soon as events are delivered.',
    });
  }

  #tell(entries: () => Entry[]): void {
    if (this.#listeners.size === 0) return;
    const told = entries();
    for (const listener of this.#listeners) {
      try {
        listener(told);
      } catch (error) {
        // They are on disk, whatever somebody does with them.
        this.#options.storage.log.error('a reader of an event log has failed', {
          stream: this.#spec.key,
          error: messageOf(error),
        });
      }
    }
  }

  #retainSoon(): void {
    const oldest = this.#segments.oldest;
    if (oldest !== undefined && oldest.end <= this.#needed) void this.#retain();
  }

  async #dropOne(): Promise<boolean> {
    const oldest = this.#segments.oldest;
    if (oldest === undefined || oldest.end > this.#needed || oldest.segment.size === 0) return false;
    const { segment, end } = oldest;
    const { maxAgeMs, maxBytes } = this.#spec;
    const isLast = segment === this.#segments.last;
    if (this.#segments.bytes <= maxBytes || isLast) {
      const expiry = (await segment.latest(end)) + maxAgeMs;
      if (expiry > this.#options.clock.now()) {
        this.#options.expireAt(expiry);
        return false;
      }
    }
    if (this.#closed || this.#segments.oldest?.segment !== segment) return false;
    if (!isLast) {
      await this.#segments.dropOldest();
      return true;
    }
    // The end of the stream outlives its events: as the name of an empty file.
    let rolled = false;
    await this.#writer.exclusively(async () => {
      if (this.#closed || this.#segments.end > this.#needed || this.#segments.end !== end) return;
      await this.#segments.roll();
      rolled = true;
    });
    return rolled;
  }

  /** Looks up the keys that came within the window before the start. */
  #remember(): void {
    const { dedupMs } = this.#spec;
    if (dedupMs === 0 || this.end === this.start) return;
    const since = this.#options.clock.now() - dedupMs;
    this.#remembering = this.#segments
      .seek(since)
      .then((from) =>
        this.#segments.heads(Math.max(from, this.end - MAX_KEYS), (buffer, start) => {
          if (isKeyed(buffer, start) && timeOf(buffer, start) >= since)
            this.#dedup.add(
              digestIn(buffer, start + HEAD_BYTES),
              offsetOf(buffer, start),
              timeOf(buffer, start),
              dedupMs,
            );
        }),
      )
      .catch((error: unknown) => {
        this.#options.storage.log.error(
          'events that came before the start are not recognised when they are repeated',
          {
            stream: this.#spec.key,
            error: messageOf(error),
          },
        );
      })
      .finally(() => {
        this.#remembering = undefined;
      });
  }
}
