/** State on SQLite: writes are committed in groups; reads see what is committed. */
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { createAlarm } from '../../durable/alarm.ts';
import { createCommitter } from '../../durable/committer.ts';
import { type Command, durable, type StateCommand, type StateResult } from './file.ts';
import type { Entry, KeyedState } from './types.ts';

/** Collections are at least this far apart, ms: what has expired is not seen any more anyway. */
const COLLECT_EVERY_MS = 60_000;
/** Greater than every key. */
const LAST = '\u{10ffff}';

export interface EmbeddedOptions {
  path: string;
  clock: Clock;
  log: Logger;
  /** Called with values of blob spaces that are not there any more. */
  onOld?(values: Uint8Array[]): void;
}

/** A keyed state, and the way to it for those who build on it. */
export interface EmbeddedState extends KeyedState {
  /** All values of spaces that begin with this. */
  values(spacePrefix: string): Iterable<Uint8Array>;
}

/** Opens the file, making it when it is not there. Throws `PetrelError` when it cannot be used. */
export function openEmbedded({ path, clock, log, onOld }: EmbeddedOptions): EmbeddedState {
  const committer = createCommitter<Command, StateResult>({
    path,
    file: durable,
    module: new URL('./file.ts', import.meta.url).href,
  });
  const { reader } = committer;
  const columns = 'key, version, expires, type, value';
  const get = reader.prepare(`SELECT ${columns} FROM entry WHERE space = ? AND key = ?`);
  const list = reader.prepare(
    `SELECT ${columns} FROM entry WHERE space = ? AND key > ? AND key >= ? AND key < ? AND (expires IS NULL OR expires > ?) ORDER BY key LIMIT ?`,
  );
  const first = reader.prepare('SELECT min(expires) AS at FROM entry WHERE expires IS NOT NULL');
  const all = reader.prepare('SELECT value FROM entry WHERE space >= ? AND space < ?');

  const alarm = createAlarm(clock, () => {
    committer
      .run({ do: 'collect', now: clock.now() }, { patient: true })
      .then(({ old = [] }) => onOld?.(old))
      .catch((error) => log.warn('expired state was not removed', { error: messageOf(error) }))
      .finally(watch);
  });
  const watch = () => {
    if (!reader.isOpen) return;
    const at = first.get()?.at;
    if (typeof at === 'number') alarm.by(Math.max(at, clock.now() + COLLECT_EVERY_MS));
  };
  watch();

  const run = async (command: StateCommand, bytes = 256): Promise<StateResult> => {
    const result = await committer.run(command, { bytes });
    if (result.old?.length) onOld?.(result.old);
    return result;
  };
  const toEntry = (raw: Record<string, unknown>): Entry => ({
    key: String(raw.key),
    value: raw.value as Uint8Array,
    type: String(raw.type),
    version: String(raw.version),
    ...(raw.expires === null ? {} : { expires: Number(raw.expires) }),
  });
  const expire = (expires: number | undefined) => {
    if (expires !== undefined) alarm.by(Math.max(expires, clock.now() + COLLECT_EVERY_MS));
    return expires ?? null;
  };
  const written = ({ version = 0, created = false }: StateResult) => ({ version: String(version), created });

  return {
    async get(space, key) {
      const raw = get.get(space, key);
      const entry = raw && toEntry(raw);
      return entry?.expires !== undefined && entry.expires <= clock.now() ? undefined : entry;
    },
    async put(space, key, { value, type, expires, condition, maxKeys }) {
      const now = clock.now();
      const command: StateCommand = {
        do: 'put',
        space,
        key,
        now,
        value,
        type,
        expires: expire(expires),
        condition,
        maxKeys,
      };
      const result = await run(command, value.length + 256);
      return result.refused ? { refused: result.refused } : written(result);
    },
    async delete(space, key, condition) {
      const result = await run({ do: 'delete', space, key, now: clock.now(), condition });
      if (result.refused) return { refused: result.refused };
      return result.removed === 1 ? true : undefined;
    },
    async increment(space, key, by, { expires, maxKeys }) {
      const now = clock.now();
      const result = await run({
        do: 'increment',
        space,
        key,
        now,
        by: String(by),
        expires: expire(expires),
        maxKeys,
      });
      if (result.refused) return { refused: result.refused };
      return { ...written(result), value: BigInt(result.value ?? 0) };
    },
    async list(space, { prefix, after = '', limit }) {
      return list.all(space, after, prefix, prefix + LAST, clock.now(), limit).map(toEntry);
    },
    *values(spacePrefix) {
      for (const { value } of all.all(spacePrefix, spacePrefix + LAST)) yield value as Uint8Array;
    },
    async close() {
      alarm.cancel();
      await committer.close();
    },
  };
}
