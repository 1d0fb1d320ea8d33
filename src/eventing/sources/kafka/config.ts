/** The configuration of a Kafka source, and KEDA's for the same. Pure. */
import type { FieldError, Json } from '../../../kinds/object.ts';
import { checkFields, type Fields, type Read, readFields } from '../../connectors/fields.ts';
import { KAFKA_FIELDS } from '../../connectors/kafka.ts';
import { compact, either, list, required } from '../../connectors/keda.ts';
import { checkStart } from '../initial-offset.ts';

export const FIELDS = {
  ...KAFKA_FIELDS,
  topics: { is: 'texts', required: true, what: 'topics to read' },
  consumerGroup: {
    is: 'text',
    what: 'the consumer group; default: one of the source’s own, `petrel.<namespace>.<name>`',
  },
  initialOffset: {
    is: 'text',
    default: 'latest',
    what: 'where a group that has read nothing begins: `latest`, `earliest`, or a time (RFC 3339)',
  },
  ordering: {
    is: 'choice',
    of: ['key', 'partition', 'none'],
    default: 'key',
    what: 'what is delivered one after the other: messages with the same key (those without one by partition), all of a partition, or nothing',
  },
  concurrency: { is: 'count', min: 1, max: 1000, default: 64, what: 'deliveries under way at once' },
  prefetch: {
    is: 'count',
    min: 1,
    max: 100_000,
    default: 2000,
    what: 'messages that are fetched and not yet resolved',
  },
  protocol: {
    is: 'choice',
    of: ['auto', 'consumer', 'classic'],
    default: 'auto',
    what: 'the group protocol: `consumer` is that of KIP-848; `auto` takes it where the brokers have it',
  },
  maxWaitMs: {
    is: 'count',
    min: 1,
    max: 60_000,
    default: 5000,
    what: 'how long a fetch waits at the broker for messages',
  },
} as const satisfies Fields;

export type KafkaConfig = Read<typeof FIELDS>;

export const check = (config: Record<string, Json>): FieldError[] => [
  ...checkFields(config, FIELDS),
  ...checkStart(config),
];

export const read = (config: Record<string, Json>): KafkaConfig => readFields(config, FIELDS);

const SASL: Readonly<Record<string, string>> = {
  plaintext: 'PLAIN',
  scram_sha256: 'SCRAM-SHA-256',
  scram_sha512: 'SCRAM-SHA-512',
};

/** KEDA's scaler `kafka`. */
export function fromKeda(
  metadata: Record<string, string>,
  auth: Record<string, string>,
): Record<string, Json> {
  const mechanism = auth.sasl ?? metadata.sasl ?? 'none';
  const tls = (auth.tls ?? metadata.tls) === 'enable';
  return compact({
    bootstrapServers: list(required(metadata, 'bootstrapServers')),
    topics: list(required(metadata, 'topic')),
    consumerGroup: either(metadata, 'consumerGroup'),
    initialOffset: metadata.offsetResetPolicy ?? 'latest',
    sasl:
      mechanism === 'none'
        ? undefined
        : {
            mechanism: SASL[mechanism] ?? mechanism,
            username: auth.username ?? '',
            password: auth.password ?? '',
          },
    tls: tls
      ? compact({
          enabled: true,
          caCerts: auth.ca,
          cert: auth.cert,
          key: auth.key,
        })
      : undefined,
  });
}
