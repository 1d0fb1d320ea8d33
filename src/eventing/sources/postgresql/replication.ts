/**
 * The changes of tables, by a logical replication slot. The server keeps the write-ahead log from the position that is confirmed on, and that is the end
 * of the last transaction all of whose events, and those of the ones before it, are delivered or dead.
 */
import type { Timer } from '../../../base/clock.ts';
import { sleep } from '../../../base/clock.ts';
import type { Pgoutput } from '../../../clients/postgresql/index.ts';
import type { CloudEvent } from '../../../cloudevents/event.ts';
import type { Read } from '../../connectors/fields.ts';
import { about } from '../../connectors/messages.ts';
import {
  connectPostgresql,
  identifier,
  type PostgresqlConnection,
  postgresqlOptions,
  tableName,
} from '../../connectors/postgresql.ts';
import { aborted } from '../../connectors/upstream.ts';
import { waits } from '../../connectors/waits.ts';
import type { SourceContext } from '../contract.ts';
import type { REPLICATION_FIELDS } from './config.ts';
import { json, type Reading } from './outbox.ts';

/** The server ends a connection that says nothing for a minute. */
const ALIVE_MS = 10_000;

type Change = Pgoutput.MessageInsert | Pgoutput.MessageUpdate | Pgoutput.MessageDelete;

/** A transaction whose events are under way. */
interface Transaction {
  at: number;
  /** Events not yet resolved, one more while it is being read. */
  open: number;
  /** Events so far. */
  count: number;
  commit: string;
  end: string | undefined;
}

export async function readChanges({ library, context, config, connection }: Reading): Promise<void> {
  const replication = config.replication as Read<typeof REPLICATION_FIELDS>;
  const { slot, publication } = replication;
  const { intake, signal } = connection;
  const client = await connectPostgresql(library, config, context.key, connection.cut);
  const { lost } = client;
  const stream = new library.LogicalReplicationService(
    postgresqlOptions(config, context.key, connection.cut),
    {
      acknowledge: { auto: false, timeoutSeconds: 0 },
      flowControl: { enabled: true },
    },
  );
  const under: Transaction[] = [];
  let current: Transaction | undefined;
  let confirmed: string | undefined;
  let alive: Timer | undefined;
  let failed: (error: unknown) => void = () => {};
  const broken = new Promise<never>((_, reject) => {
    failed = reject;
  });
  broken.catch(() => {});
  const wait = waits(signal, broken);

  const confirm = () => {
    if (confirmed !== undefined) void stream.acknowledge(confirmed).catch(failed);
  };
  const advance = () => {
    let end: string | undefined;
    while (under[0]?.open === 0) end = under.shift()?.end ?? end;
    if (end === undefined) return;
    confirmed = end;
    confirm();
  };
  const take = (change: Change, transaction: Transaction) => {
    const event = toEvent(change, transaction, context);
    transaction.open++;
    transaction.count++;
    const lane = { none: undefined, subject: `${event.source} ${event.subject}`, all: '' }[config.ordering];
    intake.take(lane, async () => {
      await context.emit(event);
      transaction.open--;
      advance();
    });
  };
  /** Messages that have come and are not yet looked at: the service keeps them while it waits for the one before. */
  let unread = 0;
  class Plugin extends library.PgoutputPlugin {
    override parse(bytes: Buffer) {
      unread++;
      return super.parse(bytes);
    }
  }
  stream.on('error', failed);
  stream.on('data', async (_lsn, message: Pgoutput.Message) => {
    unread--;
    if (signal.aborted) return;
    switch (message.tag) {
      case 'begin':
        current = {
          at: Number(message.commitTime) / 1000,
          open: 1,
          count: 0,
          commit: message.commitLsn ?? '',
          end: undefined,
        };
        under.push(current);
        break;
      case 'commit':
        if (current === undefined) break;
        current.end = message.commitEndLsn ?? undefined;
        current.open--;
        current = undefined;
        advance();
        break;
      case 'insert':
      case 'update':
      case 'delete':
        if (current === undefined) break;
        take(message, current);
        // The stream is paused while this waits.
        await wait(intake.room(config.prefetch)).catch(() => {});
        break;
    }
  });
  stream.on('heartbeat', (lsn, _at, answer) => {
    // What other tables write moves the log as well; with nothing under way all of it is done with.
    if (under.length === 0 && unread === 0 && !signal.aborted) confirmed = lsn;
    if (answer) confirm();
  });
  try {
    await prepare(client, replication);
    connection.beyond = async () => intake.outstanding;
    stream.on('start', () => connection.up(`reads slot ${slot}`));
    const plugin = new Plugin({ protoVersion: 1, publicationNames: [publication] });
    const running = stream.subscribe(plugin, slot);
    running.catch(failed);
    const beat = () => {
      confirm();
      alive = context.clock.after(ALIVE_MS, beat);
    };
    beat();
    const over = running.then(() => {
      throw new Error('the server ended the replication');
    });
    over.catch(() => {});
    await Promise.race([aborted(signal), lost, broken, over]);
    await connection.settled();
    confirm();
  } finally {
    alive?.cancel();
    const closed = Promise.allSettled([stream.destroy(), client.close()]);
    await Promise.race([closed, sleep(context.clock, 1000)]);
  }
}

/** Makes slot and publication where they are not there. */
async function prepare(
  client: PostgresqlConnection,
  { slot, publication, tables }: Read<typeof REPLICATION_FIELDS>,
): Promise<void> {
  if (tables !== undefined) {
    const rows = await client.query('SELECT 1 FROM pg_publication WHERE pubname = $1', [publication]);
    if (rows.length === 0)
      await client.query(
        `CREATE PUBLICATION ${identifier(publication)} FOR TABLE ${tables.map(tableName).join(', ')}`,
      );
  }
  const rows = await client.query('SELECT 1 FROM pg_replication_slots WHERE slot_name = $1', [slot]);
  if (rows.length === 0)
    await client.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
}

/** One change of one row. Its id is the same whenever it is read: the transaction's position, and which of its changes it is. */
function toEvent(
  change: Change,
  { at, commit, count }: Transaction,
  context: SourceContext<unknown>,
): CloudEvent {
  const { namespace, name } = context;
  const { relation, tag } = change;
  const now = tag === 'delete' ? null : change.new;
  const before = tag === 'insert' ? null : (change.old ?? change.key);
  const row = now ?? before ?? {};
  const key = relation.keyColumns.map((column) => String(row[column])).join(',');
  return about({
    id: `${commit}/${count}`,
    type: `dev.petrel.postgresql.${tag}`,
    origin: { namespace, name, plural: 'postgresqlsources', of: `${relation.schema}.${relation.name}` },
    subject: key,
    at,
    contentType: 'application/json',
    extensions: { partitionkey: key },
    data: Buffer.from(json({ new: now, old: before })),
  });
}
