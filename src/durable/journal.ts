/**
 * A short log in front of a durable file: a record is on disk when its append resolves, and is kept until it is said to be in the file.
 * Two files of fixed length, filled with zeros beforehand and written in turn: such a write changes nothing but content, and waits for
 * none of the pages, indices and checkpoints that a commit of the file takes.
 *
 * A record's form, little-endian: u32 length, u32 CRC-32 of what follows (begun with the journal's id, so that what another journal left
 * behind is never taken for its own), f64 number, the record. Numbers follow one another; where they do not, the rest is of an earlier turn.
 */
import { closeSync, constants, openSync, readFileSync, writev } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';

const HEAD_BYTES = 16;
/** Of one file. */
const SEGMENT_BYTES = 4 * 1024 * 1024;
/** Largest record: those that take longer to write than to flush gain nothing here. */
const MOST_BYTES = 256 * 1024;
/** Between the last number of one opening and the first of the next: what a torn write left behind never follows. */
const GAP = 1_000_000;

/** What is written to disk; a test may be the disk that is broken. On disk when the callback is called. */
export type WriteParts = (
  fd: number,
  parts: readonly Buffer[],
  position: number,
  done: (error: Error | null, bytes: number) => void,
) => void;

export interface JournalOptions {
  /** Beginning of the files' names. */
  path: string;
  /** Of the file that it stands in front of: a u32 that no other has. */
  id: number;
  /** Number of the last record that is in the file. */
  after: number;
  /** Told when it cannot be used any more: from then on `append` takes nothing. */
  failed(error: unknown): void;
  segmentBytes?: number;
  write?: WriteParts;
}

export interface JournalRecord {
  number: number;
  record: Buffer;
}

export interface Journal {
  /** The files are made; `append` takes records from then on. Never rejects. */
  readonly ready: Promise<void>;
  /**
   * The record's number, and a promise that resolves when it is on disk, after those of lower numbers; it rejects when that is not sure.
   * Undefined: it is too large, there is no room until more is released, or the journal cannot be used.
   */
  append(record: Buffer): { number: number; written: Promise<void> } | undefined;
  /** Records up to that number are in the file. */
  release(number: number): void;
  /** What is being written is waited for; the files stay. */
  close(): Promise<void>;
}

interface Segment {
  fd: number;
  /** Bytes given away. */
  used: number;
  /** Number of its newest record. */
  last: number;
}

interface Pending {
  segment: Segment;
  position: number;
  frame: Buffer;
  done: PromiseWithResolvers<void>;
}

/** Records of one file from its beginning on, as long as they follow one another. */
function readSegment(bytes: Buffer, id: number): JournalRecord[] {
  const found: JournalRecord[] = [];
  for (let at = 0; at + HEAD_BYTES <= bytes.length; ) {
    const end = at + HEAD_BYTES + bytes.readUInt32LE(at);
    if (end === at + HEAD_BYTES || end > bytes.length) break;
    if (crc32(bytes.subarray(at + 8, end), id) !== bytes.readUInt32LE(at + 4)) break;
    const number = bytes.readDoubleLE(at + 8);
    const before = found.at(-1);
    if (before !== undefined && number !== before.number + 1) break;
    found.push({ number, record: bytes.subarray(at + HEAD_BYTES, end) });
    at = end;
  }
  return found;
}

function frameOf(record: Buffer, number: number, id: number): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + record.length);
  frame.writeUInt32LE(record.length, 0);
  frame.writeDoubleLE(number, 8);
  frame.set(record, HEAD_BYTES);
  frame.writeUInt32LE(crc32(frame.subarray(8), id), 4);
  return frame;
}

