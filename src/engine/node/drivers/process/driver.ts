/** Runs containers as processes of this machine: in their own namespaces and control group where that is allowed. */
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, lstatSync, mkdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../../../base/errors.ts';
import type { Logger } from '../../../../base/log.ts';
import type {
  Capability,
  ContainerDriver,
  ContainerOutput,
  ContainerSpec,
  RunningContainer,
} from '../driver.ts';
import { type SupervisedContainer, superviseContainer } from './container.ts';
import { forkContainer, isForkable } from './fork.ts';
import { createForkDirs, type FunctionZygote, forkChild } from './function-zygote.ts';
import { imageEntry, imageUserProblem, overlayProblem } from './image-launch.ts';
import { prepareImageView } from './image-view.ts';
import { cleanLeftovers, removeGroup } from './leftovers.ts';
import { createPipePool, type PipePool, releaseWriters } from './pipes.ts';
import { spawnedProcesses } from './processes.ts';
import { plainLaunch, sandboxLaunch } from './script.ts';
import { examineMachine, type Machine } from './self-test.ts';
import { spawnLaunch } from './spawn.ts';
import { readAccounts, userProblem } from './users.ts';
import { createViews } from './view.ts';
import { createZygotes, type Zygotes } from './zygotes.ts';

export interface ProcessDriverOptions {
  /** Where sockets, mount tables and records of running processes are; short enough for unix socket paths. */
  runDir: string;
  /** Directories shown empty to containers: the user's home, the platform's home. */
  hidden: string[];
  /** Directories shown although a hidden one contains them: packages, runtimes, the Node binary. */
  visible: string[];
  /** Directories every container must be able to read; part of the self-test. */
  required: string[];
  /** `plain` switches namespaces and control groups off, for tests and for machines that misbehave. */
  mode: 'auto' | 'plain';
  /** Processes and threads one container may have, where there are control groups. Default: 8,192. */
  maxTasks?: number | undefined;
  /** Whether containers are forked from a warm process where their spec and the machine allow it. */
  zygotes?: boolean;
  /** Hears whether containers are forked as their spec asks for it, by the key of its `zygote`, once that is known and when it changes. */
  onZygote?(key: string, state: Capability): void;
  /** From the first wish for such a container until its warm process is started, ms. Default: a second. */
  zygoteDelayMs?: number;
  log: Logger;
  now?: () => number;
}

