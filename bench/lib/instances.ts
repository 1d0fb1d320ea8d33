/** What instances cost this machine, by their processes. */
import { readdirSync, readFileSync } from 'node:fs';

/** Process ids of the instances of a function of the namespace `default`; with a prefix, of all whose names begin with it. */
export function instancesOf(prefix: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(` default/${prefix}`);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Process ids of the containers of these Pods (uids), by their control groups: keepers and gates are not in them. */
export function processesOfPod(uids: string[]): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const groups = readFileSync(`/proc/${pid}/cgroup`, 'latin1');
        return uids.some((uid) => groups.includes(`.${uid}.`));
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Proportional set size of a process, bytes: what it shares is divided among those that share it. */
export function proportionalBytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
  return Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0) * 1024;
}
