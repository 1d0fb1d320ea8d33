/** Starting a platform from a command. */
import { fileURLToPath } from 'node:url';
import { PetrelError } from '../base/errors.ts';
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

function passedOn(args: Args): string[] {
  return PASSED_ON.flatMap((option) => {
    const value = args.text(option);
    return value === undefined ? [] : [`--${option}=${value}`];
  });
}

/** The error of a start on a home where a platform runs already, or nothing. */
export async function refuseSecond(home: HomePaths): Promise<void> {
  const running = await findPlatform(home);
  if (!running) return;
  throw new PetrelError('PlatformAlreadyRunning', `a platform runs on ${home.dir} already`, {
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
