/** Brings the plan of a container with an image's file system onto the disk: what its mounts need, and the table for mount(8). */
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { linksBelow, resolveInRoot } from '../../oci/in-root.ts';
import type { RootFs } from '../driver.ts';
import { realHost } from './host.ts';
import { imageFstab, planImage, type TreeView } from './image-plan.ts';
import { mountPoints } from './mount-points.ts';
import type { SandboxPlan } from './plan.ts';
import type { Privileges } from './script.ts';
import type { ViewRequest } from './view.ts';

export interface ImageView {
  /** Directory on the host that is the container's root, in its mount namespace. */
  root: string;
  fstab: string;
  /** Where changes are kept in memory; absent: nothing can be changed. */
  upper?: string;
}

/** Writable by everybody, as everywhere. */
const OPEN_TO_ALL = new Set(['/tmp', '/var/tmp', '/dev/shm']);

/** Prepares what the container will see. */
export function prepareImageView(
  runDir: string,
  { tree, readOnly }: RootFs,
  privileges: Privileges,
  request: Omit<ViewRequest, 'podDir'> & { fstab: string },
): ImageView {
  const { mounts, workingDir, terminationLog, group, recursive, fstab } = request;
  const host = realHost(readFileSync('/proc/self/mountinfo', 'utf8'));
  const plan = planImage(host, treeView(tree), {
    mounts,
    workingDir,
    terminationLog,
    groups: group ? group.dirs : {},
    recursive,
  });
  // Mounts are only ever in namespaces of their own: here both are empty directories.
  const [root, upper] = ['image', 'changes'].map((name) => join(runDir, 'roots', name)) as [string, string];
  for (const dir of [root, upper]) mkdirSync(dir, { recursive: true, mode: 0o755 });
  const text = imageFstab(plan, {
    root,
    tree,
    skeleton: skeletonFor(join(runDir, 'roots'), plan, privileges),
    userNamespace: privileges.kind === 'same' && privileges.userNamespace,
    ...(readOnly ? {} : { upper }),
  });
  writeFileSync(fstab, text, { mode: 0o600 });
  return { root, fstab, ...(readOnly ? {} : { upper }) };
}

function treeView(tree: string): TreeView {
  const linkAt = linksBelow(tree);
  const resolve = (path: string) => `/${resolveInRoot(path, linkAt) ?? path.slice(1)}`;
  return {
    resolve,
    kind(path) {
      const stats = statSync(join(tree, resolve(path)), { throwIfNoEntry: false });
      return stats === undefined
        ? undefined
        : stats.isDirectory()
          ? 'dir'
          : stats.isFile()
            ? 'file'
            : 'other';
    },
  };
}

/** Its directories are as what belongs to root in the image. */
const skeletonFor = (dir: string, plan: SandboxPlan, privileges: Privileges): string =>
  mountPoints(dir, plan, 'i', (place, path) => {
    chmodSync(path, OPEN_TO_ALL.has(place) ? 0o1777 : 0o755);
    if (privileges.kind === 'user') chownSync(path, privileges.uid, privileges.gid);
  });
