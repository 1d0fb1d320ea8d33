/** A Kafka source, ordered by key, to a sink that does nothing, beside a plain consumer of the same client on the same topic. */
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { systemClock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/log.ts';
import { Admin, Consumer, Producer } from '../../src/clients/kafka/index.ts';
import { kafkaSource } from '../../src/eventing/sources/kafka/source.ts';
import { EVENT_SOURCES } from '../../src/kube/refs.ts';
import { kafkaServer } from '../../test/lib/brokers/kafka.ts';
import { monotonic } from '../lib/events.ts';
import { createFunctions, functionObject, settled, uploadSource } from '../lib/functions.ts';
import { startPlatform } from '../lib/platform.ts';
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

const WAKES = 10;

/** A message for a function of which nothing runs: from its sending until the function is called. */
async function wake(bootstrap: string): Promise<Row> {
  const called = new Map<string, number>();
  const told = http.createServer((request, response) => {
    const [, id = '', at = ''] = (request.url ?? '').split('/');
    called.set(id, Number(at));
    response.end();
  });
  await new Promise<void>((resolve) => told.listen(0, '127.0.0.1', resolve));
  const { port } = told.address() as { port: number };
  const producer = new Producer({
    clientId: 'wake',
    bootstrapBrokers: [bootstrap],
    autocreateTopics: true,
    retries: 10,
  });
  const platform = await startPlatform();
  try {
    const source = `export default { async fetch(request: Request) {
      const at = Number(process.hrtime.bigint()) / 1e6;
      await fetch('http://127.0.0.1:${port}/' + await request.text() + '/' + at);
      return new Response(null, { status: 204 });
    } };\n`;
    const digest = await uploadSource(platform, 'zero.ts', source);
    await createFunctions(platform, [functionObject('zero', digest, 'zero.ts')]);
    const send = (text: string) => producer.send({ messages: [{ topic: 'wake', value: Buffer.from(text) }] });
    await send('first');
    await platform.client.create(EVENT_SOURCES, {
      apiVersion: 'petrel.dev/v1',
      kind: 'EventSource',
      metadata: { namespace: 'default', name: 'wake' },
      spec: {
        type: 'kafka',
        config: { bootstrapServers: bootstrap, topics: 'wake', initialOffset: 'earliest' },
        sink: { ref: { apiVersion: 'petrel.dev/v1', kind: 'Function', name: 'zero' } },
      },
    });
    const arrived = async (id: string): Promise<number> => {
      for (const deadline = monotonic() + 30_000; !called.has(id); ) {
        if (monotonic() > deadline) throw new Error('the function was not called within 30 s');
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      return called.get(id) ?? 0;
    };
    await arrived('first');
    const times: number[] = [];
    for (let i = 0; i < WAKES; i++) {
      await settled(platform);
      const sent = monotonic();
      await send(`wake-${i}`);
      times.push((await arrived(`wake-${i}`)) - sent);
    }
    return {
      what: 'Kafka message sent → function called, from zero, p50',
      value: median(times),
      unit: 'ms',
      reach: { at: 50, better: 'lower' },
      note: `${WAKES} times, slowest ${Math.max(...times).toFixed(1)} ms, the broker's acknowledgement included; KEDA looks every 30 s by default`,
    };
  } finally {
    await producer.close(true);
    told.close().closeAllConnections();
    await platform.stop();
  }
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
      await wake(server.bootstrap),
    ];
  } finally {
    await server.stop();
  }
}
