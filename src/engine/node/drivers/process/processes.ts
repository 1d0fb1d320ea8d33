/** The processes of one container, however they came to be: what of them can be known and done. */
import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { ContainerMount } from '../driver.ts';
import type { ContainerGroup } from './cgroup.ts';
import { childrenOf } from './host.ts';
import type { OutputPipe } from './pipes.ts';
import { SET_UP } from './script.ts';
import { exitCodeOf, reportsOf, signalGroup, signalProcess } from './spawn.ts';

export interface ContainerProcesses {
  /** The one that all others go with; undefined when it could not be started. */
  readonly pid: number | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when the command runs, or with the reason why it never will. */
  readonly setUp: Promise<string | undefined>;
  /** Resolves with the exit code of the main process when it, and in a sandbox every process, is gone. Never rejects. */
  readonly exited: Promise<number>;
  /** Further streams that end with the processes. */
  readonly others: Readable[];
  /** First process of the pid namespace, while it is there. */
  init(): number | undefined;
  /** The container's own main process, while it is there. */
  main(): number | undefined;
  /** Adds a bind mount to their view, `target` being a path of the host; absent: there is no quicker way than a program. */
  mount?(mount: ContainerMount): Promise<boolean>;
  /** Ends all of them at once. */
  kill(): void;
  /** Has them end in their own way; absent: by a signal to the main process. */
  end?(): void;
}

export interface SpawnedOptions {
  child: ChildProcess;
  /** Stdout and stderr; absent: the child's own. */
  pipes?: [OutputPipe, OutputPipe];
  sandboxed: boolean;
  group?: ContainerGroup;
}

/** Of a container that was started by `sandboxLaunch` or `plainLaunch`. */
export function spawnedProcesses({ child, pipes, sandboxed, group }: SpawnedOptions): ContainerProcesses {
  const { pid } = child;
  let ended = false;
  let report = '';
  const reports = reportsOf(child);
  const told = Promise.withResolvers<void>();
  reports?.on('data', (chunk: Buffer) => {
    report += chunk.toString();
    if (report.trim() === SET_UP) told.resolve();
  });

  const kill = () => {
    if (pid === undefined) return;
    // The death of the outer process takes the first one of the pid namespace along, and that one everything else.
    if (sandboxed) {
      if (!ended) child.kill('SIGKILL');
      return;
    }
    signalGroup(pid, 'SIGKILL');
    for (const each of group?.pids() ?? []) signalProcess(each, 'SIGKILL');
  };
  const exited = new Promise<number>((resolve) => {
    child.on('error', (error) => {
      report = error.message;
      resolve(128);
    });
    child.on('exit', (code, signal) => {
      if (!sandboxed) kill();
      resolve(exitCodeOf(code, signal));
    });
  });
  void exited.then(() => {
    ended = true;
  });
  const setUp = (async () => {
    // A failure is known when the process is gone; without a script the command itself is what was started.
    if (reports) await Promise.race([told.promise, exited.then(() => closed(reports))]);
    else if (pid === undefined) await exited;
    else return undefined;
    return report.trim() === SET_UP ? undefined : report.trim() || 'the process ended while it was set up';
  })();
  const init = () => (sandboxed && pid !== undefined && !ended ? childrenOf(pid)[0] : undefined);
  return {
    pid,
    stdout: pipes?.[0].read ?? child.stdout!,
    stderr: pipes?.[1].read ?? child.stderr!,
    others: reports ? [reports] : [],
    setUp,
    exited,
    init,
    main() {
      if (!sandboxed) return ended ? undefined : pid;
      const first = init();
      return first === undefined ? undefined : childrenOf(first)[0];
    },
    kill,
  };
}

/** Resolves when nothing more can be read. */
export function closed(stream: Readable): Promise<void> {
  if (stream.closed) return Promise.resolve();
  return new Promise((resolve) => stream.on('close', () => resolve()));
}
