import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { conditionOf } from '../../kinds/conditions.ts';
import {
  BROKERS,
  EVENT_POLICIES,
  EVENT_SINKS,
  EVENT_SOURCES,
  EVENT_TYPES,
  INTEGRATION_SINKS,
  KAFKA_SINKS,
  KAFKA_SOURCES,
  SECRETS,
} from '../../kube/refs.ts';
import { kafkaSink } from '../sinks/kafka.ts';
import { logSink } from '../sinks/log.ts';
import { s3Sink } from '../sinks/s3.ts';
import { BASE, createWorld, type World } from './testing.ts';

async function world(t: TestContext): Promise<World> {
  const made = await createWorld();
  t.after(() => made.close());
  return made;
}

const SINK = { uri: 'http://sink.example.com/in' };
const works = { ready: true, reason: 'Ready', message: '' };

/** A Secret of text. */
async function secret({ client }: World, name: string, stringData: Record<string, string>): Promise<void> {
  await client.create(SECRETS, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'default' },
    stringData,
  } as never);
}

test('an EventSource waits for its Secret, then for the engine', async (t) => {
  const made = await world(t);
  const { create, condition, engine, eventually, controllers, get, patch } = made;
  const config = {
    url: 'mqtt://localhost',
    login: { password: { secretKeyRef: { name: 'mqtt', key: 'password' } } },
    topics: ['a', { secretKeyRef: { name: 'mqtt', key: 'topic', optional: true } }],
  };
  await create(EVENT_SOURCES, 'e', {
    type: 'mqtt',
    config,
    sink: SINK,
    ceOverrides: { extensions: { Region: 'eu' } },
  });
  const lacking = await condition(EVENT_SOURCES, 'e', 'False SecretNotFound');
  assert.equal(conditionOf(lacking, 'SourceReady')?.message, 'secrets "mqtt" not found');
  assert.equal(engine.sources.get('eventsource/default/e')?.paused, true, 'it rests');
  await secret(made, 'mqtt', { password: 'hush' });
  await condition(EVENT_SOURCES, 'e', 'Unknown Starting');
  const spec = engine.sources.get('eventsource/default/e');
  assert.deepEqual(spec?.config, { url: 'mqtt://localhost', login: { password: 'hush' }, topics: ['a'] });
  assert.deepEqual(spec?.extensions, { region: 'eu' });
  assert.deepEqual([spec?.type, spec?.sink, spec?.paused], ['mqtt', { url: SINK.uri }, false]);
  assert.equal(spec?.terms.retry, 10);
  controllers.reports.source('eventsource/default/e', {
    ready: false,
    reason: 'ConnectionRefused',
    message: 'nobody listens',
  });
  await condition(EVENT_SOURCES, 'e', 'False ConnectionRefused');
  controllers.reports.source('eventsource/default/e', works);
  const ready = await condition(EVENT_SOURCES, 'e', 'True');
  assert.equal(ready.status.sinkUri, SINK.uri);
  assert.ok(!JSON.stringify(await get(EVENT_SOURCES, 'e')).includes('hush'), 'a Secret stays one');
  const reply = { ref: { apiVersion: 'petrel.dev/v1', kind: 'EventSink', name: 'nowhere' } };
  await patch(EVENT_SOURCES, 'e', { spec: { reply } });
  await condition(EVENT_SOURCES, 'e', 'False ReplyResolveFailed');
  await patch(EVENT_SOURCES, 'e', { spec: { reply: { ref: null, uri: 'http://answers.test/' } } });
  await condition(EVENT_SOURCES, 'e', 'True');
  assert.deepEqual(engine.sources.get('eventsource/default/e')?.sink.answers, {
    to: { url: 'http://answers.test/' },
    source: '/apis/v1/namespaces/default/eventsources/e#answers',
  });
  await patch(EVENT_SOURCES, 'e', { spec: { paused: true } });
  await eventually('rest', () => (engine.sources.get('eventsource/default/e')?.paused ? true : undefined));
  await made.remove(EVENT_SOURCES, 'e');
  await eventually('forgotten', () => (engine.sources.size === 0 ? true : undefined));
});

test('a webhook has an address', async (t) => {
  const { create, until } = await world(t);
  await create(EVENT_SOURCES, 'hook', { type: 'webhook', config: {}, sink: SINK });
  const { status } = await until(EVENT_SOURCES, 'hook', (o) => o.status?.address !== undefined);
  assert.equal(status.address.url, `${BASE}/source/default/hook`);
});

