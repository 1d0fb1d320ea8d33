/** Port of what knative/eventing's reconciler tests say of sources and sinks that are made of Kubernetes alone; named as there. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { conditionOf } from '../../../src/kinds/conditions.ts';
import type { UntypedObject } from '../../../src/kinds/object.ts';
import type { ResourceRef } from '../../../src/kube/client.ts';
import {
  API_SERVER_SOURCES,
  BROKERS,
  CONTAINER_SOURCES,
  EVENT_TRANSFORMS,
  EVENT_TYPES,
  JOB_SINKS,
  JOBS,
  KSERVICES,
  NAMESPACES,
  PING_SOURCES,
  PODS,
  SECRETS,
  SINK_BINDINGS,
  TRIGGERS,
} from '../../../src/kube/refs.ts';
import { eventually } from '../../lib/platform.ts';
import {
  attributesOf,
  destination,
  EventWorld,
  fullEvent,
  NAMESPACE,
  type Received,
  type Receiver,
  replyWith,
} from './world.ts';

const world = new EventWorld();
before(() => world.start());
after(() => world.stop());

const got = (receiver: Receiver, what: string, is: (one: Received) => boolean) =>
  world.got(receiver, what, ({ accepted }) => accepted.some(is));
const typed = (type: string) => (one: Received) => one.event?.type === type;
const dataOf = (one: Received | undefined) => JSON.parse(one?.body ?? 'null');

const EVERY_SECOND = '*/1 * * * * *';
const PING = 'dev.knative.sources.ping';
const text = { contentType: 'text/plain', data: 'hello, world!' };

describe('PingSource', () => {
  test('TestPingSourceWithSinkRef, TestSmoke_PingSource', async () => {
    const [broker, source] = [world.name('broker'), world.name('ping')];
    const sink = await world.receiver();
    await world.create(BROKERS, broker, {});
    await world.ready(BROKERS, broker);
    await world.create(TRIGGERS, broker, { broker, subscriber: destination(sink) });
    await world.ready(TRIGGERS, broker);
    const ref = { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: broker };
    await world.create(PING_SOURCES, source, { schedule: EVERY_SECOND, ...text, sink: { ref } });
    const { status } = await world.ready(PING_SOURCES, source);
    const address = await world.address(BROKERS, broker);
    assert.equal(status.sinkUri, address);
    await got(sink, 'a ping', typed(PING));
    const { event, body } = sink.accepted[0] ?? {};
    assert.deepEqual(attributesOf(event, 'source', 'datacontenttype'), {
      source: `/apis/v1/namespaces/${NAMESPACE}/pingsources/${source}`,
      datacontenttype: 'text/plain',
    });
    assert.equal(body, text.data);
    await world.remove(PING_SOURCES, source);
  });

  test('TestPingSourceWithSinkURI: as v1beta2, too', async () => {
    const source = world.name('ping');
    const sink = await world.receiver();
    const v1beta2: ResourceRef = { ...PING_SOURCES, version: 'v1beta2' };
    await world.create(v1beta2, source, { schedule: EVERY_SECOND, ...text, sink: destination(sink) });
    await world.ready(PING_SOURCES, source);
    await got(sink, 'a ping', typed(PING));
    await world.remove(PING_SOURCES, source);
  });

  test('TestPingSourceWithCloudEventData: base64, and overrides', async () => {
    const source = world.name('ping');
    const sink = await world.receiver();
    await world.create(PING_SOURCES, source, {
      schedule: EVERY_SECOND,
      contentType: 'text/plain',
      dataBase64: Buffer.from('aGVsbG8').toString('base64'),
      ceOverrides: { extensions: { region: 'eu' } },
      sink: destination(sink),
    });
    await world.ready(PING_SOURCES, source);
    await got(sink, 'a ping', ({ event, body }) => event?.extensions.region === 'eu' && body === 'aGVsbG8');
    await world.remove(PING_SOURCES, source);
  });

  test('TestPingSourceWithSecondsInSchedule: all the times, each once', async () => {
    const source = world.name('ping');
    const sink = await world.receiver();
    await world.create(PING_SOURCES, source, { schedule: EVERY_SECOND, ...text, sink: destination(sink) });
    await world.got(sink, 'three pings', ({ ids }) => new Set(ids).size >= 3);
    await world.remove(PING_SOURCES, source);
    assert.equal(new Set(sink.ids).size, sink.ids.length);
  });
});

