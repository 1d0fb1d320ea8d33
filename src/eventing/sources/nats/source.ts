/** NATS JetStream as a source: a durable pull consumer. The stream keeps a message until it is acknowledged, which is when it is delivered or dead. */
import type { Timer } from '../../../base/clock.ts';
import { loadClient } from '../../../clients/load.ts';
import type { ConsumerConfig, ConsumerInfo, JsMsg } from '../../../clients/nats/index.ts';
import type { CloudEvent } from '../../../cloudevents/event.ts';
import { fromNats } from '../../../cloudevents/nats.ts';
import type { FieldError, Json } from '../../../kinds/object.ts';
import { checkFields, type Fields, type Read, readFields } from '../../connectors/fields.ts';
import { compact, either, list, required } from '../../connectors/keda.ts';
import { about, attributeName, attributeText, carried } from '../../connectors/messages.ts';
import { connectNats, NATS_FIELDS, natsName } from '../../connectors/nats.ts';
import { aborted, type Connection, upstream } from '../../connectors/upstream.ts';
import type { SourceContext, SourceModule } from '../contract.ts';
import { checkStart, startOf } from '../initial-offset.ts';

export const FIELDS = {
  ...NATS_FIELDS,
  stream: { is: 'text', required: true, what: 'the JetStream stream' },
  consumer: {
    is: 'text',
    form: /^[^\s.*>/\\]+$/,
    formHint: 'must have no spaces and none of . * > / \\',
    what: 'the durable consumer; default: one of the source’s own, `petrel-<namespace>-<name>`',
  },
  filterSubject: { is: 'text', what: 'only messages of these subjects; wildcards as in NATS' },
  initialOffset: {
    is: 'text',
    default: 'latest',
    what: 'where a new consumer begins: `latest`, `earliest`, or a time (RFC 3339)',
  },
  ordering: {
    is: 'choice',
    of: ['none', 'subject', 'stream'],
    default: 'none',
    what: 'what is delivered one after the other: nothing, messages of the same subject, or all',
  },
  concurrency: { is: 'count', min: 1, max: 1000, default: 64, what: 'deliveries under way at once' },
  prefetch: {
    is: 'count',
    min: 1,
    max: 100_000,
    default: 1000,
    what: 'messages that are taken and not yet acknowledged',
  },
  ackWaitMs: {
    is: 'count',
    min: 1000,
    max: 3_600_000,
    default: 10_000,
    what: 'after this long without a sign of life the server gives a message to another one',
  },
} as const satisfies Fields;

type Config = Read<typeof FIELDS>;

const check = (config: Record<string, Json>): FieldError[] => [
  ...checkFields(config, FIELDS),
  ...checkStart(config),
];

function policyOf(text: string): Partial<ConsumerConfig> | undefined {
  const start = startOf(text);
  if (start === 'latest') return { deliver_policy: 'new' };
  if (start === 'earliest') return { deliver_policy: 'all' };
  if (start === undefined) return undefined;
  return { deliver_policy: 'by_start_time', opt_start_time: new Date(start).toISOString() };
}

