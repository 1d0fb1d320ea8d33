import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { type NatsServer, natsServer } from '../../../../test/lib/brokers/nats.ts';
import { until } from '../../../../test/lib/brokers/server.ts';
import { connect, headers, jetstream, jetstreamManager } from '../../../clients/nats/index.ts';
import { withAttributes } from '../../../cloudevents/event.ts';
import type { Json } from '../../../kinds/object.ts';
import { natsSink } from '../../sinks/nats.ts';
import { roundTrip, samples, sendThrough, startSink } from '../../sinks/testing/round-trip.ts';
import { type HarnessOptions, startHarness } from '../testing/harness.ts';
import { natsSource } from './source.ts';

let server: NatsServer | string;
before(async () => {
  server = await natsServer({ user: 'alice', password: 'secret' });
});
after(async () => {
  if (typeof server !== 'string') await server.stop();
});

let streams = 0;
const access = { username: 'alice', password: 'secret' };

async function world(t: TestContext) {
  if (typeof server === 'string') return void t.skip(server);
  const { url } = server;
  const open = () =>
    connect({ servers: url, user: 'alice', pass: 'secret', maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  const nc = await open();
  t.after(() => nc.close());
  const stream = `ORDERS${++streams}`;
  const manager = await jetstreamManager(nc);
  await manager.streams.add({ name: stream, subjects: [`${stream}.>`] });
  const js = jetstream(nc);
  /** What is not acknowledged, since the server has just come back, is sent again under the same id: it is kept once. */
  const publish = async (subject: string, text: string): Promise<void> => {
    for (let tries = 1; ; tries++) {
      try {
        await js.publish(subject, text, { msgID: `${subject} ${text}` });
        return;
      } catch (error) {
        if (tries === 5) throw error;
      }
    }
  };
  const send = async (from: number, count: number, subject = 'a') => {
    for (let i = from; i < from + count; i++) await publish(`${stream}.${subject}`, `${i}`);
  };
  const source = (config: Record<string, Json> = {}, options: HarnessOptions = {}) =>
    startHarness(
      t,
      natsSource,
      { servers: [url], ...access, stream, initialOffset: 'earliest', ...config },
      options,
    );
  const consumer = () => manager.consumers.info(stream, 'petrel-default-test');
  return { server, stream, js, send, source, consumer, url };
}

test('messages are acknowledged when they are delivered; a new source of the same name goes on behind them', async (t) => {
  const w = await world(t);
  if (!w) return;
  const extra = headers();
  extra.set('X-Trace', 't1');
  extra.set('Content-Type', 'text/plain');
  await w.js.publish(`${w.stream}.berlin`, 'hello', { headers: extra });
  const source = await w.source({ ordering: 'stream' });
  await source.got(1);
  const [event] = source.taken;
  assert.equal(event?.type, 'dev.petrel.nats.message');
  assert.equal(event?.source, `/apis/v1/namespaces/default/natssources/test#${w.stream}`);
  assert.equal(event?.id, `${w.stream}/1`);
  assert.equal(event?.subject, `${w.stream}.berlin`);
  assert.equal(event?.datacontenttype, 'text/plain');
  assert.equal(event?.extensions.natsheaderxtrace, 't1');
  assert.ok(Math.abs(Date.parse(event?.time ?? '') - Date.now()) < 60_000);
  await w.send(0, 100);
  await source.got(101);
  assert.deepEqual(
    source.texts().slice(1).map(Number),
    Array.from({ length: 100 }, (_, i) => i),
  );
  await source.stop();
  const { num_ack_pending, num_pending } = await w.consumer();
  assert.deepEqual([num_ack_pending, num_pending], [0, 0]);
  await w.send(100, 1);
  const again = await w.source();
  await again.got(1);
  assert.deepEqual(again.texts(), ['100']);
});

test('an event in a message is that event', async (t) => {
  const w = await world(t);
  if (!w) return;
  const binary = headers();
  for (const [name, value] of Object.entries({ specversion: '1.0', id: '7', source: '/shop', type: 'order' }))
    binary.set(`ce-${name}`, value);
  await w.js.publish(`${w.stream}.a`, 'data', { headers: binary });
  const source = await w.source();
  await source.got(1);
  assert.deepEqual([source.taken[0]?.id, source.taken[0]?.source, source.texts()[0]], ['7', '/shop', 'data']);
});

test('a message that takes longer than the server waits is not delivered twice, and lag is told while it waits', async (t) => {
  const w = await world(t);
  if (!w) return;
  let stuck = true;
  const source = await w.source(
    { ackWaitMs: 1000, prefetch: 10, concurrency: 2 },
    { sink: () => (stuck ? Promise.reject(new Error('not now')) : undefined) },
  );
  await w.send(0, 50);
  await until(() => source.state().lag === 50, 'all 50 wait');
  const from = Date.now();
  await until(() => Date.now() - from > 2500, 'the server has lost patience twice');
  assert.equal((await w.consumer()).num_redelivered, 0);
  assert.ok((await w.consumer()).num_ack_pending <= 10);
  stuck = false;
  await source.got(50);
  assert.equal(source.taken.length, 50);
  await until(() => source.state().lag === 0, 'nothing waits');
});

test('kill -9 of the server in mid-stream loses nothing', async (t) => {
  const w = await world(t);
  if (!w) return;
  const source = await w.source();
  await w.send(0, 300);
  await source.got(100);
  await w.server.kill();
  await until(() => !source.state().ready, 'it is told');
  await w.server.start();
  await source.ready();
  await w.send(300, 100);
  await source.got(400);
  t.diagnostic(`duplicates: ${source.taken.length - 400}`);
});

test('a wrong password and a stream that is not there are told, and tried again', async (t) => {
  const w = await world(t);
  if (!w) return;
  const wrong = await w.source({ password: 'wrong-password' });
  await until(() => wrong.state().reason === 'Unauthorized', 'it is refused');
  assert.doesNotMatch(JSON.stringify(wrong.states), /wrong-password/);
  const missing = await w.source({ stream: 'LATER' }, { name: 'missing' });
  await until(
    () => missing.state().reason === 'StreamNotFound',
    `it is missing: ${JSON.stringify(missing.states)}`,
  );
  const nc = await connect({ servers: w.url, user: 'alice', pass: 'secret' });
  await (await jetstreamManager(nc)).streams.add({ name: 'LATER', subjects: ['later.>'] });
  await jetstream(nc).publish('later.x', 'at last');
  await nc.close();
  await missing.got(1);
});

test('what KEDA says means the same here; a wrong configuration is refused by field', () => {
  const config = natsSource.fromKeda?.(
    {
      natsServerMonitoringEndpoint: 'nats.nats.svc:8222',
      account: '$G',
      stream: 'mystream',
      consumer: 'pull_consumer',
      lagThreshold: '10',
    },
    {},
  );
  assert.deepEqual(config, {
    servers: ['nats.nats.svc:4222'],
    stream: 'mystream',
    consumer: 'pull_consumer',
  });
  assert.deepEqual(natsSource.check(config ?? {}), []);
  assert.deepEqual(
    natsSource
      .check({ servers: ['a'], consumer: 'a b', initialOffset: '3', concurrency: 0 })
      .map(({ field }) => field),
    ['stream', 'consumer', 'concurrency', 'initialOffset'],
  );
});

test('what the sink sends is the same event here, once; what it has confirmed survives kill -9 of the server', async (t) => {
  const w = await world(t);
  if (!w) return;
  const source = await w.source();
  const config = { servers: [w.url], ...access };
  for (const mode of ['binary', 'structured']) {
    const sink = await startSink(t, natsSink, {
      ...config,
      subject: `${w.stream}.${mode}`,
      contentMode: mode,
    });
    await roundTrip(sink, source);
    source.taken.length = 0;
    const [event] = samples();
    const twice = withAttributes(event!, { id: `twice-${mode}` });
    await Promise.all([sink.send(twice), sink.send(twice)]);
    await until(() => source.taken.length > 0, 'it comes');
    assert.equal(source.taken.length, 1);
    source.taken.length = 0;
  }
  const sink = await startSink(t, natsSink, { ...config, subject: `${w.stream}.x` });
  const [event] = samples();
  const confirmed = await sendThrough(sink, w.server, (id) => withAttributes(event!, { id }));
  await until(
    () => [...confirmed].every((id) => source.taken.some((one) => one.id === id)),
    'all confirmed ones are there',
  );
  const nobody = await startSink(t, natsSink, { ...config, subject: 'no.stream.takes.it' });
  await assert.rejects(async () => nobody.send(event!));
});

test('TLS: a certificate that is trusted, and one that is not', async (t) => {
  const secure = await natsServer(undefined, true);
  if (typeof secure === 'string') return void t.skip(secure);
  t.after(() => secure.stop());
  const nc = await connect({ servers: secure.url, tls: { ca: secure.ca } });
  await (await jetstreamManager(nc)).streams.add({ name: 'S', subjects: ['s'] });
  await jetstream(nc).publish('s', 'secret');
  await nc.close();
  const config = { servers: [secure.url], stream: 'S', initialOffset: 'earliest' };
  const source = await startHarness(t, natsSource, { ...config, tls: { caCerts: secure.ca } });
  await source.got(1);
  const wary = await startHarness(t, natsSource, { ...config, tls: {} }, { name: 'wary' });
  await until(() => wary.state().reason === 'Unauthorized', 'it is not trusted');
});

test('a source that is stopped as its server dies comes to its end', async (t) => {
  const mortal = await natsServer();
  if (typeof mortal === 'string') return void t.skip(mortal);
  t.after(() => mortal.stop());
  for (let round = 0; round < 3; round++) {
    const nc = await connect({ servers: mortal.url });
    await (await jetstreamManager(nc)).streams.add({ name: 'S', subjects: ['s'] });
    await nc.close();
    const source = await startHarness(t, natsSource, { servers: [mortal.url], stream: 'S' });
    await source.ready();
    await Promise.all([mortal.kill(), source.stop(0)]);
    await mortal.start();
  }
});
