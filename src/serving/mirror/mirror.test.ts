import assert from 'node:assert/strict';
import test from 'node:test';
import type { Json, UntypedObject } from '../../kinds/object.ts';
import { KSERVICES } from '../../kube/refs.ts';
import { service, setUp } from '../testing/platform.ts';
import { podAutoscaler } from './revision-objects.ts';

const QUIET = 2000;

test('PodAutoscaler, ServerlessService and Ingress tell what is, after the fact', async (t) => {
  const { api, client, start, settle, one, stop } = setUp();
  t.after(stop);
  await start();
  const object = service('hello', { traffic: [{ latestRevision: true, percent: 100, tag: 'now' }] });
  object.spec.template.spec.containerConcurrency = 5;
  await client.create(KSERVICES, object);
  await settle();
  assert.equal(one('podautoscalers', 'hello-00001'), undefined);
  await settle(QUIET);
  const pa = one('podautoscalers', 'hello-00001');
  assert.equal(pa.metadata.annotations?.['autoscaling.knative.dev/class'], 'kpa.autoscaling.knative.dev');
  assert.equal(pa.metadata.labels?.['serving.knative.dev/revision'], 'hello-00001');
  assert.equal(pa.metadata.labels?.['serving.knative.dev/routingState'], undefined);
  assert.equal(pa.metadata.ownerReferences?.[0]?.kind, 'Revision');
  assert.deepEqual(pa.spec, {
    containerConcurrency: 5,
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'hello-00001-deployment' },
    reachability: 'Reachable',
    protocolType: 'http1',
  });
  const states = (found: UntypedObject) =>
    found.status.conditions.map(({ type, status }: { type: string; status: string }) => `${type}=${status}`);
  assert.deepEqual(states(pa), ['Active=True', 'Ready=True', 'SKSReady=True', 'ScaleTargetInitialized=True']);
  assert.deepEqual([pa.status.desiredScale, pa.status.actualScale], [1, 1]);
  assert.equal(one('serverlessservices', 'hello-00001').spec.mode, 'Serve');
  const ingress = one('ingresses', 'hello');
  assert.deepEqual(states(ingress), ['LoadBalancerReady=True', 'NetworkConfigured=True', 'Ready=True']);
  assert.deepEqual(
    ingress.spec.rules.map(({ hosts, visibility }: { hosts: string[]; visibility: string }) => [
      visibility,
      hosts[0],
    ]),
    [
      ['ClusterLocal', 'hello.default'],
      ['ExternalIP', 'hello.default.localhost'],
      ['ClusterLocal', 'now-hello.default'],
      ['ExternalIP', 'now-hello.default.localhost'],
    ],
  );
  const [tagged, own] = ingress.spec.rules[1].http.paths;
  assert.deepEqual(tagged.headers, { 'Knative-Serving-Tag': { exact: 'now' } });
  assert.deepEqual(own.appendHeaders, { 'Knative-Serving-Default-Route': 'true' });
  assert.deepEqual(own.splits, [
    {
      serviceNamespace: 'default',
      serviceName: 'hello-00001',
      servicePort: 80,
      percent: 100,
      appendHeaders: { 'Knative-Serving-Namespace': 'default', 'Knative-Serving-Revision': 'hello-00001' },
    },
  ]);
  // Function images are in no registry.
  assert.equal(api.objects('images').length, 0);
  // To zero: only what has changed is written.
  const before = api.writes.length;
  await settle(120_000);
  assert.deepEqual([one('podautoscalers', 'hello-00001').status.actualScale], [0]);
  assert.equal(one('serverlessservices', 'hello-00001').spec.mode, 'Proxy');
  const writes = api.writes.slice(before).filter((write) => !write.includes('/revisions/'));
  assert.deepEqual(
    [...new Set(writes.map((write) => write.replace(/.*\/v1alpha1\/namespaces\/default\//, '')))].sort(),
    ['podautoscalers/hello-00001/status', 'serverlessservices/hello-00001'].concat(
      writes.some((write) => write.endsWith('serverlessservices/hello-00001/status'))
        ? ['serverlessservices/hello-00001/status']
        : [],
    ),
  );
});

test('the class is what the revision says, else what config-autoscaler does', () => {
  const revision = (annotations: Record<string, string>) => ({
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Revision',
    metadata: { name: 'r', annotations },
    spec: { containers: [] },
  });
  const of = (annotations: Record<string, string>, fallback: string) => {
    const found = podAutoscaler(revision(annotations), fallback).metadata.annotations;
    return [found?.['autoscaling.knative.dev/class'], found?.['autoscaling.knative.dev/metric']];
  };
  const [kpa, hpa] = ['kpa.autoscaling.knative.dev', 'hpa.autoscaling.knative.dev'];
  assert.deepEqual(of({}, kpa), [kpa, 'concurrency']);
  assert.deepEqual(of({}, hpa), [hpa, 'cpu']);
  assert.deepEqual(of({ 'autoscaling.knative.dev/class': hpa }, kpa), [hpa, 'cpu']);
  assert.deepEqual(of({ 'autoscaling.knative.dev/metric': 'rps' }, kpa), [kpa, 'rps']);
});

test('an image from a registry has its Image; a retired revision is Unreachable', async (t) => {
  const { client, start, settle, one, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello', { image: 'ghcr.io/acme/shop:1' }));
  await settle(QUIET);
  assert.equal(one('images', 'hello-00001-cache-user-container').spec.image, 'ghcr.io/acme/shop:1');
  const template: Json = { spec: { containers: [{ name: 'user-container', image: 'ghcr.io/acme/shop:2' }] } };
  await client.patch(KSERVICES, 'default', 'hello', 'merge', { spec: { template } });
  await settle(2 * QUIET);
  assert.equal(one('podautoscalers', 'hello-00001').spec.reachability, 'Unreachable');
  assert.equal(one('podautoscalers', 'hello-00002').spec.reachability, 'Reachable');
});

test('the Ingress remembers a rollout, so that a restart goes on with the very steps', async () => {
  const first = setUp();
  await first.start();
  const object = service('hello');
  object.metadata.annotations = { 'serving.knative.dev/rollout-duration': '1001s' };
  await first.client.create(KSERVICES, object);
  await first.settle(QUIET);
  const template: Json = { metadata: { annotations: { 'petrel.dev/package': 'sha256:2' } } };
  await first.client.patch(KSERVICES, 'default', 'hello', 'merge', { spec: { template } });
  await first.settle(2 * QUIET);
  const text = first.one('ingresses', 'hello').metadata.annotations?.[
    'networking.internal.knative.dev/rollout'
  ];
  const { stepParams } = JSON.parse(text ?? '').configurations[0];
  assert.equal(stepParams.stepSize, 1);
  assert.equal(first.gateway.traffic('default/hello'), 'hello-00001=99 hello-00002=1');
  await first.stop();
  const second = setUp(first.api);
  await second.clock.advance(first.clock.now() - second.clock.now());
  await second.start();
  assert.equal(second.gateway.traffic('default/hello'), 'hello-00001=99 hello-00002=1');
  await second.clock.advance(stepParams.nextStepTime / 1e6 - second.clock.now());
  await second.settle(10);
  assert.equal(second.gateway.traffic('default/hello'), 'hello-00001=98 hello-00002=2');
  await second.stop();
});
