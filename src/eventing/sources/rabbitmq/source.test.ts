import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { type RabbitmqServer, rabbitmqServer } from '../../../../test/lib/brokers/rabbitmq.ts';
import { until } from '../../../../test/lib/brokers/server.ts';
import { connect, type Options } from '../../../clients/rabbitmq/index.ts';
import { withAttributes } from '../../../cloudevents/event.ts';
import type { Json } from '../../../kinds/object.ts';
import { rabbitmqSink } from '../../sinks/rabbitmq.ts';
import { roundTrip, samples, sendThrough, startSink } from '../../sinks/testing/round-trip.ts';
import { type HarnessOptions, startHarness } from '../testing/harness.ts';
import { rabbitmqSource } from './source.ts';

let server: RabbitmqServer | string;
before(async () => {
  server = await rabbitmqServer();
});
after(async () => {
  if (typeof server !== 'string') await server.stop();
});

let queues = 0;

async function world(t: TestContext) {
  if (typeof server === 'string') return void t.skip(server);
  const { url, port } = server;
  const queue = `orders-${++queues}`;
  const address = `127.0.0.1:${port}`;
  const source = (config: Record<string, Json> = {}, options: HarnessOptions = {}) =>
    startHarness(t, rabbitmqSource, { address, queue, create: 'classic', ...config }, options);
  /** Publishes with confirmation, over a connection of its own. */
  const send = async (texts: string[], options: Options.Publish = {}) => {
    const model = await connect(url);
    const channel = await model.createConfirmChannel();
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'classic' } });
    for (const text of texts) channel.sendToQueue(queue, Buffer.from(text), { persistent: true, ...options });
    await channel.waitForConfirms();
    await model.close();
  };
  const left = async () => {
    const model = await connect(url);
    const { messageCount } = await (await model.createChannel()).checkQueue(queue);
    await model.close();
    return messageCount;
  };
  return { server, queue, source, send, left, url };
}

const numbered = (from: number, count: number) => Array.from({ length: count }, (_, i) => `${from + i}`);

test('messages are acknowledged when they are delivered; what is not delivered goes back to the queue', async (t) => {
  const w = await world(t);
  if (!w) return;
  await w.send(['{"n":1}'], {
    messageId: 'm1',
    contentType: 'application/json',
    headers: { 'X-Trace': 't1' },
  });
  const source = await w.source({ ordered: true });
  await source.got(1);
  const [event] = source.taken;
  assert.equal(event?.type, 'dev.knative.rabbitmq.event');
  assert.equal(event?.source, `/apis/v1/namespaces/default/rabbitmqsources/test#${w.queue}`);
  assert.deepEqual([event?.id, event?.subject, event?.datacontenttype], ['m1', w.queue, 'application/json']);
  assert.equal(event?.extensions.rabbitmqheaderxtrace, 't1');
  await w.send(numbered(0, 100));
  await source.got(101);
  assert.deepEqual(source.texts().slice(1), numbered(0, 100));
  await source.stop();
  assert.equal(await w.left(), 0);

  const stuck = await w.source({ prefetch: 5 }, { sink: () => Promise.reject(new Error('not now')) });
  await w.send(numbered(100, 20));
  await until(() => stuck.state().lag === 20, 'all wait');
  assert.equal(stuck.most(), 5);
  await stuck.stop(0);
  assert.equal(await w.left(), 20);
  const next = await w.source();
  await next.got(20);
  assert.equal(next.taken.length, 20);
});