/** A file of zeros: the one of that name is whole, or not there. */
async function makeSegment(path: string, bytes: number): Promise<void> {
  const draft = `${path}.new`;
  await rm(draft, { force: true });
  const file = await open(draft, 'wx', 0o600);
  try {
    const zeros = Buffer.alloc(Math.min(bytes, 256 * 1024));
    for (let at = 0; at < bytes; at += zeros.length)
      await file.write(zeros, 0, Math.min(zeros.length, bytes - at), at);
    await file.sync();
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  const directory = await open(dirname(path), 'r');
  await directory.sync().finally(() => directory.close());
}

function readFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

/** What a crash left in the files that is not in the file they stand in front of, in order, and what is known of them. */
function readLeft(paths: readonly string[], id: number, after: number) {
  const found = paths.map((path) => {
    const bytes = readFile(path);
    const records = readSegment(bytes, id);
    return { path, bytes: bytes.length, last: records.at(-1)?.number ?? 0, records };
  });
  return {
    files: found.map(({ path, bytes, last }) => ({ path, bytes, last })),
    left: found
      .flatMap(({ records }) => records)
      .filter(({ number }) => number > after)
      .sort((a, b) => a.number - b.number),
  };
}

/**
 * Reads what is left (which the caller puts into the file and releases), and makes the files where they are not there. Throws what the
 * system says when they cannot be read.
 */
export function openJournal(options: JournalOptions): { journal: Journal; left: JournalRecord[] } {
  const { path, id, after, segmentBytes = SEGMENT_BYTES } = options;
  const { files, left } = readLeft([`${path}-a`, `${path}-b`], id, after);
  return { journal: createJournal({ ...options, segmentBytes }, files), left };
}

function createJournal(
  {
    id,
    after,
    failed,
    segmentBytes,
    write = writev as WriteParts,
  }: JournalOptions & { segmentBytes: number },
  files: readonly { path: string; bytes: number; last: number }[],
): Journal {
  let next = Math.max(after, ...files.map(({ last }) => last)) + GAP;
  /** The first is the one that is written; none while they are being made, and when they are broken. */
  let segments: Segment[] = [];
  let released = after;
  let pending: Pending[] = [];
  let writing: Promise<void> | undefined;
  let closed = false;

  const closeFiles = () => {
    for (const { fd } of segments.splice(0)) closeSync(fd);
  };

  const giveUp = (error: unknown) => {
    const refused = pending;
    pending = [];
    for (const { done } of refused) done.reject(error);
    closeFiles();
    failed(error);
  };

  /** Written as one: neighbours in one file. */
  const take = (): Pending[] => {
    const other = pending.findIndex(({ segment }) => segment !== pending[0]?.segment);
    const group = other < 0 ? pending : pending.slice(0, other);
    pending = other < 0 ? [] : pending.slice(other);
    return group;
  };

  const writeGroup = (group: readonly Pending[]): Promise<void> => {
    const { segment, position } = group[0] as Pending;
    const bytes = group.reduce((sum, { frame }) => sum + frame.length, 0);
    return new Promise((resolve, reject) => {
      write(
        segment.fd,
        group.map(({ frame }) => frame),
        position,
        (error, written) =>
          error === null && written === bytes ? resolve() : reject(error ?? new Error('written in part')),
      );
    });
  };

  const drain = async () => {
    while (pending.length > 0) {
      const group = take();
      try {
        await writeGroup(group);
        for (const { done } of group) done.resolve();
      } catch (error) {
        for (const { done } of group) done.reject(error);
        giveUp(error);
      }
    }
  };

  const begin = () => {
    // Later in this turn: what arrives together is written together.
    writing ??= new Promise<void>((resolve) => setImmediate(resolve)).then(drain).finally(() => {
      writing = undefined;
      if (pending.length > 0) begin();
    });
  };

  /** Where so many bytes go. */
  const roomFor = (bytes: number): Segment | undefined => {
    const [current, other] = segments;
    if (current === undefined || other === undefined) return undefined;
    const begun = current.used > 0 || current.last <= released;
    if (begun && current.used + bytes <= segmentBytes) return current;
    if (other.last > released) return undefined;
    other.used = 0;
    segments = [other, current];
    return other;
  };

  const prepare = async () => {
    try {
      for (const { path, bytes } of files) if (bytes !== segmentBytes) await makeSegment(path, segmentBytes);
      if (closed) return;
      for (const { path, last } of files)
        segments.push({ fd: openSync(path, constants.O_WRONLY | constants.O_DSYNC), used: 0, last });
    } catch (error) {
      closeFiles();
      failed(error);
    }
  };

  const ready = prepare();
  return {
    ready,
    append(record) {
      const bytes = HEAD_BYTES + record.length;
      if (closed || record.length === 0 || record.length > MOST_BYTES) return undefined;
      const segment = roomFor(bytes);
      if (segment === undefined) return undefined;
      const number = next++;
      const done = Promise.withResolvers<void>();
      pending.push({ segment, position: segment.used, frame: frameOf(record, number, id), done });
      segment.used += bytes;
      segment.last = number;
      begin();
      return { number, written: done.promise };
    },
    release(number) {
      released = Math.max(released, number);
    },
    async close() {
      closed = true;
      await ready;
      while (writing !== undefined) await writing;
      closeFiles();
    },
  };
}
