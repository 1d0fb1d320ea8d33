import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  configMapKey,
  dns1035Label,
  dns1123Label,
  dns1123Subdomain,
  envVarName,
  forPrefix,
  generateName,
  labelValue,
  portName,
  qualifiedName,
} from './name.ts';

test('accepts what Kubernetes accepts', () => {
  for (const [rule, values] of [
    [dns1123Label, ['a', '0', 'a-b', 'x'.repeat(63)]],
    [dns1123Subdomain, ['a.b', '1.2-3', 'x'.repeat(253)]],
    [dns1035Label, ['a', 'a1-b']],
    [qualifiedName, ['a', 'A_b.c', 'example.com/My-Name']],
    [labelValue, ['', 'A', 'a.b_c-d']],
    [configMapKey, ['a', '.hidden', 'A-b_c.d']],
    [envVarName, ['A', 'a.b-c', '1A', 'with space']],
    [portName, ['http', 'a1-b']],
  ] as const) {
    for (const value of values) assert.deepEqual(rule(value), [], `${rule.name} ${value}`);
  }
});

test('refuses with the text of upstream', () => {
  assert.deepEqual(dns1123Label('Foo'), [
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
  ]);
  assert.deepEqual(dns1123Label('a.b'), ['must not contain dots']);
  assert.deepEqual(dns1123Label('x'.repeat(64)), ['must be no more than 63 characters']);
  assert.deepEqual(dns1123Subdomain('Foo'), [
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
  ]);
  assert.match(dns1035Label('1a')[0] ?? '', /^a DNS-1035 label must consist of/);
  assert.deepEqual(qualifiedName('/x'), ['prefix part must be non-empty']);
  assert.match(qualifiedName('a/b/c')[0] ?? '', /with an optional DNS subdomain prefix and '\/'/);
  assert.deepEqual(configMapKey('..'), ["must not be '..'"]);
  assert.deepEqual(configMapKey('..a'), ["must not start with '..'"]);
  assert.equal(configMapKey('a b').length, 1);
  assert.equal(envVarName('a=b').length, 1);
  assert.equal(portName('-1-').length, 2);
});

test('a prefix may end with a dash', () => {
  assert.deepEqual(forPrefix(dns1123Subdomain)('web-'), []);
  assert.equal(forPrefix(dns1123Subdomain)('Web-').length, 1);
});

test('generated names fit a label and use the suffix alphabet', () => {
  assert.equal(
    generateName('web-', () => 0),
    'web-bbbbb',
  );
  const long = generateName(`${'x'.repeat(80)}-`, () => 0.999);
  assert.equal(long, `${'x'.repeat(58)}99999`);
});
