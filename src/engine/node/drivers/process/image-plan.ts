/**
 * Decides what a container with a file system of its own sees: the tree of its image, the kernel's file systems, and what is mounted into
 * it. Pure: what the host and the tree look like comes in.
 */
import {
  byDepth,
  DEVICE_LINKS,
  type EntryKind,
  flagsOf,
  GROUPS,
  type HostView,
  isMountable,
  kernelMounts,
  notMountable,
  octal,
  type PlannedMount,
  type SandboxPlan,
  within,
} from './plan.ts';

/** The tree as far as the plan has to look at it. */
export interface TreeView {
  kind(path: string): EntryKind | undefined;
  /** Path without links, none of which leads out of the tree. */
  resolve(path: string): string;
}

export interface ImageRequest {
  mounts: { source: string; target: string; readOnly: boolean }[];
  workingDir?: string;
  /** The container's own control groups, by controller; the empty name is for all (version 2). */
  groups?: Record<string, string>;
  terminationLog?: { source: string; target: string };
  recursive: boolean;
}

/** Nothing shows what lies in `/dev` of an image. */
const MEMORY = ['mode=1777', 'size=64m', 'nosuid', 'nodev'];

/**
 * What is to be mounted over the tree, and what has to exist for that where the tree has nothing: these directories and files lie below the
 * tree in the overlay, so that everything of the image comes first. Throws with a message for the user when a mount path is impossible.
 */
export function planImage(host: HostView, tree: TreeView, request: ImageRequest): SandboxPlan {
  const bind = request.recursive ? 'rbind' : 'bind';
  const dirs = new Set<string>();
  const files = new Set<string>();
  const mounts = new Map<string, PlannedMount>();
  const flagsAt = flagsOf(host);

  const room = (target: string, kind: EntryKind) => {
    const inMount = [...mounts.values()].some(
      (mount) => mount.target !== target && mount.type === 'none' && within(target, mount.target),
    );
    const there = tree.kind(target);
    if (inMount || (there !== undefined && (there === 'dir') === (kind === 'dir'))) return;
    if (there !== undefined)
      throw new Error(
        `nothing can be mounted at ${target}: the image has ${there === 'dir' ? 'a directory' : 'a file'} there`,
      );
    const parts = target.split('/').slice(1, -1);
    for (let length = 1; length <= parts.length; length++) dirs.add(`/${parts.slice(0, length).join('/')}`);
    (kind === 'dir' ? dirs : files).add(target);
  };
  const put = (mount: PlannedMount, kind: EntryKind) => {
    room(mount.target, kind);
    mounts.set(mount.target, mount);
  };
  const show = (source: string, target: string, readOnly: boolean): PlannedMount => ({
    source,
    target,
    type: 'none',
    options: readOnly ? [bind, 'ro', ...flagsAt(source)] : [bind],
  });

  for (const path of ['/proc', '/sys', '/dev', '/dev/shm', '/dev/pts', '/tmp', '/run']) room(path, 'dir');
  put({ source: 'tmpfs', target: '/dev/shm', type: 'tmpfs', options: MEMORY }, 'dir');
  for (const mount of kernelMounts(host, bind, flagsAt)) {
    const device = mount.target.startsWith('/dev/') && mount.type === 'none';
    // What lies in /proc is there as soon as it is mounted.
    if (within(mount.target, '/proc')) mounts.set(mount.target, mount);
    else put(mount, device ? 'other' : 'dir');
  }
  const groups = Object.entries(request.groups ?? {});
  if (groups.length > 0 && host.kind(GROUPS) === 'dir') {
    if (!groups.some(([name]) => name === ''))
      mounts.set(GROUPS, {
        source: 'tmpfs',
        target: GROUPS,
        type: 'tmpfs',
        options: ['mode=755', 'size=1m', 'nosuid', 'nodev', 'noexec'],
      });
    for (const [name, dir] of groups) {
      const shown = show(dir, name === '' ? GROUPS : `${GROUPS}/${name}`, true);
      if (name !== '') shown.options.push('X-mount.mkdir=0755');
      mounts.set(shown.target, shown);
    }
  }
  for (const { source, target: wanted, readOnly } of request.mounts) {
    const target = tree.resolve(wanted);
    if (!isMountable(target)) throw new Error(notMountable(wanted));
    put(show(source, target, readOnly), host.kind(source) ?? 'dir');
  }
  const last = request.terminationLog;
  if (last) {
    const target = tree.resolve(last.target);
    const covered = [...mounts.keys()].some((path) => path !== '/dev' && within(target, path));
    if (!covered) put(show(last.source, target, false), 'file');
  }
  if (request.workingDir) room(tree.resolve(request.workingDir), 'dir');

  const links = Object.entries(DEVICE_LINKS)
    .map(([name, to]) => ({ path: `/dev/${name}`, to }))
    .filter(({ path }) => tree.kind(path) === undefined);
  return {
    dirs: [...dirs].sort(byDepth),
    files: [...files].sort(byDepth),
    links,
    mounts: [...mounts.keys()].sort(byDepth).map((target) => mounts.get(target) as PlannedMount),
  };
}

export interface Overlay {
  /** Where it is mounted. */
  root: string;
  /** The image's own files. */
  tree: string;
  /** What the plan wants to exist. */
  skeleton: string;
  /** Where changes go: has `u` and `w`. Absent: nothing can be changed. */
  upper?: string;
  /** Mounted in a user namespace. */
  userNamespace: boolean;
}

/** The plan as a table for `mount --all --fstab`. Throws where a path has what options of a mount cannot have. */
export function imageFstab(plan: SandboxPlan, overlay: Overlay): string {
  const { root, tree, skeleton, upper, userNamespace } = overlay;
  const bad = [tree, skeleton, upper ?? ''].find((path) => /[,:\\\n]/.test(path));
  if (bad !== undefined)
    throw new Error(`images cannot be used from ${bad}: its path has a comma or a colon`);
  const options = [
    `lowerdir=${tree}:${skeleton}`,
    ...(upper === undefined ? ['ro'] : [`upperdir=${upper}/u`, `workdir=${upper}/w`]),
    ...(userNamespace ? ['userxattr'] : []),
    'nosuid',
    'nodev',
  ];
  const all: PlannedMount[] = [{ source: 'overlay', target: '', type: 'overlay', options }, ...plan.mounts];
  return all
    .map(
      (mount) =>
        `${octal(mount.source)} ${octal(root + mount.target)} ${mount.type} ${octal(mount.options.join(','))} 0 0\n`,
    )
    .join('');
}
