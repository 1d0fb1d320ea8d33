/**
 * Decides what a sandboxed process sees of the host: a list of mounts, parents first, and the empty directories and files
 * they are mounted on. Pure: what the host looks like comes in.
 */

/** What stands at a path of the host, symbolic links followed except for `link`. */
export type EntryKind = 'dir' | 'file' | 'other';

/** The host's file system as far as the plan has to look at it. */
export interface HostView {
  /** Entries of a directory; `link` is the target of a symbolic link. */
  list(dir: string): { name: string; kind: EntryKind | 'link'; link?: string }[];
  /** Undefined when nothing is there. */
  kind(path: string): EntryKind | undefined;
  /** Path with symbolic links resolved as far as it exists; the rest is kept. */
  resolve(path: string): string;
  /** Mount points below `/`, with the options that a remount must keep. */
  mounts: { target: string; fstype: string; options: string[] }[];
}

export interface SandboxRequest {
  /** Directories that exist but are shown empty: home directories, the platform's own home. */
  hidden: string[];
  /** Host paths shown read-only although a hidden directory contains them. */
  visible: string[];
  /** Empty, writable, private, in memory. */
  scratch: { path: string; options: string }[];
  /** Bind mounts of this container; they win over everything else at the same path. */
  mounts: { source: string; target: string; readOnly: boolean }[];
  /** Where the command starts; made, empty and writable, when nothing is there. */
  workingDir?: string;
  /** The container's own control groups, by controller; the empty name is for all (version 2). */
  groups?: Record<string, string>;
  /** A file of the container's own, wherever there is no file system of its own in the way. */
  terminationLog?: { source: string; target: string };
  /** In a user namespace a tree with mounts below it can only be bound as a whole. */
  recursive: boolean;
}

/** One line of work for mount(8). */
export interface PlannedMount {
  source: string;
  target: string;
  type: 'none' | 'tmpfs' | 'proc' | 'devpts' | 'overlay';
  options: string[];
}

export interface SandboxPlan {
  /** Directories, files and links that have to exist in the root before mounting, relative to it, parents first. */
  dirs: string[];
  files: string[];
  links: { path: string; to: string }[];
  /** In this order; targets are paths in the container. */
  mounts: PlannedMount[];
}

/** Devices a process may expect; everything else of the host's /dev stays out of reach. */
const DEVICES: readonly string[] = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];
export const DEVICE_LINKS: Readonly<Record<string, string>> = {
  ptmx: 'pts/ptmx',
  fd: '/proc/self/fd',
  stdin: '/proc/self/fd/0',
  stdout: '/proc/self/fd/1',
  stderr: '/proc/self/fd/2',
};
/** Kernel file systems that carry no files of the machine. */
const PSEUDO = new Set(
  'proc sysfs devtmpfs devpts cgroup cgroup2 mqueue debugfs tracefs securityfs bpf autofs fusectl configfs hugetlbfs binfmt_misc nsfs efivarfs pstore rpc_pipefs'.split(
    ' ',
  ),
);
/** Where a program looks for what it may use. */
export const GROUPS = '/sys/fs/cgroup';
/** Top-level directories that are never the host's. `lost+found` and a root's leftovers are of no use to anyone. */
const OWN = new Set(['proc', 'sys', 'dev', 'run', 'tmp', 'lost+found']);
const KEPT_OPTIONS = new Set(['nosuid', 'nodev', 'noexec']);

/** True when `path` is `dir` or lies below it. */
export function within(path: string, dir: string): boolean {
  return path === dir || path.startsWith(dir === '/' ? '/' : `${dir}/`);
}

/** Parents before children, siblings by name. */
export function byDepth(a: string, b: string): number {
  const left = a.split('/');
  const right = b.split('/');
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    if (left[i] !== right[i]) return left[i]! < right[i]! ? -1 : 1;
  }
  return left.length - right.length;
}

/** The options of the host's mount at a path that a mount of it must keep. */
export const flagsOf =
  (host: HostView) =>
  (path: string): string[] => {
    let best = { target: '', options: [] as string[] };
    for (const mount of host.mounts) {
      if (within(path, mount.target) && mount.target.length >= best.target.length) best = mount;
    }
    return best.options.filter((option) => KEPT_OPTIONS.has(option));
  };

