import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { type KafkaServer, kafkaServer } from '../../../../test/lib/brokers/kafka.ts';
import { until } from '../../../../test/lib/brokers/server.ts';
import { Admin, Producer } from '../../../clients/kafka/index.ts';
import { withAttributes } from '../../../cloudevents/event.ts';
import type { Json } from '../../../kinds/object.ts';
import { kafkaSink } from '../../sinks/kafka.ts';
import { roundTrip, samples, sendThrough, startSink } from '../../sinks/testing/round-trip.ts';
import { type HarnessOptions, startHarness } from '../testing/harness.ts';
import { kafkaSource } from './source.ts';

let server: KafkaServer | string;
before(async () => {
  server = await kafkaServer({ users: { alice: 'alice-secret' } });
});
after(async () => {
  if (typeof server !== 'string') await server.stop();
});

let topics = 0;

/** A topic of its own on the one server of this file. */
async function world(t: TestContext, partitions = 3) {
  if (typeof server === 'string') return void t.skip(server);
  const { bootstrap, sasl } = server;
  const options = { clientId: 'test', bootstrapBrokers: [bootstrap] };
  const admin = new Admin(options);
  const producer = new Producer({ ...options, retries: 50, retryDelay: 100 });
  t.after(async () => {
    await Promise.allSettled([admin.close(), producer.close(true)]);
  });
  const topic = `orders-${++topics}`;
  await admin.createTopics({ topics: [topic], partitions, replicas: 1 });
  const send = (
    items: { key?: string; value: string; headers?: Record<string, string>; partition?: number }[],
  ) =>
    producer.send({
      messages: items.map(({ key, value, headers, partition }) => ({
        topic,
        value: Buffer.from(value),
        ...(key === undefined ? {} : { key: Buffer.from(key) }),
        ...(partition === undefined ? {} : { partition }),
        headers: new Map(
          Object.entries(headers ?? {}).map(([name, text]) => [Buffer.from(name), Buffer.from(text)]),
        ),
      })),
    });
  const source = (config: Record<string, Json> = {}, harness: HarnessOptions = {}) =>
    startHarness(
      t,
      kafkaSource,
      { bootstrapServers: [bootstrap], topics: [topic], initialOffset: 'earliest', ...config },
      harness,
    );
  const committed = async (group: string) => {
    const found = await admin.listConsumerGroupOffsets({ groups: [group] });
    return Object.fromEntries(
      found.flatMap(({ topics: list }) =>
        list.flatMap(({ name, partitions: all }) =>
          all.map(({ partitionIndex, committedOffset }) => [
            `${name}:${partitionIndex}`,
            Number(committedOffset),
          ]),
        ),
      ),
    ) as Record<string, number>;
  };
  return { server, topic, send, source, admin, committed, bootstrap, sasl };
}

const numbered = (from: number, count: number, keys = 5) =>
  Array.from({ length: count }, (_, i) => ({ key: `k${(from + i) % keys}`, value: `${from + i}` }));

