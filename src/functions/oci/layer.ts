/** A directory as a layer of an image: a tar with everything below `/workspace`, owned by root, without times. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { tarDirectory } from '../pack.ts';
import { IMAGE_WORKDIR, type Layer } from './image.ts';

/** Writes the layer to `path`. The same directory gives the same bytes. */
export async function writeLayer(directory: string, path: string): Promise<Layer> {
  const inner = createHash('sha256');
  const outer = createHash('sha256');
  let bytes = 0;
  const tar = async function* () {
    for await (const part of tarDirectory(directory, `${IMAGE_WORKDIR.slice(1)}/`)) {
      inner.update(part);
      yield part;
    }
  };
  const counted = async function* (source: AsyncIterable<Buffer>) {
    for await (const part of source) {
      outer.update(part);
      bytes += part.length;
      yield part;
    }
  };
  await pipeline(tar, createGzip(), counted, createWriteStream(path));
  return { digest: `sha256:${outer.digest('hex')}`, diffId: `sha256:${inner.digest('hex')}`, bytes };
}
