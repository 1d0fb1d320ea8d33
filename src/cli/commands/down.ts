import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { PetrelError } from '../../base/errors.ts';
import { readRecord } from '../../platform/home.ts';
import type { CommandContext } from '../command.ts';
import { findPlatform, requestShutdown } from '../session.ts';

/** How often the end of the process is looked for, milliseconds. */
const LOOK_EVERY_MS = 10;

/** Stops the platform of this home and waits until its process is gone. Without a platform there is nothing to do. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const now = args.flag('now');
  let pid: number | undefined;
  try {
    pid = (await findPlatform(home))?.pid;
    if (pid !== undefined) await requestShutdown(home, now ? 0 : undefined);
  } catch (error) {
    if (!now || !(error instanceof PetrelError)) throw error;
    pid = readRecord(home)?.pid; // it listens, so the record is of the process that is stuck
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  }
  if (pid !== undefined) await out.progress('stopping the platform', ended(pid));
  await out.data({ stopped: pid !== undefined, pid: pid ?? null, home: home.dir }, () =>
    out.line(pid === undefined ? `No platform runs on ${home.dir}` : `Stopped (process ${pid})`),
  );
  return 0;
}

async function ended(pid: number): Promise<void> {
  while (isAlive(pid)) await sleep(LOOK_EVERY_MS);
}

/** A process that has ended but was not collected by its parent yet (a slow init) counts as gone. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch (error) {
    // No /proc: not Linux, and the signal says that it is there.
    return (error as NodeJS.ErrnoException).syscall !== 'kill' && !existsSync('/proc/self');
  }
}
