/** Brings a plan onto the disk: the empty root to mount on, and the table for mount(8). */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { ContainerMount } from '../driver.ts';
import type { ContainerGroup } from './cgroup.ts';
import { realHost } from './host.ts';
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
  fstab: string;
}

const SCRATCH = [
  { path: '/tmp', options: 'mode=1777,size=1g,nosuid,nodev' },
  { path: '/var/tmp', options: 'mode=1777,size=256m,nosuid,nodev' },
  { path: '/dev/shm', options: 'mode=1777,size=64m,nosuid,nodev' },
  { path: '/run', options: 'mode=755,size=16m,nosuid,nodev' },
];

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
  /** Where to write the table for mount(8). */
  fstab: string;
}

/** Stands for a Pod's uid in a table that serves many Pods. */
const ANY_POD = '@pod@';
/** The same for its control group. */
const ANY_GROUP = '@group@';
/** The host's directories may change without anyone telling; what was seen of them is believed this long. */
const BELIEVED_MS = 5000;

/** Returns the function that prepares what a container will see. */
export function createViews(options: ViewOptions, now: () => number): (request: ViewRequest) => View {
  let latest: { key: string; at: number; root: string; table: string } | undefined;
  const anyPod = join(options.runDir, 'pods', ANY_POD);
  return ({ podDir, mounts, workingDir, terminationLog, group, recursive, fstab }) => {
    const mountinfo = readFileSync('/proc/self/mountinfo', 'utf8');
    // Planning is most of the time that a start holds up the event loop, and most containers have equal needs.
    const last = terminationLog && {
      source: terminationLog.source.replace(basename(podDir), ANY_POD),
      target: terminationLog.target,
    };
    const groups = Object.fromEntries(
      Object.entries(group?.dirs ?? {}).map(([name, dir]) => [name, dir.replace(group!.name, ANY_GROUP)]),
    );
    const key = JSON.stringify([mountinfo, mounts, workingDir, last, groups, recursive]);
    if (latest?.key !== key || now() - latest.at > BELIEVED_MS) {
      const all = [{ source: anyPod, target: anyPod, readOnly: false }, ...mounts];
      const plan = planView(realHost(mountinfo), options, {
        mounts: all,
        workingDir,
        terminationLog: last,
        groups,
        recursive,
      });
      const root = rootFor(join(options.runDir, 'roots'), plan);
      latest = { key, at: now(), root, table: toFstab(plan, root) };
    }
    const table = latest.table
      .replaceAll(ANY_POD, octal(basename(podDir)))
      .replaceAll(ANY_GROUP, octal(group?.name ?? ''));
    writeFileSync(fstab, table, { mode: 0o600 });
    return { root: latest.root, fstab };
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

/** Empty directories and files to mount on. Equal needs share one root: most containers have the same. */
function rootFor(dir: string, plan: SandboxPlan): string {
  const shape = JSON.stringify([plan.dirs, plan.files, plan.links]);
  const root = join(dir, createHash('sha256').update(shape).digest('hex').slice(0, 16));
  if (statSync(root, { throwIfNoEntry: false })) return root;
  const fresh = `${root}.new`;
  rmSync(fresh, { recursive: true, force: true });
  for (const path of ['/', ...plan.dirs]) mkdirSync(fresh + path, { recursive: true, mode: 0o755 });
  for (const path of plan.files) writeFileSync(fresh + path, '');
  for (const { path, to } of plan.links) symlinkSync(to, fresh + path);
  renameSync(fresh, root);
  return root;
}
