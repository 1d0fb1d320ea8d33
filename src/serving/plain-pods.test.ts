import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import test from 'node:test';
import { simulatedClock } from '../base/clock.ts';
import { silentLogger } from '../base/log.ts';
import { POD_NETWORK_LABEL, ZONE_LABEL } from '../kinds/node.ts';
import type { UntypedObject } from '../kinds/object.ts';
import type { Container, Pod, PodStatus } from '../kinds/pod.ts';
import type { Revision } from '../kinds/serving.ts';
import { NODES, PODS } from '../kube/refs.ts';
import { createClient } from '../kube/rest.ts';
import { createFakeApi } from '../kube/testing.ts';
import { InstanceError, UnschedulableError } from './contract.ts';
import { createPlainPods } from './plain-pods.ts';
import { earlyProbe, podFor } from './pod-template.ts';

const revision = (container: Partial<Container> = {}): Revision => ({
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Revision',
  metadata: {
    name: 'web-00001',
    namespace: 'default',
    uid: 'rev-1',
    generation: 1,
    labels: { 'serving.knative.dev/service': 'web', 'serving.knative.dev/configuration': 'web' },
  },
  spec: {
    containers: [{ name: 'user-container', image: 'docker.io/web', ...container }],
    timeoutSeconds: 60,
  },
});

async function setUp() {
  const api = createFakeApi();
  const client = createClient(api);
  const clock = simulatedClock();
  let seed = 0;
  const make = () =>
    createPlainPods({
      client,
      log: silentLogger,
      clock,
      random: () => (seed++ * 0.137) % 1,
      freePort: async () => 45_678,
    });
  const plain = make();
  const started = plain.start();
  await clock.advance(0);
  await started;
  const events: string[] = [];
  plain.source.onEvent({
    down: (_revision, _id, reason, kind) => events.push(`${kind} ${reason}`),
    up: (_revision, instance) => events.push(`up ${instance.podName}`),
  });
  const pods = () => api.objects('pods');
  const name = (index = 0) => pods()[index]?.metadata.name ?? '';
  const setStatus = async (podName: string, status: PodStatus) => {
    const pod = await client.get<UntypedObject>(PODS, 'default', podName);
    await client.updateStatus(PODS, { ...pod, status });
    await clock.advance(0);
  };
  const ready = (podName: string) =>
    setStatus(podName, { podIP: '10.0.0.7', conditions: [{ type: 'Ready', status: 'True' }] });
  return { api, client, clock, plain, make, events, pods, name, setStatus, ready };
}

test('a Pod of the template, with identity and port, is an instance once it is ready', async (t) => {
  const { plain, clock, pods, name, ready } = await setUp();
  t.after(() => plain.stop());
  const starting = plain.source.acquire(
    revision({ ports: [{ containerPort: 3000 }], env: [{ name: 'A', value: '1' }] }),
    new AbortController().signal,
  );
  await clock.advance(0);
  const pod = pods()[0]!;
  assert.equal(pod.metadata.ownerReferences?.[0]?.uid, 'rev-1');
  assert.equal(pod.metadata.labels?.['serving.knative.dev/revision'], 'web-00001');
  assert.equal(pod.spec.terminationGracePeriodSeconds, 60);
  assert.equal(pod.spec.timeoutSeconds, undefined);
  const container = pod.spec.containers[0];
  assert.deepEqual(container.env, [
    { name: 'A', value: '1' },
    { name: 'PORT', value: '3000' },
    { name: 'K_REVISION', value: 'web-00001' },
    { name: 'K_CONFIGURATION', value: 'web' },
    { name: 'K_SERVICE', value: 'web' },
  ]);
  assert.deepEqual(container.readinessProbe, {
    successThreshold: 1,
    periodSeconds: 1,
    tcpSocket: { port: 3000 },
  });
  await ready(name());
  const instance = await starting;
  assert.deepEqual(instance.address, { kind: 'http1', host: '10.0.0.7', port: 3000, detect: true });
  assert.equal(instance.id, pod.metadata.uid);
});

