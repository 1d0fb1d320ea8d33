/** Writes the output of one run of a container to rotated files, holding up the container for moments only, and little memory. */
import { mkdirSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/log.ts';
import { createBlockQueue } from './blocks.ts';
import { createLineCutter, type LineSink, type StreamName } from './format.ts';

const NEWLINE = 10;

export interface LogLimits {
  /** A file is set aside when it has reached this size. */
  maxFileBytes: number;
  /** Files kept, the current one included: `0.log`, `0.log.1` … */
  maxFiles: number;
  /** Lines waiting for the disk beyond this are dropped, and counted in a line of their own. */
  maxPendingBytes: number;
  /** How long a container may be held up at a time for a slow disk, milliseconds. */
  holdMs: number;
}

export const LOG_LIMITS: LogLimits = {
  maxFileBytes: 10 * 1024 * 1024,
  maxFiles: 5,
  maxPendingBytes: 4 * 1024 * 1024,
  holdMs: 1000,
};

export interface LogWriter {
  /** A promise says that much waits for the disk: it resolves when there is room again, or when the container has been held up long enough. */
  write(stream: StreamName, chunk: Buffer): Promise<void> | undefined;
  /** Writes what is left and closes the file. */
  close(): Promise<void>;
  /** Resolves when everything handed over so far is in the file. */
  flush(): Promise<void>;
  readonly closed: boolean;
  /** Times the file was set aside so far. */
  readonly rotations: number;
  /** Grows with every change of the file, its rotation and its end. */
  readonly version: number;
  /** Called after every write to the file and at the end. */
  onChange: Set<() => void>;
}

/** Nothing is created on disk before there is something to write. */
export function createLogWriter(options: {
  path: string;
  now: () => number;
  log: Logger;
  limits?: Partial<LogLimits>;
}): LogWriter {
  const limits = { ...LOG_LIMITS, ...options.limits };
  const { path, log } = options;
  const pending = createBlockQueue();
  let dropped = 0;
  /** While the container is held up, and what lets it go on. */
  let room: Promise<void> | undefined;
  let roomy = () => {};
  /** The disk has not caught up in time: nobody waits for it until it has. */
  let stuck = false;
  let file: FileHandle | undefined;
  let size = 0;
  let writing: Promise<void> | undefined;
  const onChange = new Set<() => void>();

  // Nanoseconds, as every reader of these files expects them.
  const time = () => new Date(options.now()).toISOString().replace('Z', '000000Z');
  const changed = () => {
    writer.version++;
    for (const listener of [...onChange]) listener();
  };

  const rotate = async () => {
    await file?.close();
    file = undefined;
    for (let number = limits.maxFiles - 1; number >= 1; number--) {
      const from = number === 1 ? path : `${path}.${number - 1}`;
      await rename(from, `${path}.${number}`).catch(() => {});
    }
    writer.rotations++;
  };

  const append = async (bytes: Buffer) => {
    if (!file) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      file = await open(path, 'a', 0o600);
      size = (await file.stat()).size;
    }
    await file.appendFile(bytes);
    size += bytes.length;
  };

  const save = async (bytes: Buffer) => {
    if (size + bytes.length < limits.maxFileBytes) return append(bytes);
    // A block is longer than a line: there is an end of one in it.
    const cut = bytes.lastIndexOf(NEWLINE) + 1;
    await append(bytes.subarray(0, cut));
    if (size >= limits.maxFileBytes) await rotate();
    if (cut < bytes.length) await append(bytes.subarray(cut));
  };

  const drain = async () => {
    // All lines of the chunk that is being cut.
    await undefined;
    for (let bytes = pending.take(); bytes !== undefined; bytes = pending.take()) {
      try {
        await save(bytes);
      } catch (error) {
        // A full disk must not fill memory too: the lines are lost, the container lives.
        log.warn('log lines were lost', {
          path,
          error: messageOf(error),
        });
        await file?.close().catch(() => {});
        file = undefined;
      }
      pending.giveBack(bytes);
      if (pending.size < limits.maxPendingBytes / 4) roomy();
      if (dropped > 0) {
        const note = `${time()} stderr F [${dropped} bytes of output dropped: the disk was slower than the container]\n`;
        dropped = 0;
        pending.write(Buffer.from(note));
      }
      changed();
    }
    writing = undefined;
  };

  /** Ends when the disk has caught up; a disk that does not must not hold up the container for long. */
  const holding = (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const limit = setTimeout(() => {
      stuck = true;
      resolve();
    }, limits.holdMs).unref();
    roomy = () => {
      clearTimeout(limit);
      stuck = false;
      resolve();
    };
    return promise.then(() => {
      room = undefined;
    });
  };

  const add: LineSink = (parts, bytes) => {
    if (pending.size + bytes > limits.maxPendingBytes) dropped += bytes;
    else for (const part of parts) pending.write(part);
    if (pending.size > 0) writing ??= drain();
  };
  const cutters = { stdout: createLineCutter('stdout', add), stderr: createLineCutter('stderr', add) };

  const writer: { -readonly [key in keyof LogWriter]: LogWriter[key] } = {
    closed: false,
    rotations: 0,
    version: 0,
    onChange,
    write(stream, chunk) {
      cutters[stream].push(chunk, time());
      if (stuck || pending.size < limits.maxPendingBytes / 2) return undefined;
      room ??= holding();
      return room;
    },
    async flush() {
      while (writing) await writing;
    },
    async close() {
      if (writer.closed) return;
      cutters.stdout.end(time());
      cutters.stderr.end(time());
      await writer.flush();
      await file?.close().catch(() => {});
      file = undefined;
      writer.closed = true;
      changed();
    },
  };
  return writer;
}

/** Removes all files of one run. */
export async function removeRun(path: string, maxFiles = LOG_LIMITS.maxFiles): Promise<void> {
  await rm(path, { force: true });
  for (let number = 1; number < maxFiles; number++) await rm(`${path}.${number}`, { force: true });
}
