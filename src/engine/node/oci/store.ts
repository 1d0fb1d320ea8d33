/**
 * Images of registries on this machine: `layers/<hex>/` each layer once, `trees/<hex>/` the file system of an image with its configuration,
 * `names/<hex>.json` which reference stands for which. All is written beside and put in its place as a whole, and can be brought again.
 */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PetrelError } from '../../../base/errors.ts';
import type { Logger } from '../../../base/log.ts';
import { type ImageSource, readImage } from '../../../base/oci/image.ts';
import { isLocal, parseReference, registryUrl } from '../../../base/oci/reference.ts';
import { createRegistry } from '../../../base/oci/registry.ts';
import { checkImageConfig, type ImageConfig } from '../local-images.ts';
import type { OwnerOf } from './layer.ts';
import { openLayout } from './layout.ts';
import { pullLayers } from './pull.ts';
import { mergeLayers } from './tree.ts';

export interface PulledImage {
  /** `repository@sha256:…` of the manifest for this kind of machine. */
  id: string;
  config: ImageConfig;
  /** Directory with its file system. */
  tree: string;
}

export interface ImageStoreOptions {
  dir: string;
  /** Directories in which images lie as OCI image layouts, by repository. */
  layouts: readonly string[];
  log: Logger;
  /** Milliseconds since the epoch. */
  now(): number;
  owner(): OwnerOf;
}

export interface ImageStore {
  /** Whether an OCI image layout of this repository is on this machine. */
  hasLayout(reference: string): boolean;
  /** The image when it is here. */
  find(reference: string): PulledImage | undefined;
  /**
   * Brings it; what is here already does not come again. `loginFor` is asked for `user:password` of a registry. Throws `PetrelError` or the
   * disk's own error.
   */
  pull(reference: string, loginFor: (host: string) => Promise<string | undefined>): Promise<Pulled>;
  /** Removes what nobody has used for `maxAgeMs` and is not `inUse`; returns how many images. */
  collect(inUse: ReadonlySet<string>, maxAgeMs: number): Promise<number>;
}

export interface Pulled {
  image: PulledImage;
  /** What had to come of it. */
  bytes: number;
}

interface Name {
  reference: string;
  id: string;
  tree: string;
}

/** Where Docker's images without a registry in their name are. */
const DOCKER_HUB = 'registry-1.docker.io';

const hexOf = (text: string) => createHash('sha256').update(text).digest('hex');

