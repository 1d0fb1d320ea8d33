/** The layers of an image as one tree. Files are the layers' own, under a second name: nobody writes to either. */
import {
  chmodSync,
  copyFileSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { linksBelow, resolveInRoot } from './in-root.ts';
import type { LayerChanges } from './layer.ts';

/** Others get a turn after so much of it, ms. */
const SLICE_MS = 2;

/** Puts what lies in `layers`, from the lowest up, into the new directory `root`. */
export async function mergeLayers(layers: readonly string[], root: string): Promise<void> {
  mkdirSync(root, { mode: 0o755 });
  let busySince = performance.now();
  const turn = async () => {
    if (performance.now() - busySince < SLICE_MS) return;
    await nextTurn();
    busySince = performance.now();
  };
  const linkAt = linksBelow(root);
  /** A directory of the layers below may be a link by now: then what it leads to is meant. */
  const placeOf = (path: string) => resolveInRoot(path, linkAt) ?? path;
  /** The same for the name itself, whatever it leads to. */
  const named = (path: string) => join(placeOf(dirname(path)), basename(path));
  const isDirectory = (path: string) =>
    lstatSync(join(root, path), { throwIfNoEntry: false })?.isDirectory() ?? false;
  const remove = (path: string) => rmSync(join(root, path), { recursive: true, force: true });

  for (const layer of layers) {
    const changes = JSON.parse(readFileSync(join(layer, 'changes.json'), 'utf8')) as LayerChanges;
    for (const path of changes.removed) remove(named(path));
    for (const path of changes.opaque) {
      const place = placeOf(path);
      if (isDirectory(place)) for (const name of readdirSync(join(root, place))) remove(join(place, name));
    }
    const add = async (inLayer: string, target: string): Promise<void> => {
      const from = join(layer, 'fs', inLayer);
      const { mode, uid, gid } = lstatSync(from);
      chmodSync(join(root, target), mode & 0o7777);
      if (process.getuid?.() === 0) lchownSync(join(root, target), uid, gid);
      for (const entry of readdirSync(from, { withFileTypes: true })) {
        await turn();
        const path = join(inLayer, entry.name);
        const place = join(target, entry.name);
        if (!entry.isDirectory()) {
          remove(place);
          link(join(from, entry.name), join(root, place));
          continue;
        }
        const behind = placeOf(place);
        const existing = isDirectory(behind) ? behind : place;
        if (!isDirectory(existing)) {
          remove(place);
          mkdirSync(join(root, place), { mode: 0o755 });
        }
        await add(path, existing);
      }
    };
    await add('', '');
    for (const { path, target } of changes.links) {
      const from = placeOf(target);
      const file = lstatSync(join(root, from), { throwIfNoEntry: false });
      if (!file?.isFile()) continue;
      remove(named(path));
      link(join(root, from), join(root, named(path)));
    }
  }
}

/** A second name; a copy where the disk has too many already, or forbids it. */
function link(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if (!['EMLINK', 'EPERM', 'EXDEV'].includes(String((error as NodeJS.ErrnoException).code))) throw error;
    const { mode, uid, gid } = lstatSync(from);
    copyFileSync(from, to);
    chmodSync(to, mode & 0o7777);
    if (process.getuid?.() === 0) lchownSync(to, uid, gid);
  }
}
