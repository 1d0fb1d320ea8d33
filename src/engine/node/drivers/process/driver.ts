/** Runs containers as processes of this machine: in their own namespaces and control group where that is allowed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chownSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import type { Logger } from '../../../../base/log.ts';
import type {
  ContainerDriver,
  ContainerExit,
  ContainerLimits,
  ContainerOutput,
  ContainerSpec,
  DriverCapabilities,
  ExecResult,
  RunningContainer,
} from '../driver.ts';
import { type CgroupManager, type ContainerGroup, openCgroups } from './cgroup.ts';
import { childrenOf, findTools, realHost, startTimeOf, type Tools } from './host.ts';
import { type HostView, planSandbox, type SandboxPlan, toFstab } from './plan.ts';
import { execLaunch, type Launch, type Privileges, plainLaunch, sandboxLaunch } from './script.ts';

export interface ProcessDriverOptions {
  /** Where sockets, volumes and records of running processes are; short enough for unix socket paths. */
  runDir: string;
  /** Directories shown empty to containers: the user's home, the platform's home. */
  hidden: string[];
  /** Directories shown although a hidden one contains them: packages, runtimes, the Node binary. */
  visible: string[];
  /** Read and execute probes of the self-test: what every container must be able to reach. */
  required: string[];
  /** `plain` switches namespaces and control groups off, for tests and for machines that misbehave. */
  mode: 'auto' | 'plain';
  log: Logger;
}

/** User and group `nobody`: known on every Linux, owner of nothing. */
const NOBODY = 65534;
const EXEC_OUTPUT = 10 * 1024;
const TMP_OPTIONS = 'mode=1777,size=1g,nosuid,nodev';

interface Sandbox {
  tools: Tools;
  privileges: Privileges;
}