const POD = (name: string, labels: Record<string, string> = {}): UntypedObject =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels },
    spec: {
      restartPolicy: 'Never',
      containers: [{ name: 'c', image: 'petrel.dev/host', command: ['true'] }],
    },
  }) as UntypedObject;
const pods = (selector?: object) => [{ apiVersion: 'v1', kind: 'Pod', ...(selector && { selector }) }];
const named = (type: string, name: string) => (one: Received) =>
  one.event?.type === type && one.event.extensions.name === name;

describe('ApiServerSource', () => {
  test('TestSmoke_ApiServerSource, TestApiServerSourceDataPlane_SinkTypes', async () => {
    const [broker, source, pod] = [world.name('broker'), world.name('api'), world.name('pod')];
    const sink = await world.receiver();
    await world.create(BROKERS, broker, {});
    await world.create(TRIGGERS, broker, { broker, subscriber: destination(sink) });
    await world.ready(TRIGGERS, broker);
    const ref = { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: broker };
    await world.create(API_SERVER_SOURCES, source, { resources: pods(), mode: 'Reference', sink: { ref } });
    const { status } = await world.ready(API_SERVER_SOURCES, source);
    assert.deepEqual(status.namespaces, [NAMESPACE]);
    await world.client.create(PODS, POD(pod));
    await got(sink, 'the Pod', named('dev.knative.apiserver.ref.add', pod));
    await eventually('its EventTypes', async () => {
      const { items } = await world.client.list<UntypedObject>(EVENT_TYPES, { namespace: NAMESPACE });
      return items.some(({ spec }) => JSON.stringify(spec).includes('dev.knative.apiserver.ref.add'));
    });
    await world.remove(API_SERVER_SOURCES, source);
  });

  describe('TestApiServerSourceDataPlane_EventModes', () => {
    for (const [mode, prefix] of [
      ['Reference', 'dev.knative.apiserver.ref'],
      ['Resource', 'dev.knative.apiserver.resource'],
    ])
      test(`${mode}: add, update, delete`, async () => {
        const [source, pod] = [world.name('api'), world.name('pod')];
        const sink = await world.receiver();
        const spec = { resources: pods(), mode, sink: destination(sink) };
        await world.create(API_SERVER_SOURCES, source, spec);
        await world.ready(API_SERVER_SOURCES, source);
        await world.client.create(PODS, POD(pod));
        await world.patch(PODS, pod, { metadata: { labels: { changed: 'yes' } } });
        await world.remove(PODS, pod);
        for (const what of ['add', 'update', 'delete'])
          await got(sink, what, named(`${prefix}.${what}`, pod));
        const added = sink.accepted.find(named(`${prefix}.add`, pod));
        assert.deepEqual(attributesOf(added?.event, 'kind', 'namespace', 'apiversion', 'subject'), {
          kind: 'Pod',
          namespace: NAMESPACE,
          apiversion: 'v1',
          subject: `/apis/v1/namespaces/${NAMESPACE}/pods/${pod}`,
        });
        if (mode === 'Reference')
          assert.deepEqual(dataOf(added), { kind: 'Pod', namespace: NAMESPACE, name: pod, apiVersion: 'v1' });
        else assert.equal(dataOf(added).spec.containers[0].image, 'petrel.dev/host');
        await world.remove(API_SERVER_SOURCES, source);
      });
  });

  describe('TestApiServerSourceDataPlane_ResourceMatching', () => {
    const selectors: [string, object][] = [
      ['matchLabels', { matchLabels: { e2e: 'testing' } }],
      ['matchExpressions', { matchExpressions: [{ key: 'e2e', operator: 'In', values: ['testing'] }] }],
    ];
    for (const [name, selector] of selectors)
      test(`events of resources by ${name}`, async () => {
        const source = world.name('api');
        const [meant, other] = [world.name('pod'), world.name('pod')];
        const sink = await world.receiver();
        const spec = { resources: pods(selector), mode: 'Resource', sink: destination(sink) };
        await world.create(API_SERVER_SOURCES, source, spec);
        await world.ready(API_SERVER_SOURCES, source);
        await world.client.create(PODS, POD(other));
        await world.client.create(PODS, POD(meant, { e2e: 'testing' }));
        await got(sink, meant, named('dev.knative.apiserver.resource.add', meant));
        assert.ok(!sink.accepted.some(({ event }) => event?.extensions.name === other));
        await world.remove(API_SERVER_SOURCES, source);
      });
  });

  test('TestApiServerSourceDataPlane_EventsRetries: what fails at first is sent again', async () => {
    const [source, pod] = [world.name('api'), world.name('pod')];
    const sink = await world.receiver((_, index) => (index < 3 ? { status: 503 } : undefined));
    await world.create(API_SERVER_SOURCES, source, {
      resources: pods({ matchLabels: { once: source } }),
      mode: 'Resource',
      sink: destination(sink),
    });
    await world.ready(API_SERVER_SOURCES, source);
    await world.client.create(PODS, POD(pod, { once: source }));
    await got(sink, 'the Pod', named('dev.knative.apiserver.resource.add', pod));
    await world.remove(API_SERVER_SOURCES, source);
  });

  test('TestApiServerSourceNewFiltersFeature', async () => {
    const [source, pod] = [world.name('api'), world.name('pod')];
    const sink = await world.receiver();
    await world.create(API_SERVER_SOURCES, source, {
      resources: pods({ matchLabels: { once: source } }),
      mode: 'Reference',
      filters: [{ exact: { type: 'dev.knative.apiserver.ref.delete' } }],
      sink: destination(sink),
    });
    await world.ready(API_SERVER_SOURCES, source);
    await world.client.create(PODS, POD(pod, { once: source }));
    await world.remove(PODS, pod);
    await got(sink, 'the end', named('dev.knative.apiserver.ref.delete', pod));
    assert.deepEqual(
      [...new Set(sink.accepted.map(({ event }) => event?.type))],
      ['dev.knative.apiserver.ref.delete'],
    );
    await world.remove(API_SERVER_SOURCES, source);
  });

  for (const [title, everywhere] of [
    ['TestApiServerSourceDataPlane_MultipleNamespaces', false],
    ['TestApiServerSourceDataPlane_MultipleNamespacesEmptySelector', true],
  ] as const)
    test(title, async () => {
      const source = world.name('api');
      const spaces = [world.name('space'), world.name('space'), world.name('space')];
      const sink = await world.receiver();
      for (const [i, name] of spaces.entries())
        await world.client.create(NAMESPACES, {
          apiVersion: 'v1',
          kind: 'Namespace',
          metadata: { name, labels: i < 2 ? { env: source } : {} },
        } as UntypedObject);
      await world.create(API_SERVER_SOURCES, source, {
        resources: pods(),
        mode: 'Reference',
        namespaceSelector: everywhere ? {} : { matchLabels: { env: source } },
        sink: destination(sink),
      });
      const { status } = await world.ready(API_SERVER_SOURCES, source);
      if (!everywhere) assert.deepEqual(status.namespaces, spaces.slice(0, 2));
      for (const namespace of spaces) {
        const pod = POD(`in-${namespace}`);
        await world.client.create(PODS, { ...pod, metadata: { ...pod.metadata, namespace } });
      }
      const meant = everywhere ? spaces : spaces.slice(0, 2);
      for (const name of meant) await got(sink, name, named('dev.knative.apiserver.ref.add', `in-${name}`));
      assert.equal(
        sink.accepted.some(({ event }) => event?.extensions.namespace === spaces[2]),
        everywhere,
      );
      await world.remove(API_SERVER_SOURCES, source);
    });

  test('TestApiServerSourceSkipPermissionsFeature', async () => {
    const source = world.name('api');
    const sink = await world.receiver();
    const annotations = { 'features.knative.dev/apiserversource-skip-permissions-check': 'true' };
    await world.create(
      API_SERVER_SOURCES,
      source,
      { resources: pods(), sink: destination(sink) },
      { annotations },
    );
    const ready = await world.ready(API_SERVER_SOURCES, source);
    assert.equal(conditionOf(ready, 'SufficientPermissions')?.status, 'True');
    await world.remove(API_SERVER_SOURCES, source);
  });

  test('TestApiServerSourceValidationWebhookConfigurationOnCreate, …OnUpdate', async () => {
    const sink = { uri: 'http://sink.example.com' };
    const bad = { resources: pods(), sink, filters: [{ cesql: 'type = ' }] };
    await assert.rejects(world.create(API_SERVER_SOURCES, world.name('api'), bad), /spec\.filters/);
    const source = world.name('api');
    await world.create(API_SERVER_SOURCES, source, { resources: pods(), sink });
    await assert.rejects(world.patch(API_SERVER_SOURCES, source, { spec: { mode: 'All' } }), /spec\.mode/);
    await world.remove(API_SERVER_SOURCES, source);
  });
});

