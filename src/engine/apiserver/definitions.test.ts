import assert from 'node:assert/strict';
import test from 'node:test';
import { createTestApi } from './testing.ts';

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const names = (body: { items: { metadata: { name: string } }[] }) => body.items.map((o) => o.metadata.name);

test('our kinds are shown as definitions, found by their labels', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const all = await api.call('GET', CRDS);
  assert.equal(all.code, 200);
  assert.equal(all.body.kind, 'CustomResourceDefinitionList');
  assert.ok(names(all.body).includes('functions.petrel.dev'));
  assert.ok(!names(all.body).some((name: string) => name.startsWith('pods')));
  const by = async (selector: string) =>
    names((await api.call('GET', `${CRDS}?labelSelector=${encodeURIComponent(selector)}`)).body);
  assert.deepEqual(await by('duck.knative.dev/addressable=true'), [
    'brokers.eventing.knative.dev',
    'channels.messaging.knative.dev',
    'eventsinks.petrel.dev',
    'eventtransforms.eventing.knative.dev',
    'inmemorychannels.messaging.knative.dev',
    'integrationsinks.sinks.knative.dev',
    'jobsinks.sinks.knative.dev',
    'kafkasinks.eventing.knative.dev',
    'parallels.flows.knative.dev',
    'routes.serving.knative.dev',
    'sequences.flows.knative.dev',
    'services.serving.knative.dev',
  ]);
  assert.deepEqual(await by('messaging.knative.dev/subscribable=true'), [
    'channels.messaging.knative.dev',
    'inmemorychannels.messaging.knative.dev',
  ]);
  assert.deepEqual(await by('duck.knative.dev/podspecable=true'), [
    'configurations.serving.knative.dev',
    'services.serving.knative.dev',
  ]);
  assert.deepEqual(await by('duck.knative.dev/source=true'), [
    'apiserversources.sources.knative.dev',
    'containersources.sources.knative.dev',
    'eventsources.petrel.dev',
    'kafkasources.sources.knative.dev',
    'pingsources.sources.knative.dev',
    'sinkbindings.sources.knative.dev',
  ]);
  const types = (await api.call('GET', `${CRDS}/eventtypes.eventing.knative.dev`)).body;
  assert.deepEqual(
    types.spec.versions.map(({ name, storage }: { name: string; storage: boolean }) => [name, storage]),
    [
      ['v1beta3', false],
      ['v1beta2', true],
    ],
  );
  assert.deepEqual(types.status.storedVersions, ['v1beta2']);

  const one = (await api.call('GET', `${CRDS}/domainmappings.serving.knative.dev`)).body;
  assert.deepEqual(one.spec.names.shortNames, ['dm']);
  assert.equal(one.spec.versions[0].name, 'v1beta1');
  assert.deepEqual(one.spec.versions[0].additionalPrinterColumns[0], {
    name: 'URL',
    type: 'string',
    jsonPath: '.status.url',
  });
  assert.ok(
    one.status.conditions.some(
      (c: { type: string; status: string }) => c.type === 'Established' && c.status === 'True',
    ),
  );
  assert.equal((await api.call('GET', `${CRDS}/pods`)).code, 404);
});

test('as a table, and in discovery; never written', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
  const table = (await api.call('GET', CRDS, undefined, { accept })).body;
  assert.equal(table.kind, 'Table');
  assert.deepEqual(
    table.columnDefinitions.map((c: { name: string }) => c.name),
    ['Name', 'Created At'],
  );
  const listed = (await api.call('GET', '/apis/apiextensions.k8s.io/v1')).body;
  assert.deepEqual(listed.resources[0].verbs, ['get', 'list', 'watch']);
  assert.equal((await api.call('POST', CRDS, { metadata: { name: 'a.b.c' } })).code, 405);
  assert.equal((await api.call('DELETE', `${CRDS}/functions.petrel.dev`)).code, 405);
  assert.equal((await api.call('GET', `${CRDS}?watch=true`)).code, 405, 'without a list before it');
  const { metadata } = (await api.call('GET', CRDS)).body;
  const abort = new AbortController();
  const events = api.watch(`${CRDS}?watch=true&resourceVersion=${metadata.resourceVersion}`, abort.signal);
  const first = events.next();
  abort.abort();
  assert.equal((await first).done, true, 'they never change');
  assert.equal((await api.call('GET', CRDS, undefined, {}, { name: 'eve', groups: [] })).code, 403);
});
