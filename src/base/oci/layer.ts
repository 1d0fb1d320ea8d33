/** The tar in a layer's blob, hashed on both sides of its compression. Source: OCI image specification 1.1, `layer.md`. */
import { createHash, type Hash } from 'node:crypto';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { pump } from '../archive/pump.ts';

export interface LayerTar {
  /** Who reads it may stop at the end of the tar, and leaves it open. */
  tar: AsyncIterable<Uint8Array>;
  /** Reads what is left, padding behind the tar included, which is part of what is hashed: both with `sha256:`. */
  end(): Promise<{ digest: string; diffId: string }>;
  /** Leaves the rest unread. */
  close(): Promise<void>;
}

/** Bytes that a decompressor gives at once. */
const CHUNK = 128 * 1024;

async function* hashing(source: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for await (const part of source) {
    hash.update(part);
    yield part;
  }
}

/** Opens a blob; `mediaType` says how it is compressed. A damaged one ends in zlib's own errors. */
export function openLayer(blob: AsyncIterable<Uint8Array>, mediaType: string): LayerTar {
  const outer = createHash('sha256');
  const inner = createHash('sha256');
  const options = { chunkSize: CHUNK };
  const raw = hashing(blob, outer);
  const plain = mediaType.endsWith('zstd')
    ? pump(raw, createZstdDecompress(options))
    : mediaType.endsWith('gzip')
      ? pump(raw, createGunzip(options))
      : raw;
  const parts = hashing(plain, inner);
  return {
    tar: { [Symbol.asyncIterator]: () => ({ next: () => parts.next() }) },
    async end() {
      while (!(await parts.next()).done);
      return { digest: `sha256:${outer.digest('hex')}`, diffId: `sha256:${inner.digest('hex')}` };
    },
    async close() {
      await parts.return(undefined);
    },
  };
}
