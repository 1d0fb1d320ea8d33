/** Reading an image: its manifest for this kind of machine, its configuration, its layers. Source: OCI image specification 1.1, `manifest.md`, `image-index.md`. */
import { createHash } from 'node:crypto';
import { PetrelError } from '../errors.ts';
import type { Descriptor, Registry } from './registry.ts';

/** Whatever has images: a registry's repository, or a directory. */
export type ImageSource = Pick<Registry, 'manifest' | 'readBlob'>;

export interface StoredImage {
  /** Of the manifest for this kind of machine. */
  digest: string;
  /** From the lowest up. */
  layers: Descriptor[];
  /** The configuration as it is written, verified, and its digest. */
  config: string;
  configDigest: string;
}

const ARCHITECTURES: Record<string, string> = { x64: 'amd64', arm64: 'arm64' };
/** What this machine is called in images. */
export const ARCHITECTURE: string = ARCHITECTURES[process.arch] ?? process.arch;

const SHA256 = /^sha256:[0-9a-f]{64}$/;
/** A configuration is a page of text, a manifest lists a few layers. */
const MAX_CONFIG = 8 * 1024 * 1024;
const MAX_LAYERS = 512;

export const sha256Of = (text: string | Uint8Array): string =>
  `sha256:${createHash('sha256').update(text).digest('hex')}`;

const broken = (place: string, what: string): PetrelError =>
  new PetrelError('UnsafeArchive', `the image ${place} is damaged: ${what}`, {
    why: 'What the registry hands out is not what its digest says.',
    fix: 'Push the image again, or take it from another registry.',
  });

interface Manifest {
  manifests?: (Descriptor & { platform?: { os?: string; architecture?: string } })[];
  config?: Descriptor;
  layers?: Descriptor[];
}

/** The manifest, verified where its digest is known. */
async function manifestOf(source: ImageSource, reference: string, place: string) {
  const found = await source.manifest(reference);
  if (!found) return undefined;
  const digest = sha256Of(found.text);
  if (SHA256.test(reference) && digest !== reference) throw broken(place, `${reference} is ${digest}`);
  try {
    return { digest, manifest: JSON.parse(found.text) as Manifest };
  } catch {
    throw broken(place, 'its manifest is no JSON');
  }
}

/** Reads what `reference`, a tag or digest, names. `place` is what people call it. Throws `NotFound`, `UnsafeArchive` or what the source throws. */
export async function readImage(source: ImageSource, reference: string, place: string): Promise<StoredImage> {
  const absent = (why: string) =>
    new PetrelError('NotFound', `there is no image ${place}`, { why, fix: 'correct the reference' });
  let found = await manifestOf(source, reference, place);
  if (!found) throw absent('the registry does not know it');
  const { manifests } = found.manifest;
  if (Array.isArray(manifests)) {
    const match = manifests.find(
      ({ platform }) => platform?.os === 'linux' && platform.architecture === ARCHITECTURE,
    );
    if (!match) throw absent(`it has no variant for linux/${ARCHITECTURE}`);
    found = await manifestOf(source, match.digest, place);
    if (!found) throw absent(`its variant for linux/${ARCHITECTURE} is missing`);
  }
  const { config, layers = [] } = found.manifest;
  if (!config || !Array.isArray(layers) || layers.length > MAX_LAYERS)
    throw broken(place, 'its manifest names no configuration, or layers without end');
  if (![config, ...layers].every(({ digest }) => SHA256.test(digest)))
    throw broken(place, 'its manifest has a digest that is no SHA-256');
  const blob = await source.readBlob(config.digest);
  if (!blob) throw absent('its configuration is missing');
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of blob.stream) {
    bytes += part.byteLength;
    if (bytes > MAX_CONFIG) throw broken(place, `its configuration is longer than ${MAX_CONFIG} bytes`);
    parts.push(part);
  }
  const text = Buffer.concat(parts);
  if (sha256Of(text) !== config.digest) throw broken(place, 'its configuration is not what its digest says');
  return {
    digest: found.digest,
    layers,
    config: text.toString('utf8'),
    configDigest: config.digest,
  };
}
