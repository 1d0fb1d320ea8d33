import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError, containerEnv, expand, fieldValue } from './container-env.ts';
import type { ConfigMap, Container, Pod, Secret } from './pod.ts';

const facts = {
  nodeName: 'n',
  hostIP: '10.0.0.1',
  podIP: '127.0.0.1',
  cpuMillis: 2000,
  memoryBytes: 2 ** 30,
};
const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'ns', uid: 'u', labels: { app: 'x', 'a.b/c': 'y' } },
  spec: { containers: [{ name: 'c', resources: { limits: { cpu: '1500m', memory: '64Mi' } } }] },
};
const map: ConfigMap = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'm' },
  data: { A: '1', B: '2' },
};
const secret: Secret = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 's' },
  data: { KEY: 'c2VjcmV0' },
};
const config = {
  configMap: (name: string) => (name === 'm' ? map : undefined),
  secret: (name: string) => (name === 's' ? secret : undefined),
};
const env = (container: Partial<Container>) =>
  containerEnv(pod, { ...pod.spec.containers[0]!, ...container }, { HOME: '/tmp' }, config, facts);

test('expansion leaves the unknown alone and un-doubles dollars', () => {
  const lookup = (name: string) => ({ A: '1', B: '$(A)' })[name];
  const cases: [string, string][] = [
    ['$(A)', '1'],
    ['$(B)', '$(A)'],
    ['$(C)', '$(C)'],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$1'],
    ['$A $( $', '$A $( $'],
  ];
  for (const [text, expected] of cases) assert.equal(expand(text, lookup), expected, text);
});

test('envFrom comes first, env wins and may refer to what stands before it', () => {
  const result = env({
    envFrom: [{ configMapRef: { name: 'm' } }, { prefix: 'S_', secretRef: { name: 's' } }],
    env: [
      { name: 'A', value: 'own' },
      { name: 'ALL', value: '$(A)-$(B)-$(S_KEY)-$(LATER)' },
      { name: 'LATER', value: 'x' },
    ],
  });
  assert.deepEqual(result, {
    HOME: '/tmp',
    A: 'own',
    B: '2',
    S_KEY: 'secret',
    ALL: 'own-2-secret-$(LATER)',
    LATER: 'x',
  });
});

test('missing references: an error with the name, or nothing when optional', () => {
  const ref = (fields: object) => ({ env: [{ name: 'X', valueFrom: fields }] });
  const cases: [Partial<Container>, RegExp][] = [
    [ref({ secretKeyRef: { name: 'no', key: 'k' } }), /^secret "no" not found$/],
    [ref({ configMapKeyRef: { name: 'no', key: 'k' } }), /^configmap "no" not found$/],
    [ref({ configMapKeyRef: { name: 'm', key: 'k' } }), /^couldn't find key k in ConfigMap ns\/m$/],
    [{ envFrom: [{ secretRef: { name: 'no' } }] }, /^secret "no" not found$/],
  ];
  for (const [container, message] of cases) {
    assert.throws(
      () => env(container),
      (error: Error) => error instanceof ConfigError && message.test(error.message),
    );
  }
  const optional = env({
    envFrom: [{ configMapRef: { name: 'no', optional: true } }],
    env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 's', key: 'no', optional: true } } }],
  });
  assert.deepEqual(optional, { HOME: '/tmp' });
});

test('downward API: fields and resources', () => {
  assert.equal(fieldValue(pod, facts, 'metadata.name'), 'p');
  assert.equal(fieldValue(pod, facts, "metadata.labels['a.b/c']"), 'y');
  assert.equal(fieldValue(pod, facts, "metadata.annotations['none']"), '');
  assert.equal(fieldValue(pod, facts, 'metadata.labels'), 'a.b/c="y"\napp="x"');
  assert.equal(fieldValue(pod, facts, 'status.podIP'), '127.0.0.1');
  assert.throws(() => fieldValue(pod, facts, 'spec.magic'), /unsupported fieldPath/);
  const resource = (of: string, divisor?: string) =>
    env({ env: [{ name: 'R', valueFrom: { resourceFieldRef: { resource: of, divisor } } }] }).R;
  assert.equal(resource('limits.cpu'), '2');
  assert.equal(resource('limits.cpu', '1m'), '1500');
  assert.equal(resource('limits.memory', '1Mi'), '64');
  assert.equal(resource('requests.cpu'), '0');
});
