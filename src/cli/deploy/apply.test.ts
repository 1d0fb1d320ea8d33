import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, UntypedObject } from '../../kinds/object.ts';
import { CONFIGMAPS } from '../../kube/refs.ts';
import { createClient } from '../../kube/rest.ts';
import { createFakeApi } from '../../kube/testing.ts';
import { applyObject, threeWayPatch } from './apply.ts';

type Fields = { [key: string]: Json };
const patches: [string, Fields, Fields, Fields, Fields][] = [
  ['nothing', { a: 1 }, { a: 1 }, { a: 1, other: 2 }, {}],
  ['a change', { a: 1 }, { a: 2 }, { a: 1, other: 2 }, { a: 2 }],
  [
    'what was declared and is not any more goes',
    { a: 1, b: 2 },
    { a: 1 },
    { a: 1, b: 2, other: 3 },
    { b: null },
  ],
  ['it goes once', { a: 1, b: 2 }, { a: 1 }, { a: 1 }, {}],
  ['what others have changed comes back', { a: 1 }, { a: 1 }, { a: 5 }, { a: 1 }],
  ['inside', { m: { a: 1, b: 2 } }, { m: { a: 3 } }, { m: { a: 1, b: 2, c: 4 } }, { m: { a: 3, b: null } }],
  ['lists as a whole', { l: [1, 2] }, { l: [1] }, { l: [1, 2, 3] }, { l: [1] }],
  ['a map in place of a value', { a: 1 }, { a: { b: 1 } }, { a: 1 }, { a: { b: 1 } }],
];
for (const [name, before, wanted, live, expected] of patches) {
  test(`three-way patch: ${name}`, () => assert.deepEqual(threeWayPatch(before, wanted, live), expected));
}

test('an object is created, left alone, changed, and keeps what others have put on it', async () => {
  const client = createClient(createFakeApi());
  const declare = (data: Record<string, string>): UntypedObject => ({
    kind: 'ConfigMap',
    apiVersion: 'v1',
    metadata: { name: 'c', namespace: 'default' },
    data,
  });
  const created = await applyObject(client, CONFIGMAPS, declare({ b: '<2>', a: '1' }));
  assert.equal(created.outcome, 'created');
  // As kubectl writes it: keys in order, annotations always there, signs of HTML escaped.
  assert.equal(
    created.object.metadata.annotations?.['kubectl.kubernetes.io/last-applied-configuration'],
    '{"apiVersion":"v1","data":{"a":"1","b":"\\u003c2\\u003e"},"kind":"ConfigMap","metadata":{"annotations":{},"name":"c","namespace":"default"}}\n',
  );
  assert.equal((await applyObject(client, CONFIGMAPS, declare({ a: '1', b: '<2>' }))).outcome, 'unchanged');
  await client.patch(CONFIGMAPS, 'default', 'c', 'merge', { data: { theirs: 'x' } });
  const changed = await applyObject(client, CONFIGMAPS, declare({ a: '9' }));
  assert.equal(changed.outcome, 'configured');
  assert.deepEqual(changed.object.data, { a: '9', theirs: 'x' });
});
