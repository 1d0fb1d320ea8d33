/** How sources and sinks reach RabbitMQ. */
import type { Socket } from 'node:net';
import type { ChannelModel } from '../../clients/rabbitmq/index.ts';
import type { Fields, Read } from './fields.ts';
import { TLS_FIELDS, tlsOptions } from './tls.ts';

export const RABBITMQ_FIELDS = {
  address: {
    is: 'text',
    required: true,
    form: /^[^@\s/]+:\d+$/,
    formHint: 'must be host:port',
    what: 'the server, `host:port`',
  },
  username: { is: 'text', default: 'guest', what: 'the user’s name' },
  password: { is: 'text', default: 'guest', what: 'the user’s password' },
  vhost: { is: 'text', default: '/', what: 'the virtual host' },
  tls: { is: 'group', what: 'TLS; absent: none', fields: TLS_FIELDS },
} as const satisfies Fields;

type Client = typeof import('../../clients/rabbitmq/index.ts');

export interface RabbitConnection {
  model: ChannelModel;
  /** Rejects when the connection is lost; it does not come back by itself. */
  lost: Promise<never>;
  close(): Promise<void>;
}

export async function connectRabbitmq(
  client: Client,
  config: Read<typeof RABBITMQ_FIELDS>,
  name: string,
  cut?: AbortSignal,
): Promise<RabbitConnection> {
  cut?.throwIfAborted();
  const at = config.address.lastIndexOf(':');
  const tls = tlsOptions(config.tls);
  // Handed on to the socket.
  const socket = { timeout: 5000, clientProperties: { connection_name: name }, signal: cut, ...tls };
  const model = await client.connect(
    {
      protocol: tls === undefined ? 'amqp' : 'amqps',
      hostname: config.address.slice(0, at),
      port: Number(config.address.slice(at + 1)),
      username: config.username,
      password: config.password,
      vhost: config.vhost,
      heartbeat: 20,
    },
    socket,
  );
  let open = true;
  // A close that is under way does not tell when the connection is lost.
  const ended = new Promise<void>((resolve) => {
    (model.connection as unknown as { stream: Socket }).stream.once('close', () => resolve());
  });
  const lost = new Promise<never>((_, reject) => {
    model.on('error', reject);
    model.on('close', (error) => {
      open = false;
      reject(error ?? new Error('the connection was closed'));
    });
  });
  lost.catch(() => {});
  return {
    model,
    lost,
    async close() {
      if (open) await Promise.race([model.close().catch(() => {}), ended]);
    },
  };
}

export const rabbitmqName = (config: Read<typeof RABBITMQ_FIELDS>): string => `RabbitMQ at ${config.address}`;

/** The reason of an error that the server's answer codes tell. */
export function rabbitmqReason(error: unknown): string | undefined {
  const text = String(error);
  if (text.includes('NOT_FOUND') || text.includes('404')) return 'QueueNotFound';
  return text.includes('ACCESS_REFUSED') || text.includes('ACCESS-REFUSED') ? 'Unauthorized' : undefined;
}
