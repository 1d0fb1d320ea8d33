/** Users of an image, by the names that it has for them itself. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { linksBelow, resolveInRoot } from './in-root.ts';

export interface ImageAccount {
  /** `uid` or `uid:gid` in numbers; undefined: root, or somebody whom the image does not know. */
  user?: string;
  home: string;
}

const MAX_FILE = 1024 * 1024;

/** The fields of each line of a file of the image; none where there is no such file. */
function linesOf(tree: string, path: string): string[][] {
  const inTree = resolveInRoot(path, linksBelow(tree));
  if (inTree === undefined) return [];
  try {
    const text = readFileSync(join(tree, inTree), 'utf8');
    return text.length > MAX_FILE ? [] : text.split('\n').map((line) => line.split(':'));
  } catch {
    return [];
  }
}

/** What `User` of an image configuration means: `user`, `uid`, `user:group`, `uid:gid` or a mixture. Source: OCI image specification, `config.md`. */
export function accountOf(tree: string, user = ''): ImageAccount {
  const [who = '', group] = user.split(':');
  const accounts = linesOf(tree, 'etc/passwd');
  const name = who === '' ? 'root' : who;
  const found = accounts.find(([own, , uid]) => own === name || uid === name);
  const uid = /^\d+$/.test(name) ? name : found?.[2];
  const home = found?.[5] || '/';
  if (uid === undefined || !/^\d+$/.test(uid) || uid === '0') return { home };
  const listed = group === undefined ? undefined : linesOf(tree, 'etc/group').find(([own]) => own === group);
  const gid = group === undefined ? found?.[3] : /^\d+$/.test(group) ? group : listed?.[2];
  return { user: gid !== undefined && /^\d+$/.test(gid) ? `${uid}:${gid}` : uid, home };
}
