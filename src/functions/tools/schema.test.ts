import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Schema, violations } from './schema.ts';

const CASES: [Schema, value: unknown, problems: string[]][] = [
  [{ type: 'object' }, {}, []],
  [{ type: 'object' }, [], ['arguments must be object']],
  [{ type: ['string', 'null'] }, null, []],
  [{ type: 'integer' }, 1.5, ['arguments must be integer']],
  [
    { properties: { a: { type: 'string', minLength: 2 }, b: { minimum: 1 } }, required: ['a', 'c'] },
    { a: 'x', b: 0 },
    ['a must have a length of at least 2', 'b must be at least 1', 'c is missing'],
  ],
  [{ properties: { a: true }, additionalProperties: false }, { a: 1, z: 2 }, ['z is not known']],
  [{ additionalProperties: { type: 'number' } }, { z: 'x' }, ['z must be number']],
  [
    { patternProperties: { '^x-': { type: 'string' } }, additionalProperties: false },
    { 'x-a': 1 },
    ['x-a must be string'],
  ],
  [{ enum: ['a', { b: 1 }] }, { b: 1 }, []],
  [{ enum: ['a'] }, 'b', ['arguments must be one of "a"']],
  [{ const: 3 }, 4, ['arguments must be 3']],
  [
    { items: { type: 'string' }, minItems: 1, uniqueItems: true },
    ['a', 1, 'a'],
    ['[1] must be string', 'arguments must not have an element twice'],
  ],
  [{ prefixItems: [{ type: 'string' }], items: { type: 'number' } }, ['a', 1, 'b'], ['[2] must be number']],
  [{ pattern: 'b+c' }, 'abbcd', []],
  [{ pattern: '^b' }, 'abbcd', ['arguments must match ^b']],
  [
    { anyOf: [{ type: 'string' }, { minimum: 5 }] },
    4,
    ['arguments must be one of the kinds that anyOf allows'],
  ],
  [
    { oneOf: [{ type: 'number' }, { minimum: 5 }] },
    6,
    ['arguments must be exactly one of the kinds that oneOf allows'],
  ],
  [{ not: { type: 'string' } }, 'x', ['arguments must not be of the kind that is excluded']],
  [
    JSON.parse('{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]}}'),
    { a: 1 },
    ['b is missing'],
  ],
  [
    { $defs: { n: { type: 'number' } }, properties: { a: { $ref: '#/$defs/n' } } },
    { a: 'x' },
    ['a must be number'],
  ],
  [
    { properties: { a: { $ref: 'https://example.com/s' } } },
    { a: 1 },
    ['a cannot be checked: the schema refers to https://example.com/s'],
  ],
  [{ properties: { __proto__: { type: 'string' }, constructor: { type: 'string' } } }, {}, []],
  [{ multipleOf: 0.5 }, 1.25, ['arguments must be a multiple of 0.5']],
];

for (const [schema, value, problems] of CASES) {
  test(`${JSON.stringify(schema)} ${JSON.stringify(value)}`, () =>
    assert.deepEqual(violations(schema, value), problems));
}

test('a schema that refers to itself comes to an end', () => {
  const endless = { $ref: '#' };
  assert.match(violations(endless, 1)[0] ?? '', /too deep/);
  const doubling = {
    anyOf: [{ allOf: [{ $ref: '#' }, { $ref: '#' }] }, { allOf: [{ $ref: '#' }, { $ref: '#' }] }],
  };
  assert.ok(violations(doubling, {}).length > 0);
});
