/**
 * Logs of runs whose instance is gone, by the function they were of: bounded in number, size and age, the oldest go first. Written only
 * when an instance ends or begins anew. On disk `<namespace>/<group>/<ended>_<revision>_<pod>_<uid>/<container>/<run>.log`.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { GoneRun } from '../../../kube/logs/gone.ts';

export interface GoneLimits {
  /** Instances and bytes kept of each function. */
  perGroup: { instances: number; bytes: number };
  /** And of all together. */
  total: { instances: number; bytes: number };
  maxAgeMs: number;
}

export const GONE_LIMITS: GoneLimits = {
  perGroup: { instances: 20, bytes: 20 * 1024 * 1024 },
  total: { instances: 1000, bytes: 256 * 1024 * 1024 },
  maxAgeMs: 7 * 24 * 3600_000,
};

/** Whose logs they were. */
export interface GoneOwner {
  namespace: string;
  /** What `logGroup` says. */
  group: string;
  revision: string;
  pod: string;
  uid: string;
}

export interface GoneLogs {
  /** Takes over a Pod's directory of logs; nothing happens when there is none. */
  keep(podDir: string, owner: GoneOwner): Promise<void>;
  /** Takes over the files of one run of a Pod that lives on. */
  keepRun(path: string, container: string, owner: GoneOwner): Promise<void>;
  /** In the order in which their instances went. */
  list(namespace: string, group: string): Promise<GoneRun[]>;
  /** Where a run is; undefined when it is not kept. */
  find(namespace: string, group: string, id: string, container: string, run: number): string | undefined;
  /** Removes what is too old or too much. */
  prune(): Promise<void>;
}

interface Kept {
  key: string;
  id: string;
  endedAt: number;
  bytes: number;
  runs: { container: string; run: number; endedAt: number }[];
}

/** A file of a run: `<run>.log`, or `<run>.log.<number>` of what was set aside. */
const FILE = /^(\d+)\.log(?:\.(\d+))?$/;
const ID = /^(\d{13})_([a-z0-9.-]*)_([a-z0-9.-]+)_([\w-]+)$/;

