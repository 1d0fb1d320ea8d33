/** Brings a plan onto the disk: the empty root to mount on, and the table for mount(8). */
import { createHash } from 'node:crypto';
import { mkdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerMount } from '../driver.ts';
import { type HostView, planSandbox, type SandboxPlan, toFstab } from './plan.ts';

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

/** Prepares what one container will see; `recursive` where its mounts are made in a user namespace. */
export function prepareView(
  host: HostView,
  options: ViewOptions,
  container: { podDir: string; mounts: ContainerMount[]; recursive: boolean; fstab: string },
): View {
  const { podDir, fstab } = container;
  const isDir = (path: string) => host.kind(path) === 'dir' && path !== '/';
  const plan = planSandbox(host, {
    hidden: [...new Set([...options.hidden, options.runDir, ...HOMES])].filter(isDir),
    visible: options.visible,
    scratch: SCRATCH.filter(({ path }) => path !== '/var/tmp' || isDir(path)),
    mounts: [{ source: podDir, target: podDir, readOnly: false }, ...container.mounts],
    recursive: container.recursive,
  });
  const root = rootFor(join(options.runDir, 'roots'), plan);
  writeFileSync(fstab, toFstab(plan, root), { mode: 0o600 });
  return { root, fstab };
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
