/** What Routes leave behind: placeholder Services, marks on revisions, gradual rollouts, names that follow the ConfigMaps. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { conditionOf } from '../kinds/conditions.ts';
import type { Json, UntypedObject } from '../kinds/object.ts';
import { CONFIGMAPS, CONFIGURATIONS, KSERVICES, ROUTES, SERVICES } from '../kube/refs.ts';
import { service, setUp } from './testing/platform.ts';

const SERVING = 'serving.knative.dev/';
const MODIFIED = `${SERVING}routingStateModified`;

const template = (version: number): Json => ({
  metadata: { annotations: { 'petrel.dev/package': `sha256:${version}` } },
});

const configMap = (name: string, data: Record<string, string>): UntypedObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'knative-serving' },
  data,
});

test('a Route and its tags have placeholder Services that take over its labels and annotations', async (t) => {
  const { api, client, start, settle, placeholder, stop } = setUp();
  t.after(stop);
  await start();
  const object = service('hello');
  object.metadata.labels = { team: 'a', 'networking.knative.dev/visibility': 'external' };
  await client.create(KSERVICES, object);
  await settle();
  const found = placeholder('hello');
  assert.deepEqual(found?.metadata.labels, {
    team: 'a',
    [`${SERVING}service`]: 'hello',
    [`${SERVING}route`]: 'hello',
  });
  assert.deepEqual(found?.metadata.annotations, { [`${SERVING}creator`]: 'me' });
  assert.equal(found?.spec.externalName, 'hello.default.localhost');
  await client.patch(KSERVICES, 'default', 'hello', 'merge', {
    metadata: { labels: { team: null, tier: 'b' }, annotations: { note: 'x' } },
    spec: { traffic: [{ latestRevision: true, percent: 100, tag: 'now' }] },
  });
  await settle();
  assert.equal(placeholder('now-hello')?.spec.externalName, 'now-hello.default.localhost');
  assert.deepEqual(Object.keys(placeholder('hello')?.metadata.labels ?? {}).sort(), [
    `${SERVING}route`,
    `${SERVING}service`,
    'team',
    'tier',
  ]);
  assert.equal(placeholder('hello')?.metadata.annotations?.note, 'x');
  await client.patch(KSERVICES, 'default', 'hello', 'merge', {
    metadata: { annotations: { note: null } },
    spec: { traffic: [{ latestRevision: true, percent: 100 }] },
  });
  await settle();
  assert.equal(placeholder('now-hello'), undefined);
  assert.equal(placeholder('hello')?.metadata.annotations?.note, 'x', 'what it has it keeps');
  assert.equal(api.writes.filter((write) => write === 'POST /api/v1/namespaces/default/services').length, 2);
});

test('a Service in the way of a placeholder is left alone and reported until it is gone', async (t) => {
  const { client, gateway, start, settle, placeholder, ready, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(SERVICES, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'hello', namespace: 'default' },
    spec: { ports: [{ port: 80 }] },
  } as UntypedObject);
  await settle();
  await client.create(KSERVICES, service('hello'));
  await settle();
  const text = 'There is an existing placeholder Service "hello" that we do not own.';
  assert.equal(ready('routes', 'hello'), `False NotOwned ${text}`);
  assert.equal(ready('services', 'hello'), `False NotOwned ${text}`);
  assert.equal(placeholder('hello')?.metadata.ownerReferences, undefined);
  await client.delete(SERVICES, 'default', 'hello');
  await settle();
  assert.equal(ready('services', 'hello'), 'True');
  assert.equal(placeholder('hello')?.metadata.ownerReferences?.[0]?.kind, 'Route');
  assert.equal(gateway.traffic('default/hello'), 'hello-00001=100');
});

test('revisions carry whether and from where they are routed to', async (t) => {
  const { client, clock, start, settle, one, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  const mark = (name: string) => {
    const { labels, annotations } = one('revisions', name).metadata;
    return [labels?.[`${SERVING}routingState`], annotations?.[`${SERVING}routes`]];
  };
  assert.deepEqual(mark('hello-00001'), ['active', 'hello']);
  const before = one('revisions', 'hello-00001').metadata.annotations?.[MODIFIED];
  await clock.advance(5000);
  await client.patch(KSERVICES, 'default', 'hello', 'merge', { spec: { template: template(2) } });
  await settle();
  assert.deepEqual(mark('hello-00001'), ['reserve', undefined]);
  assert.notEqual(one('revisions', 'hello-00001').metadata.annotations?.[MODIFIED], before);
  assert.deepEqual(mark('hello-00002'), ['active', 'hello']);
  const traffic: Json = [
    { revisionName: 'hello-00001', percent: 0, tag: 'old' },
    { latestRevision: true, percent: 100 },
  ];
  await client.patch(KSERVICES, 'default', 'hello', 'merge', { spec: { traffic } });
  await settle();
  assert.deepEqual(mark('hello-00001'), ['active', 'hello']);
  await client.create(ROUTES, {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Route',
    metadata: { name: 'also', namespace: 'default' },
    spec: { traffic: [{ revisionName: 'hello-00001', percent: 100 }] },
  } as UntypedObject);
  await settle();
  assert.deepEqual(mark('hello-00001'), ['active', 'also,hello']);
  assert.equal(one('configurations', 'hello').metadata.annotations?.[`${SERVING}routes`], 'also,hello');
  await client.delete(ROUTES, 'default', 'also');
  await settle();
  assert.deepEqual(mark('hello-00001'), ['active', 'hello']);
  assert.equal(one('configurations', 'hello').metadata.annotations?.[`${SERVING}routes`], 'hello');
});

test('a Configuration without a Route waits as pending, and a Route makes it active', async (t) => {
  const { client, gateway, start, settle, one, ready, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(CONFIGURATIONS, {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Configuration',
    metadata: { name: 'alone', namespace: 'default' },
    spec: service('x').spec,
  } as UntypedObject);
  await settle();
  assert.equal(ready('configurations', 'alone'), 'True');
  assert.equal(one('revisions', 'alone-00001').metadata.labels?.[`${SERVING}routingState`], 'pending');
  await client.create(ROUTES, {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Route',
    metadata: { name: 'there', namespace: 'default' },
    spec: { traffic: [{ configurationName: 'alone', latestRevision: true, percent: 100 }] },
  } as UntypedObject);
  await settle();
  assert.equal(gateway.traffic('default/there'), 'alone-00001=100');
  assert.equal(one('revisions', 'alone-00001').metadata.labels?.[`${SERVING}routingState`], 'active');
});

test('edits of the traffic alone move neither the Configuration nor make a revision', async (t) => {
  const { api, client, start, settle, one, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  for (const tag of ['a', 'b', 'c']) {
    await client.patch(KSERVICES, 'default', 'hello', 'merge', {
      spec: { traffic: [{ latestRevision: true, percent: 100, tag }] },
    });
    await settle();
  }
  assert.equal(one('services', 'hello').metadata.generation, 4);
  assert.equal(one('configurations', 'hello').metadata.generation, 1);
  assert.equal(api.objects('revisions').length, 1);
});

test('traffic that leads nowhere comes to rest: nobody undoes what somebody else does', async (t) => {
  const { api, client, start, settle, one, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  await client.patch(KSERVICES, 'default', 'hello', 'merge', {
    spec: { traffic: [{ revisionName: 'hello-00009', percent: 100 }] },
  });
  await client.create(
    KSERVICES,
    service('never', { traffic: [{ revisionName: 'never-00009', percent: 100 }] }),
  );
  await settle(5000);
  const before = api.writes.length;
  await settle(5000);
  assert.deepEqual(api.writes.slice(before), []);
  assert.ok(
    !api.writes.some((write) => write.startsWith('PATCH') && write.endsWith('/configurations/never')),
  );
  assert.equal(one('configurations', 'hello').metadata.annotations?.[`${SERVING}routes`], 'hello');
});

test('a tag is chosen by header on the own host, unless the feature is off', async (t) => {
  const { client, gateway, start, settle, stop } = setUp();
  t.after(stop);
  await start();
  const object = service('hello', { traffic: [{ latestRevision: true, percent: 100, tag: 'now' }] });
  await client.create(KSERVICES, object);
  await settle();
  assert.deepEqual(gateway.routes.get('default/hello')?.tags, { now: 'default/hello-00001' });
  assert.equal(gateway.routes.get('default/now-hello')?.tags, undefined);
  await client.create(CONFIGMAPS, configMap('config-features', { 'tag-header-based-routing': 'disabled' }));
  await settle();
  assert.equal(gateway.routes.get('default/hello')?.tags, undefined);
});

test('names follow config-domain and config-network while everything runs', async (t) => {
  const { client, gateway, start, settle, one, placeholder, ready, stop } = setUp();
  t.after(stop);
  await start();
  const object = service('hello');
  object.metadata.labels = { odd: 'a_b' };
  await client.create(KSERVICES, object);
  await settle();
  await client.create(CONFIGMAPS, configMap('config-domain', { 'example.com': '' }));
  await settle();
  assert.equal(one('services', 'hello').status.url, 'http://hello.default.example.com:8080');
  assert.equal(gateway.routes.get('default/hello')?.hosts[0], 'hello.default.example.com');
  assert.equal(placeholder('hello')?.spec.externalName, 'hello.default.example.com');
  await client.create(
    CONFIGMAPS,
    configMap('config-network', { 'domain-template': '{{.Name}}{{index .Labels "odd"}}.{{.Domain}}' }),
  );
  await settle();
  assert.match(ready('routes', 'hello'), /^False ErrorConfig domain name error: invalid domain name/);
  assert.equal(gateway.routes.get('default/hello')?.hosts[0], 'hello.default.example.com');
  await client.patch(CONFIGMAPS, 'knative-serving', 'config-network', 'merge', {
    data: { 'domain-template': '{{.Name}}.{{.Domain}}', 'default-external-scheme': 'https' },
  });
  await settle();
  assert.equal(one('services', 'hello').status.url, 'https://hello.example.com');
  // What cannot be read at all changes nothing.
  await client.patch(CONFIGMAPS, 'knative-serving', 'config-network', 'merge', {
    data: { 'domain-template': '{{.Nonsense}}' },
  });
  await settle();
  assert.equal(one('services', 'hello').status.url, 'https://hello.example.com');
});

test('what is said of certificates follows the settings, and serving goes on without one', async (t) => {
  const { client, start, settle, one, ready, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  const certificate = () => {
    const { status, reason, message } = conditionOf(one('routes', 'hello'), 'CertificateProvisioned') ?? {};
    return [status, reason, message].join(' ');
  };
  assert.equal(certificate(), 'True TLSNotEnabled external-domain-tls is not enabled');
  await client.create(CONFIGMAPS, configMap('config-network', { 'external-domain-tls': 'Enabled' }));
  await settle();
  const name = `route-${one('routes', 'hello').metadata.uid}`;
  assert.equal(certificate(), `True HTTPDowngrade Certificate ${name} is not ready downgrade HTTP.`);
  assert.equal(ready('services', 'hello'), 'True');
  await client.patch(CONFIGMAPS, 'knative-serving', 'config-network', 'merge', {
    data: { 'http-protocol': 'Disabled' },
  });
  await settle();
  assert.equal(ready('services', 'hello'), `Unknown CertificateNotReady Certificate ${name} is not ready.`);
  const label = { labels: { 'networking.knative.dev/visibility': 'cluster-local' } };
  await client.patch(KSERVICES, 'default', 'hello', 'merge', { metadata: label });
  await settle();
  assert.equal(certificate(), 'True TLSNotEnabled TLS is not enabled for cluster-local');
  assert.equal(one('services', 'hello').status.url, 'http://hello.default.svc.cluster.local');
});

test('a gradual rollout takes its time, says so, and survives another deploy', async (t) => {
  const { client, clock, gateway, start, settle, one, ready, stop } = setUp();
  t.after(stop);
  await start();
  const object = service('hello');
  object.metadata.annotations = { [`${SERVING}rollout-duration`]: '21s' };
  await client.create(KSERVICES, object);
  await settle();
  assert.equal(ready('services', 'hello'), 'True');
  await client.patch(KSERVICES, 'default', 'hello', 'merge', { spec: { template: template(2) } });
  await settle();
  assert.equal(gateway.traffic('default/hello'), 'hello-00001=99 hello-00002=1');
  assert.equal(
    ready('routes', 'hello'),
    'Unknown RolloutInProgress A gradual rollout of the latest revision(s) is in progress.',
  );
  assert.equal(conditionOf(one('services', 'hello'), 'RoutesReady')?.reason, 'RolloutInProgress');
  // One second for the first percent leaves twenty steps of one second and five percent.
  await clock.advance(1000);
  assert.equal(gateway.traffic('default/hello'), 'hello-00001=94 hello-00002=6');
  await settle();
  assert.deepEqual(
    one('routes', 'hello').status.traffic.map((target: { percent: number }) => target.percent),
    [94, 6],
  );
  await client.patch(KSERVICES, 'default', 'hello', 'merge', { spec: { template: template(3) } });
  await settle(100);
  assert.equal(gateway.traffic('default/hello'), 'hello-00001=94 hello-00002=5 hello-00003=1');
  await settle(30_000);
  assert.equal(gateway.traffic('default/hello'), 'hello-00003=100');
  assert.equal(ready('services', 'hello'), 'True');
  assert.equal(
    one('configurations', 'hello').metadata.annotations?.[`${SERVING}rollout-duration`],
    undefined,
  );
});

test('a gradual rollout goes on after a restart', async () => {
  const first = setUp();
  await first.start();
  const object = service('hello');
  object.metadata.annotations = { [`${SERVING}rollout-duration`]: '201s' };
  await first.client.create(KSERVICES, object);
  await first.settle();
  await first.client.patch(KSERVICES, 'default', 'hello', 'merge', { spec: { template: template(2) } });
  await first.settle(30_000);
  await first.stop();
  const before = first.gateway.traffic('default/hello');
  assert.match(before, /^hello-00001=[678]\d hello-00002=[123]\d$/);
  const second = setUp(first.api);
  await second.start();
  assert.equal(second.gateway.traffic('default/hello'), before);
  await second.settle(1000);
  assert.notEqual(second.gateway.traffic('default/hello'), 'hello-00002=100');
  await second.settle(220_000);
  assert.equal(second.gateway.traffic('default/hello'), 'hello-00002=100');
  assert.equal(second.ready('services', 'hello'), 'True');
  await second.stop();
});