/** Upstream's heartbeats: an event each 100 ms to the sink, with the overrides. */
const HEARTBEATS = `
const { extensions = {} } = JSON.parse(process.env.K_CE_OVERRIDES || '{}');
let n = 0;
setInterval(() => fetch(process.env.K_SINK, { method: 'POST', body: process.argv[1] ?? '', headers: {
  'ce-specversion': '1.0', 'ce-id': String(++n), 'ce-source': '/heartbeats', 'ce-type': 'dev.knative.eventing.samples.heartbeat',
  ...Object.fromEntries(Object.entries(extensions).map(([k, v]) => ['ce-' + k, v])) } }).catch(() => {}), 100);
if (process.env.PORT) require('node:http').createServer((_, answer) => answer.end()).listen(process.env.PORT);
`;
const heart = (...args: string[]) => ({
  name: 'heartbeats',
  image: 'petrel.dev/host',
  command: [process.execPath, '-e', HEARTBEATS],
  args,
});
const BEAT = 'dev.knative.eventing.samples.heartbeat';

test('TestContainerSourceWithSinkURI, …WithSinkRef, …WithArgs, …WithCloudEventOverrides, TestSmoke_ContainerSource', async () => {
  const [broker, source] = [world.name('broker'), world.name('container')];
  const sink = await world.receiver();
  await world.create(BROKERS, broker, {});
  await world.create(TRIGGERS, broker, { broker, subscriber: destination(sink) });
  await world.ready(TRIGGERS, broker);
  const ref = { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: broker };
  await world.create(CONTAINER_SOURCES, source, {
    template: { spec: { containers: [heart('a message')] } },
    ceOverrides: { extensions: { region: 'eu' } },
    sink: { ref },
  });
  await world.ready(CONTAINER_SOURCES, source);
  await got(
    sink,
    'a heartbeat',
    ({ event, body }) => event?.extensions.region === 'eu' && body === 'a message',
  );
  const direct = await world.receiver();
  await world.patch(CONTAINER_SOURCES, source, { spec: { sink: { ref: null, ...destination(direct) } } });
  await got(direct, 'a heartbeat at the URI', typed(BEAT));
  await world.remove(CONTAINER_SOURCES, source);
  await eventually('the Pod goes with it', async () => {
    const { items } = await world.client.list<UntypedObject>(PODS, { namespace: NAMESPACE });
    return !items.some(({ metadata }) => metadata.name.startsWith(source));
  });
});

