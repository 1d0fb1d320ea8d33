/** The storage service: archives that are too large to stand in a Package, as files of this machine. */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import type { StoredArchive } from './archives.ts';

/** Largest archive, bytes; Fission's own bound. */
export const ARCHIVE_MAX = 256 * 1024 * 1024;
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** What an id may look like when it comes back: Fission's are paths. */
const bare = (id: string): string => id.split('/').at(-1) ?? '';

export interface Storage {
  /** Takes an archive in, streamed; durable when it resolves. Throws `PackageTooLarge`. */
  put(source: AsyncIterable<Uint8Array>): Promise<string>;
  get(id: string): Promise<StoredArchive | undefined>;
  list(): Promise<string[]>;
  /** How many there are, and their bytes. */
  usage(): Promise<{ count: number; bytes: number }>;
  /** Whether it was there. */
  remove(id: string): Promise<boolean>;
  /** Removes what nobody refers to and is older than `olderThanMs`. */
  prune(referenced: ReadonlySet<string>, olderThanMs: number, now: number): Promise<void>;
}

/** `dir` is made when the first archive comes. */
export function createStorage(dir: string): Storage {
  const path = (id: string) => (ID.test(bare(id)) ? join(dir, bare(id)) : undefined);
  const ids = async () => (await readdir(dir).catch(() => [])).filter((name) => ID.test(name)).sort();
  return {
    async put(source) {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      const id = randomUUID();
      const temporary = join(dir, `.${id}`);
      const file = await open(temporary, 'wx', 0o600);
      try {
        let bytes = 0;
        for await (const part of source) {
          bytes += part.byteLength;
          if (bytes > ARCHIVE_MAX) {
            throw new PetrelError('PackageTooLarge', `The archive is larger than ${ARCHIVE_MAX} bytes.`, {
              fix: 'Leave out what the function does not need.',
            });
          }
          await file.writeFile(part);
        }
        await file.sync();
        await file.close();
        await rename(temporary, join(dir, id));
        return id;
      } catch (error) {
        await file.close().catch(() => {});
        await rm(temporary, { force: true });
        throw error;
      }
    },
    async get(id) {
      const file = path(id);
      const found = file && (await stat(file).catch(() => undefined));
      return found && file ? { bytes: found.size, stream: () => createReadStream(file) } : undefined;
    },
    list: ids,
    async usage() {
      const sizes = await Promise.all(
        (await ids()).map(async (id) => (await stat(join(dir, id)).catch(() => undefined))?.size),
      );
      const there = sizes.filter((size) => size !== undefined);
      return { count: there.length, bytes: there.reduce((sum, size) => sum + size, 0) };
    },
    async remove(id) {
      const file = path(id);
      if (file === undefined || !(await stat(file).catch(() => undefined))) return false;
      await rm(file, { force: true });
      return true;
    },
    async prune(referenced, olderThanMs, now) {
      for (const id of await ids()) {
        if (referenced.has(id)) continue;
        const found = await stat(join(dir, id)).catch(() => undefined);
        if (found && now - found.mtimeMs > olderThanMs) await rm(join(dir, id), { force: true });
      }
    },
  };
}
