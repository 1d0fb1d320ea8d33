/** Unpacks an archive that nobody vouches for into a directory of its own. */
import { chmodSync, closeSync, fchmodSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { chmod, type FileHandle, link as hardlink, mkdir, open, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Transform } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { pump } from '../../base/archive/pump.ts';
import { looksLikeTar, readTar, type TarEntry } from '../../base/archive/tar.ts';
import { PetrelError } from '../../base/errors.ts';
import { passedThrough } from '../../base/garbage.ts';
import { type ArchiveLimits, createLayout, DEFAULT_LIMITS, unsafe } from './layout.ts';
import { readZip } from './zip.ts';

/** Files up to this size are taken into memory and written at once: four calls take a tenth of the time of four waits. */
const SMALL = 64 * 1024;
/** Bytes that the decompressor gives at once: each time is a turn of the thread pool. */
const CHUNK = 128 * 1024;
/** Others get a turn after so much of that, ms. */
const SLICE_MS = 2;

async function* fileBytes(file: FileHandle): AsyncGenerator<Buffer> {
  let at = 0;
  while (true) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(SMALL), 0, SMALL, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
    passedThrough(bytesRead);
  }
}

async function* decompressed(
  source: AsyncIterable<Uint8Array>,
  format: string,
  transform: Transform,
): AsyncGenerator<Buffer> {
  try {
    yield* pump(source, transform);
  } catch (error) {
    if (/^(Z_|ZSTD_)/.test(String((error as NodeJS.ErrnoException).code))) {
      throw new PetrelError(
        'UnsafeArchive',
        `The archive is damaged: its ${format} stream does not decompress.`,
        {
          why: (error as Error).message,
          fix: 'Make the archive again and upload it once more.',
          cause: error,
        },
      );
    }
    throw error;
  }
}

/** What a file is by its first 512 bytes; undefined for what is no archive. `gzip` and `zstd` are compressed tar. */
export function formatOf(head: Buffer): 'gzip' | 'zstd' | 'zip' | 'tar' | undefined {
  if (head.length >= 2 && head.readUInt16BE(0) === 0x1f8b) return 'gzip';
  const magic = head.length >= 4 ? head.readUInt32BE(0) : 0;
  if (magic === 0x28b52ffd) return 'zstd';
  if (magic === 0x504b0304 || magic === 0x504b0506) return 'zip';
  return looksLikeTar(head.subarray(0, 512)) ? 'tar' : undefined;
}

/** The entries of a `tar.zst` that comes as a stream. */
const zstdEntries = (source: AsyncIterable<Uint8Array>) =>
  readTar(decompressed(source, 'zstd', createZstdDecompress({ chunkSize: CHUNK })));

/** The archive's entries, whichever of the known formats it has. */
async function entriesOf(file: FileHandle): Promise<AsyncGenerator<TarEntry>> {
  const { size } = await file.stat();
  const head = Buffer.alloc(512);
  const { bytesRead } = await file.read(head, 0, 512, 0);
  const format = formatOf(head.subarray(0, bytesRead));
  if (format === 'gzip')
    return readTar(decompressed(fileBytes(file), 'gzip', createGunzip({ chunkSize: CHUNK })));
  if (format === 'zstd') return zstdEntries(fileBytes(file));
  if (format === 'zip') return readZip(file, size);
  if (format === 'tar') return readTar(fileBytes(file));
  throw new PetrelError('UnsupportedSource', 'The package is not an archive that can be read.', {
    why: 'It is neither tar, nor tar.gz, nor tar.zst, nor zip.',
    fix: 'Deploy a file or a directory and let petrel package it, or upload a .tar.gz.',
  });
}

/** Names that differ only in case are one file on some disks. */
const twice = (error: NodeJS.ErrnoException, name: string): unknown =>
  error.code === 'EEXIST' ? unsafe(name, 'occurs twice') : error;

