/** A Kafka topic as a sink: an event is confirmed when all replicas in sync have it. What comes at the same time goes in one request. */

import { loadClient } from '../../clients/load.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import { attribute } from '../../cloudevents/event.ts';
import { toKafka } from '../../cloudevents/kafka.ts';
import { downstream } from '../connectors/downstream.ts';
import { checkFields, type Fields, type Read, readFields } from '../connectors/fields.ts';
import { cutOff, KAFKA_FIELDS, kafkaName, kafkaOptions, kafkaReason } from '../connectors/kafka.ts';
import { onCut } from '../connectors/leave.ts';
import { MODE } from '../connectors/mode.ts';
import { causes } from '../connectors/persist.ts';
import type { SinkModule } from './contract.ts';

export const FIELDS = {
  ...KAFKA_FIELDS,
  topic: { is: 'text', required: true, what: 'the topic' },
  keyAttribute: {
    is: 'text',
    default: 'partitionkey',
    what: 'the attribute that is the message’s key, which says its partition',
  },
  contentMode: MODE,
  numPartitions: {
    is: 'count',
    min: 1,
    max: 10_000,
    what: 'makes the topic, with so many partitions, where it is not there',
  },
  replicationFactor: { is: 'count', min: 1, max: 100, default: 1, what: 'of a topic that is made' },
  compression: {
    is: 'choice',
    of: ['none', 'gzip', 'zstd'],
    default: 'none',
    what: 'how requests are compressed',
  },
} as const satisfies Fields;

interface Waiting {
  event: CloudEvent;
  resolve(): void;
  reject(error: unknown): void;
}

/** Events in one request. */
const BATCH = 500;

export const kafkaSink: SinkModule = {
  type: 'kafka',
  check: (config) => checkFields(config, FIELDS),
  async start(context) {
    const config = readFields(context.config, FIELDS);
    const { topic, keyAttribute, contentMode: mode } = config;
    return downstream(context, { what: kafkaName(config), reasonOf: kafkaReason }, async (cut) => {
      const client = await loadClient('kafka');
      const options = kafkaOptions(config, context.key.replaceAll('/', '-'));
      const producer = new client.Producer({
        ...options,
        acks: client.ProduceAcks.ALL,
        compression: config.compression,
        autocreateTopics: false,
      });
      onCut(cut, () => cutOff([producer]));
      // Connects, and finds out whether there is such a topic.
      try {
        if (config.numPartitions !== undefined) await makeTopic(client, config, options, cut);
        await producer.metadata({ topics: [topic] });
      } catch (error) {
        await producer.close(true).catch(() => {});
        throw error;
      }
      const queue: Waiting[] = [];
      let sending = false;
      const flush = async () => {
        while (queue.length > 0) {
          const batch = queue.splice(0, BATCH);
          try {
            await producer.send({
              messages: batch.map(({ event }) => {
                const chosen = attribute(event, keyAttribute);
                const { key, value, headers } = toKafka(event, {
                  mode,
                  key: chosen === undefined ? undefined : String(chosen),
                });
                return {
                  topic,
                  key,
                  // The client has no empty value: a tombstone is left out.
                  value: value ?? undefined,
                  headers: new Map(headers.map(([name, text]) => [Buffer.from(name), Buffer.from(text)])),
                };
              }),
            });
            for (const { resolve } of batch) resolve();
          } catch (error) {
            for (const { reject } of batch) reject(error);
          }
        }
        sending = false;
      };
      return {
        send: (event) =>
          new Promise<void>((resolve, reject) => {
            queue.push({ event, resolve, reject });
            if (sending) return;
            sending = true;
            setImmediate(() => void flush());
          }),
        // The client makes its connections anew by itself, and each request says how it went.
        lost: new Promise<never>(() => {}),
        close: () => producer.close(true),
      };
    });
  },
};

async function makeTopic(
  client: typeof import('../../clients/kafka/index.ts'),
  { topic, numPartitions, replicationFactor }: Read<typeof FIELDS>,
  options: ReturnType<typeof kafkaOptions>,
  cut: AbortSignal,
): Promise<void> {
  const admin = new client.Admin(options);
  onCut(cut, () => cutOff([admin]));
  try {
    await admin.createTopics({ topics: [topic], partitions: numPartitions, replicas: replicationFactor });
  } catch (error) {
    const there = [...causes(error)].some(
      (one) => (one as { apiId?: string }).apiId === 'TOPIC_ALREADY_EXISTS',
    );
    if (!there) throw error;
  } finally {
    await admin.close();
  }
}
