/** Has a zygote fork a container's main process into a sandbox that is built as `sandboxLaunch` would. */
import type { ContainerSpec } from '../driver.ts';
import type { ContainerGroup } from './cgroup.ts';
import { forkedProcesses } from './forked.ts';
import { type FunctionZygote, functionZygote, openGate } from './function-zygote.ts';
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
  /** It may load a function's code, and others be forked from it then. */
  parent?: boolean;
}

/** First process of a pid namespace: the kernel takes away what ends as its child, and its own end is that of all. */
const KEEPER = `trap '' CHLD; read x`;

/** Whether a zygote can do what starting the container would. */
export function isForkable({ user, workingDir = '/' }: ContainerSpec, { privileges }: Sandbox): boolean {
  return workingDir === '/' && (user === undefined || privileges.kind === 'user');
}

/**
 * Resolves when the process is confined and runs; rejects when it is not, and nothing is left of it then. With `parent` comes the
 * one by which others are forked from it.
 */
export async function forkContainer(
  options: ForkOptions,
): Promise<{ processes: ContainerProcesses; parent?: FunctionZygote }> {
  const { zygote, sandbox, marker, spec, view, group } = options;
  const { tools, privileges } = sandbox;
  const life = options.pipes.hold();
  const pipes = options.pipes.take();
  const gate = options.parent ? openGate(options.pipes, group) : undefined;
  if (!life || !pipes || (options.parent && !gate)) {
    life?.free();
    for (const { read } of pipes ?? []) read.destroy();
    if (pipes) releaseWriters(pipes);
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
      ...(gate && { gate: gate.order }),
    });
    const processes = forkedProcesses({ forked, zygote, life, pipes });
    read = false;
    const problem = await forked.setUp;
    if (problem === undefined) {
      gate?.opened();
      const parent = gate && functionZygote(gate);
      return parent ? { processes: withParent(processes, parent), parent } : { processes };
    }
    processes.kill();
    await processes.exited;
    read = true;
    throw new Error(problem);
  } catch (error) {
    if (read) for (const pipe of pipes) pipe.read.destroy();
    gate?.close();
    life.release();
    throw error;
  } finally {
    releaseWriters(pipes);
  }
}

/** Ends like a function zygote: those that were forked from it live on. */
function withParent(processes: ContainerProcesses, parent: FunctionZygote): ContainerProcesses {
  return {
    ...processes,
    end: () => parent.end(),
    kill() {
      // All that it has forked is in its namespaces, and ends with the first process there.
      if (parent.children > 0) parent.end();
      else processes.kill();
    },
  };
}