export function createGoneLogs(options: {
  dir: string;
  now: () => number;
  limits?: Partial<GoneLimits>;
}): GoneLogs {
  const { dir, now } = options;
  const limits = { ...GONE_LIMITS, ...options.limits };
  /** By `<namespace>/<group>`, oldest first. */
  const groups = new Map<string, Kept[]>();
  let loaded: Promise<void> | undefined;
  let last = Promise.resolve();

  const pathOf = ({ key, id }: Kept) => join(dir, key, id);
  const all = () => [...groups.values()].flat();

  /** Looks at what lies there; of files beyond the limit of bytes the newest stay. Undefined when there is nothing. */
  const measure = async (key: string, id: string): Promise<Kept | undefined> => {
    const endedAt = Number(ID.exec(id)?.[1]);
    if (!Number.isFinite(endedAt)) return undefined;
    const files: { path: string; container: string; run: number; part: number; size: number; at: number }[] =
      [];
    for (const container of await entries(join(dir, key, id)))
      for (const name of await entries(join(dir, key, id, container))) {
        const [, run, part = '0'] = FILE.exec(name) ?? [];
        const path = join(dir, key, id, container, name);
        const stats = run === undefined ? undefined : await stat(path).catch(() => undefined);
        if (stats === undefined) continue;
        const { size, mtimeMs: at } = stats;
        files.push({ path, container, run: Number(run), part: Number(part), size, at });
      }
    files.sort((a, b) => b.run - a.run || a.part - b.part);
    let bytes = 0;
    const runs = new Map<string, Kept['runs'][number]>();
    for (const { path, container, run, size, at } of files) {
      if (bytes > 0 && bytes + size > limits.perGroup.bytes) {
        await rm(path, { force: true });
        continue;
      }
      bytes += size;
      const known = runs.get(`${container}/${run}`);
      runs.set(
        `${container}/${run}`,
        known ?? { container, run, endedAt: Math.min(endedAt, Math.floor(at)) },
      );
    }
    return runs.size === 0 ? undefined : { key, id, endedAt, bytes, runs: [...runs.values()].reverse() };
  };

  const load = async (): Promise<void> => {
    for (const namespace of await entries(dir))
      for (const group of await entries(join(dir, namespace))) {
        const key = `${namespace}/${group}`;
        const found: Kept[] = [];
        for (const id of await entries(join(dir, key))) {
          const kept = await measure(key, id);
          if (kept) found.push(kept);
          else await rm(join(dir, key, id), { recursive: true, force: true });
        }
        if (found.length > 0)
          groups.set(
            key,
            found.sort((a, b) => a.endedAt - b.endedAt),
          );
      }
    await shrink();
  };

  const drop = async (kept: Kept): Promise<void> => {
    const left = (groups.get(kept.key) ?? []).filter((each) => each !== kept);
    if (left.length > 0) groups.set(kept.key, left);
    else groups.delete(kept.key);
    await rm(pathOf(kept), { recursive: true, force: true });
    // Empty now or not: that is what the call finds out.
    if (left.length === 0) await rmdir(join(dir, kept.key)).catch(() => {});
  };

  const shrink = async (): Promise<void> => {
    for (const list of [...groups.values()])
      for (const kept of beyond(list, limits.perGroup)) await drop(kept);
    for (const kept of beyond(all(), limits.total)) await drop(kept);
  };

  /** What does not fit, of the newest on. */
  const beyond = (list: Kept[], most: { instances: number; bytes: number }): Kept[] => {
    const oldest = now() - limits.maxAgeMs;
    let bytes = 0;
    return [...list]
      .sort((a, b) => b.endedAt - a.endedAt)
      .filter((kept, index) => {
        bytes += kept.bytes;
        return index >= most.instances || kept.endedAt < oldest || (index > 0 && bytes > most.bytes);
      });
  };

  /** One after the other: each finds the index as it is on disk. */
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    loaded ??= load().catch(() => {});
    last = last.then(() => loaded).then(work);
    const done = last;
    last = last.catch(() => {});
    return done;
  };

  const take = (owner: GoneOwner, move: (target: string) => Promise<boolean>): Promise<void> =>
    inTurn(async () => {
      const key = `${owner.namespace}/${owner.group}`;
      const id = `${now()}_${owner.revision}_${owner.pod}_${owner.uid}`;
      await mkdir(join(dir, key), { recursive: true, mode: 0o700 });
      const moved = await move(join(dir, key, id));
      const kept = moved ? await measure(key, id) : undefined;
      if (kept === undefined) return void (await rmdir(join(dir, key)).catch(() => {}));
      groups.set(key, [...(groups.get(key) ?? []).filter((each) => each.id !== id), kept]);
      await shrink();
    });

  return {
    async keep(podDir, owner) {
      // Most say nothing.
      if (!existsSync(podDir)) return;
      await take(owner, (target) =>
        rename(podDir, target).then(
          () => true,
          () => false,
        ),
      );
    },
    keepRun: (path, container, owner) =>
      take(owner, async (target) => {
        const run = path.slice(dirname(path).length + 1);
        const files = (await entries(dirname(path))).filter(
          (name) => name === run || name.startsWith(`${run}.`),
        );
        if (files.length === 0) return false;
        await mkdir(join(target, container), { recursive: true, mode: 0o700 });
        for (const name of files) await rename(join(dirname(path), name), join(target, container, name));
        return true;
      }),
    async list(namespace, group) {
      await inTurn(async () => {});
      const oldest = now() - limits.maxAgeMs;
      return (groups.get(`${namespace}/${group}`) ?? [])
        .filter(({ endedAt }) => endedAt >= oldest)
        .flatMap(({ id, runs }) => {
          const [, , revision = '', pod = ''] = ID.exec(id) ?? [];
          return runs.map((run) => ({ id, pod, revision, ...run }));
        });
    },
    find(namespace, group, id, container, run) {
      const kept = groups.get(`${namespace}/${group}`)?.find((each) => each.id === id);
      const known = kept?.runs.some((each) => each.container === container && each.run === run);
      return kept && known ? join(pathOf(kept), container, `${run}.log`) : undefined;
    },
    prune: () => inTurn(shrink),
  };
}

const entries = (dir: string): Promise<string[]> => readdir(dir).catch(() => []);