test('an event in a message is that event, and a queue can be bound to an exchange', async (t) => {
  const w = await world(t);
  if (!w) return;
  const source = await w.source({ exchange: 'amq.topic', routingKeys: ['shop.*.new'], create: 'quorum' });
  await source.ready();
  const model = await connect(w.url);
  const channel = await model.createConfirmChannel();
  const headers = {
    cloudEvents_specversion: '1.0',
    cloudEvents_id: '7',
    cloudEvents_source: '/shop',
    cloudEvents_type: 'order',
  };
  channel.publish('amq.topic', 'shop.berlin.old', Buffer.from('no'));
  channel.publish('amq.topic', 'shop.berlin.new', Buffer.from('data'), {
    headers,
    contentType: 'text/plain',
  });
  await channel.waitForConfirms();
  await model.close();
  await source.got(1);
  assert.deepEqual(
    [source.taken[0]?.id, source.taken[0]?.datacontenttype, source.texts()],
    ['7', 'text/plain', ['data']],
  );
});

test('kill -9 of the server: what the sink has confirmed, the source brings; what cannot be is told and tried again', async (t) => {
  const w = await world(t);
  if (!w) return;
  const missing = await w.source({ queue: 'nowhere', create: 'no' }, { name: 'missing' });
  const wrong = await w.source({ username: 'alice', password: 'wrong-password' }, { name: 'wrong' });
  await until(() => missing.state().reason === 'QueueNotFound', `missing: ${JSON.stringify(missing.states)}`);
  await until(() => wrong.state().reason === 'Unauthorized', `refused: ${JSON.stringify(wrong.states)}`);
  assert.doesNotMatch(JSON.stringify(wrong.states), /wrong-password/);
  await Promise.all([missing.stop(), wrong.stop()]);

  const source = await w.source(
    { concurrency: 4 },
    { sink: () => new Promise((resolve) => setTimeout(resolve, 2)) },
  );
  await source.ready();
  const sink = await startSink(t, rabbitmqSink, { address: `127.0.0.1:${w.server.port}`, queue: w.queue });
  const [event] = samples();
  const confirmed = await sendThrough(sink, w.server, (id) => withAttributes(event!, { id }));
  assert.ok(source.states.some(({ ready }) => !ready));
  const have = () => new Set(source.taken.map(({ id }) => id));
  await until(() => confirmed.isSubsetOf(have()), 'all confirmed ones have come', 40_000);
  t.diagnostic(
    `confirmed: ${confirmed.size}; taken ${source.taken.length} times, ${have().size} different ones`,
  );
  await until(async () => (await w.left()) === 0, 'nothing is left');
});

test('what KEDA says means the same here', () => {
  const config = rabbitmqSource.fromKeda?.(
    {
      host: 'amqp://guest:p%40ss@rabbit.svc:5672/shop',
      queueName: 'hello',
      mode: 'QueueLength',
      value: '20',
    },
    {},
  );
  assert.deepEqual(config, {
    address: 'rabbit.svc:5672',
    username: 'guest',
    password: 'p@ss',
    vhost: 'shop',
    queue: 'hello',
  });
  assert.deepEqual(rabbitmqSource.check(config ?? {}), []);
});

test('what the sink sends is the same event here; what no queue takes is refused', async (t) => {
  const w = await world(t);
  if (!w) return;
  const source = await w.source();
  const address = `127.0.0.1:${w.server.port}`;
  for (const mode of ['binary', 'structured']) {
    await roundTrip(await startSink(t, rabbitmqSink, { address, queue: w.queue, contentMode: mode }), source);
    source.taken.length = 0;
  }
  const [event] = samples();
  const nowhere = await startSink(t, rabbitmqSink, { address, exchange: 'amq.topic', routingKey: 'nobody' });
  await assert.rejects(async () => nowhere.send(event!), /NO_ROUTE/);
});

test('TLS: a certificate that is trusted, and one that is not', async (t) => {
  const w = await world(t);
  if (!w) return;
  await w.send(['secret']);
  const address = `127.0.0.1:${w.server.tlsPort}`;
  const source = await w.source({ address, tls: { caCerts: w.server.ca } });
  await source.got(1);
  const wary = await w.source({ address, tls: {} }, { name: 'wary' });
  await until(() => wary.state().reason === 'Unauthorized', 'it is not trusted');
});
