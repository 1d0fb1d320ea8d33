/** Port of what knative/eventing's reconciler tests say of programs that send and Jobs that take, and of sources over a restart; named as there. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { conditionOf } from '../../../src/kinds/conditions.ts';
import type { UntypedObject } from '../../../src/kinds/object.ts';
import type { ResourceRef } from '../../../src/kube/client.ts';
import {
  API_SERVER_SOURCES,
  BROKERS,
  CONTAINER_SOURCES,
  JOB_SINKS,
  JOBS,
  KSERVICES,
  PING_SOURCES,
  PODS,
  SECRETS,
  SINK_BINDINGS,
  TRIGGERS,
} from '../../../src/kube/refs.ts';
import { eventually } from '../../lib/platform.ts';
import { destination, EventWorld, fullEvent, NAMESPACE, type Received, type Receiver } from './world.ts';

const world = new EventWorld();
before(() => world.start());
after(() => world.stop());

const got = (receiver: Receiver, what: string, is: (one: Received) => boolean) =>
  world.got(receiver, what, ({ accepted }) => accepted.some(is));
const typed = (type: string) => (one: Received) => one.event?.type === type;

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
const named = (type: string, name: string) => (one: Received) =>
  one.event?.type === type && one.event.extensions.name === name;

test('TestSmoke_PingSource: as v1beta2, too', async () => {
  const source = world.name('ping');
  const sink = await world.receiver();
  const v1beta2: ResourceRef = { ...PING_SOURCES, version: 'v1beta2' };
  const data = { contentType: 'text/plain', data: 'hello' };
  await world.create(v1beta2, source, { schedule: '*/1 * * * * *', ...data, sink: destination(sink) });
  await world.ready(PING_SOURCES, source);
  await got(sink, 'a ping', typed('dev.knative.sources.ping'));
  await world.remove(PING_SOURCES, source);
});

test('TestApiServerSourceSkipPermissionsFeature, TestSmoke_ApiServerSource; a restart tells nothing twice', async () => {
  const source = world.name('api');
  const [before, after] = [world.name('pod'), world.name('pod')];
  const sink = await world.receiver();
  const annotations = { 'features.knative.dev/apiserversource-skip-permissions-check': 'true' };
  const resources = [{ apiVersion: 'v1', kind: 'Pod', selector: { matchLabels: { by: source } } }];
  await world.create(API_SERVER_SOURCES, source, { resources, sink: destination(sink) }, { annotations });
  const ready = await world.ready(API_SERVER_SOURCES, source);
  assert.equal(conditionOf(ready, 'SufficientPermissions')?.status, 'True');
  await world.client.create(PODS, POD(before, { by: source }));
  await got(sink, before, named('dev.knative.apiserver.ref.add', before));
  await world.petrel.run(['down']);
  await world.start();
  await world.client.create(PODS, POD(after, { by: source }));
  await got(sink, after, named('dev.knative.apiserver.ref.add', after));
  const added = sink.accepted.filter(typed('dev.knative.apiserver.ref.add'));
  assert.deepEqual(
    added.map(({ event }) => event?.extensions.name),
    [before, after],
  );
  await world.remove(API_SERVER_SOURCES, source);
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

test('TestSinkBindingV1Job', async () => {
  const name = world.name('binding');
  const sink = await world.receiver();
  await world.create(SINK_BINDINGS, name, {
    subject: { apiVersion: 'batch/v1', kind: 'Job', selector: { matchLabels: { app: name } } },
    ceOverrides: { extensions: { sinkbinding: name } },
    sink: destination(sink),
  });
  await world.ready(SINK_BINDINGS, name);
  const template = { spec: { restartPolicy: 'Never', containers: [heart()] } };
  await world.create(JOBS, name, { template }, { labels: { app: name } });
  await got(sink, 'a heartbeat', ({ event }) => event?.extensions.sinkbinding === name);
  await world.client.delete(JOBS, NAMESPACE, name, { propagationPolicy: 'Background' });
  await world.remove(SINK_BINDINGS, name);
});

const FORWARD = `
const event = require('node:fs').readFileSync('/etc/jobsink-event/event');
fetch(process.argv[1], { method: 'POST', body: event, headers: { 'content-type': 'application/cloudevents+json' } });
`;

test('TestJobSinkSuccess: with a place that tells how it goes, and one Job for one event', async () => {
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
