/** The file of positions, parked deliveries, dead letters and checkpoints: its tables, and the commands that change them. Runs on the commit thread. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { DurableFile } from '../../../durable/commands.ts';
import type { Death, Parked, Position } from './contract.ts';

export type ParkedChange = Pick<
  Parked,
  'attempts' | 'due' | 'phase' | 'lastStatus' | 'lastBody' | 'lastError'
>;

/** One change; bytes in it lie in memory of their own. */
export type StateCommand =
  | { do: 'park'; rows: readonly Omit<Parked, 'id'>[]; position?: Position }
  | { do: 'repark'; id: number; change: ParkedChange }
  | { do: 'unpark'; ids: readonly number[] }
  | { do: 'bury'; deaths: readonly Death[]; position?: Position }
  | { do: 'positions'; positions: readonly Position[] }
  | { do: 'dropPosition'; uid: string }
  | { do: 'exhume'; ids: readonly number[] }
  | { do: 'checkpoint'; key: string; value: string | null }
  | { do: 'sweep'; subscriptions: readonly string[]; sources: readonly string[] };

export interface StateResult {
  /** Of the rows made. */
  ids: number[];
  /** Rows that there were and are gone. */
  gone: number;
  /** By how much the number of parked deliveries of each subscription has changed. */
  parked: Record<string, number>;
}

const SCHEMA = `
CREATE TABLE position (
  uid TEXT PRIMARY KEY, subscription TEXT NOT NULL, stream TEXT NOT NULL, low REAL NOT NULL, above TEXT NOT NULL, since REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE parked (
  id INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT NOT NULL, stream TEXT NOT NULL, offset REAL NOT NULL, at REAL NOT NULL,
  attempts INTEGER NOT NULL, due REAL NOT NULL, phase TEXT NOT NULL, last_status INTEGER, last_error TEXT, last_body BLOB,
  record BLOB NOT NULL
);
CREATE INDEX parked_due ON parked (subscription, due, id);
CREATE TABLE dead (
  id INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT NOT NULL, subscription TEXT NOT NULL, stream TEXT NOT NULL,
  offset REAL NOT NULL, at REAL NOT NULL, died_at REAL NOT NULL, attempts INTEGER NOT NULL, status INTEGER, reason TEXT NOT NULL,
  record BLOB NOT NULL
);
CREATE INDEX dead_subscription ON dead (subscription, id);
CREATE INDEX dead_namespace ON dead (namespace, id);
CREATE TABLE checkpoint (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
`;

/** The namespace in `<kind>/<namespace>/<name>`. */
export const namespaceOf = (key: string): string => key.split('/')[1] ?? '';

type Execute = (command: StateCommand, result: StateResult) => void;

function prepare(database: DatabaseSync): (command: StateCommand) => StateResult {
  const position = database.prepare(
    'INSERT INTO position VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (uid) DO UPDATE SET subscription = excluded.subscription, stream = excluded.stream, low = excluded.low, above = excluded.above, since = excluded.since',
  );
  const write = ({ uid, subscription, stream, low, above, since }: Position) =>
    position.run(uid, subscription, stream, low, JSON.stringify(above), since);
  const parking = parkedCommands(database, write);
  const burial = deadCommands(database, write, parking.remove);
  const dropPosition = database.prepare('DELETE FROM position WHERE uid = ?');
  const setCheckpoint = database.prepare('INSERT OR REPLACE INTO checkpoint VALUES (?, ?)');
  const dropCheckpoint = database.prepare('DELETE FROM checkpoint WHERE key = ?');
  const other: Execute = (command) => {
    switch (command.do) {
      case 'positions':
        for (const one of command.positions) write(one);
        return;
      case 'dropPosition':
        dropPosition.run(command.uid);
        return;
      case 'checkpoint':
        if (command.value === null) dropCheckpoint.run(command.key);
        else setCheckpoint.run(command.key, command.value);
        return;
      case 'sweep': {
        const { subscriptions, sources } = command;
        const sweep = (sql: string, alive: readonly string[]) =>
          database.prepare(`${sql} NOT IN (SELECT value FROM json_each(?))`).run(JSON.stringify(alive));
        sweep('DELETE FROM position WHERE subscription', subscriptions);
        sweep('DELETE FROM parked WHERE subscription', [...subscriptions, ...sources]);
        sweep('DELETE FROM checkpoint WHERE key', sources);
      }
    }
  };
  return (command) => {
    const result: StateResult = { ids: [], gone: 0, parked: {} };
    parking.execute(command, result);
    burial(command, result);
    other(command, result);
    return result;
  };
}

function parkedCommands(database: DatabaseSync, position: (of: Position) => void) {
  const insert = database.prepare(
    'INSERT INTO parked (subscription, stream, offset, at, attempts, due, phase, last_status, last_error, last_body, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const update = database.prepare(
    'UPDATE parked SET attempts = ?, due = ?, phase = ?, last_status = ?, last_error = ?, last_body = ? WHERE id = ?',
  );
  const takeAway = database.prepare('DELETE FROM parked WHERE id = ? RETURNING subscription');
  const remove = (id: number, result: StateResult) => {
    const row = takeAway.get(id) as { subscription: string } | undefined;
    if (row === undefined) return;
    result.gone++;
    result.parked[row.subscription] = (result.parked[row.subscription] ?? 0) - 1;
  };
  const execute: Execute = (command, result) => {
    switch (command.do) {
      case 'park':
        for (const row of command.rows) {
          const { lastInsertRowid } = insert.run(
            row.subscription,
            row.stream,
            row.offset,
            row.at,
            row.attempts,
            row.due,
            row.phase,
            row.lastStatus ?? null,
            row.lastError ?? null,
            row.lastBody ?? null,
            row.record,
          );
          result.ids.push(Number(lastInsertRowid));
          result.parked[row.subscription] = (result.parked[row.subscription] ?? 0) + 1;
        }
        if (command.position !== undefined) position(command.position);
        return;
      case 'repark': {
        const { attempts, due, phase, lastStatus, lastError, lastBody } = command.change;
        update.run(attempts, due, phase, lastStatus ?? null, lastError ?? null, lastBody ?? null, command.id);
        return;
      }
      case 'unpark':
        for (const id of command.ids) remove(id, result);
    }
  };
  return { execute, remove };
}

function deadCommands(
  database: DatabaseSync,
  position: (of: Position) => void,
  unpark: (id: number, result: StateResult) => void,
): Execute {
  const insert = database.prepare(
    'INSERT INTO dead (namespace, subscription, stream, offset, at, died_at, attempts, status, reason, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const remove: StatementSync = database.prepare('DELETE FROM dead WHERE id = ?');
  return (command, result) => {
    if (command.do === 'exhume') for (const id of command.ids) result.gone += Number(remove.run(id).changes);
    if (command.do !== 'bury') return;
    for (const { row, parked } of command.deaths) {
      const { lastInsertRowid } = insert.run(
        namespaceOf(row.subscription),
        row.subscription,
        row.stream,
        row.offset,
        row.at,
        row.diedAt,
        row.attempts,
        row.status ?? null,
        row.reason,
        row.record,
      );
      result.ids.push(Number(lastInsertRowid));
      if (parked !== undefined) unpark(parked, result);
    }
    if (command.position !== undefined) position(command.position);
  };
}

export const durable: DurableFile<StateCommand, StateResult> = { version: 1, schema: SCHEMA, prepare };
