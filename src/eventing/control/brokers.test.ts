import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { conditionOf } from '../../kinds/conditions.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import {
  BROKERS,
  CONFIGMAPS,
  EVENT_TYPES,
  EVENTS,
  KSERVICES,
  NAMESPACES,
  PING_SOURCES,
  PODS,
  SERVICES,
  TRIGGERS,
} from '../../kube/refs.ts';
import { BASE, createWorld, type World } from './testing.ts';

async function world(t: TestContext): Promise<World> {
  const made = await createWorld();
  t.after(() => made.close());
  return made;
}

const SINK = { uri: 'http://sink.example.com/in' };
const KSVC = { kind: 'Service', apiVersion: 'serving.knative.dev/v1', name: 'orders' };
const addressed = { address: { url: 'http://orders.default.svc.cluster.local' } };
const image = { template: { spec: { containers: [{ image: 'dev.local/x' }] } } };
const types = (object: UntypedObject) =>
  Object.fromEntries(
    object.status.conditions.map(({ type, status }: { type: string; status: string }) => [type, status]),
  );

test('a Broker is a stream with an address', async (t) => {
  const { create, condition, engine } = await world(t);
  await create(BROKERS, 'b', { delivery: { retry: 3, deadLetterSink: SINK } });
  const broker = await condition(BROKERS, 'b', 'True');
  assert.equal(broker.status.address.url, `${BASE}/broker/default/b`);
  assert.equal(broker.status.deadLetterSinkUri, SINK.uri);
  assert.deepEqual(types(broker), {
    Addressable: 'True',
    DeadLetterSinkResolved: 'True',
    EventPoliciesReady: 'True',
    FilterReady: 'True',
    IngressReady: 'True',
    Ready: 'True',
    TriggerChannelReady: 'True',
  });
  const stream = engine.streams.get('broker/default/b');
  assert.equal(stream?.uid, broker.metadata.uid);
  assert.equal(stream?.ttl, true);
  assert.equal(stream?.dedupMs, 0);
});

test('annotations of a Broker reach its stream', async (t) => {
  const { create, eventually, engine } = await world(t);
  await create(
    BROKERS,
    'b',
    {},
    {
      annotations: {
        'eventing.petrel.dev/dedup-window': '10m',
        'eventing.petrel.dev/retention-bytes': '20Gi',
        'eventing.petrel.dev/retention-age': 'P1D',
        'eventing.petrel.dev/max-event-size': '64Ki',
      },
    },
  );
  const stream = await eventually('the stream', () => engine.streams.get('broker/default/b'));
  const { maxAgeMs, maxBytes, hardMaxBytes, dedupMs, maxEventBytes } = stream;
  assert.deepEqual(
    [maxAgeMs, maxBytes, hardMaxBytes, dedupMs, maxEventBytes],
    [86_400_000, 20 * 2 ** 30, 20 * 2 ** 30, 600_000, 65_536],
  );
});

test('a Broker of another class is left alone, and so are its Triggers', async (t) => {
  const { create, get, engine, condition, eventually } = await world(t);
  await create(BROKERS, 'k', {}, { annotations: { 'eventing.knative.dev/broker.class': 'RabbitMQBroker' } });
  await create(TRIGGERS, 't', { broker: 'k', subscriber: SINK });
  await create(
    BROKERS,
    'm',
    {},
    { annotations: { 'eventing.knative.dev/broker.class': 'MTChannelBasedBroker' } },
  );
  await condition(BROKERS, 'm', 'True');
  await eventually('one stream', () => (engine.streams.size === 1 ? true : undefined));
  assert.equal((await get(BROKERS, 'k')).status, undefined);
  assert.equal((await get(TRIGGERS, 't')).status, undefined);
  assert.equal(engine.subscriptions.size, 0);
});

