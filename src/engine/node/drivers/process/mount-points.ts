/** Directories, files and links that only exist to be mounted on, laid down once for all containers with equal needs. */
import { createHash } from 'node:crypto';
import { mkdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SandboxPlan } from './plan.ts';

/**
 * The tree below `dir` that has what the plan wants to exist. `prefix` keeps trees apart whose directories are made in another way;
 * `finish` is called with each directory, by its place in the tree and on the disk.
 */
export function mountPoints(
  dir: string,
  { dirs, files, links }: SandboxPlan,
  prefix = '',
  finish: (place: string, path: string) => void = () => {},
): string {
  const shape = JSON.stringify([dirs, files, links]);
  const root = join(dir, prefix + createHash('sha256').update(shape).digest('hex').slice(0, 16));
  if (statSync(root, { throwIfNoEntry: false })) return root;
  const fresh = `${root}.new`;
  rmSync(fresh, { recursive: true, force: true });
  for (const place of ['/', ...dirs]) {
    mkdirSync(fresh + place, { recursive: true, mode: 0o755 });
    finish(place, fresh + place);
  }
  for (const path of files) writeFileSync(fresh + path, '');
  for (const { path, to } of links) symlinkSync(to, fresh + path);
  renameSync(fresh, root);
  return root;
}
