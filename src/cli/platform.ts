/** Starting a platform from a command. */
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type ErrorCode, PetrelError } from '../base/errors.ts';
import type { HomePaths, PlatformRecord } from '../platform/home.ts';
import type { Args } from './args.ts';
import type { CommandContext } from './command.ts';
import { findPlatform } from './session.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
/** Options that a platform in the background gets as its starter got them. */
const PASSED_ON = ['gateway', 'api', 'kubeconfig'] as const;

/** Starts `petrel <command>` in the background and waits until it is ready. */
export async function startInBackground(
  { args, env, home, out }: CommandContext,
  command: 'up' | 'apiserver',
): Promise<PlatformRecord> {
  const { startDetached } = await import('../platform/detach.ts');
  const argv = [command, ...passedOn(args)];
  return out.progress('starting the platform', startDetached({ home, main: MAIN, argv, env }));
}

/** How long somebody else's start on the same home may take, by the error that our own met, milliseconds. */
const OTHER_START_MS: Partial<Record<ErrorCode, number>> = {
  PlatformAlreadyRunning: 10_000,
  PortInUse: 1000,
};
const LOOK_AGAIN_MS = 50;

/** The platform of this home, started when none runs. Of several commands that find none one starts it, the others wait for it. */
export async function findOrStart(context: CommandContext): Promise<PlatformRecord> {
  const begun = performance.now();
  for (;;) {
    const found = await findPlatform(context.home);
    if (found) return found;
    try {
      return await startInBackground(context, 'up');
    } catch (error) {
      const patience = error instanceof PetrelError ? OTHER_START_MS[error.code] : undefined;
      if (patience === undefined || performance.now() - begun > patience) throw error;
      await setTimeout(LOOK_AGAIN_MS);
    }
  }
}

function passedOn(args: Args): string[] {
  return PASSED_ON.flatMap((option) => {
    const value = args.text(option);
    return value === undefined ? [] : [`--${option}=${value}`];
  });
}

/** Throws `PlatformAlreadyRunning` where a platform runs already, and tells the starter that waits on `readyFd`, if one does. */
export async function refuseSecond(home: HomePaths, readyFd: number | undefined): Promise<void> {
  try {
    const running = await findPlatform(home);
    if (running) throw alreadyRunning(home, running);
  } catch (error) {
    if (readyFd !== undefined && error instanceof PetrelError) {
      const { reportReady } = await import('../platform/ready.ts');
      reportReady(readyFd, error);
    }
    throw error;
  }
}

function alreadyRunning(home: HomePaths, running: PlatformRecord): PetrelError {
  return new PetrelError('PlatformAlreadyRunning', `a platform runs on ${home.dir} already`, {
    why: `process ${running.pid}, ${running.gateway ? `gateway ${running.gateway}` : `API ${running.api}`}`,
    fix: 'use it, stop it with petrel down, or start this one with another --home',
  });
}

/** What `up`, `apiserver` and `status` print for people. */
export function describePlatform({ gateway, api, kubeconfig, home, pid }: PlatformRecord): string {
  const rows: [string, string][] = [
    ...(gateway ? [['gateway', `http://${gateway}`] as [string, string]] : []),
    ['api', `https://${api}`],
    ['kubeconfig', kubeconfig],
    ['home', home],
    ['process', String(pid)],
  ];
  return rows.map(([name, value]) => `  ${name.padEnd(10)}  ${value}`).join('\n');
}
