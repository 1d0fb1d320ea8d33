/**
 * Code in OCI images: the files of all layers as one tar, streamed from the registry, the uppermost layer first, so that nothing has to be
 * laid down. Source: OCI image specification 1.1, `layer.md`; Fission `pkg/oci`.
 */
import { readTar, TAR_END, type TarEntry, tarHeader, tarPadding } from '../../base/archive/tar.ts';
import { PetrelError } from '../../base/errors.ts';
import { type ImageSource, readImage } from '../../base/oci/image.ts';
import { openLayer } from '../../base/oci/layer.ts';
import { parseReference, registryUrl } from '../../base/oci/reference.ts';
import { createRegistry, type Descriptor } from '../../base/oci/registry.ts';
import type { Archive } from './model.ts';

/** Most files, directories and links of an image with code, and most bytes. */
const MOST = { entries: 200_000, bytes: 2 * 1024 ** 3 } as const;
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';

const unusable = (image: string, why: string): PetrelError =>
  new PetrelError('UnsafeArchive', `the image ${image} cannot be used as a package: ${why}`, {
    fix: 'Build the image again, or upload the code as an archive.',
  });

const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));

/** What the layers that were read so far say of those below. */
class Above {
  /** Path → whether it is a directory. */
  readonly #there = new Map<string, boolean>();
  readonly #removed = new Set<string>();
  readonly #opaque = new Set<string>();
  #pending: { removed: string[]; opaque: string[] } = { removed: [], opaque: [] };

  get size(): number {
    return this.#there.size;
  }
  add(path: string, directory: boolean): void {
    this.#there.set(path, directory);
  }
  /** Takes note of a mark; false when the entry is none. */
  mark(path: string): boolean {
    const parent = parentOf(path);
    const base = path.slice(parent === '' ? 0 : parent.length + 1);
    if (!base.startsWith(WHITEOUT)) return false;
    if (base === OPAQUE) this.#pending.opaque.push(parent);
    else this.#pending.removed.push([parent, base.slice(WHITEOUT.length)].filter(Boolean).join('/'));
    return true;
  }
  /** A layer is read: its marks count for those below. */
  next(): void {
    for (const path of this.#pending.removed) this.#removed.add(path);
    for (const path of this.#pending.opaque) this.#opaque.add(path);
    this.#pending = { removed: [], opaque: [] };
  }
  hides(path: string): boolean {
    if (this.#there.has(path) || this.#removed.has(path)) return true;
    for (let at = parentOf(path); ; at = parentOf(at)) {
      if (this.#opaque.has(at)) return true;
      if (at === '') return false;
      if (this.#removed.has(at) || this.#there.get(at) === false) return true;
    }
  }
}

const clean = (path: string): string[] => path.split('/').filter((part) => part !== '' && part !== '.');

async function* layerTar(
  source: ImageSource,
  { digest, mediaType }: Descriptor,
  image: string,
  read: (tar: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const blob = await source.readBlob(digest);
  if (!blob) throw unusable(image, `the layer ${digest} is missing`);
  const layer = openLayer(blob.stream, mediaType);
  try {
    yield* read(layer.tar);
    const got = (await layer.end()).digest;
    if (got !== digest) throw unusable(image, `the layer ${digest} is ${got}`);
  } finally {
    await layer.close();
  }
}

async function* entryBytes(entry: TarEntry, name: string): AsyncGenerator<Uint8Array> {
  const { type, link, mode } = entry;
  if (type !== 'file' && type !== 'directory' && type !== 'symlink') return;
  const size = type === 'file' ? entry.size : 0;
  yield tarHeader({ type, name: type === 'directory' ? `${name}/` : name, link, size, mode: mode & 0o777 });
  if (type !== 'file') return;
  yield* entry.body();
  yield tarPadding(size);
}

/** The files of an image below `subPath` as a tar. Throws what reading the image throws, and `UnsafeArchive`. */
export async function* imageTar(
  source: ImageSource,
  reference: string,
  image: string,
  subPath: string,
): AsyncGenerator<Uint8Array> {
  const { layers } = await readImage(source, reference, image);
  const root = clean(subPath).join('/');
  const above = new Above();
  let bytes = 0;
  let found = false;

  async function* read(tar: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const entry of readTar(tar)) {
      const parts = clean(entry.name);
      if (parts.includes('..')) throw unusable(image, `"${entry.name}" leads out of it`);
      const path = parts.join('/');
      if (path === '' || above.mark(path) || above.hides(path) || entry.type === 'special') continue;
      above.add(path, entry.type === 'directory');
      bytes += entry.size;
      if (above.size > MOST.entries || bytes > MOST.bytes)
        throw unusable(image, `it has more than ${MOST.entries} files or ${MOST.bytes} bytes`);
      const inside = root === '' ? path : path.startsWith(`${root}/`) ? path.slice(root.length + 1) : '';
      if (inside === '') continue;
      if (entry.type === 'hardlink') throw unusable(image, `"${path}" is a second name of "${entry.link}"`);
      found = true;
      yield* entryBytes(entry, inside);
    }
  }
  for (const layer of layers.toReversed()) {
    yield* layerTar(source, layer, image, read);
    above.next();
  }
  if (!found) throw unusable(image, `there are no files in "${root || '/'}"`);
  yield TAR_END;
}

/** The same for the `oci` of an archive; `login` gives `user:password` for a host. Throws `InvalidArgument` for what is no reference. */
export async function ociTar(
  oci: NonNullable<Archive['oci']>,
  login: (host: string) => Promise<string | undefined>,
): Promise<AsyncIterable<Uint8Array>> {
  const { host, repository, tag, digest } = parseReference(oci.image);
  if (host === undefined)
    throw new PetrelError('InvalidArgument', `"${oci.image}" names no registry`, {
      fix: 'write registry.example.com/team/code:1.2',
    });
  if (oci.digest && digest && oci.digest !== digest)
    throw unusable(oci.image, `it is to have the digest ${oci.digest}`);
  const password = await login(host);
  const registry = createRegistry({
    url: registryUrl(host),
    repository,
    ...(password === undefined ? {} : { login: password }),
  });
  return imageTar(registry, oci.digest || digest || tag, oci.image, oci.subPath ?? '');
}
