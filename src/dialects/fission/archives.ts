/** Archives of Packages → the package store: literals, uploads, and what stands at a URL. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import type { Digest } from '../../kinds/function.ts';
import type { Language } from './languages.ts';
import type { Archive, Problem } from './model.ts';
import { ociTar } from './oci.ts';

/** What the dialect needs of the package store. */
export interface FissionPackages {
  put(source: AsyncIterable<Uint8Array>): Promise<{ digest: Digest }>;
  stat(digest: Digest): Promise<{ bytes: number } | undefined>;
  directory(digest: Digest): Promise<string>;
  /** The archive as it was uploaded. */
  read(digest: Digest): Promise<{ bytes: number; stream: AsyncIterable<Uint8Array> }>;
}

/** An upload, by the id in its URL. */
export interface StoredArchive {
  bytes: number;
  stream(): AsyncIterable<Uint8Array>;
}

export interface ArchiveOptions {
  packages: FissionPackages;
  /** An archive of one file. */
  packFile(name: string, body: Buffer, executable: boolean): AsyncIterable<Uint8Array>;
  /** By the first 512 bytes of a file. */
  isArchive(head: Buffer): boolean;
  /** The upload behind an id of the storage service. */
  upload(id: string): Promise<StoredArchive | undefined>;
  fetch: typeof fetch;
  /** `user:password` for a registry, from these Secrets or else from the platform's own. */
  login(namespace: string, secrets: readonly string[], host: string): Promise<string | undefined>;
}

/** An archive in the package store. */
export interface Stored {
  digest: Digest;
  /** Name of the file when it is one bare file. */
  single?: string;
}

/** A package that is in the store already, as `petrel deploy` refers to one. */
const PACKAGE_URL = /^package:(sha256:[0-9a-f]{64})$/;
const HEAD_BYTES = 512;
/** Longest time for a download, ms. */
const DOWNLOAD_MS = 120_000;
/** Largest file that is not an archive: it is held in memory to be wrapped. */
const BARE_MAX = 64 * 1024 * 1024;

async function* one(body: Uint8Array): AsyncGenerator<Uint8Array> {
  yield body;
}

/** The first bytes of a stream, and the whole stream again. */
async function peek(source: AsyncIterable<Uint8Array>, bytes: number) {
  const iterator = source[Symbol.asyncIterator]();
  const parts: Uint8Array[] = [];
  let length = 0;
  while (length < bytes) {
    const { value, done } = await iterator.next();
    if (done) break;
    parts.push(value);
    length += value.byteLength;
  }
  const head = Buffer.concat(parts);
  async function* rest(): AsyncGenerator<Uint8Array> {
    yield head;
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
  }
  return { head, all: rest() };
}

async function* checked(source: AsyncIterable<Uint8Array>, sum: string | undefined, what: string) {
  const hash = createHash('sha256');
  for await (const part of source) {
    hash.update(part);
    yield part;
  }
  const found = hash.digest('hex');
  if (sum && found !== sum.toLowerCase()) {
    throw new PetrelError('DigestMismatch', `${what} has the SHA-256 ${found}, not ${sum}.`, {
      why: 'It changed since the Package was written, or did not arrive whole.',
      fix: 'Upload it again, or correct the checksum.',
    });
  }
}

async function wholeFile(source: AsyncIterable<Uint8Array>, what: string): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of source) {
    bytes += part.byteLength;
    if (bytes > BARE_MAX) {
      throw new PetrelError('PackageTooLarge', `${what} is a bare file of more than ${BARE_MAX} bytes.`, {
        fix: 'Put it into a zip archive.',
      });
    }
    parts.push(part);
  }
  return Buffer.concat(parts);
}

export interface Archives {
  /** Brings an archive of a Package of that namespace into the store. A bare file gets the language's name for one. */
  store(archive: Archive, language: Language, namespace: string): Promise<Stored | Problem>;
  /** What is in a package. */
  has(digest: Digest): Promise<(file: string) => boolean>;
}

/** Id of an upload in the URL of a storage service, whatever host that was. */
export function uploadId(url: string): string | undefined {
  const parsed = URL.parse(url);
  return parsed?.pathname.endsWith('/v1/archive') ? (parsed.searchParams.get('id') ?? undefined) : undefined;
}

export function createArchives(options: ArchiveOptions): Archives {
  const { packages } = options;

  const download = async (url: string): Promise<AsyncIterable<Uint8Array>> => {
    const response = await options.fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_MS) });
    if (response.ok && response.body) return response.body as unknown as AsyncIterable<Uint8Array>;
    await response.body?.cancel();
    throw new PetrelError('NotFound', `${url} answered ${response.status}.`, {
      fix: 'Correct the URL of the Package.',
    });
  };

  const open = async (archive: Archive, namespace: string): Promise<AsyncIterable<Uint8Array> | Problem> => {
    if (archive.literal) return one(Buffer.from(archive.literal, 'base64'));
    if (archive.oci) {
      const names = (archive.oci.imagePullSecrets ?? []).flatMap(({ name }) => (name ? [name] : []));
      return ociTar(archive.oci, (host) => options.login(namespace, names, host));
    }
    const url = archive.url ?? '';
    if (url.startsWith('archive://')) {
      const message = `${url} stands for files beside the spec directory. Apply it with petrel deploy or fission spec apply, which upload them.`;
      return { reason: 'ArchiveNotUploaded', message };
    }
    const id = uploadId(url);
    const upload = id === undefined ? undefined : await options.upload(id);
    if (upload !== undefined) return upload.stream();
    if (archive.secretref?.name) {
      return {
        reason: 'CredentialsNotSupported',
        message: 'Archives behind credentials (secretref) are not fetched. Upload the archive instead.',
      };
    }
    if (/^https?:\/\//.test(url)) return download(url);
    const message = `"${url}" is neither an upload of this platform's storage service nor an http or https URL.`;
    return { reason: 'ArchiveNotFound', message };
  };

  /** What `petrel deploy` has uploaded itself. */
  const inStore = async (digest: Digest): Promise<Stored> => {
    const [file, more] = await readdir(await packages.directory(digest), { withFileTypes: true });
    return { digest, ...(file?.isFile() && more === undefined ? { single: file.name } : {}) };
  };

  return {
    async store(archive, language, namespace) {
      try {
        const kept = PACKAGE_URL.exec(archive.url ?? '')?.[1] as Digest | undefined;
        if (kept !== undefined) return await inStore(kept);
        const source = await open(archive, namespace);
        if ('reason' in source) return source;
        const what = archive.url || archive.oci?.image || 'The literal archive';
        const sum = archive.url ? archive.checksum?.sum : undefined;
        const { head, all } = await peek(checked(source, sum, what), HEAD_BYTES);
        if (options.isArchive(head)) return { digest: (await packages.put(all)).digest };
        const body = await wholeFile(all, what);
        const packed = options.packFile(language.file, body, language.executable ?? false);
        return { digest: (await packages.put(packed)).digest, single: language.file };
      } catch (error) {
        if (error instanceof PetrelError)
          return {
            reason: error.code,
            message: [error.message, error.why, error.fix].filter(Boolean).join(' '),
          };
        if (error instanceof TypeError || (error as Error).name === 'TimeoutError') {
          const cause = (error as Error).cause as Error | undefined;
          const message = `${archive.url} cannot be fetched: ${cause?.message || (error as Error).message}`;
          return { reason: 'DownloadFailed', message };
        }
        throw error;
      }
    },
    async has(digest) {
      const directory = await packages.directory(digest);
      return (file) => !file.split('/').includes('..') && existsSync(join(directory, file));
    },
  };
}
