import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_SERVING_CONFIG } from '../config/index.ts';
import type { UntypedObject } from '../object.ts';
import { builtinRegistry } from '../registry.ts';

const context = { config: DEFAULT_SERVING_CONFIG };

const registry = builtinRegistry();
const meta = { name: 'x', namespace: 'default' };

function strategyOf(plural: string, group = '') {
  return registry.find(group, 'v1', plural)!.strategy;
}
const object = (kind: string, fields: object): UntypedObject => ({
  apiVersion: 'v1',
  kind,
  metadata: { ...meta },
  ...structuredClone(fields),
});
const lines = (errors: { field: string; message: string }[] | undefined): string[] =>
  (errors ?? []).map((e) => `${e.field}: ${e.message}`);

test('a Secret is Opaque unless it says otherwise, and stringData becomes data', () => {
  const secret = object('Secret', { data: { a: 'YQ==' }, stringData: { b: 'b', a: 'over' } });
  strategyOf('secrets').setDefaults?.(secret, undefined, context);
  assert.deepEqual(secret, object('Secret', { type: 'Opaque', data: { a: 'b3Zlcg==', b: 'Yg==' } }));
});

const wrong: [string, string, object, string[]][] = [
  [
    'configmaps',
    'key',
    { data: { 'a b': '' } },
    [
      "data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
    ],
  ],
  [
    'configmaps',
    'key in both',
    { data: { a: '' }, binaryData: { a: '' } },
    ['data[a]: Invalid value: "a": duplicate of key present in binaryData'],
  ],
  [
    'configmaps',
    'size',
    { data: { a: 'x'.repeat(1024 * 1024 + 1) } },
    [': Too long: may not be more than 1048576 bytes'],
  ],
  [
    'secrets',
    'no base64',
    { type: 'Opaque', data: { a: '%%' } },
    ['data[a]: Invalid value: "<redacted>": illegal base64 data'],
  ],
  [
    'secrets',
    'tls without key',
    { type: 'kubernetes.io/tls', data: { 'tls.crt': '' } },
    ['data[tls.key]: Required value'],
  ],
  [
    'secrets',
    'docker config',
    { type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': 'eA==' } },
    ['data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid JSON'],
  ],
  [
    'secrets',
    'token without account',
    { type: 'kubernetes.io/service-account-token' },
    ['metadata.annotations[kubernetes.io/service-account.name]: Required value'],
  ],
  [
    'events',
    'other namespace',
    { involvedObject: { namespace: 'other' } },
    ['involvedObject.namespace: Invalid value: "other": does not match event.namespace'],
  ],
  ['services', 'no ports', { spec: { type: 'ClusterIP' } }, ['spec.ports: Required value']],
];
for (const [plural, what, fields, expected] of wrong) {
  test(`${plural} refused: ${what}`, () => {
    assert.deepEqual(lines(strategyOf(plural).validate?.(object('X', fields))), expected);
  });
}

test('what is marked immutable stays', () => {
  for (const plural of ['configmaps', 'secrets']) {
    const old = object('X', { type: 'Opaque', immutable: true, data: { a: 'YQ==' } });
    const update = (fields: object) => lines(strategyOf(plural).validateUpdate?.({ ...old, ...fields }, old));
    assert.deepEqual(update({ metadata: { ...meta, labels: { a: 'b' } } }), []);
    assert.deepEqual(update({ data: {} }), ['data: Forbidden: field is immutable when `immutable` is set']);
    assert.deepEqual(update({ immutable: false }), [
      'immutable: Forbidden: field is immutable when `immutable` is set',
    ]);
  }
  const secret = object('Secret', { type: 'Opaque' });
  assert.deepEqual(lines(strategyOf('secrets').validateUpdate?.({ ...secret, type: 'a/b' }, secret)), [
    'type: Invalid value: "a/b": field is immutable',
  ]);
});

test('a namespace begins Active, finalized by the platform, labelled with its name', () => {
  const namespace: UntypedObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n' } };
  const strategy = strategyOf('namespaces');
  strategy.prepareForCreate?.(namespace);
  strategy.setDefaults?.(namespace, undefined, context);
  assert.deepEqual(namespace, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'n', labels: { 'kubernetes.io/metadata.name': 'n' } },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  });
});

test('a Deployment gets its defaults and must select what it makes', () => {
  const strategy = strategyOf('deployments', 'apps');
  const deployment = (labels: object) =>
    object('Deployment', {
      spec: {
        selector: { matchLabels: { a: 'b' } },
        template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    });
  const good = deployment({ a: 'b' });
  strategy.setDefaults?.(good, undefined, context);
  assert.deepEqual(lines(strategy.validate?.(good)), []);
  assert.equal(good.spec.replicas, 1);
  assert.deepEqual(good.spec.strategy, {
    type: 'RollingUpdate',
    rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' },
  });
  const bad = deployment({ a: 'c' });
  strategy.setDefaults?.(bad, undefined, context);
  assert.deepEqual(lines(strategy.validate?.(bad)), [
    'spec.template.metadata.labels: Invalid value: {"a":"c"}: `selector` does not match template `labels`',
  ]);
});