test('TestSinkBindingV1Deployment, TestSmoke_SinkBinding: of a Knative Service, since nothing runs Deployments', async () => {
  const [service, binding] = [world.name('beats'), world.name('binding')];
  const sink = await world.receiver();
  const template = {
    metadata: { annotations: { 'autoscaling.knative.dev/min-scale': '1' } },
    spec: { containers: [heart()] },
  };
  await world.create(KSERVICES, service, { template }, { labels: { app: service } });
  await world.create(SINK_BINDINGS, binding, {
    subject: {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      selector: { matchLabels: { app: service } },
    },
    ceOverrides: { extensions: { sinkbinding: binding } },
    sink: destination(sink),
  });
  await world.ready(SINK_BINDINGS, binding);
  await got(sink, 'a heartbeat', ({ event }) => event?.extensions.sinkbinding === binding);
  await world.remove(SINK_BINDINGS, binding);
  await world.until(
    KSERVICES,
    service,
    'is not bound any more',
    (o) => !JSON.stringify(o.spec.template.spec.containers[0].env ?? []).includes('K_SINK'),
  );
  await world.remove(KSERVICES, service);
});

const FORWARD = `
const event = require('node:fs').readFileSync('/etc/jobsink-event/event');
fetch(process.argv[1], { method: 'POST', body: event, headers: { 'content-type': 'application/cloudevents+json' } });
`;