/** KEDA's scaler `nats-jetstream`. Its monitoring endpoint is not the server's address: the host is, with the client port. */
function fromKeda(metadata: Record<string, string>, auth: Record<string, string>): Record<string, Json> {
  const all = { ...metadata, ...auth };
  const servers = either(all, 'natsServer', 'fromSubject');
  const monitor = () => required(all, 'natsServerMonitoringEndpoint').replace(/^\w+:\/\//, '');
  return compact({
    servers: servers === undefined ? [`${monitor().replace(/:\d+$/, '')}:4222`] : list(servers),
    username: auth.username,
    password: auth.password,
    token: auth.token,
    stream: required(metadata, 'stream'),
    consumer: either(metadata, 'consumer'),
  });
}

export const natsSource: SourceModule = {
  type: 'nats',
  durable: 'upstream',
  check,
  fromKeda,
  async start(context) {
    const config = readFields(context.config, FIELDS);
    const reasonOf = (error: unknown) =>
      /stream not found/i.test(String(error)) ? 'StreamNotFound' : undefined;
    return upstream(
      context,
      { what: natsName(config), concurrency: config.concurrency, reasonOf },
      (connection) => session(context, config, connection),
    );
  },
};

async function session(
  context: SourceContext<unknown>,
  config: Config,
  connection: Connection,
): Promise<void> {
  const client = await loadClient('nats');
  const nc = await connectNats(client, config, context.key, connection.cut);
  const inHand = new Map<number, JsMsg>();
  let alive: Timer | undefined;
  try {
    const manager = await client.jetstreamManager(nc, { checkAPI: false });
    const name = config.consumer ?? `petrel-${context.namespace}-${context.name}`;
    await ensureConsumer(manager.consumers, name, config);
    const consumer = await client.jetstream(nc).consumers.get(config.stream, name);
    connection.beyond = async () => {
      const { num_pending, num_ack_pending } = await consumer.info();
      return num_pending + num_ack_pending;
    };
    const messages = await consumer.consume({
      max_messages: Math.min(config.prefetch, 500),
      abort_on_missing_resource: true,
    });
    const stop = aborted(connection.signal).then(() => messages.close());
    // A retry can take longer than the server waits: it is told that somebody is at it.
    const beat = () => {
      for (const message of inHand.values()) message.working();
      alive = context.clock.after(config.ackWaitMs / 3, beat);
    };
    beat();
    connection.up(`reads stream ${config.stream} as ${name}`);
    for await (const message of messages) {
      if (connection.signal.aborted) break;
      if (inHand.has(message.seq)) continue; // given again while it is being tried
      inHand.set(message.seq, message);
      connection.intake.take(laneOf(message, config), async () => {
        try {
          await context.emit(toEvent(message, context, config));
          message.ack();
        } catch (error) {
          message.nak(); // the source stops: somebody else may have it at once
          throw error;
        } finally {
          inHand.delete(message.seq);
        }
      });
    }
    if (!connection.signal.aborted)
      throw (await nc.closed()) ?? new Error('the consumer was deleted or the connection lost');
    await stop;
    await connection.settled();
    for (const message of inHand.values()) message.nak();
    // Of a connection that is lost meanwhile, drain never tells its end.
    await Promise.race([nc.drain(), nc.closed()]);
  } finally {
    alive?.cancel();
    await nc.close();
  }
}

interface Consumers {
  info(stream: string, consumer: string): Promise<ConsumerInfo>;
  add(stream: string, config: Partial<ConsumerConfig>): Promise<ConsumerInfo>;
  update(stream: string, consumer: string, config: Partial<ConsumerConfig>): Promise<ConsumerInfo>;
}

/** Makes the consumer, or brings what may change of an existing one up to date: where it stands stays. */
async function ensureConsumer(consumers: Consumers, name: string, config: Config): Promise<void> {
  const terms = {
    ack_wait: config.ackWaitMs * 1_000_000,
    max_ack_pending: config.prefetch,
    ...(config.filterSubject === undefined ? {} : { filter_subject: config.filterSubject }),
  };
  const there = await consumers.info(config.stream, name).then(
    () => true,
    (error: unknown) => {
      if (/consumer not found/i.test(String(error))) return false;
      throw error;
    },
  );
  if (there) await consumers.update(config.stream, name, terms);
  else
    await consumers.add(config.stream, {
      durable_name: name,
      ack_policy: 'explicit',
      max_deliver: -1,
      ...policyOf(config.initialOffset),
      ...terms,
    });
}

function laneOf(message: JsMsg, { ordering }: Config): string | undefined {
  if (ordering === 'none') return undefined;
  return ordering === 'subject' ? message.subject : '';
}

/** The event that a message carries, else the one about it. */
function toEvent(
  message: JsMsg,
  { namespace, name }: SourceContext<unknown>,
  { stream }: Config,
): CloudEvent {
  const { seq, subject, headers } = message;
  const data = Buffer.from(message.data.buffer, message.data.byteOffset, message.data.byteLength);
  const pairs = [...(headers ?? [])];
  const get = (title: string) => pairs.find(([key]) => key.toLowerCase() === title)?.[1][0];
  const plain = () =>
    about({
      id: `${stream}/${seq}`,
      type: 'dev.petrel.nats.message',
      origin: { namespace, name, plural: 'natssources', of: stream },
      subject,
      at: message.info.timestampNanos / 1e6,
      contentType: get('content-type'),
      extensions: Object.fromEntries(
        pairs.map(([key, values]) => [
          `natsheader${attributeName(key)}`,
          attributeText(Buffer.from(values.join(','))),
        ]),
      ),
      data,
    });
  const claims =
    get('ce-specversion') !== undefined || get('content-type')?.startsWith('application/cloudevents');
  return claims ? carried(() => fromNats({ headers: pairs, data }), plain) : plain();
}