export function createProcessDriver(options: ProcessDriverOptions): ContainerDriver {
  const { runDir, log } = options;
  const podsDir = join(runDir, 'pods');
  const recordsDir = join(runDir, 'processes');
  for (const dir of [podsDir, recordsDir]) mkdirSync(dir, { recursive: true, mode: 0o700 });
  // Mounts are only ever in namespaces of their own: here these are empty directories.
  rmSync(join(runDir, 'roots'), { recursive: true, force: true });
  const marker = `petrel-${createHash('sha256').update(runDir).digest('hex').slice(0, 8)}`;
  const now = options.now ?? Date.now;
  const prepareView = createViews(options, now);
  let examined: Promise<Machine> | undefined;
  let machine: Machine | undefined;
  let overlay: Promise<string | undefined> | undefined;
  let pipes: PipePool | undefined;
  let zygotes: Zygotes | undefined;
  /** What `onZygote` was last called with. */
  const states = new Map<string, string>();
  const told = (key: string, state: Capability) => {
    const text = JSON.stringify(state);
    if (states.get(key) === text) return;
    states.set(key, text);
    options.onZygote?.(key, state);
  };
  const forkDirs = createForkDirs(runDir);
  /** Function zygotes by the Pod they run as. */
  const parents = new Map<string, { zygote: FunctionZygote; spec: ContainerSpec }>();
  let sequence = 0;

  const examine = () => {
    examined ??= (async () => {
      const found = await examineMachine({ ...options, marker, prepareView });
      const { sandbox, limits } = found.capabilities;
      if (!sandbox.available && options.mode === 'auto') {
        log.warn('containers run without namespaces', { reason: sandbox.reason, why: sandbox.message });
      }
      if (!limits.available && options.mode === 'auto') {
        log.warn('containers run without limits', { reason: limits.reason, why: limits.message });
      }
      if (found.tools?.mkfifo) {
        pipes = createPipePool(join(runDir, 'pipes'), found.tools.mkfifo);
        await pipes.fill();
      }
      if (options.zygotes && found.sandbox && pipes)
        zygotes = createZygotes({
          sandbox: found.sandbox,
          marker,
          runDir,
          log,
          delayMs: options.zygoteDelayMs,
          told,
        });
      machine = found;
      return found;
    })();
    return examined;
  };

  const handOver = (path: string, group?: number) => {
    const privileges = machine?.sandbox?.privileges;
    if (privileges?.kind !== 'user') return;
    chownSync(path, privileges.uid, group ?? privileges.gid);
    if (group === undefined) return;
    // As kubelet's `SetVolumeOwnership`: the group may do what the owner may, and what is made in a directory is the group's.
    const stats = statSync(path);
    chmodSync(path, (stats.mode & 0o7777) | (stats.isDirectory() ? 0o2070 : (stats.mode & 0o600) >> 3));
  };

  const preparePodDir = (podUid: string) => {
    const dir = join(podsDir, podUid);
    // Its last run was forked from a function zygote, and had its directory there.
    if (lstatSync(dir, { throwIfNoEntry: false })?.isSymbolicLink()) rmSync(dir);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    handOver(dir);
    return dir;
  };

  const spawnContainer = (
    { sandbox, groups, tools }: Machine,
    spec: ContainerSpec,
    output: ContainerOutput,
  ): SupervisedContainer => {
    if (!sandbox && (spec.mounts.length > 0 || spec.rootfs)) {
      throw new Error(
        'neither volumes nor images can be mounted: on this machine containers have no file system view of their own',
      );
    }
    // Numbered, because what an earlier run of the same container leaves is removed in the background.
    const id = `${spec.podUid}.${spec.name}.${sequence++}`;
    const record = join(recordsDir, id);
    const podDir = preparePodDir(spec.podUid);
    const group = groups?.create(id);
    group?.apply(spec.limits);
    const common = {
      marker,
      platformPid: process.pid,
      entrances: group?.entrances ?? [],
      command: spec.command,
    };
    const taken = pipes?.take();
    try {
      const fds: [number, number] | undefined = taken && [taken[0].write, taken[1].write];
      if (!sandbox) {
        const child = spawnLaunch(plainLaunch(tools, { ...common, env: spec.env }), spec.workingDir, fds);
        const processes = spawnedProcesses({ child, pipes: taken, sandboxed: false, group });
        return { id, record, spec, processes, group, output, log };
      }
      const wanted = {
        mounts: spec.mounts,
        workingDir: spec.workingDir,
        terminationLog: spec.terminationLog,
        group: sandbox.showsGroups ? group : undefined,
        recursive: sandbox.recursive,
        fstab: `${record}.fstab`,
      };
      const view = spec.rootfs
        ? prepareImageView(runDir, spec.rootfs, sandbox.privileges, wanted)
        : prepareView({ podDir, ...wanted });
      const entry = spec.rootfs && {
        entry: imageEntry(`${record}.entry`, view.root, sandbox, spec),
      };
      const launch = sandboxLaunch({ ...sandbox, ...spec, ...view, ...common, ...entry });
      const child = spawnLaunch(launch, undefined, fds);
      const processes = spawnedProcesses({ child, pipes: taken, sandboxed: true, group });
      return { id, record, spec, processes, group, output, log, sandbox, root: view.root };
    } catch (error) {
      group?.remove();
      for (const { read } of taken ?? []) read.destroy();
      throw error;
    } finally {
      releaseWriters(taken ?? []);
    }
  };

  /** Undefined: nothing warm to fork from, or it did not work. */
  const fork = async (
    { sandbox, groups }: Machine,
    spec: ContainerSpec,
    output: ContainerOutput,
  ): Promise<RunningContainer | undefined> => {
    const isParent = spec.zygote?.role === 'parent';
    // Nothing could be forked from it, see `forkFromFunction`.
    if (isParent && !groups) return undefined;
    const zygote = spec.zygote && (isParent ? await zygotes?.await(spec.zygote) : zygotes?.find(spec.zygote));
    if (!zygote || !sandbox || !pipes || !isForkable(spec, sandbox)) return undefined;
    const id = `${spec.podUid}.${spec.name}.${sequence++}`;
    const podDir = preparePodDir(spec.podUid);
    const group = groups?.create(id);
    try {
      group?.apply(spec.limits);
      const view = prepareView({
        podDir,
        mounts: isParent ? [...spec.mounts, forkMount(spec.podUid)] : spec.mounts,
        terminationLog: spec.terminationLog,
        group: sandbox.showsGroups ? group : undefined,
        recursive: sandbox.recursive,
      });
      const forked = await forkContainer({
        zygote,
        sandbox,
        marker,
        spec,
        view,
        group,
        pipes,
        parent: isParent,
      });
      const { processes, parent } = forked;
      if (parent) {
        parents.set(spec.podUid, { zygote: parent, spec });
        void parent.over.then(() => {
          parents.delete(spec.podUid);
          forkDirs.remove(spec.podUid);
        });
      }
      const record = join(recordsDir, id);
      zygotes?.succeeded(spec.zygote!);
      return superviseContainer({
        id,
        record,
        spec,
        processes,
        group,
        output,
        log,
        sandbox,
        root: parent ? '' : view.root,
      });
    } catch (error) {
      zygotes?.failed(spec.zygote!, zygote, messageOf(error));
      void removeGroup(group);
      return undefined;
    }
  };

  const forkMount = (podUid: string) => {
    const dir = forkDirs.of(podUid);
    return { source: dir, target: dir, readOnly: false };
  };

  /** From a function zygote. Undefined: there is none, or it did not work. */
  const forkFromFunction = async (
    { sandbox, groups }: Machine,
    spec: ContainerSpec,
    of: string,
    output: ContainerOutput,
  ): Promise<RunningContainer | undefined> => {
    const parent = parents.get(of);
    // Without groups nothing would tell the processes of one instance from those of another.
    if (!parent || !sandbox || !groups || !pipes || !isForkable(spec, sandbox) || spec.user) return undefined;
    if (parent.spec.zygote?.key !== spec.zygote?.key) return undefined;
    const id = `${spec.podUid}.${spec.name}.${sequence++}`;
    const group = groups.create(id);
    try {
      group.apply(spec.limits);
      const dir = forkDirs.make(of);
      handOver(dir);
      const podDir = join(podsDir, spec.podUid);
      rmSync(podDir, { recursive: true, force: true });
      symlinkSync(dir, podDir);
      const processes = await forkChild({
        parent: parent.zygote,
        dir,
        group,
        pipes,
        env: { ...spec.env, PETREL_SOCKET: join(dir, 'i.sock') },
        sees: ({ source, target }) =>
          parent.spec.mounts.some((mount) => mount.source === source && mount.target === target),
      });
      void processes.exited.then(() => rmSync(dir, { recursive: true, force: true }));
      const record = join(recordsDir, id);
      return superviseContainer({ id, record, spec, processes, group, output, log, sandbox });
    } catch (error) {
      log.warn('an instance was not forked from the zygote of its function', { why: messageOf(error) });
      void removeGroup(group);
      preparePodDir(spec.podUid);
      return undefined;
    }
  };

  /** Why nothing is forked on this machine. */
  const notForking = ({ capabilities: { sandbox } }: Machine): Capability => {
    const [reason, why] = options.zygotes
      ? [sandbox.reason, sandbox.message]
      : ['SwitchedOff', 'PETREL_ZYGOTE is off'];
    return { available: false, reason, message: `instances are started instead of being forked: ${why}` };
  };

  const start = async (spec: ContainerSpec, output: ContainerOutput): Promise<RunningContainer> => {
    const found = machine ?? (await examine());
    if (spec.zygote && !zygotes) told(spec.zygote.key, notForking(found));
    const role = spec.zygote?.role;
    const forked =
      (typeof role === 'object' ? await forkFromFunction(found, spec, role.of, output) : undefined) ??
      (spec.zygote && (await fork(found, spec, output)));
    if (forked) return forked;
    if (role === 'parent') throw new Error('there is no zygote of its runtime that it could be forked from');
    const container = superviseContainer(spawnContainer(found, spec, output));
    const failure = await container.setUp;
    if (failure === undefined) return container;
    await container.exited;
    throw new Error(failure);
  };

  return {
    name: 'process',
    capabilities: async () => (await examine()).capabilities,
    start,
    imageUserProblem: (user) => imageUserProblem(user, machine?.sandbox?.privileges),
    async imageProblem() {
      const { sandbox } = await examine();
      if (!sandbox) return 'containers have no file system of their own on this machine, see `petrel doctor`';
      overlay ??= (async () => {
        const dir = join(runDir, 'roots', 'overlay-test');
        mkdirSync(dir, { recursive: true });
        return overlayProblem(sandbox, dir);
      })();
      return overlay;
    },
    imageOwner() {
      const privileges = machine?.sandbox?.privileges;
      return privileges?.kind === 'user' ? { uid: privileges.uid, gid: privileges.gid } : undefined;
    },
    userProblem: (user) => userProblem(user, machine?.sandbox?.privileges, readAccounts()),
    preparePodDir,
    handOver,
    removePod: (podUid) => rmSync(join(podsDir, podUid), { recursive: true, force: true }),
    async cleanLeftovers() {
      const { groups } = await examine();
      return cleanLeftovers({ recordsDir, marker, groups, now: now() });
    },
  };
}
