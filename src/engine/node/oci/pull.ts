/** Brings the layers of an image onto this machine: hashed and unpacked while they stream in, each once. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PetrelError } from '../../../base/errors.ts';
import type { ImageSource, StoredImage } from '../../../base/oci/image.ts';
import { openLayer } from '../../../base/oci/layer.ts';
import type { Descriptor } from '../../../base/oci/registry.ts';
import { LAYER_LIMITS, type OwnerOf, unpackLayer } from './layer.ts';

export interface PullRequest {
  source: ImageSource;
  image: StoredImage;
  /** What people call it. */
  place: string;
  /** `<hex of the layer's tar>/` each. */
  layersDir: string;
  /** Work in progress. */
  scratchDir: string;
  owner: OwnerOf;
}

/** Layers that come at once. */
const AT_ONCE = 3;

const broken = (place: string, what: string): PetrelError =>
  new PetrelError('UnsafeArchive', `the image ${place} is damaged: ${what}`, {
    why: 'It was cut short on the way, or changed after it was pushed.',
    fix: 'Try again; if that does not help, push the image again.',
  });

/** The directories of its layers, from the lowest up, and how many bytes had to come. */
export async function pullLayers(request: PullRequest): Promise<{ layers: string[]; bytes: number }> {
  const { image, layersDir, place } = request;
  const { rootfs } = JSON.parse(image.config) as { rootfs?: { diff_ids?: string[] } };
  const diffIds = rootfs?.diff_ids ?? [];
  if (diffIds.length !== image.layers.length || !diffIds.every((id) => /^sha256:[0-9a-f]{64}$/.test(id)))
    throw broken(place, 'its configuration does not name the layers that its manifest has');
  const layers = diffIds.map((id) => join(layersDir, id.slice('sha256:'.length)));
  const missing = [...new Set(layers)].filter((dir) => !existsSync(dir));
  await mkdir(layersDir, { recursive: true });
  let bytes = 0;
  const next = async (): Promise<void> => {
    for (let dir = missing.shift(); dir !== undefined; dir = missing.shift()) {
      const at = layers.indexOf(dir);
      const descriptor = image.layers[at] as Descriptor;
      await pullLayer(request, descriptor, diffIds[at] as string, dir);
      bytes += descriptor.size;
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, next));
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed) throw failed.reason;
  return { layers, bytes };
}

async function pullLayer(
  { source, place, scratchDir, owner }: PullRequest,
  { digest, mediaType }: Descriptor,
  diffId: string,
  dir: string,
): Promise<void> {
  const blob = await source.readBlob(digest);
  if (!blob) throw broken(place, `the layer ${digest} is missing`);
  const scratch = join(scratchDir, randomUUID());
  await mkdir(scratch, { recursive: true });
  const layer = openLayer(blob.stream, mediaType);
  try {
    await unpackLayer(layer.tar, scratch, owner, LAYER_LIMITS);
    const got = await layer.end();
    if (got.digest !== digest) throw broken(place, `the layer ${digest} is ${got.digest}`);
    if (got.diffId !== diffId)
      throw broken(place, `the layer ${digest} unpacks to ${got.diffId}, not ${diffId}`);
    await rename(scratch, dir).catch((error) => {
      // Another image brought it meanwhile.
      if (!existsSync(dir)) throw error;
    });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (/^(Z_|ZSTD_)/.test(String(code))) throw broken(place, `the layer ${digest} does not decompress`);
    throw error;
  } finally {
    await layer.close();
    await rm(scratch, { recursive: true, force: true });
  }
}
