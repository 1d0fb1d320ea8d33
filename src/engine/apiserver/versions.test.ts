import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestApi } from './testing.ts';

const eventing = (version: string) => `/apis/eventing.knative.dev/${version}/namespaces/default/eventtypes`;
const OLD = eventing('v1beta2');
const NEW = eventing('v1beta3');
const MERGE = { 'content-type': 'application/merge-patch+json' };

test('a kind in two versions is one object: written in either, read in both', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const { code, body } = await api.call('POST', NEW, {
    apiVersion: 'eventing.knative.dev/v1beta3',
    kind: 'EventType',
    metadata: { name: 'a' },
    spec: {
      description: 'Orders',
      attributes: [
        { name: 'type', required: true, value: 'com.shop.order' },
        { name: 'source', required: true, value: '/shop' },
      ],
    },
  });
  assert.equal(code, 201, JSON.stringify(body));
  assert.equal(body.apiVersion, 'eventing.knative.dev/v1beta3');
  const old = (await api.call('GET', `${OLD}/a`)).body;
  assert.equal(old.apiVersion, 'eventing.knative.dev/v1beta2');
  assert.deepEqual(old.spec, { description: 'Orders', type: 'com.shop.order', source: '/shop' });

  const patched = await api.call(
    'PATCH',
    `${NEW}/a`,
    { spec: { attributes: [{ name: 'type', required: true, value: 'b' }] } },
    MERGE,
  );
  assert.equal(patched.code, 200, JSON.stringify(patched.body));
  assert.equal((await api.call('GET', `${OLD}/a`)).body.spec.type, 'b');

  const put = await api.call('PUT', `${OLD}/a`, { ...patched.body, ...old, metadata: patched.body.metadata });
  assert.equal(put.code, 200, JSON.stringify(put.body));
  const listed = (await api.call('GET', NEW)).body;
  assert.equal(listed.apiVersion, 'eventing.knative.dev/v1beta3');
  assert.deepEqual(
    listed.items[0].spec.attributes.map(({ name, value }: Record<string, string>) => [name, value]),
    [
      ['specversion', undefined],
      ['id', undefined],
      ['type', 'com.shop.order'],
      ['source', '/shop'],
    ],
  );
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
  const table = (await api.call('GET', NEW, undefined, { accept })).body;
  assert.deepEqual(table.rows[0].cells.slice(0, 3), ['a', 'com.shop.order', '/shop']);
  assert.equal(
    (await api.call('POST', NEW, { metadata: { name: 'b' }, spec: { type: 'x' } })).code,
    400,
    'fields of the other version are not known, so there is no type',
  );
});

test('a watch speaks the version that it was asked for', async (t) => {
  const api = await createTestApi();
  t.after(api.close);
  const abort = new AbortController();
  t.after(() => abort.abort());
  const path = '/apis/sources.knative.dev/v1beta2/namespaces/default/pingsources';
  const events = api.watch(`${path}?watch=true&resourceVersion=0`, abort.signal);
  const first = events.next();
  const spec = { schedule: '* * * * *', sink: { uri: 'http://a' } };
  const made = await api.call('POST', path.replace('v1beta2', 'v1'), { metadata: { name: 'p' }, spec });
  assert.equal(made.code, 201, JSON.stringify(made.body));
  const { value } = await first;
  assert.equal(value?.object.apiVersion, 'sources.knative.dev/v1beta2');
});
