import assert from 'node:assert/strict';
import test from 'node:test';
import { simulatedClock } from '../../base/clock.ts';
import { createTestApi, type TestApi } from './testing.ts';

const CM = '/api/v1/namespaces/default/configmaps';
const MERGE = { 'content-type': 'application/merge-patch+json' };

const create = (api: TestApi, name: string, labels: Record<string, string> = {}) =>
  api.call('POST', CM, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels }, data: { v: '1' } });
const names = (list: { items: { metadata: { name: string } }[] }) => list.items.map((i) => i.metadata.name);

test('a list has the revision of the store, whatever its items have', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await create(api, 'a');
  await api.call('POST', '/api/v1/namespaces/default/secrets', { metadata: { name: 's' } });
  const { body } = await api.call('GET', CM);
  assert.equal(body.kind, 'ConfigMapList');
  assert.equal(body.metadata.resourceVersion, String(api.store.revision));
  assert.ok(Number(body.metadata.resourceVersion) > Number(body.items[0].metadata.resourceVersion));
  for (const path of [`${CM}?resourceVersion=0`, `${CM}?resourceVersion=${api.store.revision}`]) {
    assert.deepEqual(names((await api.call('GET', path)).body), ['a']);
  }
});

test('pages show one revision; when that is forgotten the token says how to go on', async (t) => {
  const api = await createTestApi({ history: { events: 10, size: 1e6, age: 1e9 } });
  t.after(api.close);
  for (const name of ['a', 'b', 'c', 'd']) await create(api, name);
  const first = (await api.call('GET', `${CM}?limit=2`)).body;
  assert.deepEqual(names(first), ['a', 'b']);
  assert.equal(first.metadata.remainingItemCount, 2);
  await create(api, 'bb');
  const next = `${CM}?limit=2&continue=${first.metadata.continue}`;
  const second = (await api.call('GET', next)).body;
  assert.deepEqual(names(second), ['c', 'd']);
  assert.equal(second.metadata.resourceVersion, first.metadata.resourceVersion);
  assert.equal(second.metadata.continue, undefined);

  for (let i = 0; i < 30; i++) await api.call('PATCH', `${CM}/a`, { data: { v: String(i) } }, MERGE);
  const expired = await api.call('GET', next);
  assert.equal(expired.code, 410);
  assert.equal(expired.body.reason, 'Expired');
  const inconsistent = (await api.call('GET', `${CM}?limit=5&continue=${expired.body.metadata.continue}`))
    .body;
  assert.deepEqual(names(inconsistent), ['bb', 'c', 'd']);
  assert.equal((await api.call('GET', `${CM}?continue=nonsense`)).code, 400);
});

test('selectors choose; a filtered page does not tell how many follow', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  for (const [i, name] of ['a', 'b', 'c', 'd'].entries())
    await create(api, name, { odd: String(i % 2 === 1) });
  const page = (await api.call('GET', `${CM}?labelSelector=odd%3Dtrue&limit=1`)).body;
  assert.deepEqual(names(page), ['b']);
  assert.equal(page.metadata.remainingItemCount, undefined);
  const rest = (
    await api.call('GET', `${CM}?labelSelector=odd%3Dtrue&limit=1&continue=${page.metadata.continue}`)
  ).body;
  assert.deepEqual(names(rest), ['d']);
  assert.deepEqual(names((await api.call('GET', `${CM}?fieldSelector=metadata.name%3Dc`)).body), ['c']);
  assert.deepEqual(
    names(
      (
        await api.call(
          'GET',
          '/api/v1/configmaps?fieldSelector=metadata.namespace!%3Ddefault,metadata.namespace!%3Dknative-serving',
        )
      ).body,
    ),
    [],
  );
  for (const bad of ['labelSelector=a%20b', 'fieldSelector=data.v%3D1', 'fieldSelector=x']) {
    assert.equal((await api.call('GET', `${CM}?${bad}`)).code, 400, bad);
  }
});

test('what cannot be answered about revisions is refused in the words clients know', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const future = await api.call('GET', `${CM}?resourceVersion=${api.store.revision + 1000}`);
  assert.equal(future.code, 504);
  assert.equal(future.body.details.causes[0].reason, 'ResourceVersionTooLarge');
  const cases: [string, RegExp][] = [
    ['resourceVersion=abc', /invalid syntax/],
    ['resourceVersionMatch=Exact', /forbidden unless resourceVersion is provided/],
    ['resourceVersionMatch=Exact&resourceVersion=0', /is forbidden for resourceVersion "0"/],
    ['resourceVersionMatch=Near&resourceVersion=1', /Unsupported value: "Near"/],
    ['sendInitialEvents=true', /sendInitialEvents is forbidden for list/],
    [
      'watch=true&resourceVersionMatch=Exact&resourceVersion=1',
      /is forbidden for watch unless sendInitialEvents/,
    ],
    ['watch=true&sendInitialEvents=true', /requires setting resourceVersionMatch to NotOlderThan/],
  ];
  for (const [query, message] of cases) {
    const { code, body } = await api.call('GET', `${CM}?${query}`);
    assert.equal(code, 422, query);
    assert.match(body.message, message);
  }
});

test('a watch without a revision begins with what is there', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await create(api, 'a');
  const abort = new AbortController();
  t.after(() => abort.abort());
  for (const revision of ['', '&resourceVersion=0']) {
    const events = api.watch(`${CM}?watch=true${revision}`, abort.signal);
    const first = (await events.next()).value;
    assert.equal(first.type, 'ADDED');
    assert.equal(first.object.metadata.name, 'a');
  }
});

