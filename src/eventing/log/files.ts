/**
 * The few things that the log asks of a file system, so that a test can be the disk that is full or broken. All calls go to Node's
 * thread pool: a slow disk holds up nobody who does not wait for it.
 */
import {
  close,
  constants,
  fsync,
  ftruncate,
  mkdir,
  open,
  read,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  unlink,
  writev,
} from 'node:fs';
import { promisify } from 'node:util';

export interface Files {
  /** For reading, and for writing that is on disk when it returns (O_DSYNC: one turn of the thread pool less than a flush of its own). */
  open(path: string, create: boolean): Promise<number>;
  close(fd: number): Promise<void>;
  /** On disk when resolved, all of it. Rejects with what the system said; then any part of it may be there. */
  write(fd: number, parts: readonly Buffer[], position: number): Promise<void>;
  /** How many bytes there were. */
  read(fd: number, into: Buffer, position: number): Promise<number>;
  /** On disk when resolved. */
  truncate(fd: number, size: number): Promise<void>;
  size(path: string): Promise<number>;
  /** A small file as a whole; undefined where there is none. */
  load(path: string): Promise<Buffer | undefined>;
  /** A small file as a whole: the old one or the new one is there, whenever the machine stops. */
  save(path: string, bytes: Uint8Array): Promise<void>;
  remove(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** With everything in it; none is no error. */
  removeDirectory(path: string): Promise<void>;
  makeDirectory(path: string): Promise<void>;
  /** Names in it; none for one that is not there. */
  list(path: string): Promise<string[]>;
  /** Names that were added to or taken from the directory are so on disk when resolved. */
  syncDirectory(path: string): Promise<void>;
}

const { O_RDWR, O_CREAT, O_EXCL, O_DSYNC, O_RDONLY } = constants;
const openFile = promisify(open) as (path: string, flags: number, mode?: number) => Promise<number>;
const closeFile = promisify(close);
const syncFile = promisify(fsync);
const loadFile = promisify(readFile) as (path: string) => Promise<Buffer>;

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code;

const readSome = (fd: number, into: Buffer, at: number, position: number) =>
  new Promise<number>((resolve, reject) =>
    read(fd, into, at, into.length - at, position, (error, bytes) =>
      error ? reject(error) : resolve(bytes),
    ),
  );

const writeSome = (fd: number, parts: readonly Buffer[], position: number) =>
  new Promise<number>((resolve, reject) =>
    writev(fd, parts, position, (error, bytes) => (error ? reject(error) : resolve(bytes))),
  );

/** What is left of the parts after the first `bytes`. */
function rest(parts: readonly Buffer[], bytes: number): Buffer[] {
  const left: Buffer[] = [];
  for (const part of parts) {
    if (bytes >= part.length) bytes -= part.length;
    else {
      left.push(bytes > 0 ? part.subarray(bytes) : part);
      bytes = 0;
    }
  }
  return left;
}

/** The machine's own. */
export const systemFiles: Files = {
  open: (path, create) =>
    openFile(path, O_RDWR | O_DSYNC | (create ? O_CREAT | O_EXCL : 0), create ? 0o600 : undefined),
  close: (fd) => closeFile(fd),
  async write(fd, parts, position) {
    for (let left = parts; left.length > 0; ) {
      const written = await writeSome(fd, left, position);
      position += written;
      left = rest(left, written);
    }
  },
  async read(fd, into, position) {
    let at = 0;
    while (at < into.length) {
      const bytes = await readSome(fd, into, at, position + at);
      if (bytes === 0) break;
      at += bytes;
    }
    return at;
  },
  async truncate(fd, size) {
    await promisify(ftruncate)(fd, size);
    await syncFile(fd);
  },
  size: async (path) => (await promisify(stat)(path)).size,
  async load(path) {
    try {
      return await loadFile(path);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  },
  async save(path, bytes) {
    const draft = `${path}.new`;
    await promisify(rm)(draft, { force: true });
    const fd = await this.open(draft, true);
    try {
      await this.write(fd, [Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)], 0);
    } finally {
      await closeFile(fd);
    }
    await promisify(rename)(draft, path);
  },
  async remove(path) {
    try {
      await promisify(unlink)(path);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  },
  rename: (from, to) => promisify(rename)(from, to),
  removeDirectory: (path) => promisify(rm)(path, { recursive: true, force: true }),
  makeDirectory: async (path) => {
    await promisify(mkdir)(path, { recursive: true, mode: 0o700 });
  },
  async list(path) {
    try {
      return await (promisify(readdir) as (path: string) => Promise<string[]>)(path);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw error;
    }
  },
  async syncDirectory(path) {
    const fd = await openFile(path, O_RDONLY);
    try {
      await syncFile(fd);
    } finally {
      await closeFile(fd);
    }
  },
};
