/** Canaries within serving: what they read and write, with time in the test's hands. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CanaryPolicy, TrafficPolicy } from '../../kinds/traffic-policy.ts';
import { KSERVICES, TRAFFIC_POLICIES } from '../../kube/refs.ts';
import type { Serving } from '../serving.ts';
import { service, setUp } from '../testing/platform.ts';

const KEY = 'default/web';

async function platform(t: { after(done: () => unknown): void }, canary: CanaryPolicy) {
  const world = setUp();
  t.after(world.stop);
  let serving: Serving = await world.start();
  const { client, settle, one, gateway } = world;
  const policy: TrafficPolicy = {
    apiVersion: 'petrel.dev/v1',
    kind: 'TrafficPolicy',
    metadata: { name: 'web', namespace: 'default' },
    spec: { targetRef: { kind: 'Service', name: 'web' }, canary },
  };
  await client.create(TRAFFIC_POLICIES, policy);
  await client.create(KSERVICES, service('web'));
  await settle();
  return {
    ...world,
    status: () => one('trafficpolicies', 'web').status?.canary,
    traffic: () => gateway.traffic(KEY),
    /** A new version, deployed until it is ready. */
    async deploy(who: string) {
      const container = {
        name: 'user-container',
        image: 'petrel.dev/runtime/node',
        env: [{ name: 'WHO', value: who }],
      };
      await client.patch(KSERVICES, 'default', 'web', 'merge', {
        spec: { template: { spec: { containers: [container] } } },
      });
      await settle();
    },
    /** What the gateway would report of a second. */
    async answered(revision: string, good: number, bad = 0) {
      const outcomes = { classes: [0, 0, good, 0, 0, bad], latency: [good + bad] };
      const counts = { averageConcurrency: 0, requestCount: good + bad, inFlight: 0, queued: 0 };
      serving.events.stats([{ key: `default/${revision}`, ...counts, outcomes }], 1000);
      await settle();
    },
    async restart() {
      await serving.stop();
      serving = await world.start();
      await settle();
    },
  };
}

test('step by step to everything; the gateway counts while it lasts, and the status tells', async (t) => {
  const world = await platform(t, { steps: [10, 50], intervalSeconds: 60, minRequests: 10 });
  assert.equal(world.traffic(), 'web-00001=100');
  assert.equal(world.status().phase, 'Idle');
  await world.deploy('b');
  assert.equal(world.traffic(), 'web-00001=90 web-00002=10');
  assert.deepEqual([world.status().phase, world.status().percent], ['Progressing', 10]);
  assert.equal(world.gateway.revisions.get('default/web-00002')?.outcomes, true);
  assert.equal(world.ready('services', 'web'), 'True');
  await world.answered('web-00002', 20);
  assert.equal(world.traffic(), 'web-00001=90 web-00002=10', 'the step has not had its time');
  await world.settle(60_000);
  assert.equal(world.traffic(), 'web-00001=50 web-00002=50');
  await world.settle(60_000);
  assert.match(world.status().message, /^Waits until 10 requests were answered at 50 %/);
  await world.answered('web-00002', 10);
  assert.equal(world.traffic(), 'web-00002=100');
  assert.deepEqual([world.status().phase, world.status().message], ['Promoted', undefined]);
  assert.equal(world.ready('services', 'web'), 'True');
});

test('failures take it back at once; the requests of others do not count', async (t) => {
  const world = await platform(t, { steps: [10], intervalSeconds: 60, minRequests: 10 });
  await world.deploy('b');
  await world.answered('web-00001', 0, 50);
  assert.equal(world.traffic(), 'web-00001=90 web-00002=10');
  await world.answered('web-00002', 0, 2);
  assert.equal(world.traffic(), 'web-00001=100');
  assert.match(world.status().message, /^2 of 2 requests failed at 10 %, more than 1 %$/);
  await world.settle(10_000); // Events are written when nothing else is
  const events = world.api.objects('events').map(({ reason }) => reason);
  assert.ok(events.includes('CanaryStep') && events.includes('CanaryRolledBack'), events.join());
  await world.deploy('c');
  assert.equal(world.traffic(), 'web-00001=90 web-00003=10', 'the next begins against the stable one');
});

test('a restart in the middle: the step keeps its time, and is judged by what is answered from then on', async (t) => {
  const world = await platform(t, { steps: [10], intervalSeconds: 60, minRequests: 10 });
  await world.deploy('b');
  await world.answered('web-00002', 9);
  await world.settle(40_000);
  await world.restart();
  assert.equal(world.traffic(), 'web-00001=90 web-00002=10');
  await world.settle(30_000);
  assert.equal(world.traffic(), 'web-00001=90 web-00002=10');
  await world.answered('web-00002', 10);
  assert.equal(world.traffic(), 'web-00002=100');
});

test('at rest there is no timer, nothing is written, and reports cost nothing', async (t) => {
  const world = await platform(t, { steps: [10], intervalSeconds: 60, minRequests: 1 });
  await world.deploy('b');
  await world.answered('web-00002', 1);
  await world.settle(60_000);
  assert.equal(world.status().phase, 'Promoted');
  await world.settle(3_600_000);
  const versions = () =>
    ['services', 'trafficpolicies'].map((plural) => one(world, plural).metadata.resourceVersion).join();
  const before = [versions(), world.clock.pending()];
  await world.answered('web-00002', 5);
  await world.settle(3_600_000);
  assert.deepEqual([versions(), world.clock.pending()], before);
});

const one = (
  world: { one(plural: string, name: string): { metadata: { resourceVersion?: string } } },
  plural: string,
) => world.one(plural, 'web');

test('without its policy the traffic follows the latest again, and the Service bears no trace', async (t) => {
  const world = await platform(t, {});
  await world.client.delete(TRAFFIC_POLICIES, 'default', 'web');
  await world.settle();
  const { spec, metadata } = world.one('services', 'web');
  assert.deepEqual(spec.traffic, [{ latestRevision: true, percent: 100 }]);
  assert.equal(metadata.annotations?.['petrel.dev/canary'], undefined);
  await world.deploy('b');
  assert.equal(world.traffic(), 'web-00002=100');
});
