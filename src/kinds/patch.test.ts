import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from './object.ts';
import { applyJsonPatch, applyMergePatch, PatchError } from './patch.ts';

// The table of RFC 7386, appendix A.
const merges: [Json, Json, Json][] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
];
for (const [original, patch, expected] of merges) {
  test(`merge patch ${JSON.stringify(original)} + ${JSON.stringify(patch)}`, () => {
    const before = structuredClone(original);
    assert.deepEqual(applyMergePatch(original, patch), expected);
    assert.deepEqual(original, before);
  });
}

test('a merge patch cannot reach the prototype', () => {
  const result = applyMergePatch({}, JSON.parse('{"__proto__":{"polluted":true}}')) as Record<string, Json>;
  assert.equal(Object.getPrototypeOf(result), Object.prototype);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});

const object: Json = { metadata: { labels: { a: '1', 'b/c': '2' } }, list: [1, 2, 3] };

const jsonPatches: [string, Json, Json][] = [
  [
    'add',
    [{ op: 'add', path: '/metadata/labels/x', value: 'y' }],
    { metadata: { labels: { a: '1', 'b/c': '2', x: 'y' } }, list: [1, 2, 3] },
  ],
  [
    'escape',
    [{ op: 'remove', path: '/metadata/labels/b~1c' }],
    { metadata: { labels: { a: '1' } }, list: [1, 2, 3] },
  ],
  [
    'append',
    [{ op: 'add', path: '/list/-', value: 4 }],
    { metadata: { labels: { a: '1', 'b/c': '2' } }, list: [1, 2, 3, 4] },
  ],
  [
    'insert',
    [{ op: 'add', path: '/list/0', value: 0 }],
    { metadata: { labels: { a: '1', 'b/c': '2' } }, list: [0, 1, 2, 3] },
  ],
  [
    'test and replace',
    [
      { op: 'test', path: '/list/0', value: 1 },
      { op: 'replace', path: '/list', value: [] },
    ],
    { metadata: { labels: { a: '1', 'b/c': '2' } }, list: [] },
  ],
  [
    'move',
    [{ op: 'move', from: '/list', path: '/metadata/list' }],
    { metadata: { labels: { a: '1', 'b/c': '2' }, list: [1, 2, 3] } },
  ],
  ['whole document', [{ op: 'replace', path: '', value: { a: 1 } }], { a: 1 }],
];
for (const [what, patch, expected] of jsonPatches) {
  test(`json patch: ${what}`, () => {
    const before = structuredClone(object);
    assert.deepEqual(applyJsonPatch(object, patch), expected);
    assert.deepEqual(object, before);
  });
}

const refused: [string, Json, 400 | 422][] = [
  ['not a list', { op: 'add' }, 400],
  ['unknown operation', [{ op: 'spin', path: '/a' }], 422],
  ['no path', [{ op: 'add', value: 1 }], 422],
  ['no value', [{ op: 'add', path: '/a' }], 422],
  ['missing parent', [{ op: 'add', path: '/no/where', value: 1 }], 422],
  ['remove what is not there', [{ op: 'remove', path: '/nothing' }], 422],
  ['failed test', [{ op: 'test', path: '/list/0', value: 9 }], 422],
  ['index out of bounds', [{ op: 'add', path: '/list/9', value: 1 }], 422],
];
for (const [what, patch, code] of refused) {
  test(`json patch is refused with ${code}: ${what}`, () => {
    assert.throws(
      () => applyJsonPatch(object, patch),
      (error) => error instanceof PatchError && error.code === code && error.message !== '',
    );
    assert.equal(({} as Record<string, unknown>).polluted, undefined);
  });
}

test('a json patch cannot reach the prototype', () => {
  applyJsonPatch(object, [{ op: 'add', path: '/__proto__/polluted', value: 1 }]);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});

test('copies cannot grow a document without bound', () => {
  const grow = Array.from({ length: 40 }, () => ({ op: 'copy', from: '/list', path: '/list/-' }));
  assert.throws(() => applyJsonPatch({ list: ['x'] }, grow), /rejected/);
});
