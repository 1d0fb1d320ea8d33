/** Reads the files of one run of a container the way `kubectl logs` asks for them. */
import { type FileHandle, open } from 'node:fs/promises';
import { parseLine } from './format.ts';
import { LOG_LIMITS, type LogWriter } from './writer.ts';

export interface ReadOptions {
  follow?: boolean;
  /** Only the last lines; undefined is all. */
  tailLines?: number;
  /** Only lines of this time (milliseconds since the epoch) or later. */
  since?: number;
  timestamps?: boolean;
  /** Stop after that many bytes. */
  limitBytes?: number;
  signal?: AbortSignal;
}

const CHUNK = 64 * 1024;
const NEWLINE = 10;
const LINE_END = Buffer.from('\n');

/** Files of a run, oldest first, opened at once so that rotation cannot take one away. */
async function openAll(path: string): Promise<FileHandle[]> {
  const files: FileHandle[] = [];
  for (let number = LOG_LIMITS.maxFiles - 1; number >= 0; number--) {
    const file = await open(number === 0 ? path : `${path}.${number}`, 'r').catch(() => undefined);
    if (file) files.push(file);
  }
  return files;
}

/** Where the last `count` lines begin: index of the file and offset in it. */
async function findTail(files: FileHandle[], count: number): Promise<{ index: number; offset: number }> {
  let missing = count;
  for (let index = files.length - 1; index >= 0; index--) {
    const file = files[index]!;
    let end = (await file.stat()).size;
    if (count === 0) return { index, offset: end };
    // The newline that ends the last line begins nothing.
    let atEnd = true;
    while (end > 0) {
      const length = Math.min(CHUNK, end);
      const { buffer } = await file.read(Buffer.alloc(length), 0, length, end - length);
      for (let at = length - 1; at >= 0; at--) {
        if (buffer[at] !== NEWLINE) continue;
        if (!atEnd && --missing === 0) return { index, offset: end - length + at + 1 };
        atEnd = false;
      }
      end -= length;
    }
    // The first line of a file has no newline before it.
    if (!atEnd && --missing === 0) return { index, offset: 0 };
  }
  return { index: 0, offset: 0 };
}

/** Lines of an open file from a position on, without their newline, as many at a time as were read; an unfinished last line is left for later. */
async function* linesOf(file: FileHandle, position: { offset: number }): AsyncGenerator<Buffer[]> {
  let rest = Buffer.alloc(0);
  for (;;) {
    const { bytesRead, buffer } = await file.read(
      Buffer.allocUnsafe(CHUNK),
      0,
      CHUNK,
      position.offset + rest.length,
    );
    if (bytesRead === 0) return;
    const data =
      rest.length === 0
        ? buffer.subarray(0, bytesRead)
        : Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
    const lines: Buffer[] = [];
    let from = 0;
    for (let newline = data.indexOf(NEWLINE); newline !== -1; newline = data.indexOf(NEWLINE, from)) {
      lines.push(data.subarray(from, newline));
      from = newline + 1;
    }
    position.offset += from;
    if (lines.length > 0) yield lines;
    rest = data.subarray(from);
  }
}

/**
 * The log as a client sees it. With `follow` it ends when the run has ended (`writer` closed or absent) or `signal` aborts.
 * A run without output has no file and an empty log.
 */
export async function* readLog(
  path: string,
  options: ReadOptions,
  writer: LogWriter | undefined,
): AsyncGenerator<Buffer> {
  await writer?.flush();
  let rotations = writer?.rotations ?? 0;
  const files = await openAll(path);
  let current: FileHandle | undefined;
  let left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  let atStart = true;
  /** What is shown of these lines, in one piece. */
  const show = (lines: Buffer[]): Buffer => {
    const parts: Buffer[] = [];
    for (const raw of lines) {
      const line = parseLine(raw);
      if (!line || (options.since !== undefined && Date.parse(line.time) < options.since)) continue;
      // Before a line, not before each of its pieces.
      if (options.timestamps && atStart) parts.push(raw.subarray(0, line.time.length + 1));
      parts.push(line.text);
      if (line.full) parts.push(LINE_END);
      atStart = line.full;
    }
    const shown = Buffer.concat(parts).subarray(0, left);
    left -= shown.length;
    return shown;
  };
  try {
    const tail = options.tailLines;
    const start = tail === undefined ? { index: 0, offset: 0 } : await findTail(files, tail);
    const position = { offset: 0 };
    for (let index = start.index; index < files.length; index++) {
      position.offset = index === start.index ? start.offset : 0;
      for await (const lines of linesOf(files[index]!, position)) {
        const shown = show(lines);
        if (shown.length > 0) yield shown;
        if (left <= 0 || options.signal?.aborted) return;
      }
    }
    if (!options.follow || !writer) return;
    current = files.pop();
    for (;;) {
      // Looked at before reading: what happens meanwhile is for the next round.
      const { closed, version } = writer;
      const moved = !current || writer.rotations !== rotations;
      if (current) {
        for await (const lines of linesOf(current, position)) {
          const shown = show(lines);
          if (shown.length > 0) yield shown;
          if (left <= 0 || options.signal?.aborted) return;
        }
      }
      if (moved) {
        const next = await nextFile(path, writer, rotations, current !== undefined);
        if (next) {
          await current?.close();
          current = next.file;
          rotations = next.rotations;
          position.offset = 0;
          continue;
        }
      }
      if (closed) return;
      await changeOf(writer, version, options.signal);
      if (options.signal?.aborted) return;
    }
  } finally {
    for (const file of [...files, current]) await file?.close().catch(() => {});
  }
}

/** The file that came after the one read so far. A reader more than all kept files behind goes on with the oldest. */
async function nextFile(path: string, writer: LogWriter, seen: number, hadFile: boolean) {
  const behind = writer.rotations - seen - (hadFile ? 1 : 0);
  const number = Math.max(0, Math.min(behind, LOG_LIMITS.maxFiles - 1));
  const file = await open(number === 0 ? path : `${path}.${number}`, 'r').catch(() => undefined);
  return file ? { file, rotations: writer.rotations - number } : undefined;
}

function changeOf(writer: LogWriter, version: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted || writer.version !== version) return resolve();
    const wake = () => {
      writer.onChange.delete(wake);
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    writer.onChange.add(wake);
    signal?.addEventListener('abort', wake, { once: true });
  });
}
