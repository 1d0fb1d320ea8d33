/** A queue of RabbitMQ as a source: the server keeps a message until it is acknowledged, which is when it is delivered or dead. */

import { loadClient } from '../../../clients/load.ts';
import type { Channel, ConsumeMessage } from '../../../clients/rabbitmq/index.ts';
import { fromAmqp, isAmqpEvent } from '../../../cloudevents/amqp.ts';
import type { CloudEvent } from '../../../cloudevents/event.ts';
import type { Json } from '../../../kinds/object.ts';
import { checkFields, type Fields, type Read, readFields } from '../../connectors/fields.ts';
import { compact, either, required } from '../../connectors/keda.ts';
import { about, attributeName, attributeText, carried } from '../../connectors/messages.ts';
import { connectRabbitmq, RABBITMQ_FIELDS, rabbitmqName, rabbitmqReason } from '../../connectors/rabbitmq.ts';
import { aborted, type Connection, upstream } from '../../connectors/upstream.ts';
import type { SourceContext, SourceModule } from '../contract.ts';

export const FIELDS = {
  ...RABBITMQ_FIELDS,
  queue: { is: 'text', required: true, what: 'the queue to read' },
  create: {
    is: 'choice',
    of: ['no', 'quorum', 'classic'],
    default: 'no',
    what: 'makes the queue, durable and of this type, where it is not there',
  },
  exchange: { is: 'text', what: 'an exchange that the queue is bound to' },
  routingKeys: { is: 'texts', default: ['#'], what: 'with which routing keys it is bound to the exchange' },
  ordered: { is: 'flag', default: false, what: 'one after the other' },
  concurrency: { is: 'count', min: 1, max: 1000, default: 64, what: 'deliveries under way at once' },
  prefetch: {
    is: 'count',
    min: 1,
    max: 65_535,
    default: 250,
    what: 'messages that are taken and not yet acknowledged',
  },
} as const satisfies Fields;

type Config = Read<typeof FIELDS>;

/** KEDA's scaler `rabbitmq`; the host is an AMQP URL. */
function fromKeda(metadata: Record<string, string>, auth: Record<string, string>): Record<string, Json> {
  const url = new URL(required({ ...metadata, ...auth }, 'host'));
  const tls = url.protocol === 'amqps:' || url.protocol === 'https:';
  const vhost = either({ ...metadata, ...auth }, 'vhostName') ?? decodeURIComponent(url.pathname.slice(1));
  return compact({
    address: `${url.hostname}:${url.port || (tls ? 5671 : 5672)}`,
    username: auth.username ?? (url.username === '' ? undefined : decodeURIComponent(url.username)),
    password: auth.password ?? (url.password === '' ? undefined : decodeURIComponent(url.password)),
    vhost: vhost === '' ? undefined : vhost,
    tls: tls ? compact({ enabled: true, caCerts: auth.ca, cert: auth.cert, key: auth.key }) : undefined,
    queue: required(metadata, 'queueName'),
  });
}

export const rabbitmqSource: SourceModule = {
  type: 'rabbitmq',
  durable: 'upstream',
  check: (config) => checkFields(config, FIELDS),
  fromKeda,
  async start(context) {
    const config = readFields(context.config, FIELDS);
    const concurrency = config.ordered ? 1 : config.concurrency;
    return upstream(
      context,
      { what: rabbitmqName(config), concurrency, reasonOf: rabbitmqReason },
      (connection) => session(context, config, connection),
    );
  },
};

async function session(
  context: SourceContext<unknown>,
  config: Config,
  connection: Connection,
): Promise<void> {
  const rabbit = await connectRabbitmq(await loadClient('rabbitmq'), config, context.key, connection.cut);
  try {
    const channel = await rabbit.model.createChannel();
    const broken = new Promise<never>((_, reject) => {
      channel.on('error', reject); // a channel is closed for what the server does not like: no such queue, no permission
      channel.on('close', () => reject(new Error('the channel was closed')));
    });
    broken.catch(() => {});
    await prepare(channel, config);
    await channel.prefetch(config.prefetch);
    connection.beyond = async () =>
      (await channel.checkQueue(config.queue)).messageCount + connection.intake.outstanding;
    let cancelled: (error: Error) => void = () => {};
    const gone = new Promise<never>((_, reject) => {
      cancelled = reject;
    });
    gone.catch(() => {});
    const { consumerTag } = await channel.consume(config.queue, (message) => {
      if (message === null) return cancelled(new Error('NOT_FOUND: the queue was deleted'));
      connection.intake.take(undefined, async () => {
        await context.emit(toEvent(message, context, config));
        channel.ack(message);
      });
    });
    connection.up(`reads queue ${config.queue}`);
    await Promise.race([aborted(connection.signal), rabbit.lost, broken, gone]);
    await channel.cancel(consumerTag);
    await connection.settled();
    await channel.close(); // what is not acknowledged goes back to the queue
  } finally {
    await rabbit.close();
  }
}

async function prepare(channel: Channel, { queue, create, exchange, routingKeys }: Config): Promise<void> {
  if (create === 'no') await channel.checkQueue(queue);
  else await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': create } });
  if (exchange !== undefined) for (const key of routingKeys) await channel.bindQueue(queue, exchange, key);
}

/** The event that a message carries, else the one that Knative's RabbitmqSource makes of it. */
function toEvent(message: ConsumeMessage, context: SourceContext<unknown>, { queue }: Config): CloudEvent {
  const { namespace, name, uuid } = context;
  const { fields, properties, content } = message;
  const headers: Record<string, unknown> = properties.headers ?? {};
  const contentType: string | undefined = properties.contentType;
  const plain = () =>
    about({
      // Without an id of the sender's a message has no identity: each delivery of it has a new one.
      id: properties.messageId || uuid(),
      type: 'dev.knative.rabbitmq.event',
      origin: { namespace, name, plural: 'rabbitmqsources', of: queue },
      subject: fields.routingKey,
      // AMQP's timestamps are whole seconds.
      at: typeof properties.timestamp === 'number' ? properties.timestamp * 1000 : undefined,
      contentType,
      extensions: {
        correlationid: properties.correlationId,
        ...Object.fromEntries(
          Object.entries(headers)
            .filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value))
            .map(([title, value]) => [
              `rabbitmqheader${attributeName(title)}`,
              attributeText(Buffer.from(String(value))),
            ]),
        ),
      },
      data: content,
    });
  return isAmqpEvent({ contentType, properties: headers })
    ? carried(() => fromAmqp({ contentType, properties: headers, body: content }), plain)
    : plain();
}