test('a Trigger waits for its Broker and its subscriber, and says for which', async (t) => {
  const { create, condition, client, patchStatus, eventually, engine, remove, until } = await world(t);
  const filters = [{ exact: { type: 'a' } }];
  await create(TRIGGERS, 't', { broker: 'b', subscriber: { ref: KSVC, uri: '/hook' }, filters });
  const waiting = await condition(TRIGGERS, 't', 'False BrokerDoesNotExist');
  assert.equal(conditionOf(waiting, 'BrokerReady')?.message, 'Broker "b" does not exist');
  await create(BROKERS, 'b', { delivery: { retry: 5, backoffPolicy: 'linear', backoffDelay: 'PT1S' } });
  const unresolved = await condition(TRIGGERS, 't', "False Unable to get the Subscriber's URI");
  assert.equal(
    conditionOf(unresolved, 'SubscriberResolved')?.message,
    'failed to get object default/orders: services.serving.knative.dev "orders" not found',
  );
  await create(KSERVICES, 'orders', image);
  await until(
    TRIGGERS,
    't',
    (o) =>
      conditionOf(o, 'SubscriberResolved')?.message ===
      'address not set for Kind = Service, Namespace = default, Name = orders, APIVersion = serving.knative.dev/v1, Group = , Address = ',
  );
  assert.equal(engine.subscriptions.size, 0);
  await patchStatus(KSERVICES, 'orders', addressed);
  const ready = await condition(TRIGGERS, 't', 'True');
  assert.equal(ready.status.subscriberUri, 'http://orders.default.svc.cluster.local/hook');
  const spec = engine.subscriptions.get('trigger/default/t');
  assert.deepEqual(spec, {
    key: 'trigger/default/t',
    uid: ready.metadata.uid,
    stream: 'broker/default/b',
    filters,
    subscriber: { url: 'http://orders.default.svc.cluster.local/hook', route: 'default/orders' },
    reply: { url: `${BASE}/broker/default/b` },
    terms: {
      retry: 5,
      backoffPolicy: 'linear',
      backoffDelayMs: 1000,
      jitter: 0.1,
      timeoutMs: 0,
      retryAfterMaxMs: 0,
    },
    concurrency: 100,
    paused: false,
    start: 'latest',
  });
  const { items } = await client.list<UntypedObject>(EVENTS, { namespace: 'default' });
  assert.ok(
    items.some(({ reason }) => reason === 'BrokerDoesNotExist'),
    'people are told',
  );

  await remove(KSERVICES, 'orders');
  await condition(TRIGGERS, 't', "False Unable to get the Subscriber's URI");
  await eventually('it keeps its place', () =>
    engine.subscriptions.get('trigger/default/t')?.subscriber?.endpoints?.length === 0 ? true : undefined,
  );
  await remove(TRIGGERS, 't');
  await eventually('forgotten', () => (engine.subscriptions.size === 0 ? true : undefined));
  await remove(BROKERS, 'b');
  await eventually('forgotten', () => (engine.streams.size === 0 ? true : undefined));
});

test('what annotations of a Trigger ask for', async (t) => {
  const { create, eventually, engine } = await world(t);
  await create(BROKERS, 'b', {});
  const E = 'eventing.petrel.dev';
  await create(
    TRIGGERS,
    'own',
    {
      broker: 'b',
      subscriber: SINK,
      delivery: { retry: 1, timeout: 'PT3S', retryAfterMax: 'PT9S', format: 'json' },
    },
    {
      annotations: {
        [`${E}/ordered-by`]: 'subject',
        [`${E}/concurrency`]: '7',
        [`${E}/batch-size`]: '50',
        [`${E}/batch-wait`]: '200ms',
        [`${E}/paused`]: 'true',
        [`${E}/start`]: '2026-01-01T00:00:00Z',
        [`${E}/jitter`]: '0',
        [`${E}/any-answer`]: 'true',
      },
    },
  );
  await create(
    TRIGGERS,
    'kafka',
    { broker: 'b', subscriber: SINK },
    {
      annotations: { 'kafka.eventing.knative.dev/delivery.order': 'ordered' },
    },
  );
  const own = await eventually('it', () => engine.subscriptions.get('trigger/default/own'));
  assert.equal(own.orderedBy, 'subject');
  assert.equal(own.concurrency, 7);
  assert.deepEqual(own.batch, { size: 50, waitMs: 200 });
  assert.equal(own.paused, true);
  assert.deepEqual(own.subscriber, { url: SINK.uri, anyAnswer: true });
  assert.equal(own.start, Date.parse('2026-01-01T00:00:00Z'));
  assert.deepEqual(own.terms, {
    retry: 1,
    backoffPolicy: 'exponential',
    backoffDelayMs: 0,
    jitter: 0,
    timeoutMs: 3000,
    retryAfterMaxMs: 9000,
    format: 'json',
  });
  const kafka = await eventually('it', () => engine.subscriptions.get('trigger/default/kafka'));
  assert.equal(kafka.orderedBy, 'partitionkey');
  assert.equal(kafka.terms.retry, 10, 'as the Broker says');
});