test('a source whose sink goes rests, and goes on when it is back', async (t) => {
  const { create, condition, remove, engine, controllers } = await world(t);
  const ref = { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'b' };
  await create(BROKERS, 'b', {});
  await create(EVENT_SOURCES, 'e', { type: 'timer', config: { schedule: '@hourly' }, sink: { ref } });
  await condition(EVENT_SOURCES, 'e', 'True', 'SinkProvided');
  controllers.reports.source('eventsource/default/e', works);
  await condition(EVENT_SOURCES, 'e', 'True');
  await remove(BROKERS, 'b');
  await condition(EVENT_SOURCES, 'e', 'False NotFound');
  assert.equal(engine.sources.get('eventsource/default/e')?.paused, true);
  await create(BROKERS, 'b', {});
  await condition(EVENT_SOURCES, 'e', 'True');
  assert.equal(engine.sources.get('eventsource/default/e')?.paused, false);
});

test('a KafkaSource is a source of type kafka', async (t) => {
  const made = await world(t);
  const { create, condition, engine, controllers, patch } = made;
  await secret(made, 'k', { user: 'me', password: 'hush', type: 'SCRAM-SHA-512', ca: 'PEM' });
  const from = (key: string) => ({ secretKeyRef: { name: 'k', key } });
  await create(KAFKA_SOURCES, 'k', {
    bootstrapServers: ['a:9092'],
    topics: ['orders'],
    consumerGroup: 'g',
    sink: SINK,
    delivery: { retry: 2, backoffPolicy: 'linear', backoffDelay: 'PT1S', deadLetterSink: SINK },
    net: {
      sasl: { enable: true, user: from('user'), password: from('password'), type: from('type') },
      tls: { enable: true, caCert: from('ca') },
    },
  });
  await condition(KAFKA_SOURCES, 'k', 'Unknown');
  const key = 'kafkasource/default/k';
  const { type, config, terms } = engine.sources.get(key) ?? {};
  assert.equal(type, 'kafka');
  assert.deepEqual(config, {
    bootstrapServers: ['a:9092'],
    topics: ['orders'],
    consumerGroup: 'g',
    initialOffset: 'latest',
    ordering: 'partition',
    sasl: { mechanism: 'SCRAM-SHA-512', username: 'me', password: 'hush' },
    tls: { enabled: true, caCerts: 'PEM' },
  });
  const { kafkaSource } = await import('../sources/kafka/source.ts');
  assert.deepEqual(kafkaSource.check(config ?? {}), [], 'the module takes it');
  assert.deepEqual([terms?.retry, terms?.deadLetter?.url], [2, SINK.uri]);
  controllers.reports.source(key, works);
  const { status } = await condition(KAFKA_SOURCES, 'k', 'True');
  assert.equal(status.consumers, 1);
  assert.deepEqual(status.ceAttributes, [
    { type: 'dev.knative.kafka.event', source: '/apis/v1/namespaces/default/kafkasources/k#orders' },
  ]);
  await patch(KAFKA_SOURCES, 'k', { spec: { consumers: 0 } });
  await condition(KAFKA_SOURCES, 'k', 'True');
  await made.eventually('rest', () => (engine.sources.get(key)?.paused ? true : undefined));
});

