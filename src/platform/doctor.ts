/** What can be wrong with a machine or a home, looked at before it hurts. */
import { execFile } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { accessSync, constants, existsSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { type Address, DEFAULT_API, DEFAULT_GATEWAY, formatAddress } from './address.ts';
import type { HomePaths, PlatformRecord } from './home.ts';

export interface Finding {
  subject: string;
  /** `less` works with less isolation or less comfort. */
  state: 'ok' | 'less' | 'broken';
  detail: string;
  fix?: string;
}

/** Looks at everything; `running` is the platform of this home, if there is one. */
export async function diagnose(home: HomePaths, running: PlatformRecord | undefined): Promise<Finding[]> {
  return Promise.all([
    { subject: 'node', state: 'ok', detail: process.version } as const,
    platform(running),
    homeFolder(home),
    freeSpace(home),
    ...(running
      ? []
      : [port('gateway port', DEFAULT_GATEWAY, '--gateway'), port('API port', DEFAULT_API, '--api')]),
    hostNames(),
    python(),
    namespaces(),
    cgroup(),
  ]);
}

function platform(running: PlatformRecord | undefined): Finding {
  const detail = running
    ? `runs as process ${running.pid}, gateway ${running.gateway ?? '-'}, API ${running.api}`
    : 'does not run';
  return { subject: 'platform', state: 'ok', detail };
}

function homeFolder(home: HomePaths): Finding {
  const subject = 'home';
  let folder = home.dir;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  try {
    if (!statSync(folder).isDirectory()) throw new Error(`${folder} is no folder`);
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    return {
      subject,
      state: 'broken',
      detail: (error as Error).message,
      fix: 'choose another with --home or PETREL_HOME',
    };
  }
  if (folder === home.dir && (statSync(folder).mode & 0o077) !== 0) {
    return {
      subject,
      state: 'less',
      detail: `${home.dir} is open to other users`,
      fix: `chmod 700 ${home.dir}`,
    };
  }
  return { subject, state: 'ok', detail: folder === home.dir ? home.dir : `${home.dir} (will be made)` };
}

function freeSpace(home: HomePaths): Finding {
  const subject = 'disk';
  let folder = home.dir;
  while (!existsSync(folder)) folder = dirname(folder);
  const { bavail, bsize } = statfsSync(folder);
  const mebibytes = Math.floor((bavail * bsize) / 1048576);
  const detail = `${mebibytes} MiB free`;
  if (mebibytes >= 1024) return { subject, state: 'ok', detail };
  return {
    subject,
    state: mebibytes < 32 ? 'broken' : 'less',
    detail,
    fix: 'free some space or choose another --home',
  };
}

async function port(subject: string, address: Address, option: string): Promise<Finding> {
  const server = createServer();
  const detail = formatAddress(address);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ ...address, exclusive: true }, resolve);
    });
    return { subject, state: 'ok', detail: `${detail} is free` };
  } catch {
    return { subject, state: 'less', detail: `${detail} is in use`, fix: `petrel up ${option} :0` };
  } finally {
    server.close();
  }
}

async function hostNames(): Promise<Finding> {
  const subject = 'host names';
  const name = 'hello.default.localhost';
  const fix =
    'call functions by path, /fn/<namespace>/<name>/, or with curl, which resolves *.localhost itself';
  try {
    const { address } = await lookup(name);
    return { subject, state: 'ok', detail: `${name} is ${address}` };
  } catch {
    return { subject, state: 'less', detail: `${name} does not resolve on this machine`, fix };
  }
}

function python(): Promise<Finding> {
  return new Promise((resolve) => {
    execFile('python3', ['--version'], (error, stdout) => {
      resolve(
        error
          ? {
              subject: 'python',
              state: 'less',
              detail: 'python3 was not found',
              fix: 'install it to deploy Python functions',
            }
          : { subject: 'python', state: 'ok', detail: stdout.trim() },
      );
    });
  });
}

function namespaces(): Promise<Finding> {
  const subject = 'sandbox';
  return new Promise((resolve) => {
    execFile('unshare', ['--user', '--map-root-user', '--mount', '--pid', '--fork', 'true'], (error) => {
      resolve(
        error
          ? {
              subject,
              state: 'less',
              detail: 'namespaces are not available: functions run as plain processes',
              fix: 'allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1',
            }
          : { subject, state: 'ok', detail: 'namespaces are available' },
      );
    });
  });
}

function cgroup(): Finding {
  const subject = 'limits';
  try {
    const own = readFileSync('/proc/self/cgroup', 'utf8').split('\n');
    const v2 = own.find((line) => line.startsWith('0::'))?.slice(3);
    const folder = v2 === undefined ? '/sys/fs/cgroup/memory' : `/sys/fs/cgroup${v2}`;
    accessSync(folder, constants.W_OK);
    return { subject, state: 'ok', detail: `cgroups at ${folder}` };
  } catch {
    return {
      subject,
      state: 'less',
      detail: 'cgroups are not writable: CPU and memory limits do not apply',
      fix: 'run as root, or in a delegated cgroup (systemd-run --user --scope -p Delegate=yes)',
    };
  }
}
