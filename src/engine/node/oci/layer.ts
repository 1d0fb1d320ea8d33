/**
 * One layer of an image, unpacked beside the others: `fs/` has what it adds, `changes.json` what it takes away. Source: OCI image
 * specification 1.1, `layer.md`. A layer comes from a stranger: nothing it names is ever followed out of its directory, and it is bounded.
 */
import {
  chmodSync,
  existsSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { readTar, type TarEntry } from '../../../base/archive/tar.ts';
import { PetrelError } from '../../../base/errors.ts';
import { partsOf, resolveInRoot } from './in-root.ts';

/** What a layer does to the layers below it. Paths are relative to the root. */
export interface LayerChanges {
  removed: string[];
  /** Directories of which nothing shines through. */
  opaque: string[];
  /** Second names of files of the layers below. */
  links: { path: string; target: string }[];
}

export interface LayerLimits {
  /** Files, directories and links. */
  entries: number;
  /** Sum of all files, bytes. */
  bytes: number;
}

/** Larger than any image that one would start on demand. */
export const LAYER_LIMITS: LayerLimits = { entries: 1_000_000, bytes: 16 * 1024 ** 3 };

/** To whom files of an image belong on this machine; undefined: to the platform's own user. */
export type OwnerOf = ((uid: number, gid: number) => { uid: number; gid: number }) | undefined;

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** Files up to this size are taken into memory and written at once. */
const SMALL = 64 * 1024;
/** Others get a turn after so much of it, ms. */
const SLICE_MS = 2;

const refused = (name: string, problem: string): PetrelError =>
  new PetrelError(
    'UnsafeArchive',
    `a layer of the image has ${JSON.stringify(name.slice(0, 200))}, which ${problem}`,
    {
      why: 'An image must unpack into its own directory and nowhere else.',
      fix: 'Build the image again.',
    },
  );

/** Unpacks a tar into `<dir>/fs` and returns what it says of the layers below. On failure the directory is left for the caller to remove. */
export async function unpackLayer(
  tar: AsyncIterable<Uint8Array>,
  dir: string,
  owner: OwnerOf,
  limits: LayerLimits = LAYER_LIMITS,
): Promise<LayerChanges> {
  const root = join(dir, 'fs');
  mkdirSync(root, { recursive: true, mode: 0o755 });
  const changes: LayerChanges = { removed: [], opaque: [], links: [] };
  /** Directories that are there, and the modes that they get in the end: in some not even their owner may make files. */
  const directories = new Map<string, number>([['', 0o755]]);
  const links = new Map<string, string>();
  let entries = 0;
  let bytes = 0;
  let busySince = performance.now();

  const at = (path: string) => join(root, path);
  const forget = (path: string) => {
    rmSync(at(path), { recursive: true, force: true });
    for (const known of [directories, links])
      for (const key of known.keys()) if (key === path || key.startsWith(`${path}/`)) known.delete(key);
  };
  const own = ({ uid = 0, gid = 0 }: TarEntry, path: string) => {
    const whose = owner?.(uid, gid);
    if (whose) lchownSync(at(path), whose.uid, whose.gid);
  };
  const ensure = (path: string): string => {
    if (directories.has(path)) return path;
    const parts = partsOf(path);
    for (let length = 1; length <= parts.length; length++) {
      const here = parts.slice(0, length).join('/');
      if (directories.has(here)) continue;
      if (existsSync(at(here))) forget(here);
      mkdirSync(at(here), { mode: 0o755 });
      const whose = owner?.(0, 0);
      if (whose) lchownSync(at(here), whose.uid, whose.gid);
      directories.set(here, 0o755);
    }
    return path;
  };
  /** Where an entry lies: its directory without links, and its own name. */
  const placeOf = (name: string): { parent: string; base: string } | undefined => {
    const parts = partsOf(name);
    if (parts.includes('..')) throw refused(name, 'leads out of the image');
    const base = parts.pop();
    if (base === undefined) return undefined;
    const parent = resolveInRoot(parts.join('/'), (path) => links.get(path));
    if (parent === undefined) throw refused(name, 'lies behind links that lead in a circle');
    return { parent, base };
  };

  for await (const entry of readTar(tar)) {
    if (++entries > limits.entries) throw tooMuch(`more than ${limits.entries} files`);
    const place = placeOf(entry.name);
    const { parent, base } = place ?? { parent: '', base: '' };
    if (base === OPAQUE) {
      changes.opaque.push(parent);
      continue;
    }
    if (base.startsWith(WHITEOUT)) {
      // What else begins like this is the bookkeeping of old storage drivers.
      if (!base.startsWith(`${WHITEOUT}${WHITEOUT}`))
        changes.removed.push(join(parent, base.slice(WHITEOUT.length)));
      continue;
    }
    const path = join(parent, base);
    // Nothing of an image may lend rights to who starts it.
    const mode = entry.mode & 0o1777;
    if (place === undefined) {
      if (entry.type === 'directory') directories.set('', mode);
      continue;
    }
    if (entry.type === 'special') continue;
    ensure(parent);
    if (entry.type === 'directory') {
      if (!directories.has(path)) {
        if (lstatSync(at(path), { throwIfNoEntry: false })) forget(path);
        mkdirSync(at(path), { mode: 0o700 });
      }
      directories.set(path, mode);
      own(entry, path);
    } else {
      if (lstatSync(at(path), { throwIfNoEntry: false })) forget(path);
      if (entry.type === 'symlink') {
        symlinkSync(entry.link, at(path));
        links.set(path, entry.link);
        own(entry, path);
      } else if (entry.type === 'hardlink') {
        const target = resolveInRoot(entry.link, (one) => links.get(one));
        if (target === undefined) throw refused(entry.name, 'is a link that leads in a circle');
        if (lstatSync(at(target), { throwIfNoEntry: false })) linkSync(at(target), at(path));
        else changes.links.push({ path, target });
      } else {
        bytes += entry.size;
        if (bytes > limits.bytes) throw tooMuch(`more than ${limits.bytes} bytes`);
        await writeBody(at(path), entry);
        own(entry, path);
        chmodSync(at(path), mode);
      }
    }
    if (performance.now() - busySince > SLICE_MS) {
      await nextTurn();
      busySince = performance.now();
    }
  }
  // Who is not root could not read or remove what its modes forbid.
  const least = process.getuid?.() === 0 ? 0 : 0o700;
  for (const [path, mode] of directories) chmodSync(at(path), mode | least);
  await writeFile(join(dir, 'changes.json'), JSON.stringify(changes));
  return changes;
}

async function writeBody(path: string, entry: TarEntry): Promise<void> {
  if (entry.size <= SMALL) {
    const parts: Buffer[] = [];
    for await (const part of entry.body()) parts.push(part);
    writeFileSync(path, parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts), { flag: 'wx' });
    return;
  }
  const file = await open(path, 'wx');
  try {
    for await (const part of entry.body()) await file.writeFile(part);
  } finally {
    await file.close();
  }
}

const tooMuch = (what: string): PetrelError =>
  new PetrelError('PackageTooLarge', `a layer of the image has ${what}`, {
    why: 'An image that fills the disk would stop everybody.',
    fix: 'Make the image smaller.',
  });
