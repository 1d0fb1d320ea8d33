/** What the engine remembers besides events, in one SQLite file: changes go through the committer, questions read what is committed. */
import type { Clock, Timer } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/log.ts';
import { ownBytes } from '../../../durable/bytes.ts';
import { createCommitter } from '../../../durable/committer.ts';
import type { EngineState, Parked, Position } from './contract.ts';
import { durable, type StateCommand, type StateResult } from './file.ts';
import { type DeadQuery, stateReader } from './reader.ts';

/** How long a moved position waits to be written with others, ms; and after it could not be. */
const POSITION_MS = { after: 1000, again: 5000 };

export interface EngineStateOptions {
  path: string;
  clock: Clock;
  log: Logger;
}

/** Opens the file, making it when it is not there. Throws `PetrelError` when it cannot be used. */
export async function openState({ path, clock, log }: EngineStateOptions): Promise<EngineState> {
  const committer = createCommitter<StateCommand, StateResult>({
    path,
    file: durable,
    module: new URL('./file.ts', import.meta.url).href,
  });
  const read = stateReader(committer.reader);
  const parked = read.parkedCounts();
  /** Positions that have moved and are not written, by uid. */
  let moved = new Map<string, Position>();
  let timer: Timer | undefined;
  /** What is on its way to the file, by key; null: it is taken away. */
  const checkpoints = new Map<string, string | null>();

  const run = async (command: StateCommand, bytes = 256, patient = false): Promise<StateResult> => {
    const result = await committer.run(command, { bytes, patient });
    for (const [key, change] of Object.entries(result.parked)) {
      const count = (parked.get(key) ?? 0) + change;
      if (count > 0) parked.set(key, count);
      else parked.delete(key);
    }
    return result;
  };

  const inBackground = (command: StateCommand, what: string) => {
    run(command, 256, true).catch((error: unknown) => {
      log.warn(`${what} could not be written`, { file: path, error: messageOf(error) });
    });
  };

  const writePositions = async (patient: boolean): Promise<void> => {
    timer?.cancel();
    timer = undefined;
    if (moved.size === 0) return;
    const positions = moved;
    moved = new Map();
    try {
      const list = [...positions.values()];
      await run(
        { do: 'positions', positions: list },
        list.reduce((sum, { above }) => sum + 200 + above.length * 8, 0),
        patient,
      );
    } catch (error) {
      for (const [uid, position] of positions) if (!moved.has(uid)) moved.set(uid, position);
      later(POSITION_MS.again);
      throw error;
    }
  };

  const later = (ms: number) => {
    timer ??= clock.after(ms, () => {
      timer = undefined;
      writePositions(true).catch((error: unknown) => {
        log.warn(
          'positions could not be written; what is delivered meanwhile would be repeated after a crash',
          {
            file: path,
            error: messageOf(error),
          },
        );
      });
    });
  };

  /** A position that goes with a command is newer than one that waits. */
  const withPosition = (position: Position | undefined) => {
    if (position !== undefined) moved.delete(position.uid);
  };

  const checkpoint = async (key: string, value: string | null) => {
    checkpoints.set(key, value);
    try {
      await run({ do: 'checkpoint', key, value }, value?.length);
    } finally {
      if (checkpoints.get(key) === value) checkpoints.delete(key);
    }
  };

  return {
    positions: read.positions,
    savePosition(position) {
      moved.set(position.uid, position);
      later(POSITION_MS.after);
    },
    dropPosition(uid) {
      moved.delete(uid);
      inBackground({ do: 'dropPosition', uid }, 'that a subscription is gone');
    },
    async park(rows, position) {
      withPosition(position);
      const own = rows.map(withOwnBytes);
      const bytes = own.reduce((sum, row) => sum + row.record.length + (row.lastBody?.length ?? 0) + 256, 0);
      return (await run({ do: 'park', rows: own, position }, bytes)).ids;
    },
    async repark(id, change) {
      const lastBody = change.lastBody === undefined ? undefined : (ownBytes([change.lastBody]) as Buffer);
      await run({ do: 'repark', id, change: { ...change, lastBody } }, 256 + (lastBody?.length ?? 0));
    },
    async unpark(ids) {
      if (ids.length > 0) await run({ do: 'unpark', ids });
    },
    due: read.due,
    nextDue: read.nextDue,
    parkedCount: (subscription) => parked.get(subscription) ?? 0,
    async bury(deaths, position) {
      withPosition(position);
      const own = deaths.map(({ row, parked: id }) => ({
        row: { ...row, record: ownBytes([row.record]) as Buffer },
        parked: id,
      }));
      const bytes = own.reduce((sum, { row }) => sum + row.record.length + 256, 0);
      return (await run({ do: 'bury', deaths: own, position }, bytes)).ids;
    },
    dead: (query: DeadQuery) => read.dead(query),
    async exhume(ids) {
      return ids.length === 0 ? 0 : (await run({ do: 'exhume', ids })).gone;
    },
    checkpoint(key) {
      const coming = checkpoints.get(key);
      const text = coming === undefined ? read.checkpoint(key) : coming;
      return text === null || text === undefined ? undefined : JSON.parse(text);
    },
    saveCheckpoint: (key, value) => checkpoint(key, JSON.stringify(value) ?? null),
    dropCheckpoint(key) {
      checkpoint(key, null).catch((error: unknown) => {
        log.warn('that a source is gone could not be written', { file: path, error: messageOf(error) });
      });
    },
    async sweep({ subscriptions, sources }) {
      for (const [uid, { subscription }] of moved) if (!subscriptions.has(subscription)) moved.delete(uid);
      await run({ do: 'sweep', subscriptions: [...subscriptions], sources: [...sources] });
      for (const key of parked.keys()) if (!subscriptions.has(key) && !sources.has(key)) parked.delete(key);
    },
    flush: () => writePositions(false),
    async close() {
      try {
        await writePositions(false);
      } catch (error) {
        log.warn('the last positions could not be written', { file: path, error: messageOf(error) });
      }
      timer?.cancel();
      await committer.close();
    },
  };
}

function withOwnBytes(row: Omit<Parked, 'id'>): Omit<Parked, 'id'> {
  return {
    ...row,
    record: ownBytes([row.record]) as Buffer,
    lastBody: row.lastBody === undefined ? undefined : (ownBytes([row.lastBody]) as Buffer),
  };
}
