/** Containers that have an image as their root: whether this machine can, and how a program gets there. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerSpec, ContainerUser } from '../driver.ts';
import type { Privileges } from './script.ts';
import type { Sandbox } from './self-test.ts';
import { finished } from './spawn.ts';
import { unprivilegedProblem } from './users.ts';

const ENTER = join(import.meta.dirname, 'enter-image.cjs');
const TIMEOUT_MS = 10_000;

/** argv that becomes the container's command in its root; `file` is written for it, and is for nobody else's eyes. */
export function imageEntry(
  file: string,
  root: string,
  { privileges }: Sandbox,
  { command, env, workingDir = '/', user }: Pick<ContainerSpec, 'command' | 'env' | 'workingDir' | 'user'>,
): string[] {
  const as = privileges.kind === 'user' && {
    uid: user?.uid ?? privileges.uid,
    gid: user?.gid ?? privileges.gid,
    groups: user?.groups ?? [],
  };
  const entry = { root, cwd: workingDir, command, env, ...(as ? { user: as } : {}) };
  writeFileSync(file, JSON.stringify(entry), { mode: 0o600 });
  return [process.execPath, ENTER, file];
}

/** Why nobody can have an overlay of his own here; undefined when everybody can. Tries it. */
export async function overlayProblem(
  { tools, privileges }: Sandbox,
  dir: string,
): Promise<string | undefined> {
  const userNamespace = privileges.kind === 'same' && privileges.userNamespace;
  const options = `lowerdir=${dir}/l,upperdir=${dir}/u,workdir=${dir}/w${userNamespace ? ',userxattr' : ''}`;
  const script = `${tools.mount} -t tmpfs tmpfs "$1" && ${tools.mkdir} "$1/l" "$1/u" "$1/w" "$1/m" && ${tools.mount} -t overlay overlay -o "$2" "$1/m"`;
  const namespaces = [...(userNamespace ? ['--user', '--map-root-user'] : []), '--mount'];
  const argv = [tools.unshare, ...namespaces, '--', tools.sh, '-c', script, 'overlay', dir, options];
  const { exitCode, output } = await finished({ argv, env: {} }, { timeoutMs: TIMEOUT_MS });
  return exitCode === 0
    ? undefined
    : `this machine lets no container have a file system of its own: ${output.trim().slice(0, 300) || `exit code ${exitCode}`}`;
}

/** Why a container with an image of its own cannot run as that user. It sees nothing of the machine's files: any number will do but root's. */
export function imageUserProblem(
  { uid, gid, groups }: ContainerUser,
  privileges: Privileges | undefined,
): string | undefined {
  if (privileges?.kind === 'user')
    return uid === 0 || gid === 0 || groups.includes(0)
      ? 'user and group 0 are root on this machine: choose another number'
      : undefined;
  return unprivilegedProblem({ gid, groups }, privileges);
}

/** What `imageEntry` wrote. */
export const forgetEntry = (file: string): void => rmSync(file, { force: true });
