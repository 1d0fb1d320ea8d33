/** Rules: which requests they are about, and that nobody can stall the gateway with one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RouteRule, ValueMatch } from '../contract.ts';
import { cookieValue, fieldValue, needle } from './lines.ts';
import { compileRules } from './match.ts';

const HEAD = Buffer.from(
  'host: x.test\r\nx-user: alice\r\ncookie: a=1; b=two\r\nx-many: 1\r\nx-empty: \r\nx-many: 2\r\ncookie: c=x-user: mallory\r\n',
  'latin1',
);

const rule = (part: Partial<RouteRule>): RouteRule => ({
  headers: [],
  cookies: [],
  revision: 'default/r',
  ...part,
});
const header = (name: string, type: ValueMatch['type'], value?: string) =>
  rule({ headers: [{ name, type, ...(value === undefined ? {} : { value }) }] });
const cookie = (name: string, type: ValueMatch['type'], value?: string) =>
  rule({ cookies: [{ name, type, ...(value === undefined ? {} : { value }) }] });

const CASES: [string, RouteRule, string, boolean][] = [
  ['exact', header('x-user', 'Exact', 'alice'), '/', true],
  ['exact, other case of the value', header('x-user', 'Exact', 'Alice'), '/', false],
  ['exact, other case of the name', header('X-User', 'Exact', 'alice'), '/', true],
  ['exact, only a part', header('x-user', 'Exact', 'ali'), '/', false],
  ['prefix', header('x-user', 'Prefix', 'ali'), '/', true],
  ['present', header('x-empty', 'Present'), '/', true],
  ['absent', header('x-none', 'Present'), '/', false],
  ['a name inside a value is no header', header('user', 'Present'), '/', false],
  ['empty value', header('x-empty', 'Exact', ''), '/', true],
  ['several lines are one value', header('x-many', 'Exact', '1, 2'), '/', true],
  ['expression', header('x-user', 'RegularExpression', 'a.*e'), '/', true],
  ['expression matches the whole value', header('x-user', 'RegularExpression', 'lic'), '/', false],
  ['cookie', cookie('b', 'Exact', 'two'), '/', true],
  ['cookie of the second line', cookie('c', 'Prefix', 'x-user'), '/', true],
  ['cookie names have case', cookie('B', 'Present'), '/', false],
  ['path itself', rule({ pathPrefix: '/api' }), '/api', true],
  ['path below', rule({ pathPrefix: '/api/' }), '/api/v1', true],
  ['path beside', rule({ pathPrefix: '/api' }), '/apix', false],
  ['path above', rule({ pathPrefix: '/api' }), '/', false],
  ['every path', rule({ pathPrefix: '/' }), '/x', true],
  ['nothing asked', rule({}), '/x', true],
  [
    'all conditions together',
    rule({ pathPrefix: '/a', headers: [{ name: 'x-user', type: 'Exact', value: 'alice' }] }),
    '/b',
    false,
  ],
];

for (const [what, given, path, expected] of CASES) {
  test(`rule: ${what}`, () => {
    const [compiled] = compileRules([given], () => assert.fail('it can be used'));
    assert.equal(compiled!.matches({ out: HEAD, path }), expected);
  });
}

test('patterns that are malformed or cannot be matched in linear time are left out and told', () => {
  const told: string[] = [];
  const rules = ['(', '(?=a)b', '(a)\\1', 'fine'].map((p) => header('x-user', 'RegularExpression', p));
  const compiled = compileRules(rules, (_, error) => told.push(error));
  assert.equal(compiled.length, 1);
  assert.equal(told.length, 3);
});

test('a pattern that would backtrack for ever does not', () => {
  const [compiled] = compileRules([header('x-user', 'RegularExpression', '(a+)+b')], () => assert.fail());
  const out = Buffer.from(`x-user: ${'a'.repeat(2000)}\r\n`);
  assert.equal(compiled!.matches({ out, path: '/' }), false);
});

test('fields and cookies', () => {
  assert.equal(fieldValue(HEAD, needle('X-Many')), '1, 2');
  assert.equal(fieldValue(HEAD, needle('mallory')), null);
  assert.equal(cookieValue(HEAD, 'a'), '1');
  assert.equal(cookieValue(HEAD, 'd'), null);
  assert.equal(cookieValue(Buffer.from('host: a\r\n'), 'a'), null);
});
