/** One running container: its output, its end, and what can be done to it meanwhile. */
import { rm, writeFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { Logger } from '../../../../base/log.ts';
import type { ContainerExit, ContainerOutput, ContainerSpec, RunningContainer } from '../driver.ts';
import type { ContainerGroup } from './cgroup.ts';
import { startTimeOf } from './host.ts';
import { forgetEntry, imageEntry } from './image-launch.ts';
import { removeGroup } from './leftovers.ts';
import { type ContainerProcesses, closed } from './processes.ts';
import { execLaunch, mountLaunch } from './script.ts';
import type { Sandbox } from './self-test.ts';
import { finished, signalProcess } from './spawn.ts';
import { usageOf } from './usage.ts';

export interface SupervisedContainer {
  id: string;
  /** File that names the process for a later run of the platform. */
  record: string;
  spec: ContainerSpec;
  processes: ContainerProcesses;
  group?: ContainerGroup;
  output: ContainerOutput;
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
  const { id, record, spec, processes, group, output, log, sandbox, root = '' } = container;
  const { pid, stdout, stderr, others } = processes;
  const started = pid === undefined ? undefined : startTimeOf(pid);
  // Written while the process starts: nobody waits for it, and the marker in its arguments covers the gap.
  if (pid !== undefined) void writeFile(record, `${pid} ${started ?? ''}\n`).catch(() => {});
  let ended = false;
  let executions = 0;
  let oomBefore = group?.oomKills() ?? 0;

  const read = (stream: Readable, take: (chunk: Buffer) => Promise<void> | undefined) =>
    stream.on('data', (chunk: Buffer) => {
      const room = take(chunk);
      if (room === undefined) return;
      stream.pause();
      void room.then(() => stream.resume());
    });
  read(stdout, output.stdout);
  read(stderr, output.stderr);

  const exited = (async (): Promise<ContainerExit> => {
    const exitCode = await processes.exited;
    const streams = [stdout, stderr, ...others];
    const linger = setTimeout(() => {
      for (const stream of streams) stream.destroy();
    }, LINGER_MS);
    await Promise.all(streams.map(closed));
    clearTimeout(linger);
    ended = true;
    const oomKilled = exitCode !== 0 && group !== undefined && group.oomKills() > oomBefore;
    void rm(record, { force: true }).catch(() => {});
    for (const ending of ['fstab', 'entry']) void rm(`${record}.${ending}`, { force: true }).catch(() => {});
    void removeGroup(group);
    return { exitCode, oomKilled };
  })();

  return {
    setUp: processes.setUp,
    id: `process://${id}.${pid ?? 0}.${started ?? 0}`,
    exited,
    signal(signal) {
      const target = ended ? undefined : processes.main();
      if (processes.end) processes.end();
      else if (target !== undefined) signalProcess(target, signal);
      // Still being set up: there is no user code yet to be gentle to.
      else if (!ended) processes.kill();
    },
    kill: processes.kill,
    async exec(command, timeoutMs) {
      const target = ended ? undefined : processes.main();
      if (target === undefined)
        return { exitCode: 1, output: 'the container is not running', timedOut: false };
      if (!sandbox) return finished({ argv: command, env: spec.env }, { timeoutMs, cwd: spec.workingDir });
      const file = `${record}.${executions++}.entry`;
      const what = { ...spec, command };
      const entry = spec.rootfs && { entry: imageEntry(file, root, sandbox, what) };
      const launch = execLaunch(sandbox.tools, sandbox.privileges, target, { ...what, ...entry });
      try {
        return await finished(launch, { timeoutMs });
      } finally {
        if (entry) forgetEntry(file);
      }
    },
    async addMount(mount) {
      const target = ended ? undefined : processes.init();
      if (!sandbox || target === undefined) return false;
      const inside = { ...mount, target: root + mount.target };
      if (await processes.mount?.(inside)) return true;
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