for (const protocol of ['consumer', 'classic']) {
  test(`messages arrive as KafkaSource's events, ordered by key, and are committed (${protocol})`, async (t) => {
    const w = await world(t);
    if (!w) return;
    const group = `g-${protocol}`;
    await w.send([
      { key: 'a', value: '{"n":1}', headers: { 'Content-Type': 'application/json', 'X-Trace': 't1' } },
    ]);
    const source = await w.source({ protocol, consumerGroup: group });
    await source.got(1);
    const [event] = source.taken;
    assert.equal(event?.type, 'dev.knative.kafka.event');
    assert.equal(event?.source, `/apis/v1/namespaces/default/kafkasources/test#${w.topic}`);
    assert.match(event?.subject ?? '', /^partition:\d#0$/);
    assert.equal(event?.datacontenttype, 'application/json');
    assert.equal(event?.extensions.key, 'a');
    assert.equal(event?.extensions.kafkaheaderxtrace, 't1');
    assert.equal(event?.data?.toString(), '{"n":1}');

    await w.send(numbered(0, 200));
    await source.got(201);
    for (let key = 0; key < 5; key++) {
      const order = source.taken
        .filter(({ extensions }) => extensions.key === `k${key}`)
        .map(({ data }) => Number(data));
      assert.deepEqual(
        order,
        [...order].sort((a, b) => a - b),
      );
    }
    await source.stop();
    const sum = Object.values(await w.committed(group)).reduce((a, b) => a + b, 0);
    assert.equal(sum, 201);
    const again = await w.source({ protocol, consumerGroup: group });
    await w.send([{ value: 'after' }]);
    await again.got(1);
    assert.deepEqual(again.texts(), ['after']);
  });
}

test('nothing is committed past a message that is not resolved, and others go on around it', async (t) => {
  const w = await world(t, 1);
  if (!w) return;
  let stuck = true;
  const source = await w.source(
    { consumerGroup: 'stuck', ordering: 'key' },
    {
      sink({ data }) {
        if (stuck && data?.toString() === '3') throw new Error('not now');
      },
    },
  );
  await w.send(numbered(0, 50, 10));
  await source.got(45); // all but those of the key of 3
  await until(async () => (await w.committed('stuck'))[`${w.topic}:0`] === 3, 'the mark is at 3');
  assert.ok(source.state().lag !== undefined && source.state().lag! > 0, JSON.stringify(source.state()));
  stuck = false;
  await source.got(50);
  await until(async () => (await w.committed('stuck'))[`${w.topic}:0`] === 50, 'the mark is at the end');
  await until(() => source.state().lag === 0, 'there is no lag');
});

test('what waits is bounded: a slow sink holds back the fetching', async (t) => {
  const w = await world(t, 1);
  if (!w) return;
  let open = false;
  const waiting: (() => void)[] = [];
  const source = await w.source(
    { concurrency: 4, prefetch: 20, ordering: 'none' },
    { sink: () => (open ? undefined : new Promise<void>((resolve) => waiting.push(resolve))) },
  );
  await w.send(numbered(0, 3000));
  await until(() => source.state().lag === 3000, 'all 3000 are known to wait');
  assert.equal(source.most(), 4);
  open = true;
  for (const wake of waiting) wake();
  await source.got(3000);
  assert.equal(source.most(), 4);
});

test('a group that has read nothing begins where it is told: now, or at a time', async (t) => {
  const w = await world(t, 1);
  if (!w) return;
  await w.send([{ value: 'old' }]);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const at = new Date().toISOString();
  await w.send([{ value: 'new' }]);
  const latest = await w.source({ initialOffset: 'latest', consumerGroup: 'now' });
  const since = await w.source({ initialOffset: at, consumerGroup: 'since' });
  await Promise.all([latest.ready(), since.ready()]);
  // From here on nothing may be lost, even if the source ends before its first commit.
  await latest.stop();
  await w.send([{ value: 'newest' }]);
  const again = await w.source({ initialOffset: 'latest', consumerGroup: 'now' });
  await again.got(1);
  await since.got(2);
  assert.deepEqual(again.texts(), ['newest']);
  assert.deepEqual(since.texts(), ['new', 'newest']);
});

for (const protocol of ['consumer', 'classic']) {
  test(`a rebalance in mid-batch lets what is under way finish, and loses nothing (${protocol})`, async (t) => {
    const w = await world(t, 4);
    if (!w) return;
    const config = { protocol, consumerGroup: `rebalance-${protocol}`, concurrency: 8 };
    const slow = { sink: () => new Promise<void>((resolve) => setTimeout(resolve, 15)) };
    const first = await w.source(config, slow);
    await w.send(numbered(0, 1500, 40));
    await first.got(100);
    const second = await w.source(config, slow);
    await until(() => second.taken.length > 0, 'the second has something to do', 30_000);
    await w.send(numbered(1500, 500, 40));
    await until(() => new Set([...first.texts(), ...second.texts()]).size === 2000, 'all have come', 30_000);
    const all = [...first.taken, ...second.taken].map(({ id }) => id);
    // The producer may have sent a message twice: a delivery counts by offset.
    const again = all.length - new Set(all).size;
    t.diagnostic(`duplicates: ${again}; ${first.taken.length} and ${second.taken.length}`);
    // The classic protocol may refuse a commit while the group is changing, and a machine that stands still loses its place in the group.
    const undisturbed = [first, second].every(
      ({ states }) => states.filter(({ ready }) => !ready).length === 1,
    );
    if (protocol === 'consumer' && undisturbed) assert.equal(again, 0);
    // And back: the one that stays takes over what the other has left.
    await second.stop();
    await w.send(numbered(2000, 200, 40));
    await until(() => new Set([...first.texts(), ...second.texts()]).size === 2200, 'all have come', 30_000);
  });
}

test('a wrong password is reported and tried again until it is right', async (t) => {
  const w = await world(t, 1);
  if (!w) return;
  for (const mechanism of ['PLAIN', 'SCRAM-SHA-256']) {
    const config = { bootstrapServers: [w.sasl], consumerGroup: `sasl-${mechanism}` };
    const wrong = await w.source({ ...config, sasl: { mechanism, username: 'alice', password: 'wrong' } });
    await until(
      () => wrong.state().reason === 'Unauthorized',
      `it is refused: ${JSON.stringify(wrong.states)}`,
    );
    assert.equal(wrong.state().ready, false);
    assert.doesNotMatch(JSON.stringify(wrong.states), /wrong"|alice-secret/);
    await wrong.stop();
    const right = await w.source({
      ...config,
      sasl: { mechanism, username: 'alice', password: 'alice-secret' },
    });
    await w.send([{ value: mechanism }]);
    await right.got(1);
    await right.stop();
  }
});

test('kill -9 of the broker in mid-stream: what the sink has confirmed, the source brings', async (t) => {
  const w = await world(t, 2);
  if (!w) return;
  const source = await w.source({ consumerGroup: 'killed' });
  await source.ready();
  const sink = await startSink(t, kafkaSink, {
    bootstrapServers: [w.bootstrap],
    topic: w.topic,
    compression: 'gzip',
  });
  const [event] = samples();
  const confirmed = await sendThrough(sink, w.server, (id) => withAttributes(event!, { id }));
  assert.ok(source.states.some(({ ready }) => !ready));
  const have = () => new Set(source.taken.map(({ id }) => id));
  await until(() => confirmed.isSubsetOf(have()), 'all confirmed ones have come', 60_000);
  t.diagnostic(
    `confirmed: ${confirmed.size}; taken ${source.taken.length} times, ${have().size} different ones`,
  );
});

test('a message that carries an event is that event; one that claims to and does not is not lost', async (t) => {
  const w = await world(t, 1);
  if (!w) return;
  const source = await w.source();
  await w.send([
    {
      key: 'k',
      value: 'data',
      headers: { ce_specversion: '1.0', ce_id: '7', ce_source: '/shop', ce_type: 'order' },
    },
    { value: 'broken', headers: { ce_specversion: '1.0', ce_id: '8' } },
    {
      value: '{"specversion":"1.0","id":"9","source":"/shop","type":"order","data":1}',
      headers: { 'content-type': 'application/cloudevents+json' },
    },
  ]);
  await source.got(3);
  assert.deepEqual(
    source.taken.map(({ id, type, data, extensions }) => [
      id,
      type,
      data?.toString(),
      extensions.partitionkey,
    ]),
    [
      ['7', 'order', 'data', 'k'],
      ['partition:0/offset:1', 'dev.knative.kafka.event', 'broken', undefined],
      ['9', 'order', '1', undefined],
    ],
  );
});

test('a poison message goes to the dead letters with key and headers, and the others go on', async (t) => {
  const w = await world(t, 1);
  if (!w) return;
  const source = await w.source(
    { consumerGroup: 'poison' },
    {
      sink: ({ data }, attempt) =>
        data?.toString() === 'bad' ? (attempt < 3 ? Promise.reject(new Error()) : 'dead') : undefined,
    },
  );
  await w.send([
    { key: 'k', value: 'bad', headers: { trace: 'abc' } },
    { key: 'k', value: 'good' },
  ]);
  await source.got(1);
  assert.deepEqual(source.texts(), ['good']);
  assert.deepEqual(
    source.dead.map(({ data, extensions }) => [
      data?.toString(),
      extensions.key,
      extensions.kafkaheadertrace,
    ]),
    [['bad', 'k', 'abc']],
  );
  await until(async () => (await w.committed('poison'))[`${w.topic}:0`] === 2, 'both are committed');
});

test('what KEDA says means the same here', () => {
  const config = kafkaSource.fromKeda?.(
    {
      bootstrapServers: 'kafka.svc:9092,b:9092',
      consumerGroup: 'my-group',
      topic: 'test-topic',
      lagThreshold: '5',
      offsetResetPolicy: 'earliest',
    },
    { sasl: 'scram_sha512', username: 'u', password: 'p', tls: 'enable', ca: 'PEM' },
  );
  assert.deepEqual(config, {
    bootstrapServers: ['kafka.svc:9092', 'b:9092'],
    topics: ['test-topic'],
    consumerGroup: 'my-group',
    initialOffset: 'earliest',
    sasl: { mechanism: 'SCRAM-SHA-512', username: 'u', password: 'p' },
    tls: { enabled: true, caCerts: 'PEM' },
  });
  assert.deepEqual(kafkaSource.check(config ?? {}), []);
  assert.deepEqual(
    kafkaSource
      .check({ topics: [], initialOffset: 'yesterday', sasl: { username: 'u' }, colour: 1 })
      .map(({ field }) => field),
    ['colour', 'bootstrapServers', 'sasl.password', 'topics', 'initialOffset'],
  );
});

test('what the sink sends is the same event here; a topic that is not there is told', async (t) => {
  const w = await world(t, 2);
  if (!w) return;
  const source = await w.source();
  for (const mode of ['binary', 'structured']) {
    const sink = await startSink(t, kafkaSink, {
      bootstrapServers: [w.bootstrap],
      topic: w.topic,
      contentMode: mode,
    });
    await roundTrip(sink, source);
    source.taken.length = 0;
  }
  const made = await startSink(t, kafkaSink, {
    bootstrapServers: w.bootstrap,
    topic: 'made',
    numPartitions: 2,
  });
  await until(() => made.state().ready, 'the topic is made');
  assert.equal((await w.admin.metadata({ topics: ['made'] })).topics.get('made')?.partitionsCount, 2);
  const missing = await startSink(t, kafkaSink, { bootstrapServers: [w.bootstrap], topic: 'nowhere' });
  await until(
    () => missing.state().reason === 'TopicNotFound',
    `it is told: ${JSON.stringify(missing.state())}`,
  );
});

test('TLS: a certificate that is trusted, and one that is not', async (t) => {
  const w = await world(t, 1);
  if (!w) return;
  await w.send([{ value: 'secret' }]);
  const tls = { bootstrapServers: [w.server.tls], consumerGroup: 'tls' };
  const source = await w.source({ ...tls, tls: { caCerts: w.server.ca } });
  await source.got(1);
  await source.stop();
  const wary = await w.source({ ...tls, tls: {} });
  await until(() => wary.state().reason === 'Unauthorized', 'it is not trusted');
});
