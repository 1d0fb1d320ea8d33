/** Paths in a tree that somebody else has filled: links in it lead to places in it, as they do for who has it as the root. */
import { lstatSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Links followed before a chain counts as a loop; Linux's own limit. */
const MAX_HOPS = 40;

/** What a path leads to is decided by whoever looks: the target of a link there, undefined for anything else. */
export type LinkAt = (path: string) => string | undefined;

/** The parts of a path, without what does not lead anywhere. */
export const partsOf = (path: string): string[] =>
  path.split('/').filter((part) => part !== '' && part !== '.');

/**
 * The path, relative to the root and without a leading slash, at which `path` really lies; `..` never leaves the root. Undefined: its links
 * lead in a circle. Parts that do not exist are kept.
 */
export function resolveInRoot(path: string, linkAt: LinkAt): string | undefined {
  const todo = partsOf(path).reverse();
  const done: string[] = [];
  let hops = 0;
  for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
    if (part === '..') {
      done.pop();
      continue;
    }
    const target = linkAt([...done, part].join('/'));
    if (target === undefined) {
      done.push(part);
      continue;
    }
    if (++hops > MAX_HOPS) return undefined;
    if (target.startsWith('/')) done.length = 0;
    todo.push(...partsOf(target).reverse());
  }
  return done.join('/');
}

/** Links as they are on the disk below `root`. */
export const linksBelow =
  (root: string): LinkAt =>
  (path) => {
    const full = join(root, path);
    return lstatSync(full, { throwIfNoEntry: false })?.isSymbolicLink() ? readlinkSync(full) : undefined;
  };