test('a process on the host gets a port of its own, and probes follow it', () => {
  const pod = podFor(
    revision({
      image: 'petrel.dev/host',
      ports: [{ name: 'http1', containerPort: 3000 }],
      livenessProbe: { httpGet: { path: '/live', port: 3000 } },
      readinessProbe: { httpGet: { path: '/ready', port: 9999, scheme: 'http' }, periodSeconds: 7 },
    }),
    'p',
    45_678,
  );
  const container = pod.spec.containers[0]!;
  assert.equal(pod.metadata.annotations?.['petrel.dev/port'], '45678');
  assert.equal(container.env?.find((one) => one.name === 'PORT')?.value, '45678');
  assert.equal(container.livenessProbe?.httpGet?.port, 45_678);
  assert.equal(container.readinessProbe?.httpGet?.port, 9999);
  assert.equal(container.readinessProbe?.httpGet?.scheme, 'HTTP');
  assert.equal(container.readinessProbe?.periodSeconds, 7);
});

test('where a node says that its Pods share its network, every instance has a port of its own', async (t) => {
  const { plain, client, clock, pods } = await setUp();
  t.after(() => plain.stop());
  const signal = new AbortController().signal;
  void plain.source.acquire(revision(), signal).catch(() => {});
  await clock.advance(0);
  await client.create(NODES, {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n', labels: { [POD_NETWORK_LABEL]: 'host' } },
  });
  await clock.advance(0);
  void plain.source
    .acquire(
      revision({
        ports: [
          { name: 'h2c', containerPort: 80 },
          { name: 'more', containerPort: 81 },
        ],
      }),
      signal,
    )
    .catch(() => {});
  await clock.advance(0);
  assert.deepEqual(
    pods().map(({ metadata }) => metadata.annotations?.['petrel.dev/port']),
    ['8080', '45678'],
  );
  assert.deepEqual(pods()[1]?.spec.containers[0].ports, [
    { name: 'h2c', containerPort: 45_678 },
    { name: 'more', containerPort: 81 },
  ]);
});

