/**
 * CPU and memory limits through control groups, version 1 and 2, wherever the machine lets this user create them.
 * Every container has one group per controller (v1) or one (v2), flat, named `<prefix><id>` below a group `petrel`.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Capability, ContainerLimits } from '../driver.ts';

/** The group of one container. */
export interface ContainerGroup {
  name: string;
  /** Its directories, by the place where a container looks for them below `/sys/fs/cgroup`. */
  dirs: Record<string, string>;
  /** Files into which a process writes `0` to enter. */
  entrances: string[];
  apply(limits: ContainerLimits): void;
  /** Number of processes killed for memory so far. */
  oomKills(): number;
  pids(): number[];
  /** Succeeds once the last process has gone; false until then. */
  remove(): boolean;
}

export interface CgroupManager {
  capability: Capability;
  create(id: string): ContainerGroup;
  /** Groups that exist with this manager's prefix. */
  existing(): ContainerGroup[];
  /** Removes empty groups of platforms that were killed and never came back. `now` in milliseconds since the epoch. */
  removeAbandoned(now: number): void;
}

/** Processes and threads one container may have when nothing else is said: enough for real programs, too few to exhaust the machine's table. */
const MAX_TASKS = 8192;
const PERIOD_US = 100_000;
const ABANDONED_MS = 600_000;

const read = (path: string) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** One line per hierarchy: `4:memory:/a/b`; version 2 is `0::/a/b`. */
function ownGroups(): { controllers: string[]; path: string }[] {
  return read('/proc/self/cgroup')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [, controllers, ...path] = line.split(':');
      return { controllers: controllers === '' ? [] : controllers!.split(','), path: path.join(':') };
    });
}

/** Mount points with file system `cgroup` or `cgroup2`: [target, type, super options]. */
function groupMounts(): { target: string; type: string; root: string; options: string[] }[] {
  return read('/proc/self/mountinfo')
    .split('\n')
    .flatMap((line) => {
      const [left, right] = line.split(' - ');
      const fields = left?.split(' ') ?? [];
      const [type, , options] = right?.split(' ') ?? [];
      if (type !== 'cgroup' && type !== 'cgroup2') return [];
      return [{ target: fields[4]!, root: fields[3]!, type, options: options?.split(',') ?? [] }];
    });
}

/** Directories in which a group may be tried, deepest first: the process's own group, then its ancestors. */
function candidates(mount: { target: string; root: string }, own: string): string[] {
  const inside = own.startsWith(mount.root === '/' ? '/' : `${mount.root}/`)
    ? own.slice(mount.root === '/' ? 0 : mount.root.length)
    : '/';
  const dirs: string[] = [];
  for (let dir = join(mount.target, inside); dir.length >= mount.target.length; dir = dirname(dir)) {
    dirs.push(dir.replace(/\/$/, ''));
    if (dir === '/') break;
  }
  return dirs;
}

const shares = (millis: number) => Math.max(2, Math.round((millis * 1024) / 1000));
/** Kernel's mapping of v1 shares [2, 262144] to v2 weight [1, 10000], as in runc. */
const weight = (millis: number) =>
  Math.max(1, Math.min(10_000, Math.round(1 + ((shares(millis) - 2) * 9999) / 262_142)));
const quota = (millis: number) => Math.max(1000, Math.round((millis * PERIOD_US) / 1000));

function write(dir: string, file: string, value: string | number): void {
  writeFileSync(join(dir, file), String(value));
}

/** A setting that is good to have; a kernel without it is no failure. */
function tryWrite(dir: string, file: string, value: string | number): void {
  try {
    write(dir, file, value);
  } catch {}
}

function removeDirs(dirs: string[]): boolean {
  let gone = true;
  for (const dir of dirs) {
    try {
      rmdirSync(dir);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') gone = false;
    }
  }
  return gone;
}

const pidsIn = (dir: string) => read(join(dir, 'cgroup.procs')).split('\n').filter(Boolean).map(Number);

function groupV1(bases: Record<string, string>, name: string, maxTasks: number): ContainerGroup {
  const dirs = Object.fromEntries(
    Object.entries(bases).map(([controller, base]) => [controller, join(base, name)]),
  );
  const { memory, cpu, pids } = dirs;
  const all = [...new Set(Object.values(dirs))];
  return {
    name,
    dirs,
    entrances: all.map((dir) => join(dir, 'cgroup.procs')),
    apply(limits) {
      if (memory) {
        const bytes = limits.memoryBytes ?? -1;
        // With swap accounting, swap must not become a way around the limit; it can never be below the memory limit.
        tryWrite(memory, 'memory.memsw.limit_in_bytes', -1);
        write(memory, 'memory.limit_in_bytes', bytes);
        tryWrite(memory, 'memory.memsw.limit_in_bytes', bytes);
      }
      if (cpu) {
        write(cpu, 'cpu.cfs_period_us', PERIOD_US);
        write(cpu, 'cpu.cfs_quota_us', limits.cpuMillis === undefined ? -1 : quota(limits.cpuMillis));
        tryWrite(cpu, 'cpu.shares', shares(limits.cpuRequestMillis ?? limits.cpuMillis ?? 1000));
      }
      if (pids) tryWrite(pids, 'pids.max', maxTasks);
    },
    oomKills: () =>
      Number(/oom_kill (\d+)/.exec(memory ? read(join(memory, 'memory.oom_control')) : '')?.[1] ?? 0),
    pids: () => [...new Set(all.flatMap(pidsIn))],
    remove: () => removeDirs(all),
  };
}