test('TestJobSinkSuccess, TestJobSinkDeleteJobCascadeSecretDeletion', async () => {
  const name = world.name('job');
  const sink = await world.receiver();
  await world.create(JOB_SINKS, name, {
    job: {
      spec: {
        template: {
          spec: {
            restartPolicy: 'Never',
            containers: [
              {
                name: 'main',
                image: 'petrel.dev/host',
                command: [process.execPath, '-e', FORWARD],
                args: [sink.url],
              },
            ],
          },
        },
      },
    },
  });
  const address = await world.address(JOB_SINKS, name);
  const event = fullEvent(world.name('event'));
  const answer = await world.send(address, event);
  assert.equal(answer.status, 202, `${answer.body}${world.petrel.log()}`);
  await world.gotAll(sink, [event.id]);
  const location = String(answer.headers.location);
  assert.match(String(location), /^\/events\/job\//);
  const at = new URL(location, address).href;
  await eventually('it is complete', async () => (await world.request(at, { method: 'GET' })).status === 200);
  const again = await world.send(address, event);
  assert.equal(again.status, 202, 'the same again');
  const missing = await world.request(at.replace(/ids\/.*/, 'ids/none'), { method: 'GET' });
  assert.equal(missing.status, 404);
  const labelSelector = `sinks.knative.dev/job-sink-name=${name}`;
  const { items } = await world.client.list<UntypedObject>(JOBS, { namespace: NAMESPACE, labelSelector });
  assert.equal(items.length, 1, 'one Job for one event');
  const secrets = async () =>
    (await world.client.list<UntypedObject>(SECRETS, { namespace: NAMESPACE, labelSelector })).items.length;
  assert.equal(await secrets(), 1);
  for (const { metadata } of items)
    await world.client.delete(JOBS, NAMESPACE, metadata.name, { propagationPolicy: 'Background' });
  await eventually('no Secret is left', async () => (await secrets()) === 0);
});

const TRANSFORM = {
  expression: `{
    "specversion": "1.0", "id": id, "type": "transformation.jsonata", "source": "transformation.json.identity",
    "data": { "original": $ }
  }`,
};

describe('EventTransform', () => {
  test('TestEventTransformJsonataDirect', async () => {
    const name = world.name('transform');
    await world.create(EVENT_TRANSFORMS, name, { jsonata: TRANSFORM });
    const address = await world.address(EVENT_TRANSFORMS, name);
    const { status, headers, body } = await world.send(address, fullEvent('direct'));
    assert.equal(status, 200, body);
    assert.equal(headers['ce-type'], 'transformation.jsonata');
    assert.equal(JSON.parse(body).original.id, 'direct');
  });

  test('TestEventTransformJsonataWithSink: the answer of the sink comes back', async () => {
    const name = world.name('transform');
    const sink = await world.receiver(replyWith({ type: 'of.the.sink' }));
    await world.create(EVENT_TRANSFORMS, name, { jsonata: TRANSFORM, sink: destination(sink) });
    const { headers } = await world.send(await world.address(EVENT_TRANSFORMS, name), fullEvent('sunk'));
    assert.equal(headers['ce-type'], 'of.the.sink');
    await got(sink, 'the transformed event', typed('transformation.jsonata'));
  });

  test('TestEventTransformJsonataWithSinkReplyTransform', async () => {
    const name = world.name('transform');
    const sink = await world.receiver(replyWith({ type: 'of.the.sink' }));
    const reply = { jsonata: { expression: '$merge([$, {"type": "reply.type"}])' } };
    await world.create(EVENT_TRANSFORMS, name, { jsonata: TRANSFORM, sink: destination(sink), reply });
    const { headers } = await world.send(await world.address(EVENT_TRANSFORMS, name), fullEvent('replied'));
    assert.equal(headers['ce-type'], 'reply.type');
  });
});
