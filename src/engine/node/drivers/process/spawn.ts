/** Starting processes and signalling them. */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import type { ExecResult } from '../driver.ts';
import type { Launch } from './script.ts';

/** Bytes kept of the output of short commands. */
const KEPT_OUTPUT = 10 * 1024;

/**
 * Starts a process in a session of its own, so that signals to the platform's terminal do not reach it. `output`: file descriptors for stdout and stderr; absent: pipes of Node.
 */
export function spawnLaunch(launch: Launch, cwd?: string, output?: [number, number]): ChildProcess {
  const [file, ...args] = launch.argv;
  const [stdout, stderr] = output ?? (['pipe', 'pipe'] as const);
  const stdin = launch.input === undefined ? 'ignore' : 'pipe';
  const reports: StdioOptions = launch.reports ? ['ignore', 'pipe'] : [];
  const stdio: StdioOptions = [stdin, stdout, stderr, ...reports];
  const child = spawn(file!, args, { env: launch.env, cwd, detached: true, stdio });
  // The process may end before it has read its variables.
  child.stdin?.on('error', () => {});
  child.stdin?.end(launch.input);
  for (const stream of child.stdio) stream?.on('error', () => {});
  return child;
}

/** What the script that sets a process up has to say; ends when the command runs. */
export const reportsOf = (child: ChildProcess): Readable | undefined =>
  (child.stdio[4] as Readable | null) ?? undefined;

/** Exit code as a shell reports it. */
export const exitCodeOf = (code: number | null, signal: NodeJS.Signals | null): number =>
  code ?? 128 + (constants.signals[signal ?? 'SIGKILL'] ?? 9);

/** False when there is no such process. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

/** Signals every process of a group that `spawnLaunch` has started. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  signalProcess(-pid, signal);
}

/** Runs something short to its end and keeps the beginning of its output. Never rejects. */
export function finished(
  launch: Launch,
  options: { timeoutMs?: number; cwd?: string } = {},
): Promise<ExecResult> {
  const child = spawnLaunch(launch, options.cwd);
  let output = '';
  const add = (chunk: Buffer) => {
    output += chunk.toString().slice(0, KEPT_OUTPUT - output.length);
  };
  child.stdout!.on('data', add);
  child.stderr!.on('data', add);
  reportsOf(child)?.on('data', add);
  let timedOut = false;
  const expire = () => {
    timedOut = true;
    if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
  };
  const timer = options.timeoutMs === undefined ? undefined : setTimeout(expire, options.timeoutMs);
  return new Promise((resolve) => {
    const end = (exitCode: number, text: string) => {
      clearTimeout(timer);
      resolve({ exitCode, output: text, timedOut });
    };
    child.on('error', (error) => end(127, error.message));
    child.on('close', (code, signal) => end(exitCodeOf(code, signal), output));
  });
}
