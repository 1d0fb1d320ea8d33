/** The file of embedded state: schema and commands, carried out on the commit thread, so that comparing and setting is one step. */
import type { DatabaseSync } from 'node:sqlite';
import type { DurableFile } from '../../durable/commands.ts';
import type { Condition } from './types.ts';

export type StateCommand = { space: string; key: string; now: number } & (
  | {
      do: 'put';
      value: Uint8Array;
      type: string;
      expires: number | null;
      condition: Condition;
      maxKeys: number;
    }
  | { do: 'delete'; condition: Condition }
  | { do: 'increment'; by: string; expires: number | null; maxKeys: number }
);
/** `collect` removes what has expired, a bounded number at a time. */
export type Command = StateCommand | { do: 'collect'; now: number };

export interface StateResult {
  refused?: 'condition' | 'full' | 'not_a_number';
  /** Absent: nothing was written. */
  version?: number;
  created?: boolean;
  /** What was there before, where somebody has to know: of blobs. */
  old?: Uint8Array[];
  /** `increment`: the sum. */
  value?: string;
  /** `delete`, `collect`: rows that went. */
  removed?: number;
}

/** Spaces whose values name files that go with them. */
export const BLOBS = 'blob/';
const COLLECT_AT_ONCE = 500;
/** 64 bits, signed: what other stores count with, too. */
const INTEGER = { low: -(2n ** 63n), high: 2n ** 63n - 1n };

// A version is a row's number, which is never given twice.
const SCHEMA = `
CREATE TABLE entry (
  version INTEGER PRIMARY KEY AUTOINCREMENT, space TEXT NOT NULL, key TEXT NOT NULL, expires INTEGER, type TEXT NOT NULL,
  value BLOB NOT NULL
);
CREATE UNIQUE INDEX entry_key ON entry (space, key);
CREATE INDEX entry_expires ON entry (expires) WHERE expires IS NOT NULL;
CREATE TABLE usage (space TEXT PRIMARY KEY, keys INTEGER NOT NULL) WITHOUT ROWID;
`;

function prepare(database: DatabaseSync): (command: Command) => StateResult {
  const find = database.prepare('SELECT version, expires, value FROM entry WHERE space = ? AND key = ?');
  const insert = database.prepare(
    'INSERT INTO entry (space, key, expires, type, value) VALUES (?, ?, ?, ?, ?)',
  );
  const drop = database.prepare('DELETE FROM entry WHERE version = ?');
  const used = database.prepare('SELECT keys FROM usage WHERE space = ?');
  const use = database.prepare(
    'INSERT INTO usage VALUES (?, ?) ON CONFLICT (space) DO UPDATE SET keys = keys + excluded.keys',
  );
  const expired = database.prepare(
    `SELECT version, space, value FROM entry WHERE expires <= ? ORDER BY expires LIMIT ${COLLECT_AT_ONCE}`,
  );
  const expiredIn = database.prepare(
    `SELECT version, space, value FROM entry WHERE space = ? AND expires <= ? LIMIT ${COLLECT_AT_ONCE}`,
  );

  const remove = (rows: Record<string, unknown>[]): Uint8Array[] => {
    for (const { version, space } of rows) {
      drop.run(Number(version));
      use.run(String(space), -1);
    }
    return rows.flatMap(({ space, value }) => (String(space).startsWith(BLOBS) ? [value as Uint8Array] : []));
  };

  return (command) => {
    if (command.do === 'collect') {
      const rows = expired.all(command.now);
      return { removed: rows.length, old: remove(rows) };
    }
    const { space, key, now } = command;
    const row = find.get(space, key);
    const old: Uint8Array[] = [];
    const gone = row !== undefined && row.expires !== null && Number(row.expires) <= now;
    if (gone) old.push(...remove([{ ...row, space }]));
    const there = row === undefined || gone ? undefined : row;

    const write = (value: Uint8Array, type: string, expires: number | null, maxKeys: number): StateResult => {
      if (there === undefined && Number(used.get(space)?.keys ?? 0) >= maxKeys) {
        old.push(...remove(expiredIn.all(space, now)));
        if (Number(used.get(space)?.keys ?? 0) >= maxKeys) return { refused: 'full', old };
      }
      if (there !== undefined) {
        drop.run(Number(there.version));
        if (space.startsWith(BLOBS)) old.push(there.value as Uint8Array);
      } else use.run(space, 1);
      const { lastInsertRowid } = insert.run(space, key, expires, type, value);
      return { version: Number(lastInsertRowid), created: there === undefined, old };
    };

    if (command.do === 'increment') {
      const text = there === undefined ? '0' : Buffer.from(there.value as Uint8Array).toString('latin1');
      if (!/^(0|-?[1-9]\d{0,18})$/.test(text)) return { refused: 'not_a_number', old };
      const sum = BigInt(text) + BigInt(command.by);
      if (sum < INTEGER.low || sum > INTEGER.high) return { refused: 'not_a_number', old };
      const expires = there === undefined ? command.expires : ((there.expires as number | null) ?? null);
      const written = write(Buffer.from(String(sum)), 'text/plain', expires, command.maxKeys);
      return { ...written, value: String(sum) };
    }
    const { match, absent } = command.condition;
    const holds =
      (match === undefined || (there !== undefined && (match === '*' || match === String(there.version)))) &&
      !(absent && there !== undefined);
    if (!holds) return { refused: 'condition', old };
    if (command.do === 'put') return write(command.value, command.type, command.expires, command.maxKeys);
    if (there === undefined) return { removed: 0, old };
    return { removed: 1, old: [...old, ...remove([{ ...there, space }])] };
  };
}

export const durable: DurableFile<Command, StateResult> = { version: 1, schema: SCHEMA, prepare };
