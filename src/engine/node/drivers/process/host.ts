/** What the process driver has to know of the machine: its file system, its mounts, the tools it uses. */
import { lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { EntryKind, HostView } from './plan.ts';

function kindOf(path: string): EntryKind | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? undefined : stats.isDirectory() ? 'dir' : stats.isFile() ? 'file' : 'other';
}

function resolve(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(resolve(parent), basename(path));
  }
}

/** Parses /proc/self/mountinfo, proc(5). */
function parseMounts(text: string): HostView['mounts'] {
  const mounts: HostView['mounts'] = [];
  for (const line of text.split('\n')) {
    const [left, right] = line.split(' - ');
    const fields = left?.split(' ');
    if (right === undefined || fields === undefined || fields.length < 6) continue;
    const target = fields[4]!.replace(/\\(\d{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    mounts.push({ target, fstype: right.split(' ')[0]!, options: fields[5]!.split(',') });
  }
  return mounts;
}

/** The real machine, given the content of /proc/self/mountinfo. Reads at every call: nothing is cached. */
export function realHost(mountinfo: string): HostView {
  return {
    list(dir) {
      try {
        return readdirSync(dir).map((name) => {
          const path = join(dir, name);
          const stats = lstatSync(path, { throwIfNoEntry: false });
          if (stats?.isSymbolicLink()) return { name, kind: 'link' as const, link: readlinkSync(path) };
          return {
            name,
            kind: stats?.isDirectory()
              ? ('dir' as const)
              : stats?.isFile()
                ? ('file' as const)
                : ('other' as const),
          };
        });
      } catch {
        return [];
      }
    },
    kind(path) {
      try {
        return kindOf(path);
      } catch {
        return undefined;
      }
    },
    resolve,
    mounts: parseMounts(mountinfo),
  };
}

export interface Tools {
  sh: string;
  setpriv: string;
  unshare: string;
  mount: string;
  chroot: string;
  nsenter: string;
  env: string;
  mkfifo: string;
  mkdir: string;
  /** Sets the host name where writing it to /proc is not permitted. */
  hostname?: string;
}

const TOOL_DIRS = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/local/sbin'];

/** Absolute paths of the tools, or the names of those that are missing. */
export function findTools(): { tools: Tools } | { missing: string[] } {
  const names = ['sh', 'setpriv', 'unshare', 'mount', 'chroot', 'nsenter', 'env', 'mkfifo', 'mkdir'] as const;
  const found: Record<string, string> = {};
  for (const name of [...names, 'hostname']) {
    const path = TOOL_DIRS.map((dir) => `${dir}/${name}`).find((candidate) => kindOf(candidate) === 'file');
    if (path) found[name] = path;
  }
  const missing = names.filter((name) => !found[name]);
  return missing.length > 0 ? { missing } : { tools: found as unknown as Tools };
}

/** Process start time in clock ticks since boot (field 22 of /proc/<pid>/stat): tells a process from a later one with its number. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

/** Child processes of a process, in order of creation. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  } catch {
    return [];
  }
}
