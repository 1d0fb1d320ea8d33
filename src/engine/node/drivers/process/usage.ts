/** What a container uses now: from its control group where that counts it, else from its processes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerUsage } from '../driver.ts';
import type { ContainerGroup } from './cgroup.ts';
import { childrenOf } from './host.ts';

/** Ticks per second of times in /proc; the kernel's interface has the same number everywhere (`USER_HZ`). */
const TICKS = 100;
const PAGE = 4096;

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};
const field = (text: string, name: string): number | undefined => {
  const found = new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
};
const number = (text: string): number | undefined => (text.trim() === '' ? undefined : Number(text));

/** Nanoseconds or microseconds of processor time that the group has counted; undefined where it counts none. */
function groupCpu({ dirs }: ContainerGroup): number | undefined {
  if (dirs['']) {
    const micros = field(read(join(dirs[''], 'cpu.stat')), 'usage_usec');
    return micros === undefined ? undefined : micros / 1e6;
  }
  const nanos = dirs.cpu ? number(read(join(dirs.cpu, 'cpuacct.usage'))) : undefined;
  return nanos === undefined ? undefined : nanos / 1e9;
}

/** Memory that cannot be taken back without swapping: what Kubernetes calls the working set. */
function groupMemory({ dirs }: ContainerGroup): number | undefined {
  const dir = dirs[''] ?? dirs.memory;
  if (dir === undefined) return undefined;
  const [used, reclaimable] = dirs['']
    ? (['memory.current', 'inactive_file'] as const)
    : (['memory.usage_in_bytes', 'total_inactive_file'] as const);
  const bytes = number(read(join(dir, used)));
  if (bytes === undefined) return undefined;
  return Math.max(0, bytes - (field(read(join(dir, 'memory.stat')), reclaimable) ?? 0));
}

/** The process and everything it has started that still runs. */
function tree(pid: number): number[] {
  const found = [pid];
  for (let index = 0; index < found.length; index++) found.push(...childrenOf(found[index]!));
  return found;
}

/** Time of the process and of its children that have ended and were waited for, in ticks. Fields 14–17 of proc_pid_stat(5). */
function ticksOf(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, text) => sum + Number(text), 0);
}

function processMemory(pids: number[]): number {
  let own = 0;
  let shared = 0;
  for (const pid of pids) {
    const [, resident = 0, common = 0] = read(`/proc/${pid}/statm`).split(' ').map(Number);
    own += resident - common;
    shared = Math.max(shared, common);
  }
  return (own + shared) * PAGE;
}

/** `pid`: the outermost process of the container. */
export function usageOf(pid: number, group: ContainerGroup | undefined): ContainerUsage {
  const cpu = group && groupCpu(group);
  const memory = group && groupMemory(group);
  const pids = cpu === undefined || memory === undefined ? tree(pid) : [];
  return {
    cpuSeconds: cpu ?? pids.reduce((sum, each) => sum + ticksOf(each), 0) / TICKS,
    memoryBytes: memory ?? processMemory(pids),
  };
}
