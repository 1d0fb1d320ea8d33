/** All container logs of this machine: which file belongs to which run, and how long they are kept. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../../base/log.ts';
import { createGoneLogs, type GoneLogs, type GoneOwner } from './gone.ts';
import { type ReadOptions, readLog } from './reader.ts';
import { createLogWriter, type LogWriter, removeRun } from './writer.ts';

/** Names one container of one Pod. */
export interface LogOwner {
  namespace: string;
  pod: string;
  uid: string;
  container: string;
}

/** Whose code a Pod ran, by its labels. */
export type LogFunction = Pick<GoneOwner, 'group' | 'revision'>;

export interface LogStore {
  /**
   * Begins the log of a run; runs count from 0. Logs of runs before the previous one are removed, or kept for the function that `of`
   * says they are of.
   */
  begin(owner: LogOwner, run: number, of?: LogFunction): LogWriter;
  read(owner: LogOwner, run: number, options: ReadOptions): AsyncGenerator<Buffer>;
  /** The Pod is gone: its logs are kept for its function; those of other Pods until the total of such logs is above the limit. */
  release(owner: Omit<LogOwner, 'container'>, of?: LogFunction): Promise<void>;
  /** What is kept of runs whose instance is gone. */
  readonly gone: GoneLogs;
  /** Removes logs of Pods that are gone, oldest first, down to the limit. `live` are uids of Pods that exist. */
  prune(live: ReadonlySet<string>): Promise<void>;
}

/** Bytes of logs kept of Pods that no longer exist. */
const MAX_GONE_BYTES = 256 * 1024 * 1024;
/** Pods that no longer exist whose logs are kept. */
const MAX_GONE_PODS = 500;

export function createLogStore(options: {
  dir: string;
  /** Where logs of functions' instances that are gone are kept. */
  goneDir: string;
  now: () => number;
  log: Logger;
  maxGoneBytes?: number;
}): LogStore {
  const { dir, goneDir, now, log, maxGoneBytes = MAX_GONE_BYTES } = options;
  const gone = createGoneLogs({ dir: goneDir, now });
  const open = new Map<string, LogWriter>();
  const podDir = (owner: Omit<LogOwner, 'container'>) =>
    join(dir, `${owner.namespace}_${owner.pod}_${owner.uid}`);
  const pathOf = (owner: LogOwner, run: number) => join(podDir(owner), owner.container, `${run}.log`);

  return {
    gone,
    begin(owner, run, of) {
      const path = pathOf(owner, run);
      const writer = createLogWriter({ path, now, log });
      open.set(path, writer);
      writer.onChange.add(() => {
        if (writer.closed && open.get(path) === writer) open.delete(path);
      });
      if (run >= 2) {
        const old = pathOf(owner, run - 2);
        void (of ? gone.keepRun(old, owner.container, { ...owner, ...of }) : removeRun(old)).catch(() => {});
      }
      return writer;
    },
    read: (owner, run, read) => readLog(pathOf(owner, run), read, open.get(pathOf(owner, run))),
    async release(owner, of) {
      const dir = podDir(owner);
      await Promise.all([...open].map(([path, writer]) => path.startsWith(`${dir}/`) && writer.close()));
      if (of) await gone.keep(dir, { ...owner, ...of });
    },
    async prune(live) {
      const names = await readdir(dir).catch(() => [] as string[]);
      await gone.prune();
      const left: { path: string; bytes: number; at: number }[] = [];
      for (const name of names) {
        if (live.has(name.slice(name.lastIndexOf('_') + 1))) continue;
        const path = join(dir, name);
        let bytes = 0;
        let at = 0;
        for (const file of await readdir(path, { recursive: true }).catch(() => [] as string[])) {
          const stats = await stat(join(path, file)).catch(() => undefined);
          if (!stats?.isFile()) continue;
          bytes += stats.size;
          at = Math.max(at, stats.mtimeMs);
        }
        left.push({ path, bytes, at });
      }
      left.sort((a, b) => b.at - a.at);
      let total = 0;
      for (const [index, { path, bytes }] of left.entries()) {
        total += bytes;
        if (total > maxGoneBytes || index >= MAX_GONE_PODS) await rm(path, { recursive: true, force: true });
      }
    },
  };
}
