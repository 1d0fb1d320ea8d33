import assert from 'node:assert/strict';
import test from 'node:test';
import { validateOwnTerms } from './own-terms.ts';

const told = (annotations: Record<string, string>) =>
  validateOwnTerms(annotations, 'metadata.annotations').map(({ message, paths }) => `${paths[0]} ${message}`);

test('fields of a Function in annotations of a Service are checked as on a Function', () => {
  assert.deepEqual(told({}), []);
  const good = {
    'petrel.dev/access': '{"auth":{"apiKey":{"secret":"keys"}}}',
    'petrel.dev/sticky': '{"header":"x"}',
  };
  assert.deepEqual(told(good), []);
  for (const text of [
    '{',
    '[]',
    '"x"',
    'null',
    '',
    '{"auth":{"apiKey":5}}',
    '{"cors":{"allowOrigins":"x"}}',
    '{"atuh":{}}',
  ]) {
    assert.match(
      told({ 'petrel.dev/access': text })[0] ?? '',
      /^metadata\.annotations\.petrel\.dev\/access invalid value/,
    );
  }
  assert.match(told({ 'petrel.dev/sticky': '{}' })[0] ?? '', /spec\.sticky/);
  assert.match(
    told({ 'petrel.dev/access': '{"cors":{"allowOrigins":["x"]}}' })[0] ?? '',
    /spec\.access\.cors\.allowOrigins\[0\]/,
  );
});
