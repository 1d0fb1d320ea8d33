/** A stream of Redis, by a consumer group. */
import type { Timer } from '../../../base/clock.ts';
import type { CloudEvent } from '../../../cloudevents/event.ts';
import { fromKafka } from '../../../cloudevents/kafka.ts';
import { about, attributeName, attributeText, carried } from '../../connectors/messages.ts';
import type { RedisConnection, Reply } from '../../connectors/redis.ts';
import type { Connection } from '../../connectors/upstream.ts';
import { waits } from '../../connectors/waits.ts';
import type { SourceContext } from '../contract.ts';
import type { RedisConfig } from './config.ts';

export interface Reading {
  context: SourceContext<unknown>;
  config: RedisConfig;
  connection: Connection;
  /** For commands that wait in the server. */
  waiting: RedisConnection;
  /** For all others. */
  acting: RedisConnection;
  /** Rejects when a connection is lost. */
  lost: Promise<never>;
}

type Entry = [id: Buffer, fields: Buffer[] | null];

/** How long one read waits in the server; a connection that died without a word is noticed by then. */
const BLOCK_MS = 30_000;

export async function readStream({
  context,
  config,
  connection,
  waiting,
  acting,
  lost,
}: Reading): Promise<void> {
  const { stream = '', prefetch, claimIdleMs } = config;
  const group = config.group ?? `petrel.${context.namespace}.${context.name}`;
  const me = config.consumer ?? context.name;
  const inHand = new Set<string>();
  const { intake, signal } = connection;
  const wait = waits(signal, lost);
  let timer: Timer | undefined;

  const take = ([idBytes, fields]: Entry) => {
    const id = idBytes.toString();
    if (inHand.has(id)) return;
    inHand.add(id);
    intake.take(undefined, async () => {
      // Trimmed from the stream while it was pending: there is nothing left to deliver.
      if (fields !== null) await context.emit(toEvent(id, fields, context, config));
      await acting.run('XACK', stream, group, id);
      inHand.delete(id);
    });
  };
  /** Keeps what is in hand from being taken over by others, and takes over what others have left. */
  const claim = async () => {
    if (inHand.size > 0) await acting.run('XCLAIM', stream, group, me, '0', ...inHand, 'JUSTID');
    let next = '0-0';
    do {
      await intake.room(prefetch);
      const reply = await acting.run(
        'XAUTOCLAIM',
        stream,
        group,
        me,
        String(claimIdleMs),
        next,
        'COUNT',
        '100',
      );
      const [cursor, entries] = reply as [Buffer, Entry[]];
      for (const entry of entries) if (entry !== null) take(entry);
      next = cursor.toString();
    } while (next !== '0-0' && !signal.aborted);
  };
  const claimSoon = () => {
    timer = context.clock.after(claimIdleMs / 3, () => {
      void claim().then(claimSoon, claimSoon);
    });
  };
  const entriesOf = (reply: Reply | undefined): Entry[] =>
    (reply as [Buffer, Entry[]][] | null | undefined)?.[0]?.[1] ?? [];
  const readFrom = async (position: string) => {
    const count = String(Math.max(1, Math.min(200, prefetch - intake.outstanding)));
    const command = [
      'XREADGROUP',
      'GROUP',
      group,
      me,
      'COUNT',
      count,
      'BLOCK',
      String(BLOCK_MS),
      'STREAMS',
      stream,
      position,
    ];
    return entriesOf(await wait(waiting.run(...command)));
  };

  const from = config.initialOffset === 'earliest' ? '0' : '$';
  await acting.run('XGROUP', 'CREATE', stream, group, from, 'MKSTREAM').catch((error: unknown) => {
    if (!String(error).includes('BUSYGROUP')) throw error;
  });
  connection.beyond = async () => (await lagOf(acting, stream, group)) ?? intake.outstanding;
  try {
    connection.up(`reads stream ${stream} as ${group}/${me}`);
    claimSoon();
    // What this consumer had taken before it ended comes first.
    for (let at = '0'; !signal.aborted; ) {
      await wait(intake.room(prefetch));
      const entries = await readFrom(at);
      if (entries.length === 0) break;
      for (const entry of entries) take(entry);
      at = entries.at(-1)?.[0].toString() ?? at;
    }
    while (!signal.aborted) {
      await wait(intake.room(prefetch));
      if (signal.aborted) break;
      for (const entry of await readFrom('>')) take(entry);
    }
    await connection.settled();
  } finally {
    timer?.cancel();
  }
}

/** Entries that the group has not acknowledged; undefined where the server cannot tell (before 7.0, or after deletions). */
async function lagOf(acting: RedisConnection, stream: string, group: string): Promise<number | undefined> {
  const groups = (await acting.run('XINFO', 'GROUPS', stream)) as (Buffer | number | null)[][];
  for (const flat of groups) {
    const at = (name: string) =>
      flat[flat.findIndex((item) => Buffer.isBuffer(item) && item.toString() === name) + 1];
    if (String(at('name')) !== group) continue;
    const lag = at('lag');
    return typeof lag === 'number' ? lag + Number(at('pending')) : undefined;
  }
  return undefined;
}

/** An entry with fields `ce_…` is an event, as in Kafka's binary mode, with its data in the field `data`. */
function toEvent(
  id: string,
  fields: readonly Buffer[],
  { namespace, name }: SourceContext<unknown>,
  { stream = '', dataField }: RedisConfig,
): CloudEvent {
  const pairs: [string, Buffer][] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) pairs.push([String(fields[i]), fields[i + 1] as Buffer]);
  const fieldOf = (field: string) => pairs.find(([key]) => key === field)?.[1];
  const origin = { namespace, name, plural: 'redissources', of: stream };
  const common = { id, type: 'dev.petrel.redis.entry', origin, at: Number(id.split('-')[0]) };
  const plain = () =>
    dataField === undefined
      ? about({
          ...common,
          contentType: 'application/json',
          data: Buffer.from(
            JSON.stringify(Object.fromEntries(pairs.map(([key, value]) => [key, attributeText(value)]))),
          ),
        })
      : about({
          ...common,
          extensions: Object.fromEntries(
            pairs
              .filter(([key]) => key !== dataField)
              .map(([key, value]) => [`redisfield${attributeName(key)}`, attributeText(value)]),
          ),
          data: fieldOf(dataField),
        });
  return fieldOf('ce_specversion') === undefined
    ? plain()
    : carried(() => fromKafka({ headers: pairs, value: fieldOf('data') }), plain);
}
