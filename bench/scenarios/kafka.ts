/** A Kafka source, ordered by key, to a sink that does nothing, beside a plain consumer of the same client on the same topic. */
import { randomUUID } from 'node:crypto';
import { systemClock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/log.ts';
import { Admin, Consumer, Producer } from '../../src/clients/kafka/index.ts';
import { kafkaSource } from '../../src/eventing/sources/kafka/source.ts';
import { kafkaServer } from '../../test/lib/brokers/kafka.ts';
import { median, type Row } from '../lib/report.ts';

const MESSAGES = 200_000;
const KEYS = 1000;
const ROUNDS = 3;
const VALUE = Buffer.alloc(1024, 'k');
const TOPIC = 'bench';

/** Messages a second, from the first to the last. */
class Pace {
  #first = 0;
  #count = 0;
  readonly done = Promise.withResolvers<number>();

  tick(): void {
    if (this.#count++ === 0) this.#first = performance.now();
    if (this.#count === MESSAGES) this.done.resolve((MESSAGES * 1000) / (performance.now() - this.#first));
  }
}

async function plain(bootstrap: string, round: number): Promise<number> {
  const consumer = new Consumer({
    clientId: 'plain',
    groupId: `plain-${round}`,
    bootstrapBrokers: [bootstrap],
  });
  const stream = await consumer.consume({
    topics: [TOPIC],
    mode: 'earliest',
    autocommit: 200,
    maxWaitTime: 500,
  });
  const pace = new Pace();
  stream.on('data', () => pace.tick());
  const rate = await pace.done.promise;
  await consumer.close(true);
  return rate;
}

async function ours(bootstrap: string, round: number): Promise<number> {
  const pace = new Pace();
  const stopping = new AbortController();
  const running = await kafkaSource.start({
    key: 'eventsource/default/bench',
    namespace: 'default',
    name: 'bench',
    dir: '',
    config: {
      bootstrapServers: [bootstrap],
      topics: [TOPIC],
      consumerGroup: `ours-${round}`,
      initialOffset: 'earliest',
      ordering: 'key',
      maxWaitMs: 500,
    },
    async emit() {
      pace.tick();
      return 'delivered';
    },
    checkpoint: () => undefined,
    saveCheckpoint: async () => {},
    report: () => {},
    clock: systemClock,
    random: Math.random,
    uuid: randomUUID,
    log: createLogger('error', (line) => process.stderr.write(line)),
    signal: stopping.signal,
  });
  const rate = await pace.done.promise;
  await running.stop(5000);
  stopping.abort();
  return rate;
}

export async function measure(): Promise<Row[]> {
  const server = await kafkaServer();
  if (typeof server === 'string') throw new Error(server);
  try {
    const options = { clientId: 'bench', bootstrapBrokers: [server.bootstrap], retries: 10 };
    const admin = new Admin(options);
    await admin.createTopics({ topics: [TOPIC], partitions: 3, replicas: 1 });
    await admin.close();
    const producer = new Producer({ ...options, idempotent: true });
    for (let at = 0; at < MESSAGES; at += 1000)
      await producer.send({
        messages: Array.from({ length: 1000 }, (_, i) => ({
          topic: TOPIC,
          key: Buffer.from(`k${(at + i) % KEYS}`),
          value: VALUE,
        })),
      });
    await producer.close();
    const rates = { plain: [] as number[], ours: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      rates.plain.push(await plain(server.bootstrap, round));
      rates.ours.push(await ours(server.bootstrap, round));
    }
    const beside = median(rates.plain);
    return [
      {
        what: 'Kafka source to a sink that does nothing, 1 KB, ordered by key',
        value: median(rates.ours),
        unit: 'messages/s',
        reach: { at: 10_000, better: 'higher' },
        note: `${KEYS} keys in 3 partitions, commits every 200 ms; a plain consumer of the same client, which commits what it has not handled: ${Math.round(beside).toLocaleString('en')}/s; broker on the same 2 cores`,
      },
    ];
  } finally {
    await server.stop();
  }
}
