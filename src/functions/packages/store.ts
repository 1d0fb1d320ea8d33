/**
 * The package store: archives of code, addressed by the SHA-256 of their bytes, each unpacked once. What has been
 * acknowledged is on the disk; what has not been leaves nothing behind.
 *
 * `<dir>/archives/<hex>` the bytes as uploaded · `<dir>/unpacked/<hex>/` the tree · `<dir>/incoming/` work in progress ·
 * `<dir>/builds/<inputs>` the digest of what was built from them
 */
import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import type { Digest } from '../../kinds/function.ts';
import type { ArchiveLimits } from '../archive/layout.ts';

/** Largest package when nothing else is configured, bytes. */
export const DEFAULT_MAX_PACKAGE_BYTES = 512 * 1024 * 1024;

export interface PackageStoreOptions {
  dir: string;
  /** Largest archive accepted, bytes. */
  maxBytes?: number;
  /** Bounds on what an archive may unpack to. */
  limits?: ArchiveLimits;
  /** Milliseconds; decides the age of packages in `collect`. */
  now?: () => number;
  /** Opens the file an upload is written to; a test makes it fail like a full disk. */
  openFile?: typeof fs.open;
  /** Identifies the running boot of the machine. */
  bootId?: string;
}

export interface StoredPackage {
  digest: Digest;
  bytes: number;
  /** False when the store had it already. */
  created: boolean;
}

export interface PackageStore {
  /** Largest archive accepted, bytes. */
  readonly maxBytes: number;
  /**
   * Takes an archive in, verifies and unpacks it; durable when it resolves. Reads nothing of `source` when the
   * expected package is there already, and no more than the limit. Throws `PackageTooLarge`, `DigestMismatch`, `UnsafeArchive`,
   * `UnsupportedSource` or `DiskFull`, and leaves nothing behind then.
   */
  put(source: AsyncIterable<Uint8Array>, expected?: Digest, declaredBytes?: number): Promise<StoredPackage>;
  /** Size of a stored archive, undefined when it is not here. */
  stat(digest: Digest): Promise<{ bytes: number } | undefined>;
  /** The archive's bytes. Throws `NotFound`. */
  read(digest: Digest): Promise<{ bytes: number; stream: AsyncIterable<Uint8Array> }>;
  /** The unpacked tree when it is known to be there: a memory look-up for the request path. */
  ready(digest: Digest): string | undefined;
  /** The unpacked tree, unpacking it again when it was lost. Throws `NotFound`. */
  directory(digest: Digest): Promise<string>;
  /** What was built from these inputs, if it is still here. */
  built(inputs: string): Promise<Digest | undefined>;
  /** Remembers what was built from these inputs, as long as the package itself is kept; durable when it resolves. */
  keepBuilt(inputs: string, digest: Digest): Promise<void>;
  /** Removes packages that are not referenced and were not uploaded within `olderThanMs`. Returns the bytes freed. */
  collect(referenced: ReadonlySet<Digest>, olderThanMs: number): Promise<number>;
}

/** Whether a string is a digest of a package. */
export function isDigest(value: string): value is Digest {
  return /^sha256:[0-9a-f]{64}$/.test(value);
}

const hexOf = (digest: Digest): string => {
  if (!isDigest(digest)) {
    throw new PetrelError('InvalidArgument', `"${digest}" is not a package digest.`, {
      fix: 'Use sha256: and 64 hexadecimal digits.',
    });
  }
  return digest.slice('sha256:'.length);
};

function notFound(digest: Digest): PetrelError {
  return new PetrelError('NotFound', `Package ${digest} is not in the package store.`, {
    why: 'It was never uploaded to this platform, or was collected because no function used it.',
    fix: 'Deploy the function again: petrel deploy <file or directory>.',
  });
}

