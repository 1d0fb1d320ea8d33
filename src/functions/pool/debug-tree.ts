/**
 * Code that is debugged lies at the same path whatever its version is: editors know the files of a function by where they are, and
 * breakpoints stay when it is edited.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';

/** The directory of a function below `dir`. */
export const debugTreeOf = (dir: string, namespace: string, name: string): string =>
  join(dir, `${namespace}.${name}`);

/**
 * Puts a copy of `tree` in the place of what was debugged before, and returns its path. What runs keeps the files that it has open, and has
 * loaded nearly all of its code; what it loads later is of the new version.
 */
export async function placeDebugTree(
  tree: string,
  dir: string,
  namespace: string,
  name: string,
): Promise<string> {
  const target = debugTreeOf(dir, namespace, name);
  const temporary = join(dir, `.${randomBytes(8).toString('hex')}`);
  await fs.mkdir(dir, { recursive: true, mode: 0o711 });
  await fs.cp(tree, temporary, { recursive: true, verbatimSymlinks: true });
  const before = `${temporary}.old`;
  await fs.rename(target, before).catch(ignoreMissing);
  await fs.rename(temporary, target);
  await fs.rm(before, { recursive: true, force: true });
  return target;
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
