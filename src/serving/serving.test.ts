import assert from 'node:assert/strict';
import test from 'node:test';
import { conditionOf } from '../kinds/conditions.ts';
import type { Json, UntypedObject } from '../kinds/object.ts';
import type { Service } from '../kinds/serving.ts';
import { KubeError } from '../kube/client.ts';
import { CONFIGURATIONS, KSERVICES, REVISIONS, ROUTES } from '../kube/refs.ts';
import { InstanceError, UnschedulableError } from './contract.ts';
import { service, setUp } from './testing/platform.ts';

test('a Service becomes a Configuration, a Revision that is proven to start, and a Route that leads to it', async (t) => {
  const { api, client, gateway, source, start, settle, one, ready, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  for (const plural of ['configurations', 'routes', 'services'])
    assert.equal(ready(plural, 'hello'), 'True', plural);
  assert.equal(ready('revisions', 'hello-00001'), 'True');
  assert.equal(source.starts.get('default/hello-00001'), 1);
  assert.deepEqual(gateway.ids('default/hello-00001'), ['i1']);
  assert.equal(gateway.traffic('default/hello'), 'hello-00001=100');
  assert.deepEqual(gateway.routes.get('default/hello')?.hosts, [
    'hello.default.localhost',
    'hello.default.svc.cluster.local',
    'hello.default.svc',
    'hello.default',
  ]);
  const { status, metadata } = one('services', 'hello');
  assert.equal(status.url, 'http://hello.default.localhost:8080');
  assert.equal(status.address.url, 'http://hello.default.svc.cluster.local');
  assert.equal(status.latestReadyRevisionName, 'hello-00001');
  assert.equal(status.observedGeneration, 1);
  assert.deepEqual(status.traffic, [{ latestRevision: true, percent: 100, revisionName: 'hello-00001' }]);
  const revision = one('revisions', 'hello-00001');
  assert.equal(revision.metadata.labels?.['serving.knative.dev/configurationGeneration'], '1');
  assert.equal(revision.metadata.labels?.['serving.knative.dev/serviceUID'], metadata.uid);
  assert.equal(one('configurations', 'hello').metadata.annotations?.['serving.knative.dev/creator'], 'me');
  assert.deepEqual(
    revision.status.conditions.map(
      (condition: { type: string; status: string }) => `${condition.type}=${condition.status}`,
    ),
    ['Active=True', 'ContainerHealthy=True', 'Ready=True', 'ResourcesAvailable=True'],
  );
  assert.equal(revision.status.actualReplicas, 1);
  // What a deploy costs: three children, a name that is kept free, and one status each for the four kinds.
  assert.deepEqual(
    api.writes
      .map((write) => write.replace(/\/apis\/serving.knative.dev\/v1\/namespaces\/default/, ''))
      .sort(),
    [
      'POST /api/v1/namespaces/default/services',
      'POST /configurations',
      'POST /revisions',
      'POST /routes',
      'POST /services',
      'PUT /configurations/hello/status',
      'PUT /revisions/hello-00001/status',
      'PUT /routes/hello/status',
      'PUT /services/hello/status',
    ],
  );
});

test('an Event of the Revision tells why an instance was lost', async (t) => {
  const { api, client, source, start, settle, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  source.crash('default/hello-00001', 'i1');
  await settle();
  const [event, second] = (api.objects('events') as UntypedObject[]).filter(({ type }) => type === 'Warning');
  assert.deepEqual(
    [event?.reason, event?.involvedObject.name, event?.message, second],
    ['InstanceLost', 'hello-00001', 'exit code 1', undefined],
  );
});

test('the failure of one revision is never told as the failure of the next', async (t) => {
  const { client, clock, source, start, settle, ready, stop } = setUp();
  t.after(stop);
  const failWith = (message: string) => {
    source.failure = () =>
      new InstanceError({ status: 500, component: 'function', reason: 'load_error', message });
  };
  failWith('first');
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  assert.match(ready('services', 'hello'), /^False RevisionFailed .*first/);
  failWith('second');
  source.startMs = 1000;
  const watching = new AbortController();
  t.after(() => watching.abort());
  const said: string[] = [];
  const { resourceVersion } = await client.list<Service>(KSERVICES, { namespace: 'default' });
  void (async () => {
    for await (const event of client.watch<Service>(KSERVICES, {
      namespace: 'default',
      resourceVersion,
      signal: watching.signal,
    })) {
      const { status, metadata } = event.object as Service;
      if (event.type !== 'MODIFIED' || status?.observedGeneration !== metadata.generation) continue;
      const condition = conditionOf(event.object as Service, 'Ready');
      said.push(`${condition?.status} ${condition?.message ?? ''}`);
    }
  })().catch(() => {});
  await clock.advance(0);
  const template = { spec: { containers: [{ name: 'user-container', image: 'petrel.dev/runtime/python' }] } };
  await client.patch(KSERVICES, 'default', 'hello', 'merge', { spec: { template } });
  await settle(3000);
  assert.match(said.at(-1) ?? '', /^False .*second/);
  assert.deepEqual(
    said.filter((text) => text.startsWith('False') && !text.includes('second')),
    [],
  );
});

test('a rollout keeps the old revision until the new one is ready', async (t) => {
  const { client, gateway, source, start, settle, one, ready, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  source.startMs = 1000;
  const template = { spec: { containers: [{ name: 'user-container', image: 'petrel.dev/runtime/python' }] } };
  await client.patch(KSERVICES, 'default', 'hello', 'merge', { spec: { template } });
  await settle();
  assert.equal(gateway.traffic('default/hello'), 'hello-00001=100');
  assert.equal(one('services', 'hello').status.latestCreatedRevisionName, 'hello-00002');
  assert.equal(one('services', 'hello').status.latestReadyRevisionName, 'hello-00001');
  assert.equal(ready('services', 'hello'), 'Unknown');
  await settle(1500);
  assert.equal(gateway.traffic('default/hello'), 'hello-00002=100');
  assert.equal(ready('services', 'hello'), 'True');
  assert.equal(one('services', 'hello').status.latestReadyRevisionName, 'hello-00002');
});

test('a load error goes verbatim through all four kinds, and traffic stays where it was', async (t) => {
  const { client, gateway, source, start, settle, ready, stop, api } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  const message = 'SyntaxError: Unexpected token (hello.ts:3:7)';
  source.failure = (revision) =>
    revision.metadata.name === 'hello-00002'
      ? new InstanceError({ status: 500, component: 'function', reason: 'LoadError', message })
      : undefined;
  const template = { metadata: { annotations: { 'petrel.dev/package': 'sha256:2' } } };
  await client.patch(KSERVICES, 'default', 'hello', 'merge', { spec: { template } });
  await settle();
  assert.equal(ready('revisions', 'hello-00002'), `False LoadError ${message}`);
  const failed = `False RevisionFailed Revision "hello-00002" failed with message: ${message}.`;
  assert.equal(ready('configurations', 'hello'), failed);
  assert.equal(ready('services', 'hello'), failed);
  assert.equal(ready('routes', 'hello'), 'True');
  assert.equal(gateway.traffic('default/hello'), 'hello-00001=100');
  await settle(60_000);
  assert.equal(source.starts.get('default/hello-00002'), 1);
  assert.ok(api.objects('events').some(({ reason }) => reason === 'LatestCreatedFailed'));
  // The next deploy is a fresh start.
  await client.patch(KSERVICES, 'default', 'hello', 'merge', {
    spec: { template: { metadata: { annotations: { 'petrel.dev/package': 'sha256:3' } } } },
  });
  await settle();
  assert.equal(ready('services', 'hello'), 'True');
  assert.equal(gateway.traffic('default/hello'), 'hello-00003=100');
});

test('a Pod that the API refuses is told at once, and tried again', async (t) => {
  const { client, source, start, settle, ready, stop } = setUp();
  t.after(stop);
  await start();
  const message = 'pods "hello-00001-x" is forbidden: exceeded quota: small';
  source.failure = () => new KubeError(403, 'Forbidden', message);
  await client.create(KSERVICES, service('hello'));
  await settle();
  assert.equal(ready('revisions', 'hello-00001'), `False FailedCreate ${message}`);
  assert.match(ready('services', 'hello'), /^False RevisionFailed .*exceeded quota: small/);
  source.failure = undefined;
  await settle(60_000);
  assert.equal(ready('services', 'hello'), 'True');
});

test('a Pod that no node takes is told with the words of the scheduler, and heals when one does', async (t) => {
  const { client, source, start, settle, ready, one, stop } = setUp();
  t.after(stop);
  await start();
  const message = '0/1 nodes are available: 1 Insufficient cpu.';
  source.failure = () => new UnschedulableError(message);
  await client.create(KSERVICES, service('hello'));
  await settle();
  assert.equal(ready('revisions', 'hello-00001'), `False Unschedulable ${message}`);
  const conditions: { type: string; status: string; reason?: string }[] = one('revisions', 'hello-00001')
    .status.conditions;
  const resources = conditions.find(({ type }) => type === 'ResourcesAvailable');
  assert.deepEqual([resources?.status, resources?.reason], ['False', 'Unschedulable']);
  assert.match(ready('services', 'hello'), /^False RevisionFailed .*Insufficient cpu/);
  await settle(60_000);
  assert.equal(ready('revisions', 'hello-00001'), `False Unschedulable ${message}`, 'as long as it holds');
  source.failure = undefined;
  await settle(60_000);
  assert.equal(ready('services', 'hello'), 'True');
});

test('a first deploy that fails: requests get the reason instead of 404, once per back-off is tried again', async (t) => {
  const { client, clock, gateway, source, start, settle, ready, stop } = setUp();
  t.after(stop);
  const serving = await start();
  source.failure = () =>
    new InstanceError({ status: 500, component: 'function', reason: 'LoadError', message: 'no such export' });
  await client.create(KSERVICES, service('hello'));
  await settle();
  assert.equal(
    ready('services', 'hello'),
    'False RevisionFailed Revision "hello-00001" failed with message: no such export.',
  );
  assert.equal(
    ready('routes', 'hello'),
    'False RevisionMissing Configuration "hello" does not have any ready Revision.',
  );
  assert.equal(gateway.traffic('default/hello'), 'hello-00001=100');
  for (let index = 0; index < 5; index++) serving.events.demand('default/hello-00001', 1, 0);
  assert.equal(gateway.failures.length, 5);
  assert.equal(gateway.failures[0]?.failure.message, 'no such export');
  assert.equal(source.starts.get('default/hello-00001'), 1);
  await clock.advance(5000);
  assert.equal(source.starts.get('default/hello-00001'), 1);
  source.failure = undefined;
  serving.events.demand('default/hello-00001', 1, 0);
  await settle();
  assert.deepEqual(gateway.ids('default/hello-00001'), ['i1']);
  assert.equal(ready('services', 'hello'), 'True');
});

test('after a first deploy that failed, a good one is never said to have failed', async (t) => {
  const { client, source, start, settle, ready, stop } = setUp();
  t.after(stop);
  await start();
  source.failure = () =>
    new InstanceError({ status: 500, component: 'function', reason: 'LoadError', message: 'no such export' });
  await client.create(KSERVICES, service('hello'));
  await settle();
  assert.match(ready('services', 'hello'), /^False RevisionFailed/);

  const said: string[] = [];
  const over = new AbortController();
  const watched = (async () => {
    const { resourceVersion } = (await client.get<Service>(KSERVICES, 'default', 'hello')).metadata;
    for await (const event of client.watch<Service>(KSERVICES, {
      namespace: 'default',
      resourceVersion,
      signal: over.signal,
    })) {
      if (event.type !== 'MODIFIED') continue;
      const { latestCreatedRevisionName, conditions } = event.object.status ?? {};
      const found = conditions?.find(({ type }) => type === 'Ready');
      if (latestCreatedRevisionName === 'hello-00002') said.push(`${found?.status} ${found?.message ?? ''}`);
    }
  })().catch(() => {});
  source.failure = undefined;
  const newest = await client.get<Service>(KSERVICES, 'default', 'hello');
  const [container] = newest.spec.template.spec.containers;
  newest.spec.template.spec.containers = [{ ...container!, env: [{ name: 'A', value: '2' }] }];
  await client.update(KSERVICES, newest);
  await settle();
  over.abort();
  await watched;
  assert.equal(ready('services', 'hello'), 'True');
  assert.ok(said.length > 0);
  assert.deepEqual(
    said.filter((one) => one.startsWith('False')),
    [],
  );
});

test('traffic is split, tags have hosts of their own, and an edit is at the gateway without delay', async (t) => {
  const { client, gateway, start, settle, one, ready, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  const template = { metadata: { annotations: { 'petrel.dev/package': 'sha256:2' } } };
  await client.patch(KSERVICES, 'default', 'hello', 'merge', { spec: { template } });
  await settle();
  const traffic: Json = [
    { revisionName: 'hello-00001', percent: 80, tag: 'old' },
    { latestRevision: true, percent: 20 },
    { revisionName: 'hello-00002', percent: 0, tag: 'next' },
  ];
  await client.patch(KSERVICES, 'default', 'hello', 'merge', { spec: { traffic } });
  await settle(0);
  assert.equal(gateway.traffic('default/hello'), 'hello-00001=80 hello-00002=20');
  assert.equal(gateway.traffic('default/old-hello'), 'hello-00001=100');
  assert.equal(gateway.routes.get('default/next-hello')?.hosts[0], 'next-hello.default.localhost');
  await settle();
  assert.equal(ready('services', 'hello'), 'True');
  assert.deepEqual(one('routes', 'hello').status.traffic, [
    {
      latestRevision: false,
      percent: 80,
      revisionName: 'hello-00001',
      tag: 'old',
      url: 'http://old-hello.default.localhost:8080',
    },
    { latestRevision: true, percent: 20, revisionName: 'hello-00002' },
    {
      latestRevision: false,
      percent: 0,
      revisionName: 'hello-00002',
      tag: 'next',
      url: 'http://next-hello.default.localhost:8080',
    },
  ]);
  await client.patch(KSERVICES, 'default', 'hello', 'merge', {
    spec: { traffic: [{ latestRevision: true, percent: 100 }] },
  });
  await settle();
  assert.deepEqual([...gateway.routes.keys()], ['default/hello']);
});

test('traffic to what does not exist, or belongs to another Service, changes nothing and says why', async (t) => {
  const { client, gateway, start, settle, ready, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await client.create(KSERVICES, service('other'));
  await settle();
  const to = (revisionName: string) =>
    client.patch(KSERVICES, 'default', 'hello', 'merge', {
      spec: { traffic: [{ revisionName, percent: 100 }] },
    });
  await to('hello-00009');
  await settle();
  assert.equal(
    ready('routes', 'hello'),
    'False RevisionMissing Revision "hello-00009" referenced in traffic not found.',
  );
  assert.equal(gateway.traffic('default/hello'), 'hello-00001=100');
  await to('other-00001');
  await settle();
  const text = 'Revision "other-00001" belongs to Service "other", not Service "hello".';
  assert.equal(ready('services', 'hello'), `False RevisionNotOwned ${text}`);
  assert.equal(gateway.traffic('default/hello'), 'hello-00001=100');
});

test('a revision name chosen by the user is kept, and one that is taken is refused', async (t) => {
  const { client, gateway, start, settle, one, ready, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello', { revision: 'hello-blue' }));
  await settle();
  assert.equal(gateway.traffic('default/hello'), 'hello-blue=100');
  await client.create(KSERVICES, service('thief', { revision: 'hello-blue' }));
  await settle();
  assert.match(
    ready('configurations', 'thief'),
    /^False RevisionFailed Revision creation failed with message: .*already exists/,
  );
  assert.match(conditionOf(one('services', 'thief'), 'RoutesReady')?.message ?? '', /"hello-blue" is taken/);
  assert.equal(gateway.routes.has('default/thief'), false);
});

test('a Configuration or Route in the way is left alone and reported', async (t) => {
  const { client, start, settle, ready, one, stop } = setUp();
  t.after(stop);
  await start();
  const { spec } = service('x');
  await client.create(CONFIGURATIONS, {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Configuration',
    metadata: { name: 'hello', namespace: 'default' },
    spec,
  } as UntypedObject);
  await client.create(KSERVICES, service('hello'));
  await settle();
  assert.equal(
    ready('services', 'hello'),
    'False NotOwned There is an existing Configuration "hello" that we do not own.',
  );
  assert.equal(one('configurations', 'hello').metadata.ownerReferences, undefined);
  await client.delete(CONFIGURATIONS, 'default', 'hello');
  await settle();
  assert.equal(ready('services', 'hello'), 'True');
});

test('labels and annotations reach the children, go with their key, and make no new revision', async (t) => {
  const { client, start, settle, one, stop, api } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  await client.patch(KSERVICES, 'default', 'hello', 'merge', {
    metadata: { labels: { team: 'a' }, annotations: { note: 'b' } },
  });
  await settle();
  assert.equal(one('configurations', 'hello').metadata.labels?.team, 'a');
  assert.equal(one('routes', 'hello').metadata.annotations?.note, 'b');
  await client.patch(KSERVICES, 'default', 'hello', 'merge', { metadata: { labels: { team: null } } });
  await settle();
  assert.equal(one('configurations', 'hello').metadata.labels?.team, undefined);
  assert.equal(api.objects('revisions').length, 1);
});

test('deleting a Service takes everything along, instances drained first', async (t) => {
  const { client, clock, gateway, source, start, settle, stop, api } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  const drained = Promise.withResolvers<void>();
  gateway.hold = drained.promise;
  await client.delete(KSERVICES, 'default', 'hello');
  await settle();
  assert.deepEqual(gateway.ids('default/hello-00001'), []);
  assert.equal(gateway.routes.size, 0);
  assert.deepEqual(source.released, []);
  drained.resolve();
  await clock.advance(0);
  assert.deepEqual(source.released, ['i1']);
  assert.equal(gateway.revisions.size, 0);
  assert.equal(
    api.objects('revisions').length + api.objects('configurations').length + api.objects('routes').length,
    0,
  );
});

test('after a restart instances are taken over, nothing is started and nothing is written', async () => {
  const first = setUp();
  await first.start();
  await first.client.create(KSERVICES, service('hello'));
  await first.settle(2000);
  await first.stop();
  const second = setUp(first.api);
  second.source.alive.set('default/hello-00001', ['i1']);
  const writes = first.api.writes.length;
  await second.start();
  assert.equal(second.gateway.traffic('default/hello'), 'hello-00001=100');
  await second.settle(2000);
  assert.deepEqual(second.gateway.ids('default/hello-00001'), ['i1']);
  assert.equal(second.source.starts.size, 0);
  assert.deepEqual(first.api.writes.slice(writes), []);
  await second.stop();
});

test('a Route on its own may split between Configurations of others', async (t) => {
  const { client, gateway, start, settle, ready, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('a'));
  await client.create(KSERVICES, service('b'));
  await settle();
  await client.create(ROUTES, {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Route',
    metadata: { name: 'both', namespace: 'default' },
    spec: {
      traffic: [
        { configurationName: 'a', percent: 50 },
        { revisionName: 'b-00001', percent: 50 },
      ],
    },
  } as UntypedObject);
  await settle();
  assert.equal(gateway.traffic('default/both'), 'a-00001=50 b-00001=50');
  assert.equal(ready('routes', 'both'), 'True');
});

test('conflicts and failures of the API are overcome', async (t) => {
  const { api, client, start, settle, ready, stop, gateway } = setUp();
  t.after(stop);
  await start();
  // Half of all writes fail, in an order that repeats in no step with the retries.
  let dice = 7;
  api.fail = (request) => {
    dice = (dice * 1_103_515_245 + 12_345) % 2 ** 31;
    return request.method !== 'GET' && dice % 1000 < 500 ? [409, 500, 503][dice % 3] : undefined;
  };
  for (let attempt = 0; attempt < 5; attempt++) {
    const created = await client.create(KSERVICES, service('hello')).catch(() => undefined);
    if (created) break;
  }
  await settle(60_000);
  assert.equal(ready('services', 'hello'), 'True');
  assert.equal(gateway.traffic('default/hello'), 'hello-00001=100');
  assert.equal(api.objects('revisions').length, 1);
});

test('a deleted revision of the present generation is made again', async (t) => {
  const { client, start, settle, ready, stop, one } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  const before = one('revisions', 'hello-00001').metadata.uid;
  await client.delete(REVISIONS, 'default', 'hello-00001');
  await settle(2000);
  assert.notEqual(one('revisions', 'hello-00001').metadata.uid, before);
  assert.equal(ready('services', 'hello'), 'True');
});
