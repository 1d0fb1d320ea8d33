import assert from 'node:assert/strict';
import test from 'node:test';
import type { TrafficPolicy, TrafficPolicySpec } from '../kinds/traffic-policy.ts';
import { KSERVICES, TRAFFIC_POLICIES } from '../kube/refs.ts';
import { service, setUp } from './testing/platform.ts';

const policy = (name: string, spec: Partial<TrafficPolicySpec>): TrafficPolicy => ({
  apiVersion: 'petrel.dev/v1',
  kind: 'TrafficPolicy',
  metadata: { name, namespace: 'default' },
  spec: { targetRef: { kind: 'Service', name: 'hello' }, ...spec },
});

test('a policy reaches the gateway with its Service, changes while it runs, and goes', async (t) => {
  const { client, gateway, start, settle, one, ready, stop } = setUp();
  t.after(stop);
  await start();
  const limit = policy('limit', { rateLimit: { requests: 5 }, outlierDetection: {}, rules: [] });
  await client.create(TRAFFIC_POLICIES, limit);
  await settle();
  assert.equal(ready('trafficpolicies', 'limit'), 'False TargetNotFound Service "hello" not found.');
  await client.create(
    KSERVICES,
    service('hello', { traffic: [{ latestRevision: true, percent: 100, tag: 'now' }] }),
  );
  await settle();
  assert.equal(ready('trafficpolicies', 'limit'), 'True');
  assert.equal(one('trafficpolicies', 'limit').status.observedGeneration, 1);
  assert.equal(gateway.routes.get('default/hello')?.policy?.rateLimit?.requests, 5);
  assert.equal(gateway.revisions.get('default/hello-00001')?.outliers?.consecutiveErrors, 5);
  const change = {
    rateLimit: null,
    outlierDetection: null,
    loadBalancing: { policy: 'RingHash' },
    retries: { attempts: 1 },
    rules: [{ match: { pathPrefix: '/now' }, to: { tag: 'now' } }],
  };
  await client.patch(TRAFFIC_POLICIES, 'default', 'limit', 'merge', { spec: change });
  await settle();
  assert.equal(gateway.routes.get('default/hello')?.policy?.rules?.[0]?.revision, 'default/hello-00001');
  // Who asks for the tag by name is not sent elsewhere.
  assert.deepEqual(Object.keys(gateway.routes.get('default/now-hello')?.policy ?? {}), ['retries']);
  const revision = gateway.revisions.get('default/hello-00001');
  assert.deepEqual([revision?.balancing, revision?.outliers], [{ policy: 'RingHash' }, undefined]);
  await client.delete(TRAFFIC_POLICIES, 'default', 'limit');
  await settle();
  assert.equal(gateway.routes.get('default/hello')?.policy, undefined);
  assert.equal(gateway.revisions.get('default/hello-00001')?.balancing, undefined);
});

test('a tag that is not there is told and is used once it is there', async (t) => {
  const { client, gateway, start, settle, ready, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await client.create(TRAFFIC_POLICIES, policy('beta', { mirror: { to: { tag: 'next' } } }));
  await settle();
  assert.equal(
    ready('trafficpolicies', 'beta'),
    'False TargetNotResolved Tag "next" is not among the tags of Route "hello".',
  );
  assert.equal(gateway.routes.get('default/hello')?.policy?.mirror, undefined);
  await client.patch(KSERVICES, 'default', 'hello', 'merge', {
    spec: { traffic: [{ latestRevision: true, percent: 100, tag: 'next' }] },
  });
  await settle();
  assert.equal(ready('trafficpolicies', 'beta'), 'True');
  assert.equal(gateway.routes.get('default/hello')?.policy?.mirror?.revision, 'default/hello-00001');
});

test('of two policies the older holds, and the other says so until it is its turn', async (t) => {
  const { client, gateway, start, settle, ready, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await client.create(TRAFFIC_POLICIES, policy('a', { rateLimit: { requests: 1 } }));
  await client.create(TRAFFIC_POLICIES, policy('b', { rateLimit: { requests: 2 } }));
  await settle();
  assert.equal(
    ready('trafficpolicies', 'b'),
    'False Conflicted TrafficPolicy "a" is older and holds for Service "hello".',
  );
  assert.equal(gateway.routes.get('default/hello')?.policy?.rateLimit?.requests, 1);
  await client.delete(TRAFFIC_POLICIES, 'default', 'a');
  await settle();
  assert.equal(ready('trafficpolicies', 'b'), 'True');
  assert.equal(gateway.routes.get('default/hello')?.policy?.rateLimit?.requests, 2);
});
