/** What is committed, as the rest of the engine knows it. */
import type { DatabaseSync } from 'node:sqlite';
import type { DeadRow, EngineState, Parked, Position } from './contract.ts';

/** Bound on the records of one answer, bytes; at least one row is answered. */
const ANSWER_BYTES = 4 * 1024 * 1024;

export type DeadQuery = Parameters<EngineState['dead']>[0];
type Row = Record<string, unknown>;

/** Statements are prepared with their first use. */
export function stateReader(database: DatabaseSync) {
  const statement = (sql: string) => {
    let prepared: ReturnType<DatabaseSync['prepare']> | undefined;
    return () => {
      prepared ??= database.prepare(sql);
      return prepared;
    };
  };
  const due = statement('SELECT * FROM parked WHERE subscription = ? AND due <= ? ORDER BY due, id LIMIT ?');
  const next = statement('SELECT min(due) AS due FROM parked WHERE subscription = ?');
  const checkpoint = statement('SELECT value FROM checkpoint WHERE key = ?');

  return {
    positions: (): Position[] =>
      database
        .prepare('SELECT * FROM position')
        .all()
        .map(({ uid, subscription, stream, low, above, since }) => ({
          uid: String(uid),
          subscription: String(subscription),
          stream: String(stream),
          low: Number(low),
          above: JSON.parse(String(above)) as number[],
          since: Number(since),
        })),
    parkedCounts: (): Map<string, number> =>
      new Map(
        database
          .prepare('SELECT subscription, count(*) AS n FROM parked GROUP BY subscription')
          .all()
          .map(({ subscription, n }) => [String(subscription), Number(n)]),
      ),
    due: (subscription: string, until: number, limit: number): Parked[] =>
      bounded(due().iterate(subscription, until, limit), parkedOf),
    nextDue(subscription: string): number | undefined {
      const at = next().get(subscription)?.due;
      return at === null || at === undefined ? undefined : Number(at);
    },
    dead({ subscription, namespace, after = 0, limit, ids, newest = false }: DeadQuery): DeadRow[] {
      const where = ['id > ?'];
      const values: (string | number)[] = [after];
      if (subscription !== undefined) {
        where.push('subscription = ?');
        values.push(subscription);
      }
      if (namespace !== undefined) {
        where.push('namespace = ?');
        values.push(namespace);
      }
      if (ids !== undefined) {
        where.push('id IN (SELECT value FROM json_each(?))');
        values.push(JSON.stringify(ids));
      }
      const rows = database
        .prepare(
          `SELECT * FROM dead WHERE ${where.join(' AND ')} ORDER BY id ${newest ? 'DESC' : 'ASC'} LIMIT ?`,
        )
        .iterate(...values, limit);
      return bounded(rows, deadOf);
    },
    checkpoint: (key: string): string | undefined => checkpoint().get(key)?.value as string | undefined,
  };
}

/** As many as fit into one answer. */
function bounded<T extends { record: Buffer }>(rows: Iterable<Row>, make: (row: Row) => T): T[] {
  const made: T[] = [];
  let bytes = 0;
  for (const row of rows) {
    const one = make(row);
    if (made.length > 0 && bytes + one.record.length > ANSWER_BYTES) break;
    bytes += one.record.length;
    made.push(one);
  }
  return made;
}

const bytesOf = (value: unknown): Buffer => {
  const { buffer, byteOffset, byteLength } = value as Uint8Array<ArrayBuffer>;
  return Buffer.from(buffer, byteOffset, byteLength);
};

function parkedOf(row: Row): Parked {
  return {
    id: Number(row.id),
    subscription: String(row.subscription),
    stream: String(row.stream),
    offset: Number(row.offset),
    at: Number(row.at),
    attempts: Number(row.attempts),
    due: Number(row.due),
    phase: row.phase === 'deadLetter' ? 'deadLetter' : 'subscriber',
    record: bytesOf(row.record),
    ...(row.last_status !== null && { lastStatus: Number(row.last_status) }),
    ...(row.last_error !== null && { lastError: String(row.last_error) }),
    ...(row.last_body !== null && { lastBody: bytesOf(row.last_body) }),
  };
}

function deadOf(row: Row): DeadRow {
  return {
    id: Number(row.id),
    subscription: String(row.subscription),
    stream: String(row.stream),
    offset: Number(row.offset),
    at: Number(row.at),
    diedAt: Number(row.died_at),
    attempts: Number(row.attempts),
    reason: String(row.reason),
    record: bytesOf(row.record),
    ...(row.status !== null && { status: Number(row.status) }),
  };
}
