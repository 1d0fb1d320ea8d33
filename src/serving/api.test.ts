/** Serving against the real API server and a real store: what admission, garbage collection and watches make of it. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { systemClock } from '../base/clock.ts';
import { silentLogger } from '../base/log.ts';
import { inProcessTransport } from '../engine/apiserver/in-process.ts';
import { ADMIN, createTestApi } from '../engine/apiserver/testing.ts';
import { createGarbageCollector } from '../engine/workloads/garbage-collector.ts';
import { readiness } from '../kinds/conditions.ts';
import type { Json, KubeObject } from '../kinds/object.ts';
import { builtinRegistry } from '../kinds/registry.ts';
import type { Service } from '../kinds/serving.ts';
import type { Ingress, PodAutoscaler, ServerlessService } from '../kinds/serving-internal.ts';
import type { KubeClient, ResourceRef } from '../kube/client.ts';
import { createInformer } from '../kube/informer.ts';
import {
  CONFIGURATIONS,
  INGRESSES,
  KSERVICES,
  POD_AUTOSCALERS,
  REVISIONS,
  ROUTES,
  SERVERLESS_SERVICES,
} from '../kube/refs.ts';
import { createClient } from '../kube/rest.ts';
import type { KubeTransport } from '../kube/transport.ts';
import { createServing } from './serving.ts';
import { createFakeGateway, createFakeSource } from './testing.ts';

async function setUp(t: { after(done: () => unknown): void }) {
  const api = await createTestApi();
  const writes: string[] = [];
  const direct = inProcessTransport(api.server, ADMIN);
  const counted: KubeTransport = {
    request(request) {
      if (request.method !== 'GET') writes.push(`${request.method} ${request.path}`);
      return direct.request(request);
    },
    close() {},
  };
  const client = createClient(direct);
  const collector = createGarbageCollector({
    store: api.store,
    registry: builtinRegistry(),
    client,
    log: silentLogger,
  });
  await collector.start();
  const gateway = createFakeGateway();
  const source = createFakeSource(systemClock);
  const start = async () => {
    const serving = createServing({ client: createClient(counted), sources: [source], log: silentLogger });
    await serving.start(gateway);
    return serving;
  };
  const serving = await start();
  t.after(async () => {
    await serving.stop();
    await collector.stop();
    await api.close();
  });
  return { api, client, gateway, source, serving, start, writes };
}

/** Resolves with the object as soon as it is as wanted. */
async function until<T extends KubeObject>(
  client: KubeClient,
  resource: ResourceRef,
  name: string,
  wanted: (object: T) => boolean,
): Promise<T> {
  const informer = createInformer<T>({ client, resource, log: silentLogger, namespace: 'default' });
  const { promise, resolve } = Promise.withResolvers<T>();
  const look = (object: T) => {
    if (object.metadata.name === name && wanted(object)) resolve(object);
  };
  informer.addHandler({ add: look, update: look });
  informer.start();
  return promise.finally(() => informer.stop());
}

const service = (name: string): Service => ({
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Service',
  metadata: { name, namespace: 'default' },
  spec: { template: { spec: { containers: [{ image: 'petrel.dev/runtime/node' }] } } } as Service['spec'],
});

const isReady = (object: Service) => readiness(object) === 'True';

test('a deploy is eight writes, and then nothing is written any more', async (t) => {
  const { client, gateway, writes } = await setUp(t);
  const { metadata } = await client.create(KSERVICES, service('hello'));
  const ready = await until<Service>(client, KSERVICES, 'hello', isReady);
  assert.equal(ready.status?.url, 'http://hello.default.localhost:8080');
  assert.equal(gateway.traffic('default/hello'), 'hello-00001=100');
  assert.equal(writes.length, 8, writes.join('\n'));
  // A second Service goes all the way: what the first might still have written has been written by then.
  await client.create(KSERVICES, service('other'));
  await until<Service>(client, KSERVICES, 'other', isReady);
  const again = await client.get<Service>(KSERVICES, 'default', 'hello');
  assert.equal(again.metadata.resourceVersion, ready.metadata.resourceVersion);
  assert.equal(writes.filter((write) => /^PUT.*hello/.test(write)).length, 4, writes.join('\n'));
  assert.equal(again.metadata.uid, metadata.uid);
});

test('what is told to tools is told once, and a restart finds it as it should be', async (t) => {
  const { client, serving, start, writes } = await setUp(t);
  await client.create(KSERVICES, service('hello'));
  const isTold = ({ status }: PodAutoscaler) => status?.actualScale !== undefined;
  await until(client, POD_AUTOSCALERS, 'hello-00001', isTold);
  await until(
    client,
    SERVERLESS_SERVICES,
    'hello-00001',
    ({ status }: ServerlessService) => status !== undefined,
  );
  await until(client, INGRESSES, 'hello', ({ status }: Ingress) => status !== undefined);
  const about = () =>
    writes
      .filter((write) => /internal\.knative/.test(write))
      .map((write) => write.split('/').slice(-2).join('/'));
  assert.deepEqual(about().sort(), [
    'default/ingresses',
    'default/podautoscalers',
    'default/serverlessservices',
  ]);
  await serving.stop();
  const again = await start();
  await client.create(KSERVICES, service('other'));
  await until(client, INGRESSES, 'other', ({ status }: Ingress) => status !== undefined);
  assert.deepEqual(
    about().filter((path) => path.startsWith('hello')),
    [],
  );
  await again.stop();
});

test('a new template makes a new revision, a new split does not, and deletion takes everything along', async (t) => {
  const { client, gateway, source } = await setUp(t);
  await client.create(KSERVICES, service('hello'));
  await until<Service>(client, KSERVICES, 'hello', isReady);
  await client.patch(KSERVICES, 'default', 'hello', 'merge', {
    spec: { template: { metadata: { annotations: { 'petrel.dev/package': 'sha256:2' } } } },
  });
  const second = (object: Service) =>
    isReady(object) && object.status?.latestReadyRevisionName === 'hello-00002';
  await until<Service>(client, KSERVICES, 'hello', second);
  const traffic: Json = [
    { revisionName: 'hello-00001', percent: 25, tag: 'old' },
    { revisionName: 'hello-00002', percent: 75 },
  ];
  await client.patch(KSERVICES, 'default', 'hello', 'merge', { spec: { traffic } });
  await until<Service>(
    client,
    KSERVICES,
    'hello',
    (object) => isReady(object) && object.status?.traffic?.length === 2,
  );
  assert.equal(gateway.traffic('default/hello'), 'hello-00001=25 hello-00002=75');
  assert.equal((await client.list(REVISIONS)).items.length, 2);
  await client.delete(KSERVICES, 'default', 'hello');
  while (source.released.length < 2 || gateway.routes.size > 0)
    await new Promise((resolve) => setTimeout(resolve, 5));
  for (const resource of [CONFIGURATIONS, ROUTES, REVISIONS]) {
    assert.deepEqual((await client.list(resource)).items, [], resource.plural);
  }
});