test("a Trigger's dead letter sink, its Broker's, or none", async (t) => {
  const { create, condition, engine } = await world(t);
  const own = { uri: 'http://own.example.com' };
  await create(BROKERS, 'b', { delivery: { deadLetterSink: SINK } });
  await create(TRIGGERS, 'own', { broker: 'b', subscriber: SINK, delivery: { deadLetterSink: own } });
  await create(TRIGGERS, 'brokers', { broker: 'b', subscriber: SINK });
  const dead = async (name: string) => {
    const { status } = await condition(TRIGGERS, name, 'True');
    return [
      status.deadLetterSinkUri,
      engine.subscriptions.get(`trigger/default/${name}`)?.terms.deadLetter?.url,
    ];
  };
  assert.deepEqual(await dead('own'), [own.uri, own.uri]);
  assert.deepEqual(await dead('brokers'), [SINK.uri, SINK.uri]);
  await create(BROKERS, 'broken', { delivery: { deadLetterSink: { ref: KSVC } } });
  await condition(BROKERS, 'broken', "False Unable to get the dead letter sink's URI");
});

test('a dependency must be ready first', async (t) => {
  const { create, condition, patchStatus, get } = await world(t);
  await create(BROKERS, 'b', {});
  const dependency = JSON.stringify({ apiVersion: 'sources.knative.dev/v1', kind: 'PingSource', name: 'p' });
  await create(
    TRIGGERS,
    't',
    { broker: 'b', subscriber: SINK },
    {
      annotations: { 'knative.dev/dependency': dependency },
    },
  );
  await condition(TRIGGERS, 't', 'False DependencyDoesNotExist');
  await create(PING_SOURCES, 'p', { sink: SINK });
  await condition(TRIGGERS, 't', 'Unknown GenerationNotEqual');
  const observedGeneration = (await get(PING_SOURCES, 'p')).metadata.generation;
  const said = (status: string) => ({
    observedGeneration,
    conditions: [{ type: 'Ready', status, reason: 'R' }],
  });
  await patchStatus(PING_SOURCES, 'p', said('False'));
  await condition(TRIGGERS, 't', 'False R');
  await patchStatus(PING_SOURCES, 'p', said('True'));
  await condition(TRIGGERS, 't', 'True');
});

test('a Kubernetes Service leads to the Pods behind it, as they come and go', async (t) => {
  const { create, eventually, engine, patchStatus, condition } = await world(t);
  await create(BROKERS, 'b', {});
  await create(SERVICES, 'plain', {
    selector: { app: 'x' },
    ports: [{ port: 80, targetPort: 'http' }],
  });
  const ref = { kind: 'Service', apiVersion: 'v1', name: 'plain' };
  await create(TRIGGERS, 't', { broker: 'b', subscriber: { ref } });
  const { status } = await condition(TRIGGERS, 't', 'True');
  assert.equal(status.subscriberUri, 'http://plain.default.svc.cluster.local');
  const target = () => engine.subscriptions.get('trigger/default/t')?.subscriber;
  assert.deepEqual(target()?.endpoints, []);
  const containers = [{ name: 'c', image: 'i', ports: [{ name: 'http', containerPort: 9090 }] }];
  await create(PODS, 'p', { containers }, { labels: { app: 'x' } });
  await create(PODS, 'other', { containers }, { labels: { app: 'y' } });
  const up = { podIP: '127.0.0.1', conditions: [{ type: 'Ready', status: 'True' }] };
  await patchStatus(PODS, 'other', up);
  await patchStatus(PODS, 'p', up);
  await eventually('the Pod', () => (target()?.endpoints?.length === 1 ? true : undefined));
  assert.deepEqual(target()?.endpoints, [{ host: '127.0.0.1', port: 9090 }]);
  await patchStatus(PODS, 'p', { conditions: [{ type: 'Ready', status: 'False' }] });
  await eventually('nobody', () => (target()?.endpoints?.length === 0 ? true : undefined));
});

test('Brokers that come by themselves', async (t) => {
  const { create, condition, client, until } = await world(t);
  await create(
    TRIGGERS,
    't',
    { broker: 'default', subscriber: SINK },
    {
      annotations: { 'eventing.knative.dev/injection': 'enabled' },
    },
  );
  await condition(TRIGGERS, 't', 'True');
  await client.create(NAMESPACES, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'shop', labels: { 'eventing.knative.dev/injection': 'enabled' } },
  });
  await until(BROKERS, 'default', (o) => o.metadata.name === 'default');
  for (;;) {
    const found = await client.get(BROKERS, 'shop', 'default').catch(() => undefined);
    if (found) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
});

