/** Brokers whose events are kept elsewhere, as their controller sees them. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { natsServer } from '../../../test/lib/brokers/nats.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import { BROKERS, CONFIGMAPS, EVENTS, SECRETS } from '../../kube/refs.ts';
import { syncAdvice, syncQuestion } from './advice.ts';
import { createWorld } from './testing.ts';

async function broker(
  t: TestContext,
  brokerClass: string,
  data: Record<string, string>,
  secret?: Record<string, string>,
) {
  const world = await createWorld();
  t.after(() => world.close());
  const { client, create } = world;
  const plain = (kind: string, name: string, more: object) =>
    ({ apiVersion: 'v1', kind, metadata: { name, namespace: 'default' }, ...more }) as UntypedObject;
  if (secret) await client.create(SECRETS, plain('Secret', 'who', { stringData: secret }));
  await client.create(
    CONFIGMAPS,
    plain('ConfigMap', 'far', {
      data: { ...data, ...(secret ? { 'auth.secret.ref.name': 'who' } : {}) },
    }),
  );
  await create(
    BROKERS,
    'b',
    { config: { apiVersion: 'v1', kind: 'ConfigMap', name: 'far', namespace: 'default' } },
    { annotations: { 'eventing.knative.dev/broker.class': brokerClass } },
  );
  const stream = () =>
    world.eventually('the stream', () => world.engine.streams.get('broker/default/b')?.backend);
  const warnings = async (reason: string) => {
    const { items } = await client.list<UntypedObject>(EVENTS, { namespace: 'default' });
    const found = items.filter((event) => event.reason === reason);
    return found.length > 0 ? found : undefined;
  };
  return { ...world, stream, warnings };
}

test('class Kafka takes the keys of upstream, and says that one partition is used', async (t) => {
  const { stream, warnings, eventually, controllers, condition } = await broker(
    t,
    'Kafka',
    {
      'bootstrap.servers': 'a:9092, b:9092',
      'default.topic.partitions': '10',
      'default.topic.replication.factor': '3',
    },
    {
      protocol: 'SASL_SSL',
      'sasl.mechanism': 'SCRAM-SHA-512',
      user: 'u',
      password: 'p',
      'ca.crt': 'CA',
      'user.crt': 'CERT',
      'user.key': 'KEY',
    },
  );
  assert.deepEqual(await stream(), {
    type: 'kafka',
    config: {
      bootstrapServers: ['a:9092', 'b:9092'],
      replicationFactor: 3,
      sasl: { mechanism: 'SCRAM-SHA-512', username: 'u', password: 'p' },
      tls: { caCerts: 'CA', cert: 'CERT', key: 'KEY' },
    },
  });
  const [event] = await eventually('the warning', () => warnings('OnePartition'));
  assert.equal(event?.type, 'Warning');
  assert.match(event?.message, /default\.topic\.partitions is 10; one is used/);
  controllers.reports.source('broker/default/b', { ready: true, reason: 'Open', message: '' });
  await condition(BROKERS, 'b', 'True');
  controllers.reports.source('broker/default/b', { ready: false, reason: 'NotReady', message: 'away' });
  await condition(BROKERS, 'b', 'False NotReady');
  assert.equal((await warnings('OnePartition'))?.length, 1);
});

test('a Secret of another kind of protocol is refused', async (t) => {
  const { condition } = await broker(t, 'Kafka', { 'bootstrap.servers': 'a:1' }, { protocol: 'SSL/TLS' });
  await condition(BROKERS, 'b', 'False SecretInvalid');
});

test('JetStream that does not flush what it acknowledges is told of, by its monitoring port', async (t) => {
  let asked = '';
  const monitor = createServer((request, response) => {
    asked = request.url ?? '';
    response.end('{"config":{"sync_interval":120000000000}}');
  });
  await new Promise<void>((resolve) => monitor.listen(0, '127.0.0.1', resolve));
  t.after(() => monitor.close());
  const { eventually, warnings, stream } = await broker(t, 'JetStream', {
    servers: 'nats://n:4222',
    monitor: `http://127.0.0.1:${(monitor.address() as AddressInfo).port}`,
  });
  assert.deepEqual(await stream(), { type: 'jetstream', config: { servers: ['nats://n:4222'] } });
  const [event] = await eventually('the warning', () => warnings('SyncInterval'));
  assert.match(event?.message, /flushes every 120 s/);
  assert.equal(asked, '/jsz?config=1');
});

test('a monitoring port that does not answer is told of, and is no failure of the Broker', async (t) => {
  const { eventually, warnings, controllers, condition } = await broker(t, 'JetStream', {
    servers: 'nats://n:4222',
    monitor: 'http://127.0.0.1:1',
  });
  await eventually('the warning', () => warnings('MonitorUnreachable'));
  controllers.reports.source('broker/default/b', { ready: true, reason: 'Open', message: '' });
  await condition(BROKERS, 'b', 'True');
});

test('a real server, which flushes now and then', async (t) => {
  const server = await natsServer();
  if (typeof server === 'string') return t.skip(server);
  t.after(() => server.stop());
  const advice = await syncQuestion(server.monitor).ask();
  assert.equal(advice?.reason, 'SyncInterval');
  assert.match(advice?.message ?? '', /JetStream flushes every/);
});

test('what servers say of sync_interval', () => {
  assert.equal(syncAdvice({ config: { sync_always: true, sync_interval: 120e9 } }), undefined);
  assert.match(syncAdvice({ config: { sync_interval: 10e9 } })?.message ?? '', /every 10 s/);
  // nats-server 2.9
  assert.match(syncAdvice({ config: { max_memory: 1 } })?.message ?? '', /before 2\.10/);
  assert.match(syncAdvice({})?.message ?? '', /no JetStream/);
});
