/** Has a zygote fork a container's main process into a sandbox that is built as `sandboxLaunch` would. */
import type { ContainerSpec } from '../driver.ts';
import type { ContainerGroup } from './cgroup.ts';
import { forkedProcesses } from './forked.ts';
import { type PipePool, releaseWriters } from './pipes.ts';
import type { ContainerProcesses } from './processes.ts';
import type { Sandbox } from './self-test.ts';
import type { View } from './view.ts';
import type { Zygote } from './zygote.ts';

export interface ForkOptions {
  zygote: Zygote;
  sandbox: Sandbox;
  /** Visible in the process list, so that leftovers can be recognised. */
  marker: string;
  spec: ContainerSpec;
  view: View;
  group: ContainerGroup | undefined;
  pipes: PipePool;
}

/** First process of a pid namespace: the kernel takes away what ends as its child, and its own end is that of all. */
const KEEPER = `trap '' CHLD; read x`;

/** Whether a zygote can do what starting the container would. */
export function isForkable({ user, workingDir = '/' }: ContainerSpec, { privileges }: Sandbox): boolean {
  return workingDir === '/' && (user === undefined || privileges.kind === 'user');
}

/** Resolves when the process is confined and runs; rejects when it is not, and nothing is left of it then. */
export async function forkContainer(options: ForkOptions): Promise<ContainerProcesses> {
  const { zygote, sandbox, marker, spec, view, group } = options;
  const { tools, privileges } = sandbox;
  const life = options.pipes.hold();
  const pipes = options.pipes.take();
  if (!life || !pipes) {
    life?.free();
    throw new Error('no pipes are ready for its output');
  }
  const { user } = spec;
  const confinement = {
    groups: group?.entrances ?? [],
    hostname: spec.hostname,
    root: view.root,
    ...(privileges.kind === 'user'
      ? {
          user: {
            uid: user?.uid ?? privileges.uid,
            gid: user?.gid ?? privileges.gid,
            groups: user?.groups ?? [],
          },
        }
      : {}),
  };
  let read = true;
  try {
    const forked = await zygote.fork({
      stdout: pipes[0].path,
      stderr: pipes[1].path,
      keeper: { command: [tools.sh, '-c', KEEPER, marker], life: life.path },
      sandbox: `${JSON.stringify(confinement).slice(0, -1)},"mounts":${view.calls}}`,
      env: spec.env,
    });
    const processes = forkedProcesses({ forked, zygote, life, pipes });
    read = false;
    const problem = await forked.setUp;
    if (problem === undefined) return processes;
    processes.kill();
    await processes.exited;
    read = true;
    throw new Error(problem);
  } catch (error) {
    if (read) for (const pipe of pipes) pipe.read.destroy();
    life.release();
    throw error;
  } finally {
    releaseWriters(pipes);
  }
}