/** Turns a disk's error into one a user can act on. */
function diskError(error: unknown, doing: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new PetrelError('DiskFull', `The disk is full: ${doing}.`, {
    why:
      code === 'EDQUOT'
        ? 'The quota of this user is used up.'
        : 'No space is left on the device that holds the platform.',
    fix: 'Free some space there, or move the platform with PETREL_HOME, and try again.',
    cause: error,
  });
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await fs.open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

export function createPackageStore(options: PackageStoreOptions): PackageStore {
  const maxBytes = options.maxBytes ?? DEFAULT_MAX_PACKAGE_BYTES;
  const now = options.now ?? Date.now;
  const openFile = options.openFile ?? fs.open;
  const archives = join(options.dir, 'archives');
  const unpacked = join(options.dir, 'unpacked');
  const incoming = join(options.dir, 'incoming');
  const builds = join(options.dir, 'builds');
  const trees = new Set<string>();
  const unpacking = new Map<string, Promise<string>>();
  let prepared: Promise<void> | undefined;

  const remove = (path: string) => fs.rm(path, { recursive: true, force: true });
  const scratch = () => join(incoming, randomBytes(9).toString('hex'));

  /** Trees are not synced file by file, so after a crash of the machine they are not believed and made anew. */
  const prepare = async (): Promise<void> => {
    await remove(incoming);
    for (const directory of [archives, incoming, unpacked])
      await fs.mkdir(directory, { recursive: true, mode: 0o700 });
    const boot =
      options.bootId ??
      (await fs.readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => 'unknown')).trim();
    const marker = join(unpacked, '.boot');
    if ((await fs.readFile(marker, 'utf8').catch(() => '')) === boot) {
      for (const hex of await fs.readdir(unpacked)) if (hex !== '.boot') trees.add(hex);
    } else {
      await remove(unpacked);
      await fs.mkdir(unpacked);
      await fs.writeFile(marker, boot);
    }
    // Instances may run as another user, who reaches the package he knows the digest of and cannot list the others.
    await fs.chmod(unpacked, 0o711);
  };
  const start = () => (prepared ??= prepare());

  const bytesOf = async (hex: string): Promise<number | undefined> => {
    try {
      return (await fs.stat(join(archives, hex))).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  };

  /** Streams into `path` while hashing; returns digest and size. The file is left open for syncing. */
  const receive = async (source: AsyncIterable<Uint8Array>, file: fs.FileHandle) => {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of source) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) throw tooLarge();
      hash.update(chunk);
      await file.writeFile(chunk);
    }
    return { hex: hash.digest('hex'), bytes };
  };

  const tooLarge = () =>
    new PetrelError(
      'PackageTooLarge',
      `The package is larger than ${maxBytes} bytes, the limit of this platform.`,
      {
        why: 'Large packages make every cold start slow.',
        fix: 'Leave out what the function does not need (.petrelignore names it), or bundle it.',
      },
    );

  const unpack = async (archive: string, hex: string): Promise<string> => {
    const tree = join(unpacked, hex);
    const temporary = scratch();
    try {
      const { unpackArchive } = await import('../archive/unpack.ts');
      await unpackArchive(archive, temporary, options.limits);
      await fs.rename(temporary, tree).catch(async (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
        await remove(temporary);
      });
      trees.add(hex);
      return tree;
    } catch (error) {
      await remove(temporary);
      throw error;
    }
  };

  const put: PackageStore['put'] = async (source, expected, declaredBytes) => {
    const wanted = expected === undefined ? undefined : hexOf(expected);
    if (declaredBytes !== undefined && declaredBytes > maxBytes) throw tooLarge();
    await start();
    if (wanted !== undefined) {
      const bytes = await bytesOf(wanted);
      if (bytes !== undefined) {
        await touch(wanted);
        return { digest: expected as Digest, bytes, created: false };
      }
    }
    const temporary = scratch();
    try {
      const file = await openFile(temporary, 'wx', 0o600);
      let received: { hex: string; bytes: number };
      try {
        received = await receive(source, file);
        await file.sync();
      } finally {
        await file.close();
      }
      const digest: Digest = `sha256:${received.hex}`;
      if (wanted !== undefined && wanted !== received.hex) {
        throw new PetrelError('DigestMismatch', `The package arrived as ${digest}, not as ${expected}.`, {
          why: 'It changed while it was being uploaded, or the connection broke.',
          fix: 'Deploy again.',
        });
      }
      const created = (await bytesOf(received.hex)) === undefined;
      if (created) {
        await unpack(temporary, received.hex);
        await fs.rename(temporary, join(archives, received.hex));
        await syncDirectory(archives);
      } else {
        await touch(received.hex);
      }
      return { digest, bytes: received.bytes, created };
    } catch (error) {
      throw diskError(error, 'the package could not be stored');
    } finally {
      await remove(temporary);
    }
  };

  /** Deployed again counts as new: between upload and the object that refers to it nothing may collect it. */
  const touch = (hex: string) => fs.utimes(join(archives, hex), now() / 1000, now() / 1000);

  const directory = async (digest: Digest): Promise<string> => {
    const hex = hexOf(digest);
    await start();
    if (trees.has(hex)) return join(unpacked, hex);
    let running = unpacking.get(hex);
    if (running === undefined) {
      if ((await bytesOf(hex)) === undefined) throw notFound(digest);
      running = unpacking.get(hex) ?? unpack(join(archives, hex), hex).finally(() => unpacking.delete(hex));
      unpacking.set(hex, running);
    }
    return running.catch((error) => {
      throw diskError(error, 'the package could not be unpacked');
    });
  };

  const buildFile = (inputs: string): string => {
    if (!/^[0-9a-f-]{1,128}$/.test(inputs)) throw new TypeError(`no inputs of a build: ${inputs}`);
    return join(builds, inputs);
  };

  return {
    maxBytes,
    put,
    directory,
    async stat(digest) {
      const bytes = await bytesOf(hexOf(digest));
      return bytes === undefined ? undefined : { bytes };
    },
    async read(digest) {
      const hex = hexOf(digest);
      const file = await fs.open(join(archives, hex), 'r').catch((error: NodeJS.ErrnoException) => {
        throw error.code === 'ENOENT' ? notFound(digest) : error;
      });
      const { size } = await file.stat();
      return { bytes: size, stream: file.createReadStream() };
    },
    ready(digest) {
      const hex = digest.slice('sha256:'.length);
      return trees.has(hex) ? join(unpacked, hex) : undefined;
    },
    async built(inputs) {
      const found = await fs.readFile(buildFile(inputs), 'utf8').catch(() => '');
      if (!isDigest(found)) return undefined;
      return (await bytesOf(hexOf(found))) === undefined ? undefined : found;
    },
    async keepBuilt(inputs, digest) {
      await start();
      await fs.mkdir(builds, { recursive: true, mode: 0o700 });
      const temporary = scratch();
      const file = await openFile(temporary, 'wx', 0o600);
      try {
        await file.writeFile(hexOf(digest) && digest);
        await file.sync();
      } finally {
        await file.close();
      }
      await fs.rename(temporary, buildFile(inputs));
      await syncDirectory(builds);
    },
    async collect(referenced, olderThanMs) {
      await start();
      for (const name of await fs.readdir(builds).catch(() => [] as string[])) {
        const found = await fs.readFile(join(builds, name), 'utf8').catch(() => '');
        if (!isDigest(found) || (await bytesOf(hexOf(found))) === undefined)
          await fs.rm(join(builds, name), { force: true });
      }
      let freed = 0;
      for (const hex of new Set([...(await fs.readdir(archives)), ...trees])) {
        if (referenced.has(`sha256:${hex}`)) continue;
        const found = await fs.stat(join(archives, hex)).catch(() => undefined);
        if (found !== undefined && now() - found.mtimeMs < olderThanMs) continue;
        trees.delete(hex);
        await fs.rm(join(archives, hex), { force: true });
        // Renamed first: a tree that is half removed must never be taken for a whole one.
        const doomed = scratch();
        await fs.rename(join(unpacked, hex), doomed).catch(() => {});
        await remove(doomed);
        freed += found?.size ?? 0;
      }
      return freed;
    },
  };
}