/** What the kernel gives to any container: its own processes, what may be known of the machine, harmless devices. */
export function kernelMounts(
  host: HostView,
  bind: 'bind' | 'rbind',
  flagsAt: (path: string) => string[],
): PlannedMount[] {
  const shown = (path: string, options: string[]): PlannedMount[] =>
    host.kind(path) ? [{ source: path, target: path, type: 'none', options }] : [];
  return [
    { source: 'proc', target: '/proc', type: 'proc', options: ['nosuid', 'nodev', 'noexec'] },
    // Without these a process of user 0 could change the machine's kernel settings even without any capability.
    ...['/proc/sys', '/proc/irq', '/proc/bus', '/proc/sysrq-trigger'].flatMap((path) =>
      shown(path, ['bind', 'ro']),
    ),
    ...shown('/sys', [bind, 'ro', ...flagsAt('/sys')]),
    ...DEVICES.flatMap((name) => shown(`/dev/${name}`, [bind])),
    {
      source: 'devpts',
      target: '/dev/pts',
      type: 'devpts',
      options: ['newinstance', 'ptmxmode=0666', 'mode=0620', 'nosuid', 'noexec'],
    },
  ];
}

/** Whether a container may have something of its own there. */
export const isMountable = (target: string): boolean =>
  target !== '/' && !['/proc', '/sys', '/dev'].some((own) => within(target, own) && target !== '/dev/shm');

/** Why not. */
export const notMountable = (path: string): string =>
  `mountPath ${path} is not possible: choose a path outside /, /proc, /sys and /dev`;

