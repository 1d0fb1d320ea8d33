/** Processes, control groups and files that an earlier run of the platform did not live to remove. */
import { readdirSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { CgroupManager, ContainerGroup } from './cgroup.ts';
import { startTimeOf } from './host.ts';
import { signalGroup, signalProcess } from './spawn.ts';

/** Ends and removes them; returns how many processes had to be ended. */
export async function cleanLeftovers(options: {
  recordsDir: string;
  /** Argument by which this platform's processes are recognised. */
  marker: string;
  groups: CgroupManager | undefined;
  now: number;
}): Promise<number> {
  let count = 0;
  const end = (pid: number) => {
    if (pid !== process.pid && signalProcess(pid, 'SIGKILL')) count++;
  };
  for (const name of readdirSync(options.recordsDir)) {
    const path = join(options.recordsDir, name);
    const [pid, started] = (await readFile(path, 'utf8').catch(() => '')).trim().split(' ');
    if (!/\.(fstab|entry)$/.test(name) && pid && started) {
      // The start time tells the process from a later one with the same number; a group outlives its first process, and
      // as long as it does its number is not given to another.
      const now = startTimeOf(Number(pid));
      if (now === started) end(Number(pid));
      if (now === started || now === undefined) signalGroup(Number(pid), 'SIGKILL');
    }
    await rm(path, { force: true });
  }
  // One that was started in the last instant has no record yet.
  if (process.platform === 'linux') {
    for (const entry of readdirSync('/proc')) {
      if (!/^\d+$/.test(entry)) continue;
      const line = await readFile(`/proc/${entry}/cmdline`, 'latin1').catch(() => '');
      if (line.split('\0').includes(options.marker)) end(Number(entry));
    }
  }
  for (const group of options.groups?.existing() ?? []) {
    for (const pid of group.pids()) end(pid);
    await removeGroup(group);
  }
  options.groups?.removeAbandoned(options.now);
  return count;
}

/** A killed process leaves its group a moment after it was reaped: tries for a while, then leaves it to the next start. */
export async function removeGroup(group: ContainerGroup | undefined): Promise<void> {
  for (let wait = 1; group && !group.remove() && wait < 2000; wait *= 2) {
    await new Promise((resolve) => setTimeout(resolve, wait).unref());
  }
}
