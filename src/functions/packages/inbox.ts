/**
 * Archives on their way in: written to disk and hashed as they come, never held in memory. What was begun under a known digest and broke
 * off stays, and goes on where it ended.
 *
 * `<dir>/incoming/` what is forgotten at the next start · `<dir>/partial/<hex>` what can be gone on with
 */
import { createHash, type Hash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import { passedThrough } from '../../base/garbage.ts';

/** Uploads that broke off are kept this long, ms, and no more than so many bytes of them. */
const PARTIAL_MS = 24 * 60 * 60_000;
const PARTIAL_BYTES = 2 * 1024 ** 3;

export interface InboxOptions {
  dir: string;
  /** Another process receives here, too: what is on its way there is its own. */
  shared: boolean;
  maxBytes: number;
  now: () => number;
  openFile: typeof fs.open;
}

/** What has arrived. */
export interface Arrived {
  path: string;
  hex: string;
  bytes: number;
  /** Removes the file if it is still there; to be called by whoever is done with it. */
  discard(): Promise<void>;
}

export interface Upload {
  /** Digest that the bytes must have, hexadecimal. */
  hex?: string;
  /** The source begins at this byte of the archive; needs `hex`. Absent: at the first. */
  offset?: number;
}

export interface Inbox {
  /** Empties what was on its way when the platform ended. */
  prepare(): Promise<void>;
  /** A path for work in progress. */
  scratch(): string;
  /** Bytes of an upload that broke off, 0 when there is none. */
  begun(hex: string): Promise<number>;
  /** Takes an archive in; it is synced when it resolves. Throws `PackageTooLarge`, `DigestMismatch` or `Conflict`. */
  receive(source: AsyncIterable<Uint8Array>, upload: Upload): Promise<Arrived>;
  /** Forgets uploads that nobody has gone on with. */
  forgetOld(): Promise<void>;
}

export function createInbox({ dir, shared, maxBytes, now, openFile }: InboxOptions): Inbox {
  const incoming = join(dir, 'incoming');
  const partial = join(dir, 'partial');
  /** Digests that are arriving now. */
  const busy = new Set<string>();
  const remove = (path: string) => fs.rm(path, { recursive: true, force: true });
  const scratch = () => join(incoming, randomBytes(9).toString('hex'));
  const sizeOf = async (path: string) => (await fs.stat(path).catch(() => undefined))?.size ?? 0;

  /** The hash of what is there already. */
  const hashed = async (path: string, bytes: number): Promise<Hash> => {
    const hash = createHash('sha256');
    if (bytes === 0) return hash;
    const file = await fs.open(path, 'r');
    for await (const chunk of file.createReadStream({ end: bytes - 1 })) hash.update(chunk as Buffer);
    return hash;
  };

  const write = async (source: AsyncIterable<Uint8Array>, path: string, offset: number) => {
    const hash = await hashed(path, offset);
    let bytes = offset;
    const file = await openFile(path, offset === 0 ? 'w' : 'a', 0o600);
    try {
      for await (const chunk of source) {
        bytes += chunk.byteLength;
        if (bytes > maxBytes) throw tooLarge(maxBytes);
        hash.update(chunk);
        await file.writeFile(chunk);
        passedThrough(chunk.byteLength);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    return { hex: hash.digest('hex'), bytes };
  };

  return {
    scratch,
    async prepare() {
      if (!shared) await remove(incoming);
      for (const directory of [incoming, partial])
        await fs.mkdir(directory, { recursive: true, mode: 0o700 });
    },
    begun: (hex) => sizeOf(join(partial, hex)),
    async receive(source, { hex: wanted, offset = 0 }) {
      const resumable = wanted !== undefined && !busy.has(wanted);
      const path = resumable ? join(partial, wanted) : scratch();
      const here = offset === 0 ? 0 : resumable ? await sizeOf(path) : 0;
      if (offset !== here) {
        throw new PetrelError('Conflict', `The upload goes on at byte ${offset}, but ${here} have arrived.`, {
          fix: 'Ask how much has arrived, and go on there.',
        });
      }
      if (resumable) busy.add(wanted);
      // Somebody works with what has arrived until it is discarded: the next one of the same bytes must not write into it.
      const discard = async () => {
        await remove(path);
        if (resumable) busy.delete(wanted);
      };
      try {
        const arrived = await write(source, path, offset);
        if (wanted !== undefined && wanted !== arrived.hex) {
          throw new PetrelError(
            'DigestMismatch',
            `The package arrived as sha256:${arrived.hex}, not as sha256:${wanted}.`,
            {
              why: 'It changed while it was being uploaded, or the connection broke.',
              fix: 'Deploy again.',
            },
          );
        }
        return { ...arrived, path, discard };
      } catch (error) {
        // A connection that broke says nothing against what has come so far.
        const refused =
          error instanceof PetrelError ||
          ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');
        if (!resumable || refused) await discard();
        if (resumable) busy.delete(wanted);
        throw error;
      }
    },
    async forgetOld() {
      const found: { path: string; bytes: number; at: number }[] = [];
      for (const hex of await fs.readdir(partial).catch(() => [] as string[])) {
        if (busy.has(hex)) continue;
        const path = join(partial, hex);
        const stats = await fs.stat(path).catch(() => undefined);
        if (stats) found.push({ path, bytes: stats.size, at: stats.mtimeMs });
      }
      let kept = 0;
      for (const { path, bytes, at } of found.sort((a, b) => b.at - a.at)) {
        kept += bytes;
        if (kept > PARTIAL_BYTES || now() - at > PARTIAL_MS) await remove(path);
      }
    },
  };
}

/** The refusal of an archive that is larger than this platform takes. */
export function tooLarge(maxBytes: number): PetrelError {
  return new PetrelError(
    'PackageTooLarge',
    `The package is larger than ${maxBytes} bytes, the limit of this platform.`,
    {
      why: 'Large packages make every cold start slow.',
      fix: 'Leave out what the function does not need (.petrelignore names it), or bundle it.',
    },
  );
}
