/** Port of what knative/eventing's suites say of sources and sinks; named as there. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { conditionOf } from '../../../src/kinds/conditions.ts';
import type { UntypedObject } from '../../../src/kinds/object.ts';
import type { ResourceRef } from '../../../src/kube/client.ts';
import {
  API_SERVER_SOURCES,
  BROKERS,
  CONFIGMAPS,
  EVENT_TRANSFORMS,
  EVENT_TYPES,
  INTEGRATION_SINKS,
  JOB_SINKS,
  JOBS,
  NAMESPACES,
  PING_SOURCES,
  SECRETS,
  TRIGGERS,
} from '../../../src/kube/refs.ts';
import { eventually } from '../../lib/platform.ts';
import {
  attributesOf,
  destination,
  dropFirst,
  EventWorld,
  fullEvent,
  NAMESPACE,
  type Receiver,
  replyWith,
} from './world.ts';

const world = new EventWorld();
before(() => world.start());
after(() => world.stop());

const DEFINITIONS: ResourceRef = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
};

describe('TestSourceCRDMetadata', () => {
  for (const plural of [
    'apiserversources',
    'containersources',
    'pingsources',
    'sinkbindings',
    'kafkasources',
  ]) {
    test(`${plural} has the labels and the category of sources`, async () => {
      const { metadata, spec } = await world.client.get<UntypedObject>(
        DEFINITIONS,
        undefined,
        `${plural}.sources.knative.dev`,
      );
      assert.equal(metadata.labels?.['duck.knative.dev/source'], 'true');
      assert.equal(metadata.labels?.['eventing.knative.dev/source'], 'true');
      assert.ok(spec.names.categories.includes('sources'));
      assert.equal(spec.scope, 'Namespaced');
    });
  }
});

/** A Broker with a Trigger to the receiver. */
async function brokerTo(receiver: Receiver): Promise<string> {
  const broker = world.name('broker');
  await world.create(BROKERS, broker, {});
  await world.ready(BROKERS, broker);
  const via = world.name('via');
  await world.create(TRIGGERS, via, { broker, subscriber: destination(receiver) });
  await world.ready(TRIGGERS, via);
  return broker;
}

/** Resolves when the Broker has EventTypes of these types. */
async function eventTypesOf(broker: string, types: readonly string[]): Promise<void> {
  await eventually(`EventTypes ${types.join(', ')}`, async () => {
    const { items } = await world.client.list<UntypedObject>(EVENT_TYPES, { namespace: NAMESPACE });
    const have = items.filter(({ spec }) => spec.reference?.name === broker).map(({ spec }) => spec.type);
    return types.every((type) => have.includes(type));
  });
}

const PING = 'dev.knative.sources.ping';
const pings = ({ accepted }: Receiver) =>
  accepted.filter(({ event }) => event !== undefined && attributesOf(event, 'type').type === PING);

/** Has a PingSource of each second, until its first event has come to the receiver. */
async function ping(receiver: Receiver, spec: object = {}): Promise<Receiver> {
  const name = world.name('pingsource');
  await world.create(PING_SOURCES, name, { schedule: '* * * * * *', sink: destination(receiver), ...spec });
  await world.ready(PING_SOURCES, name);
  await world.got(receiver, 'a ping', (it) => pings(it).length > 0);
  await world.remove(PING_SOURCES, name);
  return receiver;
}

test('TestPingSourceWithSinkRef: SendsEventsWithSinkRef, SendsEventsWithEventTypes', async () => {
  const receiver = await world.receiver();
  const broker = await brokerTo(receiver);
  await ping(receiver, {
    sink: { ref: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: broker } },
  });
  await eventTypesOf(broker, [PING]);
});

test('TestPingSourceWithSinkURI', async () => {
  const [first] = pings(await ping(await world.receiver()));
  assert.equal(first?.headers['kn-namespace'], NAMESPACE);
});

test('TestPingSourceWithCloudEventData', async () => {
  const [first] = pings(
    await ping(await world.receiver(), { contentType: 'text/plain', dataBase64: 'aGVsbG8sIHdvcmxkIQ==' }),
  );
  assert.equal(first?.body, 'hello, world!');
  assert.equal(first.headers['content-type'], 'text/plain');
});

