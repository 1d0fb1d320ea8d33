import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { QueueTrigger } from './model.ts';
import { type QueueObjects, queueObjects } from './queue-sources.ts';

const BASE = 'http://127.0.0.1:8080';
const FUNCTION = { apiVersion: 'petrel.dev/v1', kind: 'Function' };

function objects(spec: Partial<QueueTrigger['spec']>, secret: Record<string, string> = {}): QueueObjects {
  const trigger = {
    apiVersion: 'fission.io/v1',
    kind: 'MessageQueueTrigger',
    metadata: { name: 't', namespace: 'shop' },
    spec: { topic: 'in', functionref: { type: 'name', name: 'f' }, ...spec },
  } as QueueTrigger;
  return queueObjects(trigger, {
    secret,
    base: BASE,
    target: FUNCTION,
    errorsName: 't-errors',
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
    sink: { ref: { ...FUNCTION, name: 'f', namespace: 'shop' } },
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
  const functionref = { type: 'function-weights', functionweights: { a: 1 } };
  assert.equal(problem({ messageQueueType: 'kafka', functionref }).reason, 'InvalidReference');
});

test('an alias is called by the path that the router has for it', () => {
  const spec = { messageQueueType: 'redis', metadata: { address: 'r:6379' } };
  const { sink } = objects({ ...spec, functionref: { type: 'name', name: 'f', alias: 'live' } }).source;
  assert.deepEqual(sink, { uri: `${BASE}/fission-function/shop/f:live` });
});
