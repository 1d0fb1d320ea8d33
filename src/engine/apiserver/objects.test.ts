import assert from 'node:assert/strict';
import test from 'node:test';
import { createTestApi } from './testing.ts';

const CM = '/api/v1/namespaces/default/configmaps';
const FN = '/apis/petrel.dev/v1/namespaces/default/functions';
const configMap = (name: string, data: Record<string, string> = {}, labels = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, labels },
  data,
});

test('an object is created, read, replaced, and deleted', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const created = await api.call('POST', CM, configMap('a', { k: '1' }));
  assert.equal(created.code, 201);
  assert.match(created.body.metadata.uid, /^[0-9a-f-]{36}$/);
  assert.match(created.body.metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.deepEqual((await api.call('GET', `${CM}/a`)).body, created.body);

  const twice = await api.call('POST', CM, configMap('a'));
  assert.equal(twice.code, 409);
  assert.equal(twice.body.reason, 'AlreadyExists');
  assert.equal(twice.body.message, 'configmaps "a" already exists');

  const replaced = await api.call('PUT', `${CM}/a`, { ...created.body, data: { k: '2' } });
  assert.equal(replaced.code, 200);
  assert.ok(Number(replaced.body.metadata.resourceVersion) > Number(created.body.metadata.resourceVersion));
  const stale = await api.call('PUT', `${CM}/a`, { ...created.body, data: { k: '3' } });
  assert.equal(stale.code, 409);
  assert.equal(stale.body.reason, 'Conflict');
  assert.match(
    stale.body.message,
    /^Operation cannot be fulfilled on configmaps "a": the object has been modified/,
  );

  const same = await api.call('PUT', `${CM}/a`, { ...replaced.body });
  assert.equal(
    same.body.metadata.resourceVersion,
    replaced.body.metadata.resourceVersion,
    'no change, no write',
  );

  const gone = await api.call('DELETE', `${CM}/a`, { propagationPolicy: 'Background' });
  assert.equal(gone.code, 200);
  assert.deepEqual(gone.body.details, { name: 'a', kind: 'configmaps', uid: created.body.metadata.uid });
  const missing = await api.call('GET', `${CM}/a`);
  assert.equal(missing.code, 404);
  assert.equal(missing.body.message, 'configmaps "a" not found');
  assert.deepEqual(missing.body.details, { name: 'a', kind: 'configmaps' });
});

test('status is written through /status alone, and only a change of spec counts as a generation', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const fn = {
    apiVersion: 'petrel.dev/v1',
    kind: 'Function',
    metadata: { name: 'f' },
    spec: { runtime: 'node', package: { digest: `sha256:${'0'.repeat(64)}` } },
    status: { url: 'forged' },
  };
  const created = (await api.call('POST', FN, fn)).body;
  assert.equal(created.status, undefined);
  assert.equal(created.metadata.generation, 1);
  const withStatus = await api.call('PUT', `${FN}/f/status`, {
    ...created,
    spec: { ...created.spec, runtime: 'other' },
    status: { url: 'http://f' },
  });
  assert.equal(withStatus.body.spec.runtime, 'node');
  assert.equal(withStatus.body.status.url, 'http://f');
  assert.equal(withStatus.body.metadata.generation, 1);
  const changed = await api.call(
    'PATCH',
    `${FN}/f`,
    { spec: { concurrency: 5 }, status: { url: 'x' } },
    { 'content-type': 'application/merge-patch+json' },
  );
  assert.equal(changed.body.metadata.generation, 2);
  assert.equal(changed.body.status.url, 'http://f');
  const unconditional = await api.call('PUT', `${FN}/f`, {
    ...changed.body,
    metadata: { ...changed.body.metadata, resourceVersion: '' },
  });
  assert.equal(unconditional.code, 422);
});

test('a namespace must exist, and takes nothing new while it is being deleted', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const nowhere = await api.call('POST', '/api/v1/namespaces/nowhere/configmaps', configMap('a'));
  assert.equal(nowhere.code, 404);
  assert.equal(nowhere.body.message, 'namespaces "nowhere" not found');
});

test('finalizers hold an object until the last is gone', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const held = configMap('held');
  await api.call('POST', CM, { ...held, metadata: { ...held.metadata, finalizers: ['example.com/hold'] } });
  const dying = await api.call('DELETE', `${CM}/held`);
  assert.equal(dying.code, 200);
  assert.equal(dying.body.kind, 'ConfigMap');
  assert.ok(dying.body.metadata.deletionTimestamp);
  const again = await api.call('DELETE', `${CM}/held`);
  assert.equal(again.body.metadata.resourceVersion, dying.body.metadata.resourceVersion);
  const merge = { 'content-type': 'application/merge-patch+json' };
  await api.call('PATCH', `${CM}/held`, { metadata: { finalizers: null } }, merge);
  assert.equal((await api.call('GET', `${CM}/held`)).code, 404);
});

test('a Pod on a node ends gracefully, one without goes at once', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const pods = '/api/v1/namespaces/default/pods';
  const pod = (name: string, nodeName?: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { nodeName, containers: [{ name: 'c', image: 'petrel.dev/host', command: ['true'] }] },
  });
  await api.call('POST', pods, pod('loose'));
  assert.equal((await api.call('DELETE', `${pods}/loose`)).body.status, 'Success');
  await api.call('POST', pods, pod('bound', 'n1'));
  const dying = await api.call('DELETE', `${pods}/bound`, { gracePeriodSeconds: 7 });
  assert.equal(dying.body.metadata.deletionGracePeriodSeconds, 7);
  const longer = await api.call('DELETE', `${pods}/bound`, { gracePeriodSeconds: 60 });
  assert.equal(longer.body.metadata.deletionGracePeriodSeconds, 7);
  const confirmed = await api.call('DELETE', `${pods}/bound`, { gracePeriodSeconds: 0 });
  assert.equal(confirmed.body.status, 'Success');
});

test('a watch sees every change after its revision, and selectors see objects come and go', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const { resourceVersion } = (await api.call('GET', CM)).body.metadata;
  await api.call('POST', CM, configMap('a', {}, { app: 'x' }));
  const abort = new AbortController();
  const all = api.watch(`${CM}?watch=true&resourceVersion=${resourceVersion}`, abort.signal);
  const some = api.watch(
    `${CM}?watch=true&resourceVersion=${resourceVersion}&labelSelector=app%3Dx`,
    abort.signal,
  );
  assert.equal((await all.next()).value.type, 'ADDED');
  assert.equal((await some.next()).value.type, 'ADDED');
  const merge = { 'content-type': 'application/merge-patch+json' };
  const left = await api.call('PATCH', `${CM}/a`, { metadata: { labels: { app: 'y' } } }, merge);
  assert.equal((await all.next()).value.type, 'MODIFIED');
  const departed = (await some.next()).value;
  assert.equal(departed.type, 'DELETED');
  assert.equal(departed.object.metadata.labels.app, 'x');
  assert.equal(departed.object.metadata.resourceVersion, left.body.metadata.resourceVersion);
  await api.call('PATCH', `${CM}/a`, { metadata: { labels: { app: 'x' } } }, merge);
  assert.equal((await some.next()).value.type, 'ADDED');
  await api.call('DELETE', `${CM}/a`);
  const gone = (await some.next()).value;
  assert.equal(gone.type, 'DELETED');
  assert.equal(
    gone.object.metadata.resourceVersion,
    (await api.call('GET', CM)).body.metadata.resourceVersion,
  );
  abort.abort();
  assert.equal((await some.next()).done, true);
});
