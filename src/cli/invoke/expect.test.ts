import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, differences, type Expectation, expectationOf, wrongExpectation } from './expect.ts';

const answer: Answer = {
  status: 200,
  headers: { 'content-type': 'application/json', 'set-cookie': ['a=1', 'b=2'] },
  body: '{"id":7,"lines":[{"sku":"tea","count":2}],"note":null}',
};

const CASES: readonly [name: string, expect: Expectation, found: RegExp | undefined][] = [
  ['nothing is any answer below 400', {}, undefined],
  ['status', { status: 201 }, /^status 200 instead of 201/],
  ['a header', { headers: { 'Content-Type': 'application/json' } }, undefined],
  ['a header by a pattern', { headers: { 'content-type': '/^application/' } }, undefined],
  ['a header of several values', { headers: { 'set-cookie': 'a=1, b=2' } }, undefined],
  [
    'another header',
    { headers: { 'content-type': 'text/plain' } },
    /application\/json instead of text\/plain/,
  ],
  ['a header that is missing', { headers: { etag: '/./' } }, /header etag is not there/],
  ['a header that must not be there', { headers: { 'set-cookie': null } }, /header set-cookie is there/],
  ['members of JSON', { body: { id: 7 } }, undefined],
  ['members deep in it', { body: { lines: [{ sku: 'tea' }] } }, undefined],
  ['another value', { body: { lines: [{ count: 3 }] } }, /^body\.lines\[0\]\.count is 2 instead of 3$/],
  ['a list of another length', { body: { lines: [] } }, /^body\.lines is /],
  ['a member that is missing', { body: { total: 1 } }, /^body\.total is not there/],
  ['null is a value', { body: { note: null } }, undefined],
  ['a text to the letter', { body: '{}' }, /^body .* instead of \{\}/],
  ['a pattern', { bodyMatches: '"sku":"t.a"' }, undefined],
  ['a pattern that does not match', { bodyMatches: 'coffee' }, /does not match coffee/],
];

for (const [name, expect, found] of CASES)
  test(`what is expected of an answer: ${name}`, () => {
    const told = differences(expect, answer);
    if (found === undefined) assert.deepEqual(told, []);
    else {
      assert.equal(told.length, 1, told.join('\n'));
      assert.match(told[0] ?? '', found);
    }
  });

test('an answer expects itself', () => {
  for (const body of [answer.body, 'plain', ''])
    assert.deepEqual(differences(expectationOf({ ...answer, body }), { ...answer, body }), []);
});

test('JSON is expected, and a page comes', () => {
  assert.match(differences({ body: { id: 7 } }, { ...answer, body: '<html>' })[0] ?? '', /no JSON: <html>/);
});

test('what no expectation can be is told by its field', () => {
  for (const [value, words] of [
    [[], /must be an object/],
    [{ stauts: 200 }, /no stauts: it has status/],
    [{ status: 20 }, /expect\.status/],
    [{ headers: { a: 1 } }, /expect\.headers\.a/],
    [{ headers: { a: '/(/' } }, /expect\.headers\.a/],
    [{ bodyMatches: '(' }, /expect\.bodyMatches/],
  ] as const)
    assert.match(wrongExpectation(value) ?? '', words);
  assert.equal(wrongExpectation({ status: 200, headers: { a: null }, body: [], bodyMatches: '' }), undefined);
});