test('sinks have addresses that events can go to', async (t) => {
  const made = await world(t);
  const { create, condition, engine, controllers } = made;
  await create(EVENT_SINKS, 's', { type: 'redis', config: { stream: 'x' } });
  const sink = await condition(EVENT_SINKS, 's', 'True');
  assert.equal(sink.status.address.url, `${BASE}/sink/default/s`);
  assert.deepEqual(engine.sinks.get('sink/default/s'), {
    key: 'sink/default/s',
    uid: sink.metadata.uid,
    type: 'redis',
    config: { stream: 'x' },
  });
  controllers.reports.source('sink/default/s', { ready: false, reason: 'Gone', message: 'no' });
  await condition(EVENT_SINKS, 's', 'False Gone');
  await create(BROKERS, 'b', {
    delivery: { deadLetterSink: { ref: { apiVersion: 'petrel.dev/v1', kind: 'EventSink', name: 's' } } },
  });
  assert.equal((await condition(BROKERS, 'b', 'True')).status.deadLetterSinkUri, `${BASE}/sink/default/s`);

  await create(KAFKA_SINKS, 's', {
    topic: 't',
    numPartitions: 3,
    bootstrapServers: ['a:9092'],
    auth: { secret: { ref: { name: 'auth' } } },
  });
  await condition(KAFKA_SINKS, 's', 'False AuthenticationSecretNotFound');
  await secret(made, 'auth', {
    protocol: 'SASL_SSL',
    'sasl.mechanism': 'SCRAM-SHA-256',
    user: 'me',
    password: 'hush',
    'ca.crt': 'PEM',
  });
  const kafka = await condition(KAFKA_SINKS, 's', 'True');
  assert.equal(
    kafka.status.address.url,
    `${BASE}/sink/default/kafka.s`,
    'apart from the EventSink of that name',
  );
  assert.deepEqual(engine.sinks.get('sink/default/kafka.s')?.config, {
    bootstrapServers: ['a:9092'],
    topic: 't',
    contentMode: 'binary',
    numPartitions: 3,
    sasl: { mechanism: 'SCRAM-SHA-256', username: 'me', password: 'hush' },
    tls: { enabled: true, caCerts: 'PEM' },
  });
  assert.deepEqual(
    kafkaSink.check(engine.sinks.get('sink/default/kafka.s')?.config ?? {}),
    [],
    'the module takes it',
  );
});

test('an EventType knows whether what it is about is there', async (t) => {
  const { create, condition } = await world(t);
  await create(EVENT_TYPES, 'free', { type: 'a' });
  await condition(EVENT_TYPES, 'free', 'True');
  await create(EVENT_TYPES, 'bound', { type: 'a', broker: 'b' });
  await condition(EVENT_TYPES, 'bound', 'False ResourceDoesNotExist');
  await create(BROKERS, 'b', {});
  await condition(EVENT_TYPES, 'bound', 'True');
});

test('an EventPolicy says that it is not enforced', async (t) => {
  const { create, condition } = await world(t);
  await create(EVENT_POLICIES, 'p', { from: [{ sub: 'system:*' }] });
  const { status } = await condition(EVENT_POLICIES, 'p', 'False OIDCAuthenticationDisabled');
  assert.match(JSON.stringify(status), /this policy is not enforced/);
});

test('an IntegrationSink is the module that does it, where there is one', async (t) => {
  const made = await world(t);
  const { create, condition, engine, controllers } = made;
  await create(INTEGRATION_SINKS, 'l', { log: { level: 'WARN', loggerName: 'audit', showHeaders: false } });
  const { status } = await condition(INTEGRATION_SINKS, 'l', 'True');
  assert.equal(status.address.url, `${BASE}/sink/default/integration.l`);
  const log = engine.sinks.get('sink/default/integration.l');
  assert.deepEqual(
    [log?.type, log?.config],
    ['log', { level: 'warn', name: 'audit', showAttributes: false }],
  );
  assert.deepEqual(logSink.check(log?.config ?? {}), []);

  await secret(made, 'aws', { 'aws.accessKey': 'a', 'aws.secretKey': 'b' });
  const auth = { secret: { ref: { name: 'aws' } } };
  const s3 = { arn: 'arn:aws:s3:::events', region: 'eu-central-1', prefix: 'x/' };
  await create(INTEGRATION_SINKS, 's', { aws: { s3, auth } });
  await condition(INTEGRATION_SINKS, 's', 'True');
  const bucket = engine.sinks.get('sink/default/integration.s');
  assert.equal(bucket?.config.bucket, 'events');
  assert.equal(bucket?.config.endpoint, 'https://s3.eu-central-1.amazonaws.com');
  assert.deepEqual(s3Sink.check(bucket?.config ?? {}), []);
  controllers.reports.source('sink/default/integration.s', {
    ready: false,
    reason: 'NoSuchBucket',
    message: 'no',
  });
  await condition(INTEGRATION_SINKS, 's', 'False NoSuchBucket');

  await create(INTEGRATION_SINKS, 'q', {
    aws: { sqs: { arn: 'arn:aws:sqs:eu-central-1:1:q', region: 'eu-central-1' }, auth },
  });
  await condition(INTEGRATION_SINKS, 'q', 'False NotSupported');
});
