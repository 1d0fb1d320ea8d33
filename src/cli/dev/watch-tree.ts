/** Tells of changes under a path: one call for everything that changes within a moment. */
import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import type { Clock, Timer } from '../../base/clock.ts';

/** Editors write, rename and touch: so long without another change, milliseconds, and it was one. */
const QUIET_MS = 3;
/** Folders that tools write to and nobody edits. */
const LEFT_OUT = new Set([
  '.git',
  '.gradle',
  '.petrel',
  '.pytest_cache',
  '.venv',
  '__pycache__',
  'node_modules',
  'target',
]);

export interface TreeWatch {
  close(): void;
}

/** Watches a file, or a folder with all that is in it. Folders that come later are watched too. `onChange` gets relative paths. */
export function watchTree(root: string, clock: Clock, onChange: (paths: string[]) => void): TreeWatch {
  const directory = statSync(root).isDirectory();
  const base = directory ? root : dirname(root);
  const watchers = new Map<string, FSWatcher>();
  const changed = new Set<string>();
  let timer: Timer | undefined;

  const tell = (path: string) => {
    changed.add(path);
    timer?.cancel();
    timer = clock.after(QUIET_MS, () => {
      const paths = [...changed].sort();
      changed.clear();
      onChange(paths);
    });
  };
  const forget = (dir: string) => {
    for (const [path, watcher] of watchers) {
      if (path !== dir && !path.startsWith(`${dir}/`)) continue;
      watcher.close();
      watchers.delete(path);
    }
  };
  const follow = (dir: string) => {
    if (watchers.has(dir)) return;
    let watcher: FSWatcher;
    try {
      watcher = watch(dir, (_, name) => seen(dir, name));
    } catch {
      return; // it went as quickly as it came
    }
    watcher.on('error', () => forget(dir));
    watchers.set(dir, watcher);
    for (const entry of readdirSync(dir, { withFileTypes: true }))
      if (entry.isDirectory() && !LEFT_OUT.has(entry.name)) follow(join(dir, entry.name));
  };
  const seen = (dir: string, name: string | null) => {
    if (name === null || LEFT_OUT.has(name)) return;
    if (!directory) {
      if (name === basename(root)) tell(name);
      return;
    }
    const path = join(dir, name);
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats?.isDirectory()) follow(path);
    else if (stats === undefined) forget(path);
    tell(relative(base, path));
  };

  if (directory) follow(root);
  else
    watchers.set(
      base,
      watch(base, (_, name) => seen(base, name)),
    );
  return {
    close() {
      timer?.cancel();
      for (const watcher of watchers.values()) watcher.close();
      watchers.clear();
    },
  };
}
