/** What the rest of the engine knows of streams on disk. Implemented by `log/`; records are `src/cloudevents`' record form. */
import type { StreamSpec } from '../model.ts';

/** One event as it is stored. `record` may be a part of a larger buffer: it is never changed, and not kept for long by who reads it. */
export interface Entry {
  offset: number;
  /** When it was accepted, milliseconds since the epoch. */
  at: number;
  record: Buffer;
}

export interface Stream {
  readonly spec: StreamSpec;
  /** Offset of the oldest event kept. */
  readonly start: number;
  /** Offset that the next event gets. */
  readonly end: number;
  /** On disk now. */
  readonly bytes: number;
  /** A record may be overwritten as soon as `append` has returned; undefined: when it has resolved. */
  readonly copies?: boolean;
  update(spec: StreamSpec): void;
  /**
   * Resolves when it is on disk, with its offset; everything appended meanwhile is flushed together. `dedupKey` (source and id): one seen
   * within `dedupMs` is not kept again, and answered with `duplicate` when the first is on disk (beyond a million keys over all streams the
   * oldest are forgotten before their time). Rejects with `PetrelError`, and nothing is kept of it: `DiskFull` (of the disk, or `hardMaxBytes`),
   * `NotReady` (more waits for the disk than may, or the stream is being closed), `Internal` (the disk is broken).
   */
  append(record: Buffer, at: number, dedupKey?: string): Promise<{ offset: number; duplicate: boolean }>;
  /** From that offset (or the oldest kept) on, at most about `maxBytes`, at least one if there is any. What was appended lately comes from memory, without waiting. */
  read(from: number, maxBytes: number): Entry[] | Promise<Entry[]>;
  /** Called in order for what is on disk now; returns the way to stop. */
  onAppend(listener: (entries: readonly Entry[]) => void): () => void;
  /** The lowest offset that anybody still needs; retention keeps from there. Called when it moves, up or down. Before the first call everything is kept. */
  need(offset: number): void;
  /** The first offset accepted at or after that time. */
  seek(at: number): Promise<number>;
}

/** All streams of one home. One process has them open at a time (the platform's lock). */
export interface EventLog {
  /** Opens or makes it; recovers what a crash left (a torn tail is cut: it was never acknowledged). Another uid: the old events go first. */
  open(spec: StreamSpec): Promise<Stream>;
  /** Takes its files away. */
  remove(key: string): Promise<void>;
  /** Keys on disk. */
  keys(): Promise<string[]>;
  close(): Promise<void>;
}
