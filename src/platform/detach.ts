/** Starting a platform in the background. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { PetrelError } from '../base/errors.ts';
import { fileError, type HomePaths, type PlatformRecord, prepareHome } from './home.ts';
import { awaitReady } from './ready.ts';

/** Lines of the log that an error shows. */
const LOG_TAIL = 12;

/**
 * Runs `main` (the command's script) with `argv` and `--ready-fd` in a session of its own and waits until it is ready.
 * Its output goes to the platform log. Throws what the platform reports, or `StartFailed` with the end of its log.
 */
export async function startDetached(options: {
  home: HomePaths;
  main: string;
  argv: readonly string[];
  env: NodeJS.ProcessEnv;
}): Promise<PlatformRecord> {
  const { home } = options;
  prepareHome(home);
  const log = openLog(home);
  const child = spawn(
    process.execPath,
    [...process.execArgv, options.main, ...options.argv, '--home', home.dir, '--ready-fd', '3'],
    { detached: true, cwd: '/', env: options.env, stdio: ['ignore', log, log, 'pipe'] },
  );
  closeSync(log);
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  const pipe = child.stdio[3] as Readable;
  try {
    const record = await Promise.race([awaitReady(pipe), failed]);
    if (record) return record;
    throw new PetrelError('StartFailed', 'the platform ended before it was ready', {
      why: tail(home.platformLog) || `see ${home.platformLog}`,
      fix: 'petrel doctor shows what is wrong with this machine or this home',
    });
  } finally {
    pipe.destroy();
    child.unref();
  }
}

function openLog(home: HomePaths): number {
  try {
    return openSync(home.platformLog, 'a', 0o600);
  } catch (error) {
    throw fileError(error, home.dir);
  }
}

function tail(path: string): string {
  try {
    return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL).join('\n');
  } catch {
    return '';
  }
}