/** Plans the view. Throws with a message for the user when a mount path is impossible. */
export function planSandbox(host: HostView, request: SandboxRequest): SandboxPlan {
  const bind = request.recursive ? 'rbind' : 'bind';
  const dirs = new Set<string>();
  const files = new Set<string>();
  const links = new Map<string, string>();
  const mounts = new Map<string, PlannedMount>();
  /** Directories of our own making (in the root or in memory), into which mount points can be put. */
  const open = new Set<string>(['/']);
  const scratch = new Set<string>();

  const flagsAt = flagsOf(host);
  const show = (source: string, target: string, readOnly: boolean) =>
    mounts.set(target, {
      source,
      target,
      type: 'none',
      options: readOnly ? [bind, 'ro', ...flagsAt(source)] : [bind],
    });
  const inMemory = (target: string, options: string) => {
    scratch.add(target);
    mounts.set(target, { source: 'tmpfs', target, type: 'tmpfs', options: options.split(',') });
  };
  const place = (path: string, kind: EntryKind) => {
    if (kind === 'dir') dirs.add(path);
    else files.add(path);
  };
  /** Shows the children of a host directory one by one, so that something can be put beside them. */
  const openUp = (dir: string) => {
    for (const { name, kind, link } of host.list(dir)) {
      if (dir === '/' && OWN.has(name)) continue;
      const path = dir === '/' ? `/${name}` : `${dir}/${name}`;
      if (kind === 'link') links.set(path, link!);
      else if (kind === 'dir' || (kind === 'file' && dir !== '/')) {
        place(path, kind);
        show(path, path, true);
      }
    }
  };

  openUp('/');
  for (const name of ['proc', 'sys', 'dev', 'run', 'tmp']) dirs.add(`/${name}`);
  for (const mount of kernelMounts(host, bind, flagsAt)) {
    if (mount.target.startsWith('/dev/') && mount.type === 'none') files.add(mount.target);
    mounts.set(mount.target, mount);
  }
  for (const [name, to] of Object.entries(DEVICE_LINKS)) links.set(`/dev/${name}`, to);
  for (const name of ['/dev/shm', '/dev/pts']) dirs.add(name);
  open.add('/dev');

  for (const { target, fstype } of host.mounts) {
    if (target === '/' || PSEUDO.has(fstype) || OWN.has(target.split('/')[1]!)) continue;
    const kind = host.kind(target);
    if (kind === 'dir' || kind === 'file') show(target, target, true);
  }
  // What a hidden directory contains must not come back through a mount inside it.
  for (const path of request.hidden) {
    for (const target of mounts.keys()) if (target !== path && within(target, path)) mounts.delete(target);
    for (const target of links.keys()) if (within(target, path)) links.delete(target);
  }
  for (const { path, options } of request.scratch) inMemory(path, options);
  for (const path of request.hidden) {
    const shownAgain = request.visible.some((dir) => within(path, dir));
    if (shownAgain || ![...scratch].some((dir) => within(path, dir)))
      inMemory(path, 'mode=755,size=1m,nosuid,nodev');
  }
  for (const path of request.visible) {
    if (host.kind(path) !== 'dir') continue;
    if ([...scratch].some((dir) => path !== dir && within(path, dir))) show(path, path, true);
  }

  // Many machines keep the resolver's file in /run and have a link to it in /etc: without it no name is resolved.
  const resolver = parent(host.resolve('/etc/resolv.conf'));
  if (
    host.kind(resolver) === 'dir' &&
    [...scratch].some((dir) => dir !== resolver && within(resolver, dir))
  ) {
    show(resolver, resolver, true);
  }

  for (const mount of request.mounts) {
    const target = host.resolve(mount.target);
    if (!isMountable(target)) throw new Error(notMountable(mount.target));
    const kind = host.kind(mount.source) ?? 'dir';
    makeRoomFor(target, kind);
    show(mount.source, target, mount.readOnly);
  }

  const groups = Object.entries(request.groups ?? {});
  if (groups.length > 0 && host.kind(GROUPS) === 'dir') {
    if (!groups.some(([name]) => name === '')) inMemory(GROUPS, 'mode=755,size=1m,nosuid,nodev,noexec');
    for (const [name, dir] of groups) show(dir, name === '' ? GROUPS : `${GROUPS}/${name}`, true);
  }
  const last = request.terminationLog;
  if (last) {
    const target = host.resolve(last.target);
    const cover = coverOf(target);
    if (!cover || (cover.type === 'none' && !request.mounts.some(({ source }) => source === cover.source))) {
      makeRoomFor(target, 'file');
      show(last.source, target, false);
    }
  }
  const home = request.workingDir === undefined ? '/' : host.resolve(request.workingDir);
  if (home !== '/' && !isThere(home)) {
    makeRoomFor(home, 'dir');
    inMemory(home, 'mode=1777,size=64m,nosuid,nodev');
  }

  /** The mount in which that path lies. */
  function coverOf(path: string): PlannedMount | undefined {
    return [...mounts.values()]
      .filter(({ target }) => within(path, target))
      .sort((a, b) => byDepth(a.target, b.target))
      .at(-1);
  }

  /** Whether the container will find a directory there, as far as that can be arranged. */
  function isThere(path: string): boolean {
    const cover = coverOf(path);
    if (!cover) return dirs.has(path);
    if (cover.target === path) return true;
    if (cover.type === 'tmpfs') return false;
    // Into what the user has mounted nothing is put.
    if (request.mounts.some(({ source }) => source === cover.source)) return true;
    return host.kind(cover.source + path.slice(cover.target.length)) === 'dir';
  }

  /** Sees to it that something exists at `target` to mount on. */
  function makeRoomFor(target: string, kind: EntryKind) {
    const covers = [...mounts.keys()].filter((path) => path !== target && within(target, path)).sort(byDepth);
    const nearest = covers.at(-1);
    if (nearest !== undefined && scratch.has(nearest)) {
      if (kind !== 'dir')
        throw new Error(`a single file cannot be mounted at ${target}: mount the directory instead`);
      return;
    }
    if (nearest !== undefined && host.kind(target) === kind) return;
    // Nothing there, and the host's directory is read-only: replace it, from the top down, by one of our own.
    const ancestors: string[] = [];
    for (let dir = parent(target); dir !== '/'; dir = parent(dir)) ancestors.unshift(dir);
    for (const dir of ancestors) {
      if (open.has(dir)) continue;
      open.add(dir);
      dirs.add(dir);
      const shown = mounts.get(dir);
      mounts.delete(dir);
      if (shown && host.kind(dir) === 'dir') openUp(dir);
    }
    place(target, kind);
  }

  const order = [...mounts.keys()].sort(byDepth);
  for (const target of order) {
    const mount = mounts.get(target)!;
    const inScratch = order.some((path) => scratch.has(path) && path !== target && within(target, path));
    if (inScratch) mount.options.push('X-mount.mkdir=0755');
  }
  const exists = new Set(links.keys());
  return {
    dirs: [...dirs].filter((path) => !exists.has(path)).sort(byDepth),
    files: [...files].sort(byDepth),
    links: [...links].map(([path, to]) => ({ path, to })),
    mounts: order.map((target) => mounts.get(target)!),
  };
}

const parent = (path: string) => path.slice(0, path.lastIndexOf('/')) || '/';

/** The plan as a table for `mount --all --fstab`, below `root`. */
export function toFstab(plan: SandboxPlan, root: string): string {
  const lines = [`${octal(root)} ${octal(root)} none bind,ro 0 0`];
  for (const { source, target, type, options } of plan.mounts) {
    lines.push(`${octal(source)} ${octal(root + target)} ${type} ${options.join(',')} 0 0`);
  }
  return `${lines.join('\n')}\n`;
}

/** fstab(5): blanks and backslashes in octal. */
export function octal(path: string): string {
  return path.replace(/[\s\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
}
