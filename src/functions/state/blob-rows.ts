/**
 * Blobs: a row of the embedded state says which content is the blob, so that a writer changes it in one step and readers keep what they
 * have open. Contents that no row names are left by crashes and go at the start.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { ownText } from '../../durable/bytes.ts';
import type { Contents } from './contents.ts';
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

/** Opens blobs whose rows are in a file of `dir`. Throws `PetrelError` when it cannot be used. */
export async function openBlobs(options: {
  dir: string;
  contents: Contents;
  clock: Clock;
  log: Logger;
}): Promise<{ blobs: BlobState; keyed: EmbeddedState }> {
  const { dir, contents, clock, log } = options;
  const drop = (file: string) =>
    contents
      .drop(file)
      .catch((error) => log.warn('the content of a blob was not removed', { file, error: messageOf(error) }));
  const rows = openEmbedded({
    path: join(dir, 'state.db'),
    clock,
    log,
    onOld(values) {
      for (const value of values) void drop(pointerOf(value).file);
    },
  });
  const named = new Set([...rows.values(BLOBS)].map((value) => pointerOf(value).file));
  await contents.sweep((file) => named.has(file));

  const blobs: BlobState = {
    async stat(space, key) {
      const row = await rows.get(BLOBS + space, key);
      return row && infoOf(row);
    },
    async read({ key, version }, space, from, to) {
      const row = await rows.get(BLOBS + space, key);
      // Opened before anything is answered: from here on the bytes stay, whoever writes.
      return row?.version === version ? contents.open(pointerOf(row.value).file, from, to) : undefined;
    },
    async put(space, key, { body, maxBytes, ...write }) {
      const file = randomBytes(12).toString('hex');
      const kept = await contents.keep(file, body, maxBytes);
      const pointer: Pointer = { file, bytes: kept, modified: clock.now() };
      let result: Awaited<ReturnType<EmbeddedState['put']>> | undefined;
      try {
        result = await rows.put(BLOBS + space, key, {
          ...write,
          value: ownText(JSON.stringify(pointer)),
        });
      } finally {
        if (result === undefined || 'refused' in result) await drop(file);
      }
      return 'refused' in result ? result : { ...result, bytes: kept };
    },
    delete: (space, key, condition) => rows.delete(BLOBS + space, key, condition),
    list: async (space, query) => (await rows.list(BLOBS + space, query)).map(infoOf),
    close: () => rows.close(),
  };
  return { blobs, keyed: rows };
}
