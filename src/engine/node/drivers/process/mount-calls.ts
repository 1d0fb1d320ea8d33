/** A planned view as calls of mount(2), for a process that builds it itself; `toFstab` is the same for mount(8). */
import type { PlannedMount, SandboxPlan } from './plan.ts';

/** One mount: the call is made once with each of `flags`, in order. */
export interface MountCall {
  source: string;
  target: string;
  type: string;
  flags: number[];
  /** Options of the file system. */
  data: string;
  /** The target has to be made first. */
  mkdir?: boolean;
}

const MS = { ro: 1, nosuid: 2, nodev: 4, noexec: 8, remount: 32, bind: 4096, rbind: 4096 | 16384 } as const;
const MKDIR = 'X-mount.mkdir';

function callOf({ source, target, type, options }: PlannedMount, root: string): MountCall {
  const own: string[] = [];
  let bind = 0;
  let flags = 0;
  let mkdir = false;
  for (const option of options) {
    if (option === 'bind' || option === 'rbind') bind = MS[option];
    else if (option in MS) flags |= MS[option as keyof typeof MS];
    else if (option.startsWith(MKDIR)) mkdir = true;
    else own.push(option);
  }
  // What may be done with a bind mount is settled only when it is mounted again.
  const calls = bind === 0 ? [flags] : flags === 0 ? [bind] : [bind, MS.remount | MS.bind | flags];
  return {
    source,
    target: root + target,
    type,
    flags: calls,
    data: own.join(','),
    ...(mkdir ? { mkdir } : {}),
  };
}

/** The calls of a bind mount. */
export const bindFlags = (readOnly: boolean): number[] =>
  readOnly ? [MS.bind, MS.remount | MS.bind | MS.ro] : [MS.bind];

/** The plan's mounts below `root`, in order; the root itself is first, so that nobody can write to it. */
export function toMountCalls(plan: SandboxPlan, root: string): MountCall[] {
  const base: PlannedMount = { source: root, target: '', type: 'none', options: ['bind', 'ro'] };
  return [base, ...plan.mounts].map((mount) => callOf(mount, root));
}