function writeSmall(path: string, name: string, mode: number, body: Buffer): void {
  let file: number;
  try {
    file = openSync(path, 'wx', mode);
  } catch (error) {
    throw twice(error as NodeJS.ErrnoException, name);
  }
  try {
    // Instances may run as another user, whatever the umask of the platform is.
    fchmodSync(file, mode);
    for (let at = 0; at < body.length; ) at += writeSync(file, body, at);
  } finally {
    closeSync(file);
  }
}

async function writeLarge(
  path: string,
  name: string,
  mode: number,
  body: AsyncIterable<Buffer>,
): Promise<void> {
  const file = await open(path, 'wx', mode).catch((error) => {
    throw twice(error, name);
  });
  try {
    await file.chmod(mode);
    for await (const part of body) await file.writeFile(part);
  } finally {
    await file.close();
  }
}

/**
 * Unpacks the archive at `archive` into the new directory `target`. On any failure the directory is left half full
 * for the caller to remove. Throws `PetrelError` `UnsafeArchive` (naming the entry) or `UnsupportedSource`, or the
 * disk's own error.
 */
export async function unpackArchive(
  archive: string,
  target: string,
  limits: ArchiveLimits = DEFAULT_LIMITS,
): Promise<void> {
  const file = await open(archive, 'r');
  try {
    await unpackEntries(await entriesOf(file), target, limits);
  } finally {
    await file.close();
  }
}

/** The same for a `tar.zst` while it arrives. An error of `source` is passed on. */
export async function unpackStream(
  source: AsyncIterable<Uint8Array>,
  target: string,
  limits: ArchiveLimits = DEFAULT_LIMITS,
): Promise<void> {
  await unpackEntries(zstdEntries(source), target, limits);
}

async function unpackEntries(
  source: AsyncIterable<TarEntry>,
  target: string,
  limits: ArchiveLimits,
): Promise<void> {
  await mkdir(target, { recursive: true });
  await chmod(target, 0o755);
  const layout = createLayout(limits);
  const made = new Set<string>(['']);
  let busySince = performance.now();

  const ensure = async (path: string): Promise<void> => {
    for (const directory of [...layout.parents(path), path]) {
      if (made.has(directory)) continue;
      made.add(directory);
      mkdirSync(join(target, directory));
      chmodSync(join(target, directory), 0o755);
    }
  };
  const parentOf = (path: string) => path.slice(0, Math.max(0, path.lastIndexOf('/')));
  const counted = async function* (name: string, body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const part of body) {
      layout.unpacked(name, part.length);
      yield part;
      passedThrough(part.length);
    }
  };

  const place: Record<TarEntry['type'], (entry: TarEntry) => Promise<void>> = {
    async directory(entry) {
      await ensure(layout.directory(entry.name));
    },
    async file(entry) {
      const path = layout.file(entry.name, entry.size);
      await ensure(parentOf(path));
      const mode = entry.mode & 0o100 ? 0o755 : 0o644;
      const body = counted(entry.name, entry.body());
      if (entry.size > SMALL) return writeLarge(join(target, path), entry.name, mode, body);
      const parts: Buffer[] = [];
      for await (const part of body) parts.push(part);
      writeSmall(
        join(target, path),
        entry.name,
        mode,
        parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts),
      );
    },
    async symlink(entry) {
      layout.symlink(entry.name, entry.link);
    },
    async hardlink(entry) {
      const { path, existing } = layout.hardlink(entry.name, entry.link);
      await ensure(parentOf(path));
      await hardlink(join(target, existing), join(target, path));
    },
    async special(entry) {
      throw unsafe(entry.name, 'is neither file, directory nor link');
    },
  };

  let entries = 0;
  for await (const entry of source) {
    entries++;
    await place[entry.type](entry);
    if (performance.now() - busySince > SLICE_MS) {
      await nextTurn();
      busySince = performance.now();
    }
  }
  if (entries === 0) {
    throw new PetrelError('UnsupportedSource', 'The package is empty.', {
      fix: 'Package at least one file of code.',
    });
  }
  for (const { path, target: to } of layout.links()) {
    await ensure(parentOf(path));
    await symlink(to, join(target, path));
  }
}
