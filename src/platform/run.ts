/** The life of a platform process: start, tell that it is ready, stop on a signal or on request, die loudly on a defect. */

import { PetrelError } from '../base/errors.ts';
import { createLogger, type Logger } from '../base/log.ts';
import { fileError, type PlatformRecord, prepareHome } from './home.ts';
import { logFile } from './log.ts';
import { reportReady } from './ready.ts';
import { type Platform, type PlatformOptions, startPlatform } from './start.ts';

export interface RunOptions extends Omit<PlatformOptions, 'log' | 'shutdown'> {
  /** Where the starter waits for the outcome; absent in the foreground. */
  readyFd?: number;
  /** Foreground: called once when requests can be served. */
  onReady(record: PlatformRecord): void;
  /** Foreground: warnings and errors, one line each. */
  onWarning(line: string): void;
}

/** How long requests in flight may take after the first signal, milliseconds. Kubernetes' default for a Pod. */
const GRACE_MS = 30_000;
/** Exit code after a defect: a restart is safe, nothing acknowledged is lost. */
const DEFECT = 70;

/** Runs until it is told to stop; resolves to the exit code. Throws when it cannot start. */
export async function runPlatform(options: RunOptions): Promise<number> {
  try {
    const log = openLog(options);
    return await live(options, log);
  } catch (error) {
    if (options.readyFd !== undefined) reportReady(options.readyFd, asPetrelError(error));
    // Once the error is printed and the exit code set: what a part that failed half-way still holds must not keep the process.
    setImmediate(() => process.exit());
    throw asPetrelError(error);
  }
}

function openLog({ home, readyFd, onWarning }: RunOptions): Logger {
  prepareHome(home);
  let write: (line: string) => void;
  try {
    write = logFile(home.platformLog);
  } catch (error) {
    throw fileError(error, home.dir);
  }
  if (readyFd !== undefined) return createLogger('info', write);
  return createLogger('info', (line) => {
    write(line);
    const { level, message, ...fields } = JSON.parse(line) as Record<string, unknown>;
    if (level !== 'info') onWarning(`${level}: ${message} ${JSON.stringify(fields)}`);
  });
}

async function live(options: RunOptions, log: Logger): Promise<number> {
  process.umask(0o022); // what instances read must be readable; what they must not has its own mode
  const asked = Promise.withResolvers<number>();
  let stopping = false;
  const stop = (graceMs: number, why: string) => {
    if (stopping) process.exit(1); // asked twice: now
    stopping = true;
    log.info('stopping', { why });
    asked.resolve(graceMs);
  };
  const onDefect = (error: unknown) => {
    log.error('a defect ended the platform', {
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    options.onWarning(`the platform failed, see ${options.home.platformLog}`);
    if (options.readyFd !== undefined && !ready) reportReady(options.readyFd, asPetrelError(error));
    process.exit(DEFECT);
  };
  let ready = false;
  // A promise that nobody waits for is a defect like any other: what it left half done is repaired by the next start.
  process.on('uncaughtException', onDefect);
  process.on('unhandledRejection', onDefect);
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => stop(GRACE_MS, signal));

  const platform: Platform = await startPlatform({
    ...options,
    log,
    shutdown: (graceMs) => stop(graceMs ?? GRACE_MS, 'asked to'),
  });
  ready = true;
  log.info('ready', { ...platform.record });
  process.on('SIGUSR2', () => {
    log.info('restarting the gateway');
    platform
      .restartGateway()
      .then(() => log.info('the gateway was restarted'))
      .catch((error) => log.error('the gateway was not restarted', { error: String(error) }));
  });
  if (options.readyFd === undefined) options.onReady(platform.record);
  else reportReady(options.readyFd, platform.record);
  void platform.settled();
  const { trimWhenIdle } = await import('./memory-trim.ts');
  trimWhenIdle();

  await platform.stop(await asked.promise);
  log.info('stopped');
  // Whatever still holds the event loop has no say any more.
  setImmediate(() => process.exit(0));
  return 0;
}

function asPetrelError(error: unknown): PetrelError {
  if (error instanceof PetrelError) return error;
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return new PetrelError('StartFailed', `the platform could not start: ${message}`, {
    why: stack ?? '',
    fix: 'petrel doctor shows what is wrong with this machine or this home',
    cause: error,
  });
}