export function createImageStore({ dir, layouts, log, now, owner }: ImageStoreOptions): ImageStore {
  const treesDir = join(dir, 'trees');
  const namesDir = join(dir, 'names');
  const layersDir = join(dir, 'layers');
  const scratchDir = join(dir, 'incoming');
  const known = new Map<string, PulledImage>();
  const coming = new Map<string, Promise<Pulled>>();
  let opened = false;

  const open = () => {
    if (opened) return;
    opened = true;
    mkdirSync(dir, { recursive: true, mode: 0o755 });
    rmSync(scratchDir, { recursive: true, force: true });
  };

  const nameFile = (reference: string) => join(namesDir, `${hexOf(reference)}.json`);
  const readName = (file: string): Name | undefined => {
    try {
      return JSON.parse(readFileSync(file, 'utf8')) as Name;
    } catch {
      return undefined;
    }
  };

  const imageOf = ({ id, tree }: Name): PulledImage | undefined => {
    const config = join(treesDir, tree, 'config.json');
    if (!existsSync(config)) return undefined;
    return {
      id,
      config: checkImageConfig(JSON.parse(readFileSync(config, 'utf8')), id),
      tree: join(treesDir, tree, 'rootfs'),
    };
  };

  const find = (reference: string): PulledImage | undefined => {
    open();
    const found = known.get(reference);
    if (found) return found;
    const name = readName(nameFile(reference));
    const image = name && imageOf(name);
    if (image) known.set(reference, image);
    return image;
  };

  const sourceOf = async (
    reference: string,
    loginFor: (host: string) => Promise<string | undefined>,
  ): Promise<{ source: ImageSource; wanted: string; repository: string }> => {
    const { host, repository, tag, digest } = parseReference(reference);
    const wanted = digest ?? tag;
    if (host === undefined) {
      for (const place of layouts) {
        const source = await openLayout(join(place, repository));
        if (source) return { source, wanted, repository: `petrel.local/${repository}` };
      }
    }
    if (isLocal(reference))
      throw new PetrelError('NotFound', `there is no image ${reference} on this machine`);
    const name = host ?? DOCKER_HUB;
    const path = host === undefined && !repository.includes('/') ? `library/${repository}` : repository;
    const login = await loginFor(name);
    const source = createRegistry({ url: registryUrl(name), repository: path, ...(login ? { login } : {}) });
    return { source, wanted, repository: host === undefined ? `docker.io/${path}` : `${host}/${repository}` };
  };

  const bring = async (
    reference: string,
    loginFor: (host: string) => Promise<string | undefined>,
  ): Promise<Pulled> => {
    const { source, wanted, repository } = await sourceOf(reference, loginFor);
    const stored = await readImage(source, wanted, reference);
    // The configuration names all layers: equal ones are equal images, whatever they are called.
    const hex = stored.configDigest.slice('sha256:'.length);
    const name: Name = { reference, id: `${repository}@${stored.digest}`, tree: hex };
    const config = checkImageConfig(
      (JSON.parse(stored.config) as { config?: unknown }).config ?? {},
      reference,
    );
    let bytes = 0;
    if (!existsSync(join(treesDir, hex))) {
      const request = { source, image: stored, place: reference, layersDir, scratchDir, owner: owner() };
      const pulled = await pullLayers(request);
      bytes = pulled.bytes;
      const scratch = join(scratchDir, randomUUID());
      await mkdir(scratch, { recursive: true });
      await mergeLayers(pulled.layers, join(scratch, 'rootfs'));
      await writeFile(join(scratch, 'config.json'), JSON.stringify(config));
      await writeFile(
        join(scratch, 'layers.json'),
        JSON.stringify(pulled.layers.map((one) => one.slice(-64))),
      );
      await mkdir(treesDir, { recursive: true });
      await rename(scratch, join(treesDir, hex)).catch((error) => {
        if (!existsSync(join(treesDir, hex))) throw error;
      });
    }
    await mkdir(namesDir, { recursive: true });
    // By its digest it is known, too: that is how the next instance asks for it.
    for (const one of [name, { ...name, reference: name.id }]) {
      const file = nameFile(one.reference);
      await writeFile(`${file}.new`, JSON.stringify(one));
      await rename(`${file}.new`, file);
    }
    const image = imageOf(name) as PulledImage;
    known.set(reference, image);
    utimesSync(join(treesDir, hex), now() / 1000, now() / 1000);
    log.info('an image is here', { image: reference, id: name.id, bytes });
    return { image, bytes };
  };

  return {
    find,
    hasLayout(reference) {
      try {
        const { repository } = parseReference(reference);
        return layouts.some((place) => existsSync(join(place, repository, 'index.json')));
      } catch {
        return false;
      }
    },
    pull(reference, loginFor) {
      open();
      let work = coming.get(reference);
      if (!work) {
        work = bring(reference, loginFor).finally(() => coming.delete(reference));
        coming.set(reference, work);
      }
      return work;
    },
    async collect(inUse, maxAgeMs) {
      open();
      if (!existsSync(treesDir) || coming.size > 0) return 0;
      const names = existsSync(namesDir) ? readdirSync(namesDir).map((file) => join(namesDir, file)) : [];
      const used = new Set(
        names.flatMap((file) => {
          const name = readName(file);
          return name && inUse.has(name.reference) ? [name.tree] : [];
        }),
      );
      const kept = new Set<string>();
      let removed = 0;
      for (const tree of readdirSync(treesDir)) {
        const path = join(treesDir, tree);
        if (used.has(tree) || now() - statSync(path).mtimeMs < maxAgeMs) {
          for (const layer of JSON.parse(readFileSync(join(path, 'layers.json'), 'utf8')) as string[])
            kept.add(layer);
          continue;
        }
        removed++;
        for (const file of names) if (readName(file)?.tree === tree) await rm(file, { force: true });
        for (const [reference, image] of known)
          if (image.tree.startsWith(`${path}/`)) known.delete(reference);
        await rm(path, { recursive: true, force: true });
      }
      for (const layer of existsSync(layersDir) ? readdirSync(layersDir) : [])
        if (!kept.has(layer)) await rm(join(layersDir, layer), { recursive: true, force: true });
      return removed;
    },
  };
}
