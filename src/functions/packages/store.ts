/**
 * The package store: archives of code, addressed by the SHA-256 of their bytes, each unpacked once on this machine. What has been
 * acknowledged is durable; what has not been leaves nothing behind. Where the bytes are kept is a driver's business (`driver.ts`).
 *
 * `<dir>/unpacked/<hex>/` the tree · `<dir>/incoming/`, `<dir>/partial/` work in progress (`inbox.ts`)
 */
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import type { Digest } from '../../kinds/function.ts';
import type { ArchiveLimits } from '../archive/layout.ts';
import { createDirectoryDriver } from './directory.ts';
import type { ArchiveDriver } from './driver.ts';
import { createInbox, tooLarge } from './inbox.ts';

/** Largest package when nothing else is configured, bytes. */
export const DEFAULT_MAX_PACKAGE_BYTES = 512 * 1024 * 1024;

export interface PackageStoreOptions {
  dir: string;
  /** Where archives are kept. Default: `<dir>/archives`. Asked for with the first package. */
  driver?: () => Promise<ArchiveDriver>;
  /** Largest archive accepted, bytes. */
  maxBytes?: number;
  /** Bounds on what an archive may unpack to. */
  limits?: ArchiveLimits;
  /** Milliseconds; decides the age of packages in `collect`. */
  now?: () => number;
  /** Opens the file an upload is written to; a test makes it fail like a full disk. */
  openFile?: typeof fs.open;
  /** A platform works on this directory, and this is a look into it from another process. */
  shared?: boolean;
  /** Identifies the running boot of the machine. */
  bootId?: string;
}

export interface StoredPackage {
  digest: Digest;
  bytes: number;
  /** False when the store had it already. */
  created: boolean;
}

/** What is said of an archive before it comes. */
export interface Announced {
  /** Digest that it must have. */
  digest?: Digest;
  /** Bytes that are coming. */
  bytes?: number;
  /** It goes on where an upload of this digest broke off, at this byte. */
  offset?: number;
}

