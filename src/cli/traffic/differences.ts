/** What differs between two trees of settings, and between two directories of files. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** A setting that is not the same; absent on the side that does not have it. */
export interface SettingChange {
  path: string;
  from?: unknown;
  to?: unknown;
}

export interface FileChange {
  path: string;
  change: 'added' | 'removed' | 'changed';
}

/** Leaves of a tree by path. Lists of named things are told apart by name, so that an insertion is one change. */
function leaves(value: unknown, path: string, into: Map<string, unknown>): Map<string, unknown> {
  if (value === null || typeof value !== 'object') into.set(path, value);
  else if (Array.isArray(value))
    value.forEach((item, i) => {
      const name = (item as { name?: unknown } | null)?.name;
      leaves(item, `${path}[${typeof name === 'string' ? name : i}]`, into);
    });
  else
    for (const [key, one] of Object.entries(value))
      leaves(one, /^[\w-]+$/.test(key) ? (path ? `${path}.${key}` : key) : `${path}[${key}]`, into);
  return into;
}

/** The settings that differ, by path. */
export function settingChanges(from: unknown, to: unknown): SettingChange[] {
  const [before, after] = [leaves(from, '', new Map()), leaves(to, '', new Map())];
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((path) => before.get(path) !== after.get(path))
    .sort()
    .map((path) => ({
      path,
      ...(before.has(path) ? { from: before.get(path) } : {}),
      ...(after.has(path) ? { to: after.get(path) } : {}),
    }));
}

/** Files and links of a directory with what tells their content apart. */
function contents(root: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const full = join(entry.parentPath, entry.name);
    const path = full.slice(root.length + 1);
    if (entry.isSymbolicLink()) found.set(path, `link ${readlinkSync(full)}`);
    else if (entry.isFile()) found.set(path, createHash('sha256').update(readFileSync(full)).digest('hex'));
  }
  return found;
}

/** The files that differ, by path. */
export function fileChanges(from: string, to: string): FileChange[] {
  const [before, after] = [contents(from), contents(to)];
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((path) => before.get(path) !== after.get(path))
    .sort()
    .map((path) => ({
      path,
      change: !before.has(path) ? 'added' : !after.has(path) ? 'removed' : 'changed',
    }));
}