test('TestPingSourceWithSecondsInSchedule', async () => {
  assert.ok(pings(await ping(await world.receiver(), { schedule: '0/2 * * * * ?' })).length > 0);
});

// ApiServerSource ------------------------------------------------------------

const WATCHED = [{ apiVersion: 'v1', kind: 'ConfigMap' }];
type Matching = (seen: { type: string | undefined; body: string; apiversion: string | undefined }) => boolean;
const matching = ({ accepted }: Receiver, is: Matching) =>
  accepted.filter(({ event, body }) => {
    const { type, apiversion } = attributesOf(event, 'type', 'apiversion');
    return is({ type, apiversion, body });
  });
const about =
  (type: string, name: string): Matching =>
  (seen) =>
    seen.type === `dev.knative.apiserver.${type}` &&
    seen.apiversion === 'v1' &&
    seen.body.includes('"kind":"ConfigMap"') &&
    seen.body.includes(`"name":"${name}"`);

/** Upstream's example Pod: a ConfigMap, which is there without a process. */
async function example(labels: Record<string, string> = {}, namespace = NAMESPACE): Promise<string> {
  const name = world.name('example');
  const metadata = { name, namespace, labels };
  await world.client.create(CONFIGMAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata,
    data: {},
  } as unknown as UntypedObject);
  return name;
}

async function apiServerSource(receiver: Receiver, spec: object = {}): Promise<string> {
  const name = world.name('apiserversource');
  await world.create(API_SERVER_SOURCES, name, {
    serviceAccountName: 'default',
    mode: 'Reference',
    resources: WATCHED,
    sink: destination(receiver),
    ...spec,
  });
  await world.ready(API_SERVER_SOURCES, name);
  return name;
}

describe('TestApiServerSourceValidationWebhookConfiguration', () => {
  const refused =
    /admission webhook "validation.webhook.eventing.knative.dev" denied the request: validation failed: invalid value: Unknown: spec.mode/;

  test('OnCreate', async () => {
    const receiver = await world.receiver();
    await assert.rejects(apiServerSource(receiver, { mode: 'Unknown' }), refused);
  });

  test('OnUpdate', async () => {
    const name = await apiServerSource(await world.receiver());
    await assert.rejects(world.patch(API_SERVER_SOURCES, name, { spec: { mode: 'Unknown' } }), refused);
  });
});

describe('TestApiServerSourceDataPlane_SinkTypes', () => {
  test('Send events to sink uri', async () => {
    const receiver = await world.receiver();
    await apiServerSource(receiver, { mode: 'Resource' });
    const name = await example();
    await world.patch(CONFIGMAPS, name, { data: { a: 'b' } });
    await world.got(receiver, 'the update', (it) => matching(it, about('resource.update', name)).length > 0);
  });

  test('Send events to sink ref, with event types', async () => {
    const receiver = await world.receiver();
    const broker = await brokerTo(receiver);
    const sink = { ref: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: broker } };
    await apiServerSource(receiver, { mode: 'Resource', sink });
    const name = await example();
    await world.patch(CONFIGMAPS, name, { data: { a: 'b' } });
    await world.got(receiver, 'the update', (it) => matching(it, about('resource.update', name)).length > 0);
    await world.remove(CONFIGMAPS, name);
    await eventTypesOf(
      broker,
      ['add', 'update', 'delete'].map((what) => `dev.knative.apiserver.resource.${what}`),
    );
  });
});

describe('TestApiServerSourceDataPlane_EventModes', () => {
  for (const [mode, type] of [
    ['Reference', 'ref.add'],
    ['Resource', 'resource.add'],
  ] as const) {
    test(`Send events with ${mode === 'Reference' ? 'ObjectReference' : 'ResourceEvent'} payload`, async () => {
      const receiver = await world.receiver();
      await apiServerSource(receiver, { mode });
      const name = await example();
      await world.got(receiver, 'the add', (it) => matching(it, about(type, name)).length > 0);
    });
  }
});

