/** Where the bytes of blobs are: files of a directory, or objects of a bucket, each under a name that is used once. */
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import { Refusal } from '../invocations/answers.ts';
import type { Place } from '../s3/place.ts';

export interface Contents {
  /** Keeps all of a body under a name and says how long it was. Rejects with `Refusal` `body_too_large` beyond `maxBytes`; then nothing is kept. */
  keep(name: string, body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<number>;
  /** From the byte `from` to the byte `to`, both counted from 0; undefined when it is gone. What has been opened stays readable. */
  open(name: string, from: number, to: number): Promise<AsyncIterable<Uint8Array> | undefined>;
  drop(name: string): Promise<void>;
  /** Drops what nobody names. */
  sweep(named: (name: string) => boolean): Promise<void>;
}

/** Writes a body to a file, flushed. */
async function spool(path: string, body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<number> {
  let bytes = 0;
  try {
    const handle = await open(path, 'wx', 0o600);
    try {
      for await (const part of body) {
        bytes += part.length;
        if (bytes > maxBytes) throw new Refusal('body_too_large', `the blob has more than ${maxBytes} bytes`);
        await handle.appendFile(part);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    return bytes;
  } catch (error) {
    await rm(path, { force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    throw new PetrelError('DiskFull', `cannot write ${path}: the disk is full`, {
      fix: 'Free some space on this disk.',
      cause: error,
    });
  }
}

/** Files of a directory. */
export async function diskContents(dir: string): Promise<Contents> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const drop = (name: string) => rm(join(dir, name), { force: true });
  return {
    keep: (name, body, maxBytes) => spool(join(dir, name), body, maxBytes),
    async open(name, from, to) {
      const handle = await open(join(dir, name)).catch(() => undefined);
      return handle && createReadStream('', { fd: handle, start: from, end: to });
    },
    drop,
    async sweep(named) {
      for (const name of await readdir(dir)) if (!named(name)) await drop(name);
    },
  };
}

/** Of what nobody names only this goes: what is younger may just be on its way in, ms. */
const YOUNG_MS = 24 * 3_600_000;

/** Objects of a bucket. A body waits in a file of `dir` until all of it is there: only then are its length and its digest known. */
export async function bucketContents(place: Place, dir: string, now: () => number): Promise<Contents> {
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true, mode: 0o700 });
  return {
    async keep(name, body, maxBytes) {
      const path = join(dir, name);
      const bytes = await spool(path, body, maxBytes);
      try {
        await place.put(name, path, bytes);
      } finally {
        await rm(path, { force: true });
      }
      return bytes;
    },
    async open(name, from, to) {
      // An empty object has no range.
      if (to < from) return (async function* () {})();
      return (await place.read(name, { from, to }))?.stream;
    },
    drop: (name) => place.remove(name),
    async sweep(named) {
      for await (const { key, modifiedMs } of place.list(''))
        if (!named(key) && now() - modifiedMs > YOUNG_MS) await place.remove(key);
    },
  };
}
