/**
 * An outbox table: applications write events in the transaction that they are about. Rows are read by id and leave when they are delivered, so a
 * row whose transaction ends late is not passed over. NOTIFY wakes the reader; it is lost where a connection is, so there is a poll behind it.
 */
import { createHash } from 'node:crypto';
import { sleep } from '../../../base/clock.ts';
import type { CloudEvent } from '../../../cloudevents/event.ts';
import type { Read } from '../../connectors/fields.ts';
import { about } from '../../connectors/messages.ts';
import {
  connectPostgresql,
  identifier,
  type PostgresqlConnection,
  tableName,
} from '../../connectors/postgresql.ts';
import type { Connection } from '../../connectors/upstream.ts';
import { waits } from '../../connectors/waits.ts';
import type { SourceContext } from '../contract.ts';
import type { OUTBOX_FIELDS, PostgresqlConfig } from './config.ts';

export interface Reading {
  library: typeof import('../../../clients/postgresql/index.ts');
  context: SourceContext<unknown>;
  config: PostgresqlConfig;
  connection: Connection;
}

type Row = Record<string, unknown>;

/** How often one that is not the only reader asks whether it is now. */
const STANDBY_MS = 2000;

export async function readOutbox({ library, context, config, connection }: Reading): Promise<void> {
  const outbox = config.outbox as Read<typeof OUTBOX_FIELDS>;
  const { intake, signal } = connection;
  const table = tableName(outbox.table);
  const id = identifier(outbox.idColumn);
  const mark = identifier(outbox.markColumn);
  const open = outbox.after === 'mark' ? `${mark} IS NULL AND ` : '';
  const client = await connectPostgresql(library, config, context.key, connection.cut);
  const { lost } = client;
  const inHand = new Set<string>();
  const resolved: string[] = [];
  let flushing: Promise<void> | undefined;

  const flush = async () => {
    while (resolved.length > 0) {
      const ids = resolved.splice(0, 1000);
      const query =
        outbox.after === 'mark'
          ? `UPDATE ${table} SET ${mark} = now() WHERE ${id} = ANY($1)`
          : `DELETE FROM ${table} WHERE ${id} = ANY($1)`;
      await client.query(query, [ids]);
      for (const one of ids) inHand.delete(one);
    }
  };
  const leave = (one: string): Promise<void> => {
    resolved.push(one);
    flushing ??= flush().finally(() => {
      flushing = undefined;
    });
    return flushing;
  };
  const take = (row: Row) => {
    const key = String(row[outbox.idColumn]);
    inHand.add(key);
    const event = toEvent(row, context, outbox);
    const lane = { none: undefined, subject: event.subject, all: '' }[config.ordering];
    intake.take(lane, async () => {
      await context.emit(event);
      await leave(key);
    });
  };
  try {
    if (!(await onlyReader(client, `${config.database} ${outbox.table}`, context, connection))) return;
    let woken = false;
    let wake = () => {};
    client.onNotification(() => {
      woken = true;
      wake();
    });
    if (outbox.channel !== undefined) await client.query(`LISTEN ${identifier(outbox.channel)}`);
    connection.beyond = async () => {
      const [row] = await client.query(`SELECT count(*) AS n FROM ${table} WHERE ${open} true`);
      return Number(row?.n);
    };
    await client.query(`SELECT ${id} FROM ${table} LIMIT 0`);
    connection.up(`reads table ${outbox.table}`);
    const wait = waits(signal, lost);
    while (!signal.aborted) {
      woken = false;
      const limit = config.prefetch - intake.outstanding;
      const rows = await wait(
        client.query(`SELECT * FROM ${table} WHERE ${open}${id} <> ALL($1) ORDER BY ${id} LIMIT ${limit}`, [
          [...inHand],
        ]),
      );
      if (rows === undefined) break;
      for (const row of rows) take(row);
      if (rows.length < limit && !woken) {
        const nap = new AbortController();
        wake = () => nap.abort();
        await wait(sleep(context.clock, outbox.pollMs, nap.signal));
        nap.abort();
      }
      await wait(intake.room(config.prefetch));
    }
    await connection.settled();
    await flushing;
  } finally {
    await client.close();
  }
}

/** Waits until nobody else reads the table; false when the source is stopped first. The lock goes with the connection. */
async function onlyReader(
  client: PostgresqlConnection,
  what: string,
  { clock, report }: SourceContext<unknown>,
  { signal }: Connection,
): Promise<boolean> {
  const key = createHash('sha256').update(`petrel outbox ${what}`).digest().readBigInt64BE().toString();
  while (!signal.aborted) {
    const [row] = await client.query('SELECT pg_try_advisory_lock($1) AS mine', [key]);
    if (row?.mine === true) return true;
    report({
      ready: true,
      reason: 'Standby',
      message: 'another source reads this table; this one takes over when it ends',
    });
    await sleep(clock, STANDBY_MS, signal);
  }
  return false;
}

function toEvent(
  row: Row,
  { namespace, name }: SourceContext<unknown>,
  outbox: Read<typeof OUTBOX_FIELDS>,
): CloudEvent {
  const text = (column: string | undefined) =>
    column === undefined || row[column] === null || row[column] === undefined
      ? undefined
      : String(row[column]);
  const { table, idColumn, typeColumn, subjectColumn, dataColumn } = outbox;
  const value = dataColumn === undefined ? row : row[dataColumn];
  const plain = typeof value === 'string' || Buffer.isBuffer(value);
  return about({
    id: `${table}/${text(idColumn)}`,
    type: text(typeColumn) || 'dev.petrel.postgresql.row',
    origin: { namespace, name, plural: 'postgresqlsources', of: table },
    subject: text(subjectColumn),
    contentType: plain || value === null || value === undefined ? undefined : 'application/json',
    data:
      value === null || value === undefined
        ? undefined
        : Buffer.isBuffer(value)
          ? value
          : Buffer.from(plain ? (value as string) : json(value)),
  });
}

/** As JSON, bytes as base64. */
export const json = (value: unknown): string =>
  JSON.stringify(value, (_, inner) =>
    inner?.type === 'Buffer' && Array.isArray(inner.data)
      ? Buffer.from(inner.data).toString('base64')
      : inner,
  );