describe('TestApiServerSourceDataPlane_ResourceMatching', () => {
  const matches: [string, object | undefined][] = [
    ['all resources', undefined],
    ['label-matching resources', { matchLabels: { e2e: 'testing' } }],
    ['label-expression-matching resources', { matchExpressions: [{ key: 'e2e', operator: 'Exists' }] }],
  ];
  for (const [what, selector] of matches) {
    test(`Send events for ${what}`, async () => {
      const receiver = await world.receiver();
      const resources = WATCHED.map((resource) => ({ ...resource, ...(selector && { selector }) }));
      await apiServerSource(receiver, { resources });
      const other = await example();
      const name = await example({ e2e: 'testing' });
      await world.patch(CONFIGMAPS, name, { data: { a: 'b' } });
      await world.got(receiver, 'the add', (it) => matching(it, about('ref.add', name)).length > 0);
      await world.got(receiver, 'the update', (it) => matching(it, about('ref.update', name)).length > 0);
      assert.equal(
        matching(receiver, about('ref.add', other)).length,
        selector ? 0 : 1,
        'what does not match is not sent',
      );
    });
  }
});

async function namespace(labels: Record<string, string> = {}): Promise<string> {
  const name = world.name('source-namespace');
  await world.client.create(NAMESPACES, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels },
  } as unknown as UntypedObject);
  return name;
}

test('TestApiServerSourceDataPlane_MultipleNamespaces', async () => {
  const receiver = await world.receiver();
  const [one, two] = [await namespace({ env: 'development' }), await namespace({ env: 'development' })];
  const other = await namespace({ env: 'production' });
  await apiServerSource(receiver, { namespaceSelector: { matchLabels: { env: 'development' } } });
  const unseen = await example({}, other);
  for (const name of [await example({}, one), await example({}, two)])
    await world.got(receiver, 'the add', (it) => matching(it, about('ref.add', name)).length > 0);
  assert.equal(matching(receiver, about('ref.add', unseen)).length, 0);
});

test('TestApiServerSourceDataPlane_MultipleNamespacesEmptySelector', async () => {
  const receiver = await world.receiver();
  const [one, two] = [await namespace(), await namespace()];
  await apiServerSource(receiver, { namespaceSelector: { matchLabels: {}, matchExpressions: [] } });
  for (const name of [await example({}, one), await example({}, two)])
    await world.got(receiver, 'the add', (it) => matching(it, about('ref.add', name)).length > 0);
});

test('TestApiServerSourceDataPlane_EventsRetries', async () => {
  const receiver = await world.receiver(dropFirst(1, 429));
  await apiServerSource(receiver, {
    resources: WATCHED.map((resource) => ({ ...resource, selector: { matchLabels: { e2e: 'retries' } } })),
  });
  const name = await example({ e2e: 'retries' });
  await world.got(receiver, 'the add', (it) => matching(it, about('ref.add', name)).length > 0);
  assert.equal(receiver.received[0]?.status, 429);
});

test('TestApiServerSourceNewFiltersFeature', async () => {
  const receiver = await world.receiver();
  await apiServerSource(receiver, {
    mode: 'Resource',
    filters: [{ exact: { type: 'dev.knative.apiserver.resource.update' } }],
  });
  const name = await example();
  await world.patch(CONFIGMAPS, name, { data: { a: 'b' } });
  await world.got(receiver, 'the update', (it) => matching(it, about('resource.update', name)).length > 0);
  assert.equal(matching(receiver, about('resource.add', name)).length, 0);
});

// EventTransform -------------------------------------------------------------

const EXPRESSION = `{
  "specversion": "1.0", "id": id, "type": "transformed-event", "source": source,
  "reason": data.reason, "message": data.message, "kind": "input", "data": $
}`;
const INPUT = {
  type: 'my-type',
  source: 'my-source',
  datacontenttype: 'application/json',
  data: JSON.stringify({ reason: 'test-reason', message: 'test-message' }),
};

async function transform(spec: object = {}): Promise<string> {
  const name = world.name('event-transform');
  await world.create(EVENT_TRANSFORMS, name, { jsonata: { expression: EXPRESSION }, ...spec });
  return world.address(EVENT_TRANSFORMS, name);
}

