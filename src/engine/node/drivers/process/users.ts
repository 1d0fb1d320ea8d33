/** As which users containers can run on this machine. */
import { readFileSync } from 'node:fs';
import type { ContainerUser } from '../driver.ts';
import type { Privileges } from './script.ts';

/** Numbers that belong to somebody on this machine. */
export interface Accounts {
  users: ReadonlyMap<number, string>;
  groups: ReadonlyMap<number, string>;
}

/** The third field of each line of passwd(5) or group(5), and the name it belongs to. */
export function parseAccounts(text: string): Map<number, string> {
  const found = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [name, , number] = line.split(':');
    if (name && number && /^\d+$/.test(number) && !found.has(Number(number))) found.set(Number(number), name);
  }
  return found;
}

const textOf = (path: string) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** Read anew every time: accounts come and go. */
export const readAccounts = (): Accounts => ({
  users: parseAccounts(textOf('/etc/passwd')),
  groups: parseAccounts(textOf('/etc/group')),
});

/**
 * Why a container cannot run as that user; undefined when it can. A container sees the machine's files, so where the platform is root
 * it may be nobody whom these files belong to. In a user namespace the number is only a name for the platform's own user.
 */
export function userProblem(
  { uid, gid, groups }: ContainerUser,
  privileges: Privileges | undefined,
  accounts: Accounts,
): string | undefined {
  if (privileges?.kind === 'user') {
    const user = uid === undefined || uid === privileges.uid ? undefined : accounts.users.get(uid);
    if (user !== undefined) {
      return `user ${uid} is ${user} on this machine, whose files the container would have a right to: choose a number that is no account here`;
    }
    const taken = [gid ?? privileges.gid, ...groups].find(
      (one) => one !== privileges.gid && accounts.groups.has(one),
    );
    return taken === undefined
      ? undefined
      : `group ${taken} is ${accounts.groups.get(taken)} on this machine, whose files the container would have a right to: choose a number that is no group here`;
  }
  return unprivilegedProblem({ gid, groups }, privileges);
}

/** The same where the platform is not root, whatever files a container sees. */
export function unprivilegedProblem(
  { gid, groups }: Pick<ContainerUser, 'gid' | 'groups'>,
  privileges: Exclude<Privileges, { kind: 'user' }> | undefined,
): string | undefined {
  if (privileges?.userNamespace) {
    const others = groups.filter((one) => one !== (gid ?? groups[0]));
    return others.length === 0
      ? undefined
      : `supplementary groups (${others.join(', ')}) need a platform that is started as root`;
  }
  return 'containers run as the platform’s own user here, because this machine permits no namespaces: leave user and groups out';
}
