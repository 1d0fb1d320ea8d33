/** One running container: its output, its end, and what can be done to it meanwhile. */
import type { ChildProcess } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { Logger } from '../../../../base/log.ts';
import type { ContainerExit, ContainerOutput, ContainerSpec, RunningContainer } from '../driver.ts';
import type { ContainerGroup } from './cgroup.ts';
import { childrenOf, startTimeOf } from './host.ts';
import { removeGroup } from './leftovers.ts';
import type { OutputPipe } from './pipes.ts';
import { execLaunch, mountLaunch, SET_UP } from './script.ts';
import type { Sandbox } from './self-test.ts';
import { exitCodeOf, finished, reportsOf, signalGroup, signalProcess } from './spawn.ts';
import { usageOf } from './usage.ts';

export interface SupervisedContainer {
  id: string;
  /** File that names the process for a later run of the platform. */
  record: string;
  spec: ContainerSpec;
  child: ChildProcess;
  group?: ContainerGroup;
  output: ContainerOutput;
  /** Stdout and stderr; absent: the child's own. */
  pipes?: [OutputPipe, OutputPipe];
  log: Logger;
  /** Absent: without namespaces. */
  sandbox?: Sandbox;
  /** Directory on the host that is the container's root. */
  root?: string;
}

/** Processes that escaped from the group may hold the output open this long after the main process has ended. */
const LINGER_MS = 1000;

export interface StartedContainer extends RunningContainer {
  /** Resolves when the command runs, or with the reason why it never will. */
  setUp: Promise<string | undefined>;
}

export function superviseContainer(container: SupervisedContainer): StartedContainer {
  const { id, record, spec, child, group, output, pipes, log, sandbox, root = '' } = container;
  const { pid } = child;
  const started = pid === undefined ? undefined : startTimeOf(pid);
  // Written while the process starts: nobody waits for it, and the marker in its arguments covers the gap.
  if (pid !== undefined) void writeFile(record, `${pid} ${started ?? ''}\n`).catch(() => {});
  let ended = false;
  let oomBefore = group?.oomKills() ?? 0;
  let report = '';

  const stdout = pipes?.[0].read ?? child.stdout!;
  const stderr = pipes?.[1].read ?? child.stderr!;
  const reports = reportsOf(child);
  stdout.on('data', output.stdout);
  stderr.on('data', output.stderr);
  const told = Promise.withResolvers<void>();
  reports?.on('data', (chunk: Buffer) => {
    report += chunk.toString();
    if (report.trim() === SET_UP) told.resolve();
  });

  /** First process of the pid namespace. */
  const init = () => (sandbox && pid !== undefined && !ended ? childrenOf(pid)[0] : undefined);
  /** The container's own main process, below the ones that set it up. */
  const main = () => {
    if (!sandbox) return ended ? undefined : pid;
    const first = init();
    return first === undefined ? undefined : childrenOf(first)[0];
  };
  const kill = () => {
    if (pid === undefined) return;
    // The death of the outer process takes the first one of the pid namespace along, and that one everything else.
    if (sandbox) {
      if (!ended) child.kill('SIGKILL');
      return;
    }
    signalGroup(pid, 'SIGKILL');
    for (const each of group?.pids() ?? []) signalProcess(each, 'SIGKILL');
  };

  const exited = (async (): Promise<ContainerExit> => {
    const exitCode = await new Promise<number>((resolve) => {
      child.on('error', (error) => {
        report = error.message;
        resolve(128);
      });
      child.on('exit', (code, signal) => resolve(exitCodeOf(code, signal)));
    });
    if (!sandbox) kill();
    const streams = [stdout, stderr, ...(reports ? [reports] : [])];
    const linger = setTimeout(() => {
      for (const stream of streams) stream.destroy();
    }, LINGER_MS);
    await Promise.all(streams.map(closed));
    clearTimeout(linger);
    ended = true;
    const oomKilled = exitCode !== 0 && group !== undefined && group.oomKills() > oomBefore;
    void rm(record, { force: true }).catch(() => {});
    void rm(`${record}.fstab`, { force: true }).catch(() => {});
    void removeGroup(group);
    return { exitCode, oomKilled };
  })();

  const setUp = (async () => {
    // A failure is known when the process is gone; without a script the command itself is what was started.
    if (reports) await Promise.race([told.promise, exited]);
    else if (pid === undefined) await exited;
    else return undefined;
    return report.trim() === SET_UP ? undefined : report.trim() || 'the process ended while it was set up';
  })();

  return {
    setUp,
    id: `process://${id}.${pid ?? 0}.${started ?? 0}`,
    exited,
    signal(signal) {
      const target = main();
      if (target !== undefined) signalProcess(target, signal);
      // Still being set up: there is no user code yet to be gentle to.
      else if (!ended) kill();
    },
    kill,
    async exec(command, timeoutMs) {
      const target = main();
      if (target === undefined)
        return { exitCode: 1, output: 'the container is not running', timedOut: false };
      if (!sandbox) return finished({ argv: command, env: spec.env }, { timeoutMs, cwd: spec.workingDir });
      return finished(execLaunch(sandbox.tools, sandbox.privileges, target, { ...spec, command }), {
        timeoutMs,
      });
    },
    async addMount(mount) {
      const target = init();
      if (!sandbox || target === undefined) return false;
      const inside = { ...mount, target: root + mount.target };
      const argv = mountLaunch(sandbox.tools, sandbox.privileges, target, inside);
      const { exitCode, output: why } = await finished({ argv, env: {} });
      if (exitCode !== 0)
        log.warn('a mount was not added to a container', { container: id, target: mount.target, why });
      return exitCode === 0;
    },
    usage: () => (ended || pid === undefined ? undefined : usageOf(pid, group)),
    setLimits(limits) {
      if (!group || ended) return false;
      oomBefore = group.oomKills();
      group.apply(limits);
      return true;
    },
  };
}

function closed(stream: Readable): Promise<void> {
  if (stream.closed) return Promise.resolve();
  return new Promise((resolve) => stream.on('close', () => resolve()));
}
