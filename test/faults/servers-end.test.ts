/**
 * Everything that holds on to a server comes to its end when it is stopped, whatever has become of the server: it stands still, it is killed
 * in that moment, it is gone. Nothing is left that keeps a process, or a connection, alive.
 */
import assert from 'node:assert/strict';
import { after, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { systemClock } from '../../src/base/clock.ts';
import { type Logger, silentLogger } from '../../src/base/log.ts';
import { connect as connectNats, jetstreamManager } from '../../src/clients/nats/index.ts';
import { makeEvent, newEvent } from '../../src/cloudevents/event.ts';
import { encodeRecord } from '../../src/cloudevents/record.ts';
import { within } from '../../src/eventing/connectors/leave.ts';
import type { OpenRemote } from '../../src/eventing/log/remote/index.ts';
import { openJetStream } from '../../src/eventing/log/remote/jetstream.ts';
import { openKafka } from '../../src/eventing/log/remote/kafka.ts';
import { SINK_MODULES } from '../../src/eventing/sinks/modules.ts';
import { SOURCE_MODULES } from '../../src/eventing/sources/modules.ts';
import { startHarness } from '../../src/eventing/sources/testing/harness.ts';
import { openKeyed } from '../../src/functions/state/backend.ts';
import type { Json } from '../../src/kinds/object.ts';
import { kafkaServer } from '../lib/brokers/kafka.ts';
import { mosquittoServer } from '../lib/brokers/mosquitto.ts';
import { motoServer } from '../lib/brokers/moto.ts';
import { natsServer } from '../lib/brokers/nats.ts';
import { postgresqlServer } from '../lib/brokers/postgresql.ts';
import { rabbitmqServer } from '../lib/brokers/rabbitmq.ts';
import { redisServer } from '../lib/brokers/redis.ts';
import { listens, type Server, until } from '../lib/brokers/server.ts';
import { beyond, connectionsTo, keepingAlive } from '../lib/resources.ts';

/** What holds on to a server. */
interface Held {
  /** It has reached its server. */
  ready(): Promise<void>;
  /** Begins something that the server has to answer. */
  work(): void;
  stop(): Promise<void>;
}
type Begin = (t: TestContext) => Promise<Held>;

const GRACE_MS = 300;
/** Told by who does not end although its connections are cut. */
const warnings: string[] = [];
const log: Logger = {
  ...silentLogger,
  warn(message) {
    if (message.includes('it is left')) warnings.push(message);
  },
  with: () => log,
};
/** Nothing of what is tried here ends by itself within this time if it waits for the server: those waits are 30 s, or for ever. */
const LIMIT_MS = 15_000;

type Config = Record<string, Json>;

const source =
  (type: string, config: Config, sink: () => unknown = () => new Promise(() => {})): Begin =>
  async (t) => {
    const module = await SOURCE_MODULES[type]?.();
    assert.ok(module);
    // What it hands over does not end: it has something in hand when it is stopped.
    const held = await startHarness(t, module, config, { sink, log });
    return { ready: held.ready, work: () => {}, stop: () => held.stop(GRACE_MS) };
  };

const sink =
  (type: string, config: Config): Begin =>
  async () => {
    const module = await SINK_MODULES[type]?.();
    assert.ok(module);
    assert.deepEqual(module.check(config), []);
    let ready = false;
    const running = await module.start({
      key: 'sink/default/test',
      config,
      report: (state) => {
        ready = state.ready;
      },
      callMain: () => Promise.reject(new Error('nobody is asked')),
      sender: { send: () => Promise.reject(new Error('nothing is sent on')) },
      clock: systemClock,
      log,
    });
    const event = () =>
      newEvent({ type: 't', source: '/s', data: { n: 1 } }, Date.now(), () => crypto.randomUUID());
    return {
      ready: () => until(() => ready, `the sink ${type} is ready`, 60_000),
      work() {
        for (let i = 0; i < 20; i++) running.send(event())?.catch(() => {});
      },
      stop: () => running.stop(GRACE_MS),
    };
  };

const stream =
  (type: string, open: OpenRemote, config: Config): Begin =>
  async () => {
    const running = await open(
      {
        key: 'broker/default/ends',
        uid: 'u1',
        backend: { type, config },
        maxAgeMs: 3_600_000,
        maxBytes: 1 << 30,
        hardMaxBytes: 1 << 30,
        dedupMs: 0,
        maxEventBytes: 1 << 20,
        ttl: true,
        reportTypes: false,
      },
      { clock: systemClock, log: silentLogger, report: () => {} },
    );
    const record = encodeRecord(
      makeEvent('i', '/s', 't', undefined, undefined, undefined, undefined, {}, undefined),
    );
    return {
      ready: async () => void (await running.append(record, Date.now())),
      work() {
        for (let i = 0; i < 20; i++) running.append(record, Date.now()).catch(() => {});
        void Promise.resolve(running.read(running.start, 1000)).catch(() => {});
      },
      stop: () => running.close(false),
    };
  };

const state =
  (url: string): Begin =>
  async () => {
    const keyed = await openKeyed(url, systemClock);
    const put = () =>
      keyed.put('s', 'k', { value: Buffer.from('v'), type: 'text/plain', condition: {}, maxKeys: 10 });
    return {
      ready: async () => void (await put()),
      work() {
        for (let i = 0; i < 3; i++) put().catch(() => {});
      },
      stop: () => keyed.close(),
    };
  };

interface Kind {
  name: string;
  start(): Promise<Server | string>;
  /** Those that make what the others need come first. */
  held(server: Server): Record<string, Begin> | Promise<Record<string, Begin>>;
}

const KINDS: readonly Kind[] = [
  {
    name: 'NATS',
    start: () => natsServer(),
    async held({ port }) {
      const servers = [`127.0.0.1:${port}`];
      const nc = await connectNats({ servers });
      await (await jetstreamManager(nc)).streams.add({ name: 'S', subjects: ['s'] });
      await nc.close();
      return {
        sink: sink('nats', { servers, subject: 's' }),
        source: source('nats', { servers, stream: 'S', initialOffset: 'earliest' }),
        log: stream('jetstream', openJetStream, { servers }),
      };
    },
  },
  {
    name: 'Redis',
    start: () => redisServer(),
    held({ port }) {
      const address = `127.0.0.1:${port}`;
      return {
        'sink of a stream': sink('redis', { address, stream: 's' }),
        'sink of a list': sink('redis', { address, list: 'l' }),
        'source of a stream': source('redis', { address, stream: 's', initialOffset: 'earliest' }),
        'source of a list': source('redis', { address, list: 'l' }),
        state: state(`redis://${address}`),
      };
    },
  },
  {
    name: 'RabbitMQ',
    start: () => rabbitmqServer(),
    held({ port }) {
      const address = `127.0.0.1:${port}`;
      return {
        source: source('rabbitmq', { address, queue: 'q', create: 'classic' }),
        sink: sink('rabbitmq', { address, queue: 'q' }),
      };
    },
  },
  {
    name: 'MQTT',
    start: () => mosquittoServer(),
    held({ port }) {
      const address = `127.0.0.1:${port}`;
      return {
        source: source('mqtt', { address, topics: ['t'], clientId: 'source' }),
        sink: sink('mqtt', { address, topic: 't' }),
      };
    },
  },
  {
    name: 'PostgreSQL',
    start: () => postgresqlServer(),
    held(server) {
      const { port, user, password, database } = server as Exclude<
        Awaited<ReturnType<typeof postgresqlServer>>,
        string
      >;
      const access = { address: `127.0.0.1:${port}`, username: user, password, database };
      const replication = { slot: 'changes', publication: 'changes', tables: ['events'] };
      return {
        sink: sink('postgresql', { ...access, table: 'events', create: true }),
        outbox: source('postgresql', { ...access, outbox: { table: 'events', pollMs: 100 } }),
        changes: source('postgresql', { ...access, replication }),
        state: state(`postgresql://${user}:${password}@127.0.0.1:${port}/${database}`),
      };
    },
  },
  {
    name: 'S3',
    start: () => motoServer(),
    async held({ port }) {
      const endpoint = `http://127.0.0.1:${port}`;
      const made = await fetch(`${endpoint}/uploads`, {
        method: 'PUT',
        headers: {
          authorization: 'AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request',
          connection: 'close',
        },
      });
      assert.equal(made.status, 200);
      await made.arrayBuffer();
      const access = { endpoint, bucket: 'uploads', accessKeyId: 'key', secretAccessKey: 'secret' };
      return {
        sink: sink('s3', access),
        source: source('s3', { ...access, pollMs: 1000, initialOffset: 'earliest' }),
        'source of an address': source(
          'http',
          { url: `${endpoint}/uploads`, intervalSeconds: 1 },
          // It is ready when all that it found has been taken.
          () => {},
        ),
      };
    },
  },
  {
    name: 'Kafka',
    start: () => kafkaServer(),
    held({ port }) {
      const bootstrapServers = [`127.0.0.1:${port}`];
      const reads = { bootstrapServers, topics: ['t'], initialOffset: 'earliest' };
      return {
        sink: sink('kafka', { bootstrapServers, topic: 't', numPartitions: 1 }),
        source: source('kafka', { ...reads, consumerGroup: 'new' }),
        'source of the classic protocol': source('kafka', {
          ...reads,
          consumerGroup: 'old',
          protocol: 'classic',
        }),
        log: stream('kafka', openKafka, { bootstrapServers }),
      };
    },
  },
];

type All = Record<string, Begin>;

/** What has become of the server, and when. Each takes what holds on to it, and leaves the server as it likes. */
const MOMENTS: Record<string, (server: Server, t: TestContext, all: All) => Promise<void>> = {
  'it stands still while they wait for it': async (server, t, all) => {
    const held = await working(t, all);
    server.freeze();
    for (const one of Object.values(held)) one.work();
    await end(server, (name) => held[name]?.stop(), all);
  },
  'it stands still when it is first spoken to': async (server, t, all) => {
    server.freeze();
    await end(server, (_, begin) => beginAndStop(t, begin), all);
  },
  'it is killed as they are stopped': async (server, t, all) => {
    const held = await working(t, all);
    const killed = server.kill();
    await end(server, (name) => held[name]?.stop(), all);
    await killed;
  },
  'it was killed before': async (server, t, all) => {
    const held = await working(t, all);
    await server.kill();
    for (const one of Object.values(held)) one.work();
    await end(server, (name) => held[name]?.stop(), all);
  },
  'nobody is there': async (server, t, all) => {
    await server.kill();
    await end(server, (_, begin) => beginAndStop(t, begin), all);
  },
};

/** All of them, with something under way. */
async function working(t: TestContext, all: All): Promise<Record<string, Held>> {
  const held: Record<string, Held> = {};
  for (const [name, begin] of Object.entries(all)) {
    held[name] = await begin(t);
    await held[name].ready();
  }
  for (const one of Object.values(held)) one.work();
  // Some of it is answered, and read by the sources.
  await pause(100);
  return held;
}

async function beginAndStop(t: TestContext, begin: Begin): Promise<void> {
  // Some begin when their server has answered: they fail in time.
  const held = await begin(t).catch(() => undefined);
  await pause(200);
  await held?.stop();
}

/** Stops all at once; fails where one does not end, or something of one is left. */
async function end(
  server: Server,
  stop: (name: string, begin: Begin) => Promise<void> | undefined,
  all: All,
): Promise<void> {
  const hanging = new Set(Object.keys(all));
  const began = Date.now();
  const took: string[] = [];
  const ended = Object.entries(all).map(async ([name, begin]) => {
    await stop(name, begin);
    hanging.delete(name);
    took.push(`${name} ${Date.now() - began}`);
  });
  await within(systemClock, Promise.all(ended), LIMIT_MS);
  if (process.env.PETREL_TEST_TIMES) console.log(took.join(', '));
  assert.deepEqual([...hanging], [], `not ended after ${LIMIT_MS} ms`);
  await until(() => connectionsTo(server.port) === 0, `no connection is left`, 5000).catch(() =>
    assert.fail(`connections left: ${connectionsTo(server.port)}`),
  );
}

for (const { name, start, held } of KINDS) {
  test(name, async (t) => {
    const server = await start();
    if (typeof server === 'string') return void t.skip(server);
    after(() => server.stop());
    // Where nothing else does, the runner keeps the process going by a timer of its own.
    const awake = setInterval(() => {}, 2 ** 30);
    after(() => clearInterval(awake));
    for (const [moment, go] of Object.entries(MOMENTS)) {
      await t.test(moment, async (t2) => {
        const all = await held(server);
        await until(() => connectionsTo(server.port) === 0, 'what has prepared it is gone');
        const before = keepingAlive();
        try {
          await go(server, t2, all);
          assert.deepEqual(warnings.splice(0), []);
          const left = () => beyond(before, keepingAlive());
          await until(() => left().length === 0, 'nothing is left', 5000).catch(() =>
            assert.fail(`left: ${left().join(', ')}`),
          );
        } finally {
          server.thaw();
          if (!(await listens(server.port))) await server.start();
        }
      });
    }
  });
}