test('ConfigMaps are there to be changed, and a change counts at once', async (t) => {
  const { client, eventually, create, condition, engine } = await world(t);
  await create(BROKERS, 'b', {});
  await condition(BROKERS, 'b', 'True');
  const names = await eventually('the ConfigMaps', async () => {
    const { items } = await client.list(CONFIGMAPS, { namespace: 'knative-eventing' });
    return items.length >= 8 ? items.map(({ metadata }) => metadata.name) : undefined;
  });
  assert.ok(names.includes('config-br-defaults'));
  assert.equal(engine.streams.get('broker/default/b')?.reportTypes, true);
  await client.patch(CONFIGMAPS, 'knative-eventing', 'config-features', 'merge', {
    data: { 'eventtype-auto-create': 'disabled', 'authentication-oidc': 'enabled' },
  });
  await eventually('the change', () =>
    engine.streams.get('broker/default/b')?.reportTypes === false ? true : undefined,
  );
  await condition(BROKERS, 'b', 'False OIDCNotSupported');
  await assert.rejects(
    client.patch(CONFIGMAPS, 'knative-eventing', 'config-features', 'merge', {
      data: { 'authentication-oidc': 'perhaps' },
    }),
    /config\.webhook\.eventing\.knative\.dev.*must be one of/,
  );
});

test('types that a Broker brings are written down', async (t) => {
  const { create, condition, controllers, client, eventually } = await world(t);
  await create(BROKERS, 'b', {});
  await condition(BROKERS, 'b', 'True');
  controllers.reports.seenType('broker/default/b', 'com.shop.order', '/shop');
  controllers.reports.seenType('broker/default/b', 'com.shop.order', '/shop');
  const type = await eventually('the type', async () => {
    const { items } = await client.list<UntypedObject>(EVENT_TYPES, { namespace: 'default' });
    return items.find((item) => conditionOf(item, 'Ready')?.status === 'True');
  });
  assert.deepEqual(type.spec.reference, {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Broker',
    name: 'b',
    namespace: 'default',
  });
  assert.deepEqual([type.spec.type, type.spec.source], ['com.shop.order', '/shop']);
});

test('what exists is set before the engine is told that this is all, and a subscription without subscriber keeps its place', async (t) => {
  const made = await createWorld();
  t.after(() => made.close());
  const { create, condition, patchStatus, remove } = made;
  await create(BROKERS, 'b', {});
  await create(KSERVICES, 'orders', image);
  await patchStatus(KSERVICES, 'orders', addressed);
  await create(TRIGGERS, 't', { broker: 'b', subscriber: { ref: KSVC } });
  await create(TRIGGERS, 'never', { broker: 'b', subscriber: { ref: { ...KSVC, name: 'never' } } });
  await condition(TRIGGERS, 't', 'True');
  await remove(KSERVICES, 'orders');
  await condition(TRIGGERS, 't', "False Unable to get the Subscriber's URI");
  const engine = await made.restart();
  assert.equal(engine.completed, 1);
  assert.deepEqual([...engine.streams.keys()], ['broker/default/b']);
  assert.deepEqual([...engine.subscriptions.keys()], ['trigger/default/t']);
});

test('a pass that finds everything as it was tells the engine nothing and writes nothing', async (t) => {
  const { create, condition, patch, engine, get } = await world(t);
  await create(BROKERS, 'b', {});
  await create(TRIGGERS, 't', { broker: 'b', subscriber: SINK });
  await condition(TRIGGERS, 't', 'True');
  const { metadata } = await condition(BROKERS, 'b', 'True');
  await patch(TRIGGERS, 't', { metadata: { labels: { a: 'b' } } });
  const before = (await get(TRIGGERS, 't')).metadata.resourceVersion;
  await patch(BROKERS, 'b', { metadata: { labels: { a: 'b' } } });
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.equal((await get(TRIGGERS, 't')).metadata.resourceVersion, before);
  assert.equal(engine.calls.get('trigger/default/t'), 1);
  assert.equal(engine.calls.get('broker/default/b'), 1);
  assert.equal((await get(BROKERS, 'b')).metadata.generation, metadata.generation);
});