function groupV2(base: string, name: string, maxTasks: number): ContainerGroup {
  const dir = join(base, name);
  return {
    name,
    dirs: { '': dir },
    entrances: [join(dir, 'cgroup.procs')],
    apply(limits) {
      write(dir, 'memory.max', limits.memoryBytes ?? 'max');
      tryWrite(dir, 'memory.swap.max', limits.memoryBytes === undefined ? 'max' : 0);
      write(
        dir,
        'cpu.max',
        `${limits.cpuMillis === undefined ? 'max' : quota(limits.cpuMillis)} ${PERIOD_US}`,
      );
      tryWrite(dir, 'cpu.weight', weight(limits.cpuRequestMillis ?? limits.cpuMillis ?? 1000));
      tryWrite(dir, 'pids.max', maxTasks);
    },
    oomKills: () => Number(/oom_kill (\d+)/.exec(read(join(dir, 'memory.events')))?.[1] ?? 0),
    pids: () => pidsIn(dir),
    remove: () => removeDirs([dir]),
  };
}

function unavailable(message: string): CgroupManager {
  return {
    capability: { available: false, reason: 'CgroupsUnavailable', message },
    create: () => {
      throw new Error(message);
    },
    existing: () => [],
    removeAbandoned: () => {},
  };
}

function manager(
  label: string,
  bases: string[],
  prefix: string,
  group: (name: string) => ContainerGroup,
): CgroupManager {
  return {
    capability: { available: true, reason: label, message: `limits are enforced below ${bases.join(', ')}` },
    create(id) {
      const name = prefix + id;
      for (const base of bases) mkdirSync(join(base, name), { recursive: true });
      return group(name);
    },
    existing() {
      const names = new Set(bases.flatMap((base) => (existsSync(base) ? readdirSync(base) : [])));
      return [...names].filter((name) => name.startsWith(prefix)).map(group);
    },
    removeAbandoned(now) {
      for (const base of bases) {
        for (const { name } of readdirSync(base, { withFileTypes: true }).filter((entry) =>
          entry.isDirectory(),
        )) {
          const dir = join(base, name);
          // A young one may be about to be entered. One with processes in it cannot be removed.
          if (now - (statSync(dir, { throwIfNoEntry: false })?.ctimeMs ?? now) > ABANDONED_MS)
            removeDirs([dir]);
        }
      }
    },
  };
}

/** Another user's platform may have made the group: what counts is whether this one can make groups in it. */
function canCreate(base: string, prefix: string): boolean {
  const probe = join(base, `${prefix}probe-${process.pid}`);
  try {
    mkdirSync(probe, { recursive: true });
    rmdirSync(probe);
    return true;
  } catch {
    return false;
  }
}

/** Tries to have a group `petrel` with memory and cpu in this directory of a v2 hierarchy. */
function openV2(parent: string, prefix: string): string | undefined {
  const base = join(parent, 'petrel');
  const wanted = ['memory', 'cpu', 'pids'];
  try {
    const offered = read(join(parent, 'cgroup.controllers')).trim().split(' ');
    if (!offered.includes('memory') || !offered.includes('cpu')) return undefined;
    for (const controller of wanted) tryWrite(parent, 'cgroup.subtree_control', `+${controller}`);
    mkdirSync(base, { recursive: true });
    for (const controller of wanted) tryWrite(base, 'cgroup.subtree_control', `+${controller}`);
    const enabled = read(join(base, 'cgroup.subtree_control')).trim().split(' ');
    const complete = enabled.includes('memory') && enabled.includes('cpu');
    return complete && canCreate(base, prefix) ? base : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Looks for a place where groups can be created. `prefix` tells the groups of this platform from those of another on
 * the same machine; `maxTasks` bounds the processes and threads of each.
 */
export function openCgroups(prefix: string, maxTasks = MAX_TASKS): CgroupManager {
  if (process.platform !== 'linux')
    return unavailable(`control groups exist on Linux only, this is ${process.platform}`);
  const mounts = groupMounts();
  const own = ownGroups();
  const tried: string[] = [];

  const bases: Record<string, string> = {};
  for (const controller of ['memory', 'cpu', 'pids']) {
    const mount = mounts.find(({ type, options }) => type === 'cgroup' && options.includes(controller));
    if (!mount) continue;
    const path = own.find(({ controllers }) => controllers.includes(controller))?.path ?? '/';
    for (const parent of candidates(mount, path)) {
      const base = join(parent, 'petrel');
      if (canCreate(base, prefix)) {
        bases[controller] = base;
        break;
      }
      tried.push(parent);
    }
  }
  if (bases.memory && bases.cpu) {
    return manager('CgroupV1', [...new Set(Object.values(bases))], prefix, (name) =>
      groupV1(bases, name, maxTasks),
    );
  }

  const unified = mounts.find(({ type }) => type === 'cgroup2');
  if (unified) {
    const path = own.find(({ controllers }) => controllers.length === 0)?.path ?? '/';
    for (const parent of candidates(unified, path)) {
      const base = openV2(parent, prefix);
      if (base) return manager('CgroupV2', [base], prefix, (name) => groupV2(base, name, maxTasks));
      tried.push(parent);
    }
  }
  return unavailable(
    tried.length === 0
      ? 'no control group hierarchy is mounted'
      : `this user may not create control groups with the memory and cpu controllers (tried ${[...new Set(tried)].join(', ')})`,
  );
}
