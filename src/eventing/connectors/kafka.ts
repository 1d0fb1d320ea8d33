/** How sources and sinks reach Kafka. */
import type { ConnectionOptions } from 'node:tls';
import { messageOf } from '../../base/errors.ts';
import type { Base } from '../../clients/kafka/index.ts';
import type { Fields, Read } from './fields.ts';
import { causes } from './persist.ts';
import { TLS_FIELDS, tlsOptions } from './tls.ts';

export const KAFKA_FIELDS = {
  bootstrapServers: { is: 'texts', required: true, what: 'brokers to begin with, `host:port`' },
  sasl: {
    is: 'group',
    what: 'who this is, by SASL',
    fields: {
      mechanism: {
        is: 'choice',
        of: ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'],
        default: 'PLAIN',
        what: 'how the password is proven',
      },
      username: { is: 'text', required: true, what: 'the user’s name' },
      password: { is: 'text', required: true, what: 'the user’s password' },
    },
  },
  tls: { is: 'group', what: 'TLS; absent: none', fields: TLS_FIELDS },
} as const satisfies Fields;

/** The options that all of the client's classes share. */
export function kafkaOptions(config: Read<typeof KAFKA_FIELDS>, clientId: string) {
  const tls: ConnectionOptions | undefined = tlsOptions(config.tls);
  return {
    clientId,
    bootstrapBrokers: [...config.bootstrapServers],
    connectTimeout: 5000,
    requestTimeout: 30_000,
    retries: 2,
    retryDelay: 250,
    ...(config.sasl === undefined
      ? {}
      : {
          sasl: {
            mechanism: config.sasl.mechanism,
            username: config.sasl.username,
            password: config.sasl.password,
          },
        }),
    ...(tls === undefined ? {} : { tls }),
  };
}

/** Ends the connections of clients and streams at once: what they wait for is rejected, and they make no others. */
export function cutOff(clients: Iterable<Pick<Base, 'connections'>>): void {
  for (const { connections } of clients) {
    for (const [, { socket }] of connections) socket?.destroy();
    connections.close().catch(() => {});
  }
}

/** What Kafka is called in messages. */
export const kafkaName = (config: Read<typeof KAFKA_FIELDS>): string =>
  `Kafka at ${config.bootstrapServers.join(', ')}`;

const REASONS: Readonly<Record<string, string>> = {
  PLT_KFK_AUTHENTICATION: 'Unauthorized',
  SASL_AUTHENTICATION_FAILED: 'Unauthorized',
  TOPIC_AUTHORIZATION_FAILED: 'Unauthorized',
  GROUP_AUTHORIZATION_FAILED: 'Unauthorized',
  UNKNOWN_TOPIC_OR_PARTITION: 'TopicNotFound',
};

/** The reason of an error that the client's codes tell. */
export function kafkaReason(error: unknown): string | undefined {
  for (const one of causes(error)) {
    const { code, apiId } = one as { code?: string; apiId?: string };
    const reason = REASONS[apiId ?? ''] ?? REASONS[code ?? ''];
    if (reason !== undefined) return reason;
    if (/^unknown topic/i.test(messageOf(one))) return 'TopicNotFound';
  }
  return undefined;
}
