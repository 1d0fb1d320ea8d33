/**
 * The file of invocations: schema and commands, carried out on the commit thread. Requests and results have tables of their
 * own, so that a change of state does not write a body again.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { DurableFile } from '../../durable/commands.ts';
import {
  type Attempt,
  type InvocationCommand,
  type InvocationResult,
  type NewInvocation,
  STATES,
} from './types.ts';

/** Attempts told of one invocation; of more, the first ones are forgotten. */
const ATTEMPTS_KEPT = 20;
/** Rows that one collection removes. */
const COLLECT_AT_ONCE = 500;

const QUEUED = STATES.indexOf('queued');
const FAILED = STATES.indexOf('failed');
const DEAD = STATES.indexOf('dead');

/** Of the journal that accepts: what it is known by, and its last record that is in the file. */
const JOURNAL = `
CREATE TABLE journal (id INTEGER NOT NULL, upto INTEGER NOT NULL);
INSERT INTO journal VALUES (abs(random() % 4294967296), 0);
`;

const SCHEMA = `
CREATE TABLE invocation (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, target TEXT NOT NULL, url TEXT, state INTEGER NOT NULL,
  due INTEGER NOT NULL, accepted INTEGER NOT NULL, finished INTEGER, expires INTEGER, depth INTEGER NOT NULL,
  failures INTEGER NOT NULL, attempts TEXT NOT NULL, reason TEXT
);
CREATE INDEX due ON invocation (target, due, seq) WHERE state = ${QUEUED};
CREATE INDEX expires ON invocation (expires) WHERE expires IS NOT NULL;
CREATE INDEX letters ON invocation (target, seq) WHERE state IN (${FAILED}, ${DEAD});
CREATE TABLE request (
  seq INTEGER PRIMARY KEY, method TEXT NOT NULL, path TEXT NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL
);
CREATE TABLE result (
  seq INTEGER PRIMARY KEY, status INTEGER NOT NULL, headers TEXT NOT NULL, truncated INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE dedup (
  target TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (target, key)
) WITHOUT ROWID;
CREATE INDEX until ON dedup (until);
${JOURNAL}`;

function prepare(database: DatabaseSync): (command: InvocationCommand) => InvocationResult {
  const remember = database.prepare('INSERT OR REPLACE INTO dedup VALUES (?, ?, ?, ?)');
  const reached = database.prepare('UPDATE journal SET upto = ?');
  const insert = database.prepare(
    `INSERT INTO invocation (id, target, url, state, due, accepted, depth, failures, attempts) VALUES (?, ?, ?, ${QUEUED}, ?, ?, ?, 0, '[]')`,
  );
  const insertRequest = database.prepare('INSERT INTO request VALUES (?, ?, ?, ?, ?)');
  const find = database.prepare('SELECT seq, state, failures, attempts FROM invocation WHERE id = ?');
  const again = database.prepare('UPDATE invocation SET due = ?, failures = ?, attempts = ? WHERE seq = ?');
  const finish = database.prepare(
    'UPDATE invocation SET state = ?, finished = ?, expires = ?, failures = ?, attempts = ?, reason = ? WHERE seq = ?',
  );
  const revive = database.prepare(
    `UPDATE invocation SET state = ${QUEUED}, due = ?, accepted = ?, finished = NULL, expires = NULL, failures = 0, reason = NULL WHERE seq = ?`,
  );
  const insertResult = database.prepare('INSERT OR REPLACE INTO result VALUES (?, ?, ?, ?, ?)');
  const dropRequest = database.prepare('DELETE FROM request WHERE seq = ?');
  const dropResult = database.prepare('DELETE FROM result WHERE seq = ?');
  const drop = database.prepare('DELETE FROM invocation WHERE seq = ?');
  const expired = database.prepare(
    `SELECT seq FROM invocation WHERE expires <= ? ORDER BY expires LIMIT ${COLLECT_AT_ONCE}`,
  );
  const forget = database.prepare('DELETE FROM dedup WHERE until <= ?');

  const remove = (seq: number) => {
    dropRequest.run(seq);
    dropResult.run(seq);
    drop.run(seq);
  };

  const accept = ({ dedup, request, ...row }: NewInvocation): void => {
    if (dedup !== undefined) remember.run(row.target, dedup.key, row.id, dedup.until);
    const { lastInsertRowid } = insert.run(row.id, row.target, row.url, row.due, row.acceptedAt, row.depth);
    const seq = Number(lastInsertRowid);
    insertRequest.run(seq, request.method, request.path, JSON.stringify(request.headers), request.body);
  };

  const withAttempt = (text: unknown, attempt: Attempt | undefined): string => {
    if (attempt === undefined) return String(text);
    return JSON.stringify([...(JSON.parse(String(text)) as Attempt[]), attempt].slice(-ATTEMPTS_KEPT));
  };

  /** The row of a command, if it is in one of the states that the command is for. */
  const row = (id: string, ...states: number[]) => {
    const found = find.get(id);
    if (found === undefined || !states.includes(Number(found.state))) return undefined;
    return { seq: Number(found.seq), failures: Number(found.failures), attempts: found.attempts };
  };

  return (command) => {
    if (command.do === 'accept') {
      for (const invocation of command.invocations) accept(invocation);
      if (command.upTo !== undefined) reached.run(command.upTo);
      return {};
    }
    if (command.do === 'sync') {
      // Something has to be written, or the commit flushes nothing.
      reached.run(command.upTo);
      return {};
    }
    if (command.do === 'collect') {
      const rows = expired.all(command.now);
      for (const { seq } of rows) remove(Number(seq));
      forget.run(command.now);
      return { removed: rows.length };
    }
    const { id } = command;
    if (command.do === 'retry') {
      const found = row(id, QUEUED);
      if (found === undefined) return {};
      const failures = found.failures + (command.attempt ? 1 : 0);
      again.run(command.due, failures, withAttempt(found.attempts, command.attempt), found.seq);
      return { id };
    }
    if (command.do === 'finish') {
      const found = row(id, QUEUED);
      if (found === undefined) return {};
      const { seq } = found;
      const attempts = withAttempt(found.attempts, command.attempt);
      const failed = command.attempt !== undefined && command.state !== 'succeeded';
      const failures = found.failures + (failed ? 1 : 0);
      const state = STATES.indexOf(command.state);
      finish.run(state, command.at, command.expires, failures, attempts, command.reason, seq);
      if (state !== FAILED && state !== DEAD) dropRequest.run(seq);
      if (command.result) {
        const { status, headers, truncated, body } = command.result;
        insertResult.run(seq, status, JSON.stringify(headers), truncated ? 1 : 0, body);
      }
      for (const next of command.follow) accept(next);
      return { id };
    }
    const found = row(id, FAILED, DEAD);
    if (found === undefined) return {};
    if (command.do === 'purge') remove(found.seq);
    else {
      revive.run(command.at, command.at, found.seq);
      dropResult.run(found.seq);
    }
    return { id };
  };
}

export const durable: DurableFile<InvocationCommand, InvocationResult> = {
  version: 2,
  schema: SCHEMA,
  upgrades: { 1: JOURNAL },
  prepare,
};