test('an instance is in the zone of its node', async (t) => {
  const { plain, client, clock, name, ready } = await setUp();
  t.after(() => plain.stop());
  const labels = { [POD_NETWORK_LABEL]: 'host', [ZONE_LABEL]: 'west' };
  await client.create(NODES, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n', labels } });
  await clock.advance(0);
  const starting = plain.source.acquire(revision(), new AbortController().signal);
  await clock.advance(0);
  await client.patch(PODS, 'default', name(), 'merge', { spec: { nodeName: 'n' } });
  await ready(name());
  assert.equal((await starting).zone, 'west');
});

test('only the serving container of several gets the port', () => {
  const two = revision();
  two.spec.containers = [{ name: 'side' }, { name: 'main', ports: [{ containerPort: 1 }] }];
  const [side, main] = podFor(two, 'p', 1).spec.containers;
  assert.equal(side?.env, undefined);
  assert.equal(main?.env?.[0]?.name, 'PORT');
});

test('revisions of our own runtimes are not for plain Pods', async (t) => {
  const { plain } = await setUp();
  t.after(() => plain.stop());
  assert.equal(plain.source.handles(revision({ image: 'petrel.dev/runtime/node' })), false);
  assert.equal(plain.source.handles(revision()), true);
});

const INIT = { ready: false, restartCount: 0, image: '', imageID: '' };
const FAILURES: { name: string; status: PodStatus; reason: string; message: string }[] = [
  {
    name: 'an init container fails, after another that did not',
    status: {
      initContainerStatuses: [
        { ...INIT, name: 'fine', state: { terminated: { exitCode: 0, reason: 'Completed' } }, lastState: {} },
        {
          ...INIT,
          name: 'i',
          state: { waiting: { reason: 'CrashLoopBackOff' } },
          lastState: { terminated: { exitCode: 2, message: 'no schema' } },
        },
      ],
    },
    reason: 'ExitCode2',
    message: 'Container failed with: no schema',
  },
  {
    name: 'the image is missing',
    status: {
      containerStatuses: [
        {
          name: 'user-container',
          state: { waiting: { reason: 'ErrImagePull', message: 'not found' } },
          lastState: {},
          ready: false,
          restartCount: 0,
          image: '',
          imageID: '',
        },
      ],
    },
    reason: 'ContainerMissing',
    message: 'Unable to fetch image "docker.io/web": not found',
  },
  {
    name: 'the program ends',
    status: {
      containerStatuses: [
        {
          name: 'user-container',
          state: { waiting: { reason: 'CrashLoopBackOff' } },
          lastState: { terminated: { exitCode: 3, message: 'cannot open /data\n' } },
          ready: false,
          restartCount: 1,
          image: '',
          imageID: '',
        },
      ],
    },
    reason: 'ExitCode3',
    message: 'Container failed with: cannot open /data',
  },
];

for (const { name: what, status, reason, message } of FAILURES) {
  test(`a start that cannot succeed is reported with upstream's words, its Pod removed: ${what}`, async (t) => {
    const { plain, clock, pods, name, setStatus } = await setUp();
    t.after(() => plain.stop());
    const starting = plain.source.acquire(revision(), new AbortController().signal);
    starting.catch(() => {});
    await clock.advance(0);
    await setStatus(name(), status);
    await assert.rejects(
      starting,
      (error) =>
        error instanceof InstanceError && error.failure.reason === reason && error.message === message,
    );
    assert.equal(pods().length, 0);
  });
}

test('a Pod that no node takes is reported, stays, and is what the next attempt waits for', async (t) => {
  const { plain, clock, pods, name, setStatus, ready } = await setUp();
  t.after(() => plain.stop());
  const starting = plain.source.acquire(revision(), new AbortController().signal);
  starting.catch(() => {});
  await clock.advance(0);
  await setStatus(name(), {
    conditions: [
      { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/1 nodes are available' },
    ],
  });
  await clock.advance(30_000);
  await assert.rejects(starting, new UnschedulableError('0/1 nodes are available'));
  const again = plain.source.acquire(revision(), new AbortController().signal);
  await clock.advance(0);
  assert.equal(pods().length, 1);
  await ready(name());
  assert.equal((await again).podName, name());
});

test('a Pod that is deleted while it starts is no fault of the revision: another takes its place', async (t) => {
  const { plain, client, clock, name, pods, ready, setStatus } = await setUp();
  t.after(() => plain.stop());
  const starting = plain.source.acquire(revision(), new AbortController().signal);
  await clock.advance(0);
  const podName = name();
  await client.patch(PODS, 'default', podName, 'merge', { metadata: { finalizers: ['a.b/c'] } });
  await client.delete(PODS, 'default', podName);
  await setStatus(podName, FAILURES[1]!.status);
  await clock.advance(0);
  const another = pods().find((pod) => pod.metadata.name !== podName)?.metadata.name ?? '';
  await ready(another);
  assert.equal((await starting).podName, another);
});

test('a server that answers is an instance before its Pod is reported Ready, and stays one until the report says otherwise', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const { plain, clock, name, setStatus, events } = await setUp();
  t.after(() => plain.stop());
  const starting = plain.source.acquire(
    revision({ ports: [{ containerPort: port }] }),
    new AbortController().signal,
  );
  await clock.advance(0);
  const podName = name();
  const status = (ready: 'True' | 'False'): PodStatus => ({
    podIP: '127.0.0.1',
    conditions: [{ type: 'Ready', status: ready }],
  });
  await setStatus(podName, status('False'));
  assert.equal((await starting).podName, podName);
  await setStatus(podName, { ...status('False'), phase: 'Running' });
  assert.deepEqual(events, []);
  await setStatus(podName, status('True'));
  await setStatus(podName, status('False'));
  assert.deepEqual(events, ['unready its Pod is not ready']);
});

test('a server that answered once, and fails before its Pod was ever reported Ready, is no instance for long', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const { plain, clock, name, setStatus, events } = await setUp();
  t.after(() => plain.stop());
  const readinessProbe = { tcpSocket: { port }, periodSeconds: 2, failureThreshold: 3 };
  const starting = plain.source.acquire(
    revision({ ports: [{ containerPort: port }], readinessProbe }),
    new AbortController().signal,
  );
  await clock.advance(0);
  const podName = name();
  const status = (ready: 'True' | 'False'): PodStatus => ({
    podIP: '127.0.0.1',
    phase: 'Running',
    conditions: [{ type: 'Ready', status: ready }],
  });
  await setStatus(podName, status('False'));
  await starting;
  await clock.advance(6000);
  assert.deepEqual(events, []);
  await clock.advance(4000);
  assert.deepEqual(events, ['unready its Pod is not ready']);
  await setStatus(podName, status('True'));
  assert.equal(events.at(-1), `up ${podName}`);
});