test('initial events end with a bookmark that says so', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await create(api, 'a');
  const abort = new AbortController();
  t.after(() => abort.abort());
  const events = api.watch(
    `${CM}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
    abort.signal,
  );
  assert.equal((await events.next()).value.type, 'ADDED');
  const end = (await events.next()).value;
  assert.equal(end.type, 'BOOKMARK');
  assert.equal(end.object.metadata.annotations['k8s.io/initial-events-end'], 'true');
  assert.equal(end.object.metadata.resourceVersion, String(api.store.revision));
  assert.equal(end.object.kind, 'ConfigMap');
  await create(api, 'b');
  assert.equal((await events.next()).value.object.metadata.name, 'b');
});

test('bookmarks tell of progress elsewhere, and only after there was some', async (t) => {
  const clock = simulatedClock();
  const api = await createTestApi({ clock });
  t.after(api.close);
  const abort = new AbortController();
  t.after(() => abort.abort());
  const events = api.watch(
    `${CM}?watch=true&allowWatchBookmarks=true&resourceVersion=${api.store.revision}`,
    abort.signal,
  );
  const next = events.next();
  await clock.advance(0);
  const idle = clock.pending();
  await api.call('POST', '/api/v1/namespaces/default/secrets', { metadata: { name: 's' } });
  assert.ok(clock.pending() > idle, 'a bookmark is due');
  await clock.advance(61_000);
  const bookmark = (await next).value;
  assert.equal(bookmark.type, 'BOOKMARK');
  assert.equal(bookmark.object.metadata.resourceVersion, String(api.store.revision));
  assert.equal(clock.pending(), idle, 'and no further one');
});

test('a watch from too old a revision gets one ERROR event with 410, one from the future 504', async (t) => {
  const api = await createTestApi({ history: { events: 10, size: 1e6, age: 1e9 } });
  t.after(api.close);
  const { metadata } = (await create(api, 'a')).body;
  for (let i = 0; i < 30; i++) await api.call('PATCH', `${CM}/a`, { data: { v: String(i) } }, MERGE);
  const events = api.watch(`${CM}?watch=true&resourceVersion=${metadata.resourceVersion}`);
  const error = (await events.next()).value;
  assert.equal(error.type, 'ERROR');
  assert.equal(error.object.code, 410);
  assert.equal(error.object.reason, 'Expired');
  assert.equal((await events.next()).done, true);
  const future = await api.call('GET', `${CM}?watch=true&resourceVersion=${api.store.revision + 5}`);
  assert.equal(future.code, 504);
});

test('a watch ends after timeoutSeconds, and all end when the server does', async (t) => {
  const clock = simulatedClock();
  const api = await createTestApi({ clock });
  t.after(api.close);
  const ended = api.watch(`${CM}?watch=true&timeoutSeconds=5&resourceVersion=${api.store.revision}`).next();
  const other = api.watch(`${CM}?watch=true&resourceVersion=${api.store.revision}`).next();
  await clock.advance(5000);
  assert.equal((await ended).done, true);
  api.server.close();
  assert.equal((await other).done, true);
});

test('a client that does not read loses its watch, not the memory of the server', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const events = api.watch(`${CM}?watch=true&resourceVersion=${api.store.revision}`);
  await create(api, 'a');
  await events.next();
  const big = 'x'.repeat(900_000);
  for (let i = 0; i < 20; i++) await api.call('PATCH', `${CM}/a`, { data: { v: `${i}${big}` } }, MERGE);
  let seen = 0;
  for await (const _ of events) seen++;
  assert.ok(seen < 20, `the watch has ended before all ${seen} events`);
});

test('tables carry the columns of the kind, also on a watch, where they are told once', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await create(api, 'a');
  const accept = {
    accept:
      'application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json',
  };
  const { body } = await api.call('GET', `${CM}?limit=500`, undefined, accept);
  assert.equal(body.kind, 'Table');
  assert.equal(body.apiVersion, 'meta.k8s.io/v1');
  assert.equal(body.metadata.resourceVersion, String(api.store.revision));
  assert.deepEqual(body.rows[0].cells.slice(0, 2), ['a', 1]);
  assert.equal(body.rows[0].object.kind, 'PartialObjectMetadata');
  const whole = (await api.call('GET', `${CM}/a?includeObject=Object`, undefined, accept)).body;
  assert.equal(whole.rows[0].object.data.v, '1');

  const abort = new AbortController();
  t.after(() => abort.abort());
  const events = api.watch(`${CM}?watch=true&resourceVersion=${api.store.revision}`, abort.signal, accept);
  await create(api, 'b');
  const first = (await events.next()).value;
  assert.equal(first.type, 'ADDED');
  assert.equal(first.object.rows[0].cells[0], 'b');
  assert.ok(first.object.columnDefinitions.length > 0);
  await create(api, 'c');
  assert.equal((await events.next()).value.object.columnDefinitions, null);
});

test('metadata alone, and what is not served at all', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  await create(api, 'a');
  const accept = { accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io' };
  const { body } = await api.call('GET', CM, undefined, accept);
  assert.equal(body.kind, 'PartialObjectMetadataList');
  assert.equal(body.items[0].metadata.name, 'a');
  assert.equal(body.items[0].data, undefined);
  assert.equal((await api.call('GET', CM, undefined, { accept: 'application/cbor' })).code, 406);
  const both = { accept: 'application/vnd.kubernetes.protobuf,application/json' };
  assert.equal((await api.call('GET', CM, undefined, both)).body.kind, 'ConfigMapList');
});
