/** Brings a plan onto the disk: the empty root to mount on, and the table for mount(8). */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { ContainerMount } from '../driver.ts';
import type { ContainerGroup } from './cgroup.ts';
import { realHost } from './host.ts';
import { toMountCalls } from './mount-calls.ts';
import { mountPoints } from './mount-points.ts';
import { type HostView, octal, planSandbox, type SandboxPlan, type SandboxRequest, toFstab } from './plan.ts';

export interface ViewOptions {
  runDir: string;
  /** Shown empty. */
  hidden: string[];
  /** Shown although a hidden directory contains them. */
  visible: string[];
}

export interface View {
  root: string;
  /** Table for mount(8); a file where one was asked for. */
  fstab: string;
  /** The same as calls of mount(2): JSON of `MountCall[]`. */
  calls: string;
}

const SCRATCH = [
  { path: '/tmp', options: 'mode=1777,size=512m,nosuid,nodev' },
  { path: '/var/tmp', options: 'mode=1777,size=256m,nosuid,nodev' },
  { path: '/dev/shm', options: 'mode=1777,size=64m,nosuid,nodev' },
  { path: '/run', options: 'mode=755,size=16m,nosuid,nodev' },
];

/** Where each container has a file system of its own in memory. */
export const SCRATCH_DIRS: readonly string[] = SCRATCH.map(({ path }) => path);

/** Directories that hold users' files on every Linux. */
const HOMES = ['/home', '/root'];

/** What one container needs beside what all have. */
export interface ViewRequest {
  /** `<runDir>/pods/<uid>`. */
  podDir: string;
  mounts: ContainerMount[];
  workingDir?: string;
  terminationLog?: { source: string; target: string };
  /** Shown to it. */
  group?: Pick<ContainerGroup, 'name' | 'dirs'>;
  /** Its mounts are made in a user namespace. */
  recursive: boolean;
  /** Where to write the table for mount(8); absent: nowhere. */
  fstab?: string;
}

/** Stands for a Pod's uid in a table that serves many Pods. */
const ANY_POD = '@pod@';
/** The same for its control group. */
const ANY_GROUP = '@group@';
/** The host's directories may change without anyone telling; what was seen of them is believed this long. */
const BELIEVED_MS = 5000;

/** Returns the function that prepares what a container will see. */
export function createViews(options: ViewOptions, now: () => number): (request: ViewRequest) => View {
  let latest: { key: string; at: number; root: string; table: string; calls: string } | undefined;
  const anyPod = join(options.runDir, 'pods', ANY_POD);
  return ({ podDir, mounts: asked, workingDir, terminationLog, group, recursive, fstab }) => {
    const uid = basename(podDir);
    // Targets are the container's own business; a Pod's files are found by its uid.
    const mounts = asked.map((mount) => ({ ...mount, source: mount.source.replace(uid, ANY_POD) }));
    const mountinfo = readFileSync('/proc/self/mountinfo', 'utf8');
    // Planning is most of the time that a start holds up the event loop, and most containers have equal needs.
    const last = terminationLog && {
      source: terminationLog.source.replace(uid, ANY_POD),
      target: terminationLog.target,
    };
    const groups = Object.fromEntries(
      Object.entries(group?.dirs ?? {}).map(([name, dir]) => [name, dir.replace(group!.name, ANY_GROUP)]),
    );
    const host = realHost(mountinfo);
    const kind = (path: string) => host.kind(path.replaceAll(ANY_POD, uid));
    const kinds = mounts.map(({ source }) => kind(source));
    const key = JSON.stringify([mountinfo, mounts, kinds, workingDir, last, groups, recursive]);
    if (latest?.key !== key || now() - latest.at > BELIEVED_MS) {
      const all = [{ source: anyPod, target: anyPod, readOnly: false }, ...mounts];
      const plan = planView({ ...host, kind }, options, {
        mounts: all,
        workingDir,
        terminationLog: last,
        groups,
        recursive,
      });
      const root = mountPoints(join(options.runDir, 'roots'), plan);
      const calls = JSON.stringify(toMountCalls(plan, root));
      latest = { key, at: now(), root, table: toFstab(plan, root), calls };
    }
    const filled = (text: string, quoted: (path: string) => string) =>
      text.replaceAll(ANY_POD, quoted(uid)).replaceAll(ANY_GROUP, quoted(group?.name ?? ''));
    if (fstab !== undefined) writeFileSync(fstab, filled(latest.table, octal), { mode: 0o600 });
    return {
      root: latest.root,
      fstab: fstab ?? '',
      // Inside a string of JSON.
      calls: filled(latest.calls, (path) => JSON.stringify(path).slice(1, -1)),
    };
  };
}

function planView(
  host: HostView,
  options: ViewOptions,
  container: Omit<SandboxRequest, 'hidden' | 'visible' | 'scratch'>,
): SandboxPlan {
  const isDir = (path: string) => host.kind(path) === 'dir' && path !== '/';
  return planSandbox(host, {
    hidden: [...new Set([...options.hidden, options.runDir, ...HOMES])].filter(isDir),
    visible: options.visible,
    scratch: SCRATCH.filter(({ path }) => path !== '/var/tmp' || isDir(path)),
    ...container,
  });
}