test('a template that asks to wait is waited for', () => {
  const template = (container: Partial<Container>) => earlyProbe(podFor(revision(container), 'p', 8080));
  assert.deepEqual(template({})?.tcpSocket, { port: 8080 });
  assert.equal(template({ readinessProbe: { exec: { command: ['true'] } } }), undefined);
  assert.equal(template({ readinessProbe: { initialDelaySeconds: 5 } }), undefined);
  assert.equal(template({ startupProbe: { tcpSocket: { port: 8080 } } }), undefined);
  const pod = podFor(revision({}), 'p', 8080);
  const beside = (container: Partial<Container>): Pod => ({
    ...pod,
    spec: { ...pod.spec, containers: [...pod.spec.containers, { name: 'beside', ...container }] },
  });
  assert.deepEqual(earlyProbe(beside({}))?.tcpSocket, { port: 8080 });
  assert.equal(earlyProbe(beside({ readinessProbe: { tcpSocket: { port: 9000 } } })), undefined);
});

test('two starts at once make two Pods', async (t) => {
  const { plain, clock, pods, name, ready } = await setUp();
  t.after(() => plain.stop());
  const signal = new AbortController().signal;
  const starting = [plain.source.acquire(revision(), signal), plain.source.acquire(revision(), signal)];
  await clock.advance(0);
  assert.equal(pods().length, 2);
  await ready(name(0));
  await ready(name(1));
  const [one, two] = await Promise.all(starting);
  assert.notEqual(one?.id, two?.id);
});

test('giving a start up removes its Pod', async (t) => {
  const { plain, clock, pods } = await setUp();
  t.after(() => plain.stop());
  const abort = new AbortController();
  const starting = plain.source.acquire(revision(), abort.signal);
  starting.catch(() => {});
  await clock.advance(0);
  abort.abort();
  await assert.rejects(starting, { code: 'Timeout' });
  assert.equal(pods().length, 0);
});

test('an instance that is no longer ready goes down, comes up again, and is gone with its Pod', async (t) => {
  const { plain, client, clock, name, setStatus, ready, events } = await setUp();
  t.after(() => plain.stop());
  const starting = plain.source.acquire(revision(), new AbortController().signal);
  await clock.advance(0);
  const podName = name();
  await ready(podName);
  const instance = await starting;
  await setStatus(podName, {
    podIP: '10.0.0.7',
    conditions: [{ type: 'Ready', status: 'False', message: 'probe failed' }],
  });
  await ready(podName);
  await client.delete(PODS, 'default', podName);
  await clock.advance(0);
  assert.deepEqual(events, ['unready probe failed', `up ${podName}`, 'removed its Pod was deleted']);
  await plain.source.release(revision(), instance.id, 1000);
});

test('releasing deletes the Pod, with its grace period, and is no event', async (t) => {
  const { plain, clock, pods, name, ready, events } = await setUp();
  t.after(() => plain.stop());
  const starting = plain.source.acquire(revision(), new AbortController().signal);
  await clock.advance(0);
  await ready(name());
  const instance = await starting;
  await plain.source.release(revision(), instance.id, 1000);
  await plain.source.release(revision(), instance.id, 1000);
  await clock.advance(0);
  assert.equal(pods().length, 0);
  assert.deepEqual(events, []);
});

test('after a restart ready Pods are taken over, and those still starting are waited for', async (t) => {
  const { plain, make, clock, name, ready, pods } = await setUp();
  const signal = new AbortController().signal;
  const first = plain.source.acquire(revision(), signal);
  const second = plain.source.acquire(revision(), signal);
  second.catch(() => {});
  await clock.advance(0);
  await ready(name(0));
  const { id } = await first;
  plain.stop();
  const next = make();
  t.after(() => next.stop());
  const started = next.start();
  await clock.advance(0);
  await started;
  assert.deepEqual(
    (await next.source.adopt(revision())).map((instance) => instance.id),
    [id],
  );
  const again = next.source.acquire(revision(), signal);
  await clock.advance(0);
  assert.equal(pods().length, 2);
  await ready(name(1));
  assert.equal((await again).podName, name(1));
});
