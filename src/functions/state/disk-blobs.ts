/**
 * Blobs as files: a row of the embedded state says which file is the blob, so that a writer changes it in one step and readers
 * keep what they have open. Files that no row names are left by crashes and go at the start.
 */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { messageOf, PetrelError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { ownText } from '../../durable/bytes.ts';
import { Refusal } from '../invocations/answers.ts';
import { type EmbeddedState, openEmbedded } from './embedded.ts';
import { BLOBS } from './file.ts';
import type { BlobInfo, BlobState, Entry } from './types.ts';

/** What a row's value says. */
interface Pointer {
  file: string;
  bytes: number;
  modified: number;
}

const pointerOf = (value: Uint8Array): Pointer => JSON.parse(Buffer.from(value).toString('utf8')) as Pointer;

const infoOf = ({ key, value, type, version, expires }: Entry): BlobInfo => {
  const { bytes, modified } = pointerOf(value);
  return { key, bytes, type, version, modified, ...(expires === undefined ? {} : { expires }) };
};

/** Opens blobs in `dir`, with their rows in a file of it. Throws `PetrelError` when it cannot be used. */
export async function openDiskBlobs(options: {
  dir: string;
  clock: Clock;
  log: Logger;
}): Promise<{ blobs: BlobState; keyed: EmbeddedState }> {
  const { dir, clock, log } = options;
  const files = join(dir, 'blobs');
  await mkdir(files, { recursive: true, mode: 0o700 });
  const drop = (file: string) =>
    rm(join(files, file), { force: true }).catch((error) =>
      log.warn('the file of a blob was not removed', { file, error: messageOf(error) }),
    );
  const rows = openEmbedded({
    path: join(dir, 'state.db'),
    clock,
    log,
    onOld(values) {
      for (const value of values) void drop(pointerOf(value).file);
    },
  });
  const named = new Set([...rows.values(BLOBS)].map((value) => pointerOf(value).file));
  for (const file of await readdir(files)) if (!named.has(file)) await drop(file);

  const store = async (body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Pointer> => {
    const file = randomBytes(12).toString('hex');
    let bytes = 0;
    try {
      const handle = await open(join(files, file), 'wx', 0o600);
      try {
        for await (const part of body) {
          bytes += part.length;
          if (bytes > maxBytes)
            throw new Refusal('body_too_large', `the blob has more than ${maxBytes} bytes`);
          await handle.appendFile(part);
        }
        await handle.sync();
      } finally {
        await handle.close();
      }
    } catch (error) {
      await drop(file);
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
      throw new PetrelError('DiskFull', `cannot write ${files}: the disk is full`, {
        fix: 'Free some space on this disk.',
        cause: error,
      });
    }
    return { file, bytes, modified: clock.now() };
  };

  const blobs: BlobState = {
    async stat(space, key) {
      const row = await rows.get(BLOBS + space, key);
      return row && infoOf(row);
    },
    async read({ key, version }, space, from, to) {
      const row = await rows.get(BLOBS + space, key);
      if (row?.version !== version) return undefined;
      // Opened before anything is answered: from here on the bytes stay, whoever writes.
      const handle = await open(join(files, pointerOf(row.value).file)).catch(() => undefined);
      return handle && createReadStream('', { fd: handle, start: from, end: to });
    },
    async put(space, key, { body, maxBytes, ...write }) {
      const pointer = await store(body, maxBytes);
      let result: Awaited<ReturnType<EmbeddedState['put']>> | undefined;
      try {
        result = await rows.put(BLOBS + space, key, {
          ...write,
          value: ownText(JSON.stringify(pointer)),
        });
      } finally {
        if (result === undefined || 'refused' in result) await drop(pointer.file);
      }
      return 'refused' in result ? result : { ...result, bytes: pointer.bytes };
    },
    delete: (space, key, condition) => rows.delete(BLOBS + space, key, condition),
    list: async (space, query) => (await rows.list(BLOBS + space, query)).map(infoOf),
    close: () => rows.close(),
  };
  return { blobs, keyed: rows };
}