function assertTransformed(id: string, attributes: Record<string, unknown>, body: string): void {
  assert.deepEqual(attributes, {
    id,
    source: 'my-source',
    type: 'transformed-event',
    reason: 'test-reason',
    message: 'test-message',
  });
  for (const text of ['my-type', 'my-source', id, 'test-reason', 'test-message'])
    assert.ok(body.includes(text));
}

test('TestEventTransformJsonataDirect', async () => {
  const { status, headers, body } = await world.send(await transform(), { id: 'direct', ...INPUT });
  assert.equal(status, 200, body);
  const names = ['id', 'source', 'type', 'reason', 'message'];
  assertTransformed('direct', Object.fromEntries(names.map((name) => [name, headers[`ce-${name}`]])), body);
});

test('TestEventTransformJsonataWithSink', async () => {
  const receiver = await world.receiver();
  await world.produce(await transform({ sink: destination(receiver) }), { id: 'to-sink', ...INPUT });
  await world.gotAll(receiver, ['to-sink']);
  const [{ event, body } = assert.fail('nothing came')] = receiver.received;
  assertTransformed('to-sink', attributesOf(event, 'id', 'source', 'type', 'reason', 'message'), body);
  assert.equal(receiver.received.length, 1);
});

test('TestEventTransformJsonataWithSinkReplyTransform', async () => {
  const answer = { type: 'reply-event-type', source: 'reply-event-source' };
  const receiver = await world.receiver(replyWith({ ...answer, data: '{"reason":"reply-reason"}' }));
  const url = await transform({
    sink: destination(receiver),
    reply: {
      jsonata: {
        expression: `{
          "specversion": "1.0", "id": id, "type": type, "source": source,
          "reason": data.reason, "kind": "transformed", "data": $
        }`,
      },
    },
  });
  const { status, headers, body } = await world.send(url, { id: 'with-reply', ...INPUT });
  assert.equal(status, 200, body);
  assert.equal(headers['ce-type'], answer.type);
  assert.equal(headers['ce-source'], answer.source);
  assert.equal(headers['ce-reason'], 'reply-reason');
  assert.ok(body.includes(answer.type) && body.includes(answer.source), body);
});

/** Upstream's forwarder: sends the event that its Job was made for. */
const FORWARDER = `
  const body = require('node:fs').readFileSync('/etc/jobsink-event/event');
  const headers = { 'content-type': 'application/cloudevents+json' };
  fetch(process.env.K_SINK, { method: 'POST', headers, body });
`;

test('TestJobSinkSuccess, TestJobSinkDeleteJobCascadeSecretDeletion', async () => {
  const receiver = await world.receiver();
  const name = world.name('jobsink');
  const container = {
    name: 'forwarder',
    image: 'petrel.dev/host',
    command: [process.execPath, '-e', FORWARDER],
    env: [{ name: 'K_SINK', value: receiver.url }],
  };
  await world.create(JOB_SINKS, name, {
    job: { spec: { template: { spec: { restartPolicy: 'Never', containers: [container] } } } },
  });
  const answer = await world.send(await world.address(JOB_SINKS, name), fullEvent('one-job'));
  assert.equal(answer.status, 202, answer.body);
  await world.gotAll(receiver, ['one-job']);

  const labelSelector = `sinks.knative.dev/job-sink-name=${name}`;
  const list = async (resource: ResourceRef) =>
    (await world.client.list<UntypedObject>(resource, { namespace: NAMESPACE, labelSelector })).items;
  await eventually('a Job that is complete', async () =>
    (await list(JOBS)).some((job) => conditionOf(job, 'Complete')?.status === 'True'),
  );
  assert.equal((await list(SECRETS)).length, 1);
  for (const { metadata } of await list(JOBS)) await world.remove(JOBS, metadata.name ?? '');
  await eventually('the Secret to go with its Job', async () => (await list(SECRETS)).length === 0);
});

test('TestIntegrationSinkLogSuccess', async () => {
  const name = world.name('sink');
  await world.create(INTEGRATION_SINKS, name, { log: { loggerName: 'rekt' } });
  await world.produce(await world.address(INTEGRATION_SINKS, name), fullEvent('logged'));
  await eventually('a line in the log', async () =>
    /"message":"rekt".*"ce-id":"logged"/.test(world.petrel.log()),
  );
});
