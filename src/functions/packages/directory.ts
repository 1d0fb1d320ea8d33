/** Packages in a directory of this machine: `archives/<hex>` the bytes as uploaded, `builds/<inputs>` notes. */
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { ArchiveDriver } from './driver.ts';

/** Sees to it that entries of a directory outlive the machine. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await fs.open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

const absent = (error: NodeJS.ErrnoException): undefined => {
  if (error.code !== 'ENOENT') throw error;
};

/** `now` decides what a touched archive is dated. */
export function createDirectoryDriver(dir: string, now: () => number): ArchiveDriver {
  const archives = join(dir, 'archives');
  const notes = join(dir, 'builds');
  const file = (hex: string) => join(archives, hex);
  return {
    exclusive: true,
    file,
    async bytesOf(hex) {
      return (await fs.stat(file(hex)).catch(absent))?.size;
    },
    async put(hex, path) {
      await fs.mkdir(archives, { recursive: true, mode: 0o700 });
      await fs.rename(path, file(hex));
      await syncDirectory(archives);
    },
    async read(hex) {
      const handle = await fs.open(file(hex), 'r').catch(absent);
      if (handle === undefined) return undefined;
      const { size } = await handle.stat();
      return { bytes: size, stream: handle.createReadStream() };
    },
    touch: (hex) => fs.utimes(file(hex), now() / 1000, now() / 1000),
    async *list() {
      for (const hex of (await fs.readdir(archives).catch(absent)) ?? []) {
        const found = await fs.stat(file(hex)).catch(absent);
        if (found) yield { hex, bytes: found.size, modifiedMs: found.mtimeMs };
      }
    },
    remove: (hex) => fs.rm(file(hex), { force: true }),
    note: (name) => fs.readFile(join(notes, name), 'utf8').catch(absent),
    async putNote(name, text) {
      await fs.mkdir(notes, { recursive: true, mode: 0o700 });
      const temporary = join(notes, `.${name}`);
      const handle = await fs.open(temporary, 'w', 0o600);
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await fs.rename(temporary, join(notes, name));
      await syncDirectory(notes);
    },
    async dropNotes(keep) {
      for (const name of (await fs.readdir(notes).catch(absent)) ?? []) {
        const text = await fs.readFile(join(notes, name), 'utf8').catch(() => '');
        if (!(await keep(text))) await fs.rm(join(notes, name), { force: true });
      }
    },
  };
}