export interface PackageStore {
  /** Largest archive accepted, bytes. */
  readonly maxBytes: number;
  /**
   * Takes an archive in, verifies and unpacks it; durable when it resolves. Reads nothing of `source` when the
   * expected package is there already, and no more than the limit. Throws `PackageTooLarge`, `DigestMismatch`, `UnsafeArchive`,
   * `UnsupportedSource`, `Conflict` (it goes on elsewhere than the earlier part ended) or `DiskFull`. Nothing is left behind then, but
   * for the part that has arrived when `source` itself breaks off and the digest is known.
   */
  put(source: AsyncIterable<Uint8Array>, announced?: Announced): Promise<StoredPackage>;
  /** Takes a `tar.zst` in whose digest nobody knows yet, unpacking it as it comes. Throws what `put` throws. */
  putStream(source: AsyncIterable<Uint8Array>): Promise<StoredPackage>;
  /** Bytes that have arrived of an upload that broke off. */
  begun(digest: Digest): Promise<number>;
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
  /**
   * Removes packages that are not referenced and were not uploaded within `olderThanMs`. Returns the bytes freed. Where others keep
   * theirs too, only what is on this machine goes.
   */
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

export function createPackageStore(options: PackageStoreOptions): PackageStore {
  const maxBytes = options.maxBytes ?? DEFAULT_MAX_PACKAGE_BYTES;
  const now = options.now ?? Date.now;
  const unpacked = join(options.dir, 'unpacked');
  const inbox = createInbox({
    dir: options.dir,
    shared: options.shared ?? false,
    maxBytes,
    now,
    openFile: options.openFile ?? fs.open,
  });
  const trees = new Set<string>();
  const unpacking = new Map<string, Promise<string>>();
  /** Archives that are known to be in a store that is not on this machine. */
  const known = new Map<string, number>();
  let prepared: Promise<void> | undefined;
  let opened: Promise<ArchiveDriver> | undefined;

  const remove = (path: string) => fs.rm(path, { recursive: true, force: true });
  const driver = () =>
    (opened ??= options.driver?.() ?? Promise.resolve(createDirectoryDriver(options.dir, now)));

  /** Trees are not synced file by file, so after a crash of the machine they are not believed and made anew. */
  const prepare = async (): Promise<void> => {
    await inbox.prepare();
    await fs.mkdir(unpacked, { recursive: true, mode: 0o700 });
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
    const archives = await driver();
    // Asking a directory costs nothing, and somebody may have emptied it.
    const believed = archives.file ? undefined : known.get(hex);
    const bytes = believed ?? (await archives.bytesOf(hex));
    if (bytes !== undefined && !archives.file) known.set(hex, bytes);
    return bytes;
  };

  /** Makes a tree that is complete the one of a package. */
  const adopt = async (temporary: string, hex: string): Promise<string> => {
    const tree = join(unpacked, hex);
    await fs.rename(temporary, tree).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
      await remove(temporary);
    });
    trees.add(hex);
    return tree;
  };

  const unpack = async (archive: string, hex: string): Promise<string> => {
    const temporary = inbox.scratch();
    try {
      const { unpackArchive } = await import('../archive/unpack.ts');
      await unpackArchive(archive, temporary, options.limits);
      return await adopt(temporary, hex);
    } catch (error) {
      await remove(temporary);
      throw error;
    }
  };

  /** Unpacks what the driver keeps; one that is elsewhere is brought here and looked at first. */
  const unpackKept = async (hex: string): Promise<string> => {
    const archives = await driver();
    if (archives.file) {
      if ((await archives.bytesOf(hex)) === undefined) throw notFound(`sha256:${hex}`);
      return unpack(archives.file(hex), hex);
    }
    const found = await archives.read(hex);
    if (found === undefined) {
      known.delete(hex);
      throw notFound(`sha256:${hex}`);
    }
    const arrived = await inbox.receive(found.stream, {});
    try {
      if (arrived.hex !== hex) {
        throw new PetrelError('DigestMismatch', `The package store has other bytes under sha256:${hex}.`, {
          why: 'Somebody has changed what is kept there.',
          fix: 'Remove it there, and deploy the function again.',
        });
      }
      return await unpack(arrived.path, hex);
    } finally {
      await arrived.discard();
    }
  };

  const put: PackageStore['put'] = async (source, { digest: expected, bytes: coming = 0, offset } = {}) => {
    const wanted = expected === undefined ? undefined : hexOf(expected);
    if (coming + (offset ?? 0) > maxBytes) throw tooLarge(maxBytes);
    await start();
    const archives = await driver();
    if (expected !== undefined && wanted !== undefined) {
      const bytes = await bytesOf(wanted);
      if (bytes !== undefined) {
        await archives.touch(wanted);
        return { digest: expected, bytes, created: false };
      }
    }
    try {
      const arrived = await inbox.receive(source, {
        ...(wanted === undefined ? {} : { hex: wanted }),
        ...(offset === undefined ? {} : { offset }),
      });
      try {
        const { hex, bytes } = arrived;
        const created = (await bytesOf(hex)) === undefined;
        if (created) {
          await unpack(arrived.path, hex);
          await archives.put(hex, arrived.path, bytes);
        } else await archives.touch(hex);
        return { digest: `sha256:${hex}`, bytes, created };
      } finally {
        await arrived.discard();
      }
    } catch (error) {
      throw diskError(error, 'the package could not be stored');
    }
  };

  const putStream: PackageStore['putStream'] = async (source) => {
    await start();
    const archives = await driver();
    const temporary = inbox.scratch();
    const [{ unpackStream }, { tee }] = await Promise.all([
      import('../archive/unpack.ts'),
      import('../archive/tee.ts'),
    ]);
    const { main, copy } = tee(source);
    const unpacking = unpackStream(copy, temporary, options.limits);
    unpacking.catch(() => {}); // told below, once the archive is whole
    try {
      const arrived = await inbox.receive(main, {});
      try {
        const { hex, bytes } = arrived;
        await unpacking;
        const created = (await bytesOf(hex)) === undefined;
        if (!trees.has(hex)) await adopt(temporary, hex);
        if (created) await archives.put(hex, arrived.path, bytes);
        else await archives.touch(hex);
        return { digest: `sha256:${hex}`, bytes, created };
      } finally {
        await arrived.discard();
      }
    } catch (error) {
      await unpacking.catch(() => {});
      throw diskError(error, 'the package could not be stored');
    } finally {
      await remove(temporary);
    }
  };

  const directory = async (digest: Digest): Promise<string> => {
    const hex = hexOf(digest);
    await start();
    if (trees.has(hex)) return join(unpacked, hex);
    let running = unpacking.get(hex);
    if (running === undefined) {
      running = unpackKept(hex).finally(() => unpacking.delete(hex));
      unpacking.set(hex, running);
    }
    return running.catch((error) => {
      throw diskError(error, 'the package could not be unpacked');
    });
  };

  const noteOf = (inputs: string): string => {
    if (!/^[0-9a-f-]{1,128}$/.test(inputs)) throw new TypeError(`no inputs of a build: ${inputs}`);
    return inputs;
  };
  const isKept = async (text: string) => isDigest(text) && (await bytesOf(hexOf(text))) !== undefined;

  return {
    maxBytes,
    put,
    putStream,
    directory,
    async begun(digest) {
      await start();
      return inbox.begun(hexOf(digest));
    },
    async stat(digest) {
      const bytes = await bytesOf(hexOf(digest));
      return bytes === undefined ? undefined : { bytes };
    },
    async read(digest) {
      const found = await (await driver()).read(hexOf(digest));
      if (found === undefined) throw notFound(digest);
      return found;
    },
    ready(digest) {
      const hex = digest.slice('sha256:'.length);
      return trees.has(hex) ? join(unpacked, hex) : undefined;
    },
    async built(inputs) {
      const found = (await (await driver()).note(noteOf(inputs))) ?? '';
      return isDigest(found) && (await isKept(found)) ? found : undefined;
    },
    keepBuilt: async (inputs, digest) => (await driver()).putNote(noteOf(inputs), `sha256:${hexOf(digest)}`),
    async collect(referenced, olderThanMs) {
      await start();
      const archives = await driver();
      const removeTree = async (hex: string) => {
        trees.delete(hex);
        // Renamed first: a tree that is half removed must never be taken for a whole one.
        const doomed = inbox.scratch();
        await fs.rename(join(unpacked, hex), doomed).catch(() => {});
        await remove(doomed);
      };
      let freed = 0;
      const kept = new Set<string>();
      if (archives.exclusive) {
        for await (const { hex, bytes, modifiedMs } of archives.list()) {
          kept.add(hex);
          if (referenced.has(`sha256:${hex}`) || now() - modifiedMs < olderThanMs) continue;
          await archives.remove(hex);
          known.delete(hex);
          await removeTree(hex);
          freed += bytes;
        }
      }
      for (const hex of [...trees]) {
        if (
          !referenced.has(`sha256:${hex}`) &&
          !kept.has(hex) &&
          (await isOld(join(unpacked, hex), olderThanMs))
        )
          await removeTree(hex);
      }
      await inbox.forgetOld();
      if (archives.exclusive) await archives.dropNotes(isKept);
      return freed;
    },
  };

  async function isOld(path: string, olderThanMs: number): Promise<boolean> {
    const found = await fs.stat(path).catch(() => undefined);
    return found === undefined || now() - found.ctimeMs >= olderThanMs;
  }
}
