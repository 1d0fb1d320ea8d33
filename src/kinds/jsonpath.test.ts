import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileJsonPath } from './jsonpath.ts';

const object = {
  metadata: { labels: { 'serving.knative.dev/configuration': 'hello' } },
  status: {
    replicas: 0,
    conditions: [
      { type: 'Ready', status: 'True' },
      { type: 'Odd]', status: 'False' },
    ],
  },
  list: ['a', 'b'],
};
const cases: [string, unknown[]][] = [
  ['.status.replicas', [0]],
  ['{.status.replicas}', [0]],
  ['$.status.replicas', [0]],
  ['.status.missing.deeper', []],
  [".status.conditions[?(@.type=='Ready')].status", ['True']],
  ['.status.conditions[?(@.type=="Ready")].status', ['True']],
  [".status.conditions[?(@.type=='Odd]')].status", ['False']],
  [".status.conditions[?(@.type!='Ready')].status", ['False']],
  ['.status.conditions[*].type', ['Ready', 'Odd]']],
  ['.list[0]', ['a']],
  ['.list[-1]', ['b']],
  ['.list[9]', []],
  [".metadata.labels['serving\\.knative\\.dev/configuration']", ['hello']],
  ['.metadata.labels.serving\\.knative\\.dev/configuration', ['hello']],
];
for (const [path, expected] of cases) {
  test(path, () => assert.deepEqual(compileJsonPath(path)(object), expected));
}

test('what the subset does not know is refused', () => {
  assert.throws(() => compileJsonPath('.a[?(@.b > 1)]'), /unsupported JSONPath/);
  assert.throws(() => compileJsonPath('.a[0'), /unclosed/);
});
