/** Finds out once what this machine allows, by trying exactly what containers will need. */
import { chownSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../../../base/errors.ts';
import type { Capability, DriverCapabilities } from '../driver.ts';
import { type CgroupManager, type ContainerGroup, openCgroups } from './cgroup.ts';
import { findTools, type Tools } from './host.ts';
import { removeGroup } from './leftovers.ts';
import { NO_GROUP, type Privileges, sandboxLaunch } from './script.ts';
import { finished } from './spawn.ts';
import type { View, ViewRequest } from './view.ts';

export interface Sandbox {
  tools: Tools;
  privileges: Privileges;
  /** Trees are bound with the mounts below them: in a user namespace the kernel allows nothing else. */
  recursive: boolean;
  /** Containers see their own control groups. */
  showsGroups: boolean;
}

/** What was found; `sandbox` and `groups` are there where they work. */
export interface Machine {
  capabilities: DriverCapabilities;
  tools?: Tools;
  sandbox?: Sandbox;
  groups?: CgroupManager;
}

export interface SelfTestOptions {
  runDir: string;
  prepareView(request: ViewRequest): View;
  mode: 'auto' | 'plain';
  /** Names this platform's processes and control groups. */
  marker: string;
  /** Directories every container must be able to read and enter. */
  required: string[];
  /** Processes and threads of one container. */
  maxTasks?: number | undefined;
}

/** User and group `nobody`: known on every Linux, owner of nothing. */
const NOBODY = 65534;
const TIMEOUT_MS = 10_000;

const unavailable = (reason: string, message: string): Capability => ({ available: false, reason, message });

/** Runs a small program in a sandbox; undefined when everything that matters worked, else why not. */
async function trySandbox(
  sandbox: Sandbox,
  options: SelfTestOptions,
  group: ContainerGroup | undefined,
): Promise<string | undefined> {
  const podDir = join(options.runDir, 'pods', 'self-test');
  const fstab = join(options.runDir, 'processes', 'self-test.fstab');
  const { privileges, recursive } = sandbox;
  try {
    mkdirSync(podDir, { recursive: true, mode: 0o700 });
    if (privileges.kind === 'user') chownSync(podDir, privileges.uid, privileges.gid);
    const shown = sandbox.showsGroups ? group : undefined;
    const view = options.prepareView({ podDir, mounts: [], group: shown, recursive, fstab });
    const program = `for dir do [ -r "$dir" ] && [ -x "$dir" ] || { echo "$dir cannot be read by containers"; exit 1; }; done
: >"$PETREL_DIR/x" && : >/tmp/x && : >/dev/null || exit 1
[ -d "/proc/$$" ] && [ "$$" -lt 100 ] || { echo "/proc is not the container's own"; exit 1; }`;
    const launch = sandboxLaunch({
      ...sandbox,
      ...view,
      marker: options.marker,
      platformPid: process.pid,
      hostname: 'self-test',
      entrances: group?.entrances ?? [],
      command: [sandbox.tools.sh, '-c', program, 'self-test', ...options.required],
      env: { PETREL_DIR: podDir },
    });
    const { exitCode, output } = await finished(launch, { timeoutMs: TIMEOUT_MS });
    return exitCode === 0 ? undefined : output.trim() || `the self-test ended with exit code ${exitCode}`;
  } catch (error) {
    return messageOf(error);
  } finally {
    rmSync(podDir, { recursive: true, force: true });
    rmSync(fstab, { force: true });
  }
}

/** Ways to be without privileges, best first. */
function choices(): Omit<Sandbox, 'tools' | 'showsGroups'>[] {
  if (process.getuid?.() !== 0)
    return [{ privileges: { kind: 'same', userNamespace: true }, recursive: true }];
  const nobody: Privileges = { kind: 'user', uid: NOBODY, gid: NOBODY };
  return [
    { privileges: nobody, recursive: false },
    // Root of a user namespace, as in a rootless container; it may not even have that user.
    { privileges: nobody, recursive: true },
    { privileges: { kind: 'same', userNamespace: false }, recursive: true },
  ];
}

/** Looks what is possible here. Never rejects. */
export async function examineMachine(options: SelfTestOptions): Promise<Machine> {
  const none = (reason: string, message: string, tools?: Tools): Machine => ({
    capabilities: { sandbox: unavailable(reason, message), limits: unavailable(reason, message) },
    ...(tools ? { tools } : {}),
  });
  if (process.platform !== 'linux') {
    const message = `namespaces and control groups exist on Linux only, this is ${process.platform}`;
    return none('LinuxOnly', message);
  }
  const found = findTools();
  if (options.mode === 'plain') {
    return none(
      'SwitchedOff',
      'switched off by PETREL_SANDBOX=plain',
      'tools' in found ? found.tools : undefined,
    );
  }
  if ('missing' in found) {
    return none('ToolsMissing', `${found.missing.join(', ')} not found: install util-linux and coreutils`);
  }
  const { tools } = found;
  const opened = openCgroups(`${options.marker}.`, options.maxTasks);
  let limits = opened.capability;
  let groups: CgroupManager | undefined = limits.available ? opened : undefined;
  const tryWith = async (sandbox: Sandbox) => {
    let group: ContainerGroup | undefined;
    try {
      group = groups?.create('self-test');
      group?.apply({ memoryBytes: 2 ** 30, cpuMillis: 1000 });
    } catch (error) {
      return NO_GROUP + String(error);
    }
    const failure = await trySandbox(sandbox, options, group);
    await removeGroup(group);
    return failure;
  };
  let why = '';
  for (const choice of choices()) {
    const sandbox = { tools, ...choice, showsGroups: groups !== undefined };
    let failure = await tryWith(sandbox);
    if (failure?.includes(NO_GROUP)) {
      limits = unavailable('CgroupsUnavailable', failure);
      groups = undefined;
    }
    if (failure !== undefined && sandbox.showsGroups) {
      sandbox.showsGroups = false;
      failure = await tryWith(sandbox);
    }
    if (failure === undefined) {
      const message = 'own mount, pid, ipc and uts namespaces, read-only view of the host, no privileges';
      const capability = { available: true, reason: 'Namespaces', message };
      return { capabilities: { sandbox: capability, limits }, tools, sandbox, ...(groups ? { groups } : {}) };
    }
    why ||= failure;
  }
  const sandbox = unavailable('NamespacesUnavailable', why);
  return { capabilities: { sandbox, limits }, tools, ...(groups ? { groups } : {}) };
}