export function createProcessDriver(options: ProcessDriverOptions): ContainerDriver {
  const { runDir, log } = options;
  const podsDir = join(runDir, 'pods');
  const recordsDir = join(runDir, 'processes');
  const rootsDir = join(runDir, 'roots');
  for (const dir of [podsDir, recordsDir, rootsDir]) mkdirSync(dir, { recursive: true, mode: 0o700 });
  const instance = createHash('sha256').update(runDir).digest('hex').slice(0, 8);
  const marker = `petrel-${instance}`;

  let probed: Promise<DriverCapabilities> | undefined;
  let sandbox: Sandbox | undefined;
  let groups: CgroupManager | undefined;
  let tools: Tools | undefined;
  let sequence = 0;

  /** The mount table for one container, and the root directory it builds on. */
  const prepareView = (host: HostView, id: string, podUid: string, mounts: ContainerSpec['mounts']) => {
    const podDir = join(podsDir, podUid);
    const plan = planSandbox(host, {
      hidden: [...options.hidden, runDir, '/home', '/root', '/var/tmp'].filter(
        (path) => host.kind(path) === 'dir' && path !== '/',
      ),
      visible: options.visible,
      scratch: [
        { path: '/tmp', options: TMP_OPTIONS },
        { path: '/dev/shm', options: 'mode=1777,size=64m,nosuid,nodev' },
        { path: '/run', options: 'mode=755,size=16m,nosuid,nodev' },
      ],
      mounts: [{ source: podDir, target: podDir, readOnly: false }, ...mounts],
      recursive: sandbox?.privileges.kind === 'userns',
    });
    const root = rootFor(plan);
    const fstab = join(recordsDir, `${id}.fstab`);
    writeFileSync(fstab, toFstab(plan, root), { mode: 0o600 });
    return { root, fstab };
  };

  /** Empty directories and files to mount on. Equal needs share one: most containers have the same. */
  const rootFor = (plan: SandboxPlan): string => {
    const shape = JSON.stringify([plan.dirs, plan.files, plan.links]);
    const root = join(rootsDir, createHash('sha256').update(shape).digest('hex').slice(0, 16));
    if (statSync(join(root, 'proc'), { throwIfNoEntry: false })) return root;
    for (const dir of ['/', ...plan.dirs]) mkdirSync(root + dir, { recursive: true, mode: 0o755 });
    for (const file of plan.files) writeFileSync(root + file, '');
    for (const { path, to } of plan.links) {
      try {
        symlinkSync(to, root + path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
    return root;
  };

  const spawnLaunch = (launch: Launch, cwd?: string): ChildProcess => {
    const [file, ...args] = launch.argv;
    const child = spawn(file!, args, {
      env: launch.env,
      cwd,
      detached: true,
      stdio: [launch.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe', 'ignore', 'pipe'],
    });
    if (launch.input !== undefined) {
      const input = child.stdin as Writable;
      // The process may end before it has read its variables.
      input.on('error', () => {});
      input.end(launch.input);
    }
    return child;
  };

  /** Builds a sandbox for `true`-like work and looks whether everything that matters works in it. */
  const trySandbox = async (candidate: Sandbox): Promise<string | undefined> => {
    sandbox = candidate;
    const id = 'self-test';
    const podDir = join(podsDir, id);
    mkdirSync(podDir, { recursive: true, mode: 0o700 });
    if (candidate.privileges.kind === 'user')
      chownSync(podDir, candidate.privileges.uid, candidate.privileges.gid);
    try {
      const { root, fstab } = prepareView(realHost(), id, id, []);
      const reach = options.required.map(
        (path) => `[ -r '${path}' ] && [ -x '${path}' ] || { echo "user cannot reach ${path}" >&2; exit 1; }`,
      );
      const test = `${reach.join('\n')}\n: >"$PODDIR/x" && : >/tmp/x && : >/dev/null || exit 1\n[ -d "/proc/$$" ] && [ "$$" -lt 100 ]`;
      const launch = sandboxLaunch({
        ...candidate,
        marker,
        platformPid: process.pid,
        hostname: id,
        fstab,
        root,
        entrances: [],
        command: [candidate.tools.sh, '-c', test],
        env: { PODDIR: podDir },
      });
      const child = spawnLaunch(launch);
      const [code, errors, setup] = await Promise.all([
        new Promise<number | null>((resolve) => child.on('error', () => resolve(null)).on('close', resolve)),
        collect(child.stderr!),
        collect(child.stdio[4] as NodeJS.ReadableStream),
      ]);
      return code === 0 ? undefined : (setup + errors).trim() || `the self-test ended with ${code}`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      sandbox = undefined;
      rmSync(podDir, { recursive: true, force: true });
      rmSync(join(recordsDir, `${id}.fstab`), { force: true });
    }
  };

  const probe = async (): Promise<DriverCapabilities> => {
    const off = (reason: string, message: string) => ({ available: false, reason, message });
    if (options.mode === 'plain') {
      const message = 'switched off by PETREL_SANDBOX=plain';
      return { sandbox: off('SwitchedOff', message), limits: off('SwitchedOff', message) };
    }
    if (process.platform !== 'linux') {
      const message = `namespaces and control groups exist on Linux only, this is ${process.platform}`;
      return { sandbox: off('NamespacesUnavailable', message), limits: off('CgroupsUnavailable', message) };
    }
    groups = openCgroups(`${instance}.`);
    const found = findTools();
    if ('missing' in found) {
      const message = `${found.missing.join(', ')} not found: install util-linux and coreutils`;
      return { sandbox: off('NamespacesUnavailable', message), limits: off('CgroupsUnavailable', message) };
    }
    tools = found.tools;
    const choices: Privileges[] =
      process.getuid?.() === 0
        ? [
            { kind: 'user', uid: NOBODY, gid: NOBODY },
            { kind: 'user', uid: 0, gid: 0 },
          ]
        : [{ kind: 'userns' }];
    let why = '';
    for (const privileges of choices) {
      const failure = await trySandbox({ tools, privileges });
      if (failure === undefined) {
        sandbox = { tools, privileges };
        return {
          sandbox: {
            available: true,
            reason: 'Namespaces',
            message: 'own mount, pid, ipc and uts namespaces',
          },
          limits: groups.capability,
        };
      }
      why = failure;
    }
    log.warn('containers run without namespaces', { why });
    return { sandbox: off('NamespacesUnavailable', why), limits: groups.capability };
  };

  const capabilities = () => {
    probed ??= probe();
    return probed;
  };

  const handOver = (path: string) => {
    if (sandbox?.privileges.kind !== 'user') return;
    chownSync(path, sandbox.privileges.uid, sandbox.privileges.gid);
  };

  const preparePodDir = (podUid: string) => {
    const dir = join(podsDir, podUid);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    handOver(dir);
    return dir;
  };

  const start = async (spec: ContainerSpec, output: ContainerOutput): Promise<RunningContainer> => {
    await capabilities();
    // Numbered, because what an earlier run of the same container leaves is removed in the background.
    const id = `${spec.podUid}.${spec.name}.${sequence++}`;
    preparePodDir(spec.podUid);
    let group: ContainerGroup | undefined;
    if (groups?.capability.available) {
      group = groups.create(id);
      group.apply(spec.limits);
    }
    const entrances = group?.entrances ?? [];
    const active = sandbox;
    let child: ChildProcess;
    if (active) {
      const view = prepareView(realHost(), id, spec.podUid, spec.mounts);
      child = spawnLaunch(
        sandboxLaunch({ ...active, ...spec, ...view, marker, platformPid: process.pid, entrances }),
      );
    } else {
      if (spec.mounts.length > 0) {
        throw new Error(
          'volumes cannot be mounted: this machine gives containers no file system view of their own',
        );
      }
      const argv = plainLaunch(tools, { entrances, platformPid: process.pid, marker, command: spec.command });
      child = spawnLaunch({ argv, env: spec.env }, spec.workingDir);
    }
    return supervise(id, spec, child, group, output, active);
  };

  const supervise = (
    id: string,
    spec: ContainerSpec,
    child: ChildProcess,
    group: ContainerGroup | undefined,
    output: ContainerOutput,
    active: Sandbox | undefined,
  ): RunningContainer => {
    const record = join(recordsDir, id);
    const pid = child.pid;
    const started = pid === undefined ? undefined : startTimeOf(pid);
    // Written while the process starts: nobody waits for it, and the marker in its arguments covers the gap.
    if (pid !== undefined) void writeFile(record, `${pid} ${started ?? ''}\n`).catch(() => {});
    let ended = false;
    let oomBefore = group?.oomKills() ?? 0;
    let startError = '';
    child.stdout!.on('data', (chunk: Buffer) => output.stdout(chunk));
    child.stderr!.on('data', (chunk: Buffer) => output.stderr(chunk));
    const setup = child.stdio[4] as NodeJS.ReadableStream;
    setup.on('data', (chunk: Buffer) => {
      startError += chunk.toString();
    });
    for (const stream of [child.stdout!, child.stderr!, child.stdio[4]!]) stream.on('error', () => {});

    /** The container's own main process, below the ones that set it up. */
    const mainPid = (): number | undefined => {
      if (ended || pid === undefined) return undefined;
      if (!active) return pid;
      const init = childrenOf(pid)[0];
      return init === undefined ? undefined : childrenOf(init)[0];
    };
    const kill = () => {
      if (pid === undefined) return;
      if (active) {
        // Its death takes the first process of the pid namespace along, and that one everything else.
        if (!ended) child.kill('SIGKILL');
        return;
      }
      signalGroup(pid, 'SIGKILL');
      for (const each of group?.pids() ?? []) signalProcess(each, 'SIGKILL');
    };

    const exited = new Promise<ContainerExit>((resolve) => {
      const finish = (exitCode: number) => {
        if (ended) return;
        ended = true;
        if (!active) kill();
        const oomKilled = exitCode !== 0 && group !== undefined && group.oomKills() > oomBefore;
        void rm(record, { force: true }).catch(() => {});
        void rm(`${record}.fstab`, { force: true }).catch(() => {});
        void removeGroup(group);
        resolve({ exitCode, oomKilled, ...(startError === '' ? {} : { startError: startError.trim() }) });
      };
      child.on('error', (error) => {
        startError = error.message;
        finish(128);
      });
      // `exit` of the plain process may leave descendants that hold its output open: end them, then `close` comes.
      child.on('exit', () => {
        if (!active && pid !== undefined) signalGroup(pid, 'SIGKILL');
      });
      child.on('close', (code, signal) => finish(code ?? 128 + (SIGNALS[signal ?? 'SIGKILL'] ?? 9)));
    });

    return {
      id: `process://${id}.${pid ?? 0}.${started ?? 0}`,
      exited,
      signal(signal) {
        const target = mainPid();
        if (target !== undefined) signalProcess(target, signal);
        // Not yet that far: what is being set up has no user code to be gentle to.
        else if (!ended && signal !== 'SIGUSR1') kill();
      },
      kill,
      exec: (command, timeoutMs) => run(spec, command, timeoutMs, mainPid(), active),
      setLimits(limits: ContainerLimits) {
        if (!group || ended) return false;
        oomBefore = group.oomKills();
        group.apply(limits);
        return true;
      },
    };
  };

  const run = async (
    spec: ContainerSpec,
    command: string[],
    timeoutMs: number,
    pid: number | undefined,
    active: Sandbox | undefined,
  ): Promise<ExecResult> => {
    if (pid === undefined) return { exitCode: 1, output: 'the container is not running', timedOut: false };
    const child = active
      ? spawnLaunch(execLaunch(active.tools, active.privileges, pid, { ...spec, command }))
      : spawnLaunch({ argv: command, env: spec.env }, spec.workingDir);
    let text = '';
    const add = (chunk: Buffer) => {
      if (text.length < EXEC_OUTPUT) text += chunk.toString().slice(0, EXEC_OUTPUT - text.length);
    };
    child.stdout!.on('data', add);
    child.stderr!.on('data', add);
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
    }, timeoutMs);
    return new Promise((resolve) => {
      child.on('error', (error) => {
        clearTimeout(timer);
        resolve({ exitCode: 127, output: error.message, timedOut });
      });
      child.on('close', (code, signal) => {
        clearTimeout(timer);
        resolve({ exitCode: code ?? 128 + (SIGNALS[signal ?? 'SIGKILL'] ?? 9), output: text, timedOut });
      });
    });
  };

  const cleanLeftovers = async (): Promise<number> => {
    let count = 0;
    const end = (pid: number) => {
      if (pid === process.pid) return;
      if (signalProcess(pid, 'SIGKILL')) count++;
    };
    for (const name of readdirSync(recordsDir)) {
      const path = join(recordsDir, name);
      const [pid, started] = (await readFile(path, 'utf8').catch(() => '')).trim().split(' ');
      if (!name.endsWith('.fstab') && pid && started && startTimeOf(Number(pid)) === started) {
        signalGroup(Number(pid), 'SIGKILL');
        end(Number(pid));
      }
      await rm(path, { force: true });
    }
    if (process.platform === 'linux') {
      for (const entry of readdirSync('/proc')) {
        if (!/^\d+$/.test(entry)) continue;
        const line = await readFile(`/proc/${entry}/cmdline`, 'latin1').catch(() => '');
        if (line.split('\0').includes(marker)) end(Number(entry));
      }
    }
    await capabilities();
    for (const group of groups?.existing() ?? []) {
      for (const pid of group.pids()) end(pid);
      await removeGroup(group);
    }
    return count;
  };

  return {
    name: 'process',
    capabilities,
    start,
    preparePodDir,
    handOver,
    removePod(podUid) {
      rmSync(join(podsDir, podUid), { recursive: true, force: true });
    },
    cleanLeftovers,
  };
}

const SIGNALS: Record<string, number> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGABRT: 6,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGXCPU: 24,
  SIGSYS: 31,
};

function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  signalProcess(-pid, signal);
}

/** A killed process leaves its group a moment after it has been reaped: try again for a while, then leave it to the next start. */
async function removeGroup(group: ContainerGroup | undefined): Promise<void> {
  for (let wait = 1; group && !group.remove() && wait < 2000; wait *= 2) {
    await new Promise((resolve) => setTimeout(resolve, wait).unref());
  }
}

function collect(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    if (text.length < EXEC_OUTPUT) text += chunk.toString();
  });
  return new Promise((resolve) => stream.on('close', () => resolve(text)).on('error', () => resolve(text)));
}
