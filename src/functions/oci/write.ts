/** Writes an image: to a registry, or as an OCI image layout into a directory of this machine. No container engine takes part. */

import { createWriteStream } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { PetrelError } from '../../base/errors.ts';
import { ARCHITECTURE, readImage, sha256Of } from '../../base/oci/image.ts';
import { loginFor } from '../../base/oci/login.ts';
import { parseReference, registryUrl } from '../../base/oci/reference.ts';
import { type BlobBody, createRegistry, MANIFEST_TYPE, type Registry } from '../../base/oci/registry.ts';
import { type Base, type ImageConfigFile, imageOf } from './image.ts';
import { writeLayer } from './layer.ts';

export interface ImageOptions {
  /** The unpacked package. */
  directory: string;
  /** `registry.example.com/shop:1.2`, or `shop:1.2` for the images directory. */
  reference: string;
  /** Reference of what it is built on. */
  base?: string;
  labels: Record<string, string>;
  /** Images of this machine: `<dir>/<repository>/`, an OCI image layout each. */
  imagesDir: string;
  env: NodeJS.ProcessEnv;
}

/** Where blobs and the manifest of an image go. */
interface Target {
  has(digest: string): Promise<boolean>;
  put(digest: string, body: BlobBody): Promise<void>;
  finish(manifest: string): Promise<void>;
}

async function repository(
  reference: string,
  env: NodeJS.ProcessEnv,
): Promise<{ registry: Registry; tag: string }> {
  const { host = '', repository: name, tag, digest } = parseReference(reference);
  const login = await loginFor(host, env);
  const registry = createRegistry({ url: registryUrl(host), repository: name, ...(login ? { login } : {}) });
  return { registry, tag: digest ?? tag };
}

/** What an image is built on. Throws `NotFound`. */
async function readBase(registry: Registry, tag: string, reference: string): Promise<Base> {
  const { layers, config } = await readImage(registry, tag, reference);
  return { layers, config: JSON.parse(config) as ImageConfigFile };
}

/** Command line of a package that is a program; undefined for handlers. */
async function commandOf(directory: string): Promise<string | undefined> {
  const read = (name: string) => readFile(join(directory, name), 'utf8').catch(() => '');
  const web = /^web:[ \t]*(\S.*?)\s*$/m.exec(await read('Procfile'))?.[1];
  if (web !== undefined) return `exec ${web}`;
  try {
    const { scripts } = JSON.parse(await read('package.json')) as { scripts?: { start?: string } };
    return scripts?.start === undefined
      ? undefined
      : `PATH=$PWD/node_modules/.bin:$PATH exec ${scripts.start}`;
  } catch {
    return undefined;
  }
}

function registryTarget(registry: Registry, tag: string): Target {
  return {
    has: async (digest) => (await registry.blobSize(digest)) !== undefined,
    put: (digest, body) => registry.putBlob(digest, body),
    finish: (manifest) => registry.putManifest(tag, MANIFEST_TYPE, manifest),
  };
}

/** An OCI image layout: `oci-layout`, `index.json`, `blobs/sha256/<hex>`. Written beside, and put in its place as a whole. */
async function layoutTarget(dir: string, tag: string): Promise<Target> {
  const fresh = `${dir}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(join(fresh, 'blobs', 'sha256'), { recursive: true });
  const pathOf = (digest: string) => join(fresh, 'blobs', 'sha256', digest.slice('sha256:'.length));
  const put = (digest: string, body: BlobBody) =>
    typeof body === 'string' ? writeFile(pathOf(digest), body) : copyFile(body.path, pathOf(digest));
  return {
    has: async () => false,
    put,
    async finish(manifest) {
      const digest = sha256Of(manifest);
      await put(digest, manifest);
      const entry = {
        mediaType: MANIFEST_TYPE,
        digest,
        size: Buffer.byteLength(manifest),
        annotations: { 'org.opencontainers.image.ref.name': tag },
      };
      await writeFile(join(fresh, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
      await writeFile(join(fresh, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
      await rm(dir, { recursive: true, force: true });
      await rename(fresh, dir);
    },
  };
}

/**
 * Writes the image and returns its reference with the digest of its manifest. Throws `InvalidArgument` (the reference), `NotFound` (the base),
 * `Unauthorized`, `NotReady` (the registry) or the disk's own error.
 */
export async function writeImage(options: ImageOptions): Promise<string> {
  const { directory, reference, base: baseReference, labels, env } = options;
  const { host, repository: name, tag } = parseReference(reference);
  const scratch = await mkdtemp(join(tmpdir(), 'petrel-image-'));
  try {
    const from = baseReference === undefined ? undefined : await repository(baseReference, env);
    const base = from && (await readBase(from.registry, from.tag, baseReference ?? ''));
    const path = join(scratch, 'layer');
    const layer = await writeLayer(directory, path);
    const command = await commandOf(directory);
    const { config, manifest, digest } = imageOf({
      layer,
      labels,
      architecture: ARCHITECTURE,
      ...(base ? { base } : {}),
      ...(command ? { command } : {}),
    });
    const to = host === undefined ? undefined : await repository(reference, env);
    const target = to
      ? registryTarget(to.registry, to.tag)
      : await layoutTarget(join(options.imagesDir, name), tag);
    for (const [index, below] of (base?.layers ?? []).entries()) {
      if (from === undefined || (await target.has(below.digest))) continue;
      const blob = await from.registry.readBlob(below.digest);
      if (!blob)
        throw new PetrelError('NotFound', `${baseReference} lacks its layer ${below.digest}`, {
          fix: 'push it again',
        });
      const copy = join(scratch, `base-${index}`);
      await pipeline(blob.stream, createWriteStream(copy));
      await target.put(below.digest, { path: copy, bytes: blob.bytes });
      await rm(copy);
    }
    await target.put(layer.digest, { path, bytes: layer.bytes });
    await target.put(sha256Of(config), config);
    await target.finish(manifest);
    return `${reference}@${digest}`;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
