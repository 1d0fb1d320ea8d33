import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SOURCE_MODULES } from '../../eventing/sources/modules.ts';
import type { QueueTrigger } from './model.ts';
import { type FromKeda, type QueueObjects, queueObjects } from './queue-sources.ts';

const BASE = 'http://127.0.0.1:8080';
const FUNCTION = { apiVersion: 'petrel.dev/v1', kind: 'Function', name: 'f' };
const KEDA = new Map<string, FromKeda | undefined>();
for (const type of ['kafka', 'nats', 'redis', 'rabbitmq'])
  KEDA.set(type, (await SOURCE_MODULES[type]?.())?.fromKeda);

function objects(
  spec: Partial<QueueTrigger['spec']>,
  secret: Record<string, string> = {},
  target: typeof FUNCTION | null = FUNCTION,
): QueueObjects {
  const trigger = {
    apiVersion: 'fission.io/v1',
    kind: 'MessageQueueTrigger',
    metadata: { name: 't', namespace: 'shop' },
    spec: { topic: 'in', functionref: { type: 'name', name: 'f' }, ...spec },
  } as QueueTrigger;
  return queueObjects(trigger, {
    secret,
    base: BASE,
    path: '/fission-mqt/x/shop/t',
    fromKeda: (type) => KEDA.get(type),
    names: { errors: 't-errors', answers: 't-answers' },
    ...(target && { target }),
  }) as QueueObjects;
}
const config = (spec: Partial<QueueTrigger['spec']>, secret?: Record<string, string>) =>
  objects(spec, secret).source?.config;

test('a Kafka trigger is a source with retries, and a sink for what fails', () => {
  const secret = { sasl: 'scram_sha512', username: 'me', password: 'hush', tls: 'enable', ca: 'PEM' };
  const from = (key: string) => ({ secretKeyRef: { name: 's', key } });
  const { source, errors } = objects(
    {
      messageQueueType: 'kafka',
      errorTopic: 'errors',
      maxRetries: 3,
      secret: 's',
      metadata: { bootstrapServers: 'a:9092, b:9092', consumerGroup: 'g' },
    },
    secret,
  );
  const reach = {
    bootstrapServers: ['a:9092', 'b:9092'],
    sasl: { mechanism: 'SCRAM-SHA-512', username: from('username'), password: from('password') },
    tls: { enabled: true, caCerts: from('ca') },
  };
  assert.deepEqual(source, {
    type: 'kafka',
    config: { ...reach, topics: ['in'], consumerGroup: 'g', initialOffset: 'latest' },
    sink: { ref: { ...FUNCTION, namespace: 'shop' }, uri: '/fission-mqt/x/shop/t' },
    delivery: {
      retry: 3,
      backoffPolicy: 'exponential',
      backoffDelay: 'PT0.2S',
      deadLetterSink: {
        ref: { apiVersion: 'petrel.dev/v1', kind: 'EventSink', name: 't-errors', namespace: 'shop' },
      },
    },
  });
  assert.deepEqual(errors, { type: 'kafka', config: { ...reach, topic: 'errors' } });
  assert.ok(!JSON.stringify([source, errors]).includes('hush'), 'a Secret stays one');
});

test('the other queues, by the names that KEDA has', () => {
  assert.deepEqual(
    config({
      messageQueueType: 'nats-jetstream',
      metadata: { natsServerMonitoringEndpoint: 'nats.ns:8222', stream: 'S', consumer: 'C' },
    }),
    { servers: ['nats.ns:4222'], stream: 'S', consumer: 'C', filterSubject: 'in' },
  );
  assert.deepEqual(
    config({ messageQueueType: 'redis', metadata: { host: 'r', port: '6379', databaseIndex: '2' } }),
    {
      address: 'r:6379',
      database: 2,
      list: 'in',
    },
  );
  assert.deepEqual(
    config({ messageQueueType: 'redis-streams', metadata: { address: 'r:6379', consumerGroup: 'g' } }),
    { address: 'r:6379', stream: 'in', group: 'g' },
  );
  assert.deepEqual(
    config({ messageQueueType: 'rabbitmq', metadata: { host: 'amqp://u:p%20w@mq:5673/v', queueName: 'q' } }),
    { address: 'mq:5673', username: 'u', password: 'p w', vhost: 'v', queue: 'q' },
  );
});

test('what cannot be done is told', () => {
  const problem = (spec: Partial<QueueTrigger['spec']>) => objects(spec) as unknown as { reason: string };
  assert.equal(problem({ messageQueueType: 'stan' }).reason, 'SourceNotAvailable');
  assert.equal(problem({ messageQueueType: 'constructor' }).reason, 'SourceNotAvailable');
  assert.equal(problem({ messageQueueType: 'kafka' }).reason, 'InvalidMetadata');
});

test('what is no function by its name is called by the path alone', () => {
  const { source } = objects({ messageQueueType: 'redis', metadata: { address: 'r:6379' } }, {}, null);
  assert.deepEqual(source.sink, { uri: `${BASE}/fission-mqt/x/shop/t` });
});

test('answers go to respTopic, on a list as the function has said them', () => {
  const spec = { respTopic: 'out', metadata: { address: 'r:6379', bootstrapServers: 'k:9092' } };
  const list = objects({ ...spec, messageQueueType: 'redis' });
  assert.deepEqual(list.source.reply, {
    ref: { apiVersion: 'petrel.dev/v1', kind: 'EventSink', name: 't-answers', namespace: 'shop' },
  });
  assert.deepEqual(list.answers, {
    type: 'redis',
    config: { address: 'r:6379', list: 'out', dataOnly: true },
  });
  const kafka = objects({ ...spec, messageQueueType: 'kafka' });
  assert.deepEqual(kafka.answers, { type: 'kafka', config: { bootstrapServers: ['k:9092'], topic: 'out' } });
  assert.equal(kafka.errors, undefined);
});
