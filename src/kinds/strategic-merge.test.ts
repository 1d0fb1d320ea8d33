import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from './object.ts';
import { PatchError } from './patch.ts';
import { applyStrategicMerge } from './strategic-merge.ts';

const POD = 'io.k8s.api.core.v1.Pod';
const DEPLOYMENT = 'io.k8s.api.apps.v1.Deployment';
const merge = (type: string, original: Json, patch: Json): Json => applyStrategicMerge(original, patch, type);
const containers = (...items: Json[]): Json => ({ spec: { containers: items } });

const cases: [string, string, Json, Json, Json][] = [
  [
    'kubectl set image',
    POD,
    containers({ name: 'a', image: 'a:1', env: [{ name: 'X', value: '1' }] }, { name: 'b', image: 'b:1' }),
    {
      spec: {
        $setElementOrder: undefined as unknown as Json,
        '$setElementOrder/containers': [{ name: 'a' }, { name: 'b' }],
        containers: [{ name: 'b', image: 'b:2' }],
      },
    },
    containers({ name: 'a', image: 'a:1', env: [{ name: 'X', value: '1' }] }, { name: 'b', image: 'b:2' }),
  ],
  [
    'kubectl label x- and annotate',
    POD,
    { metadata: { labels: { app: 'web', old: '1' } } },
    { metadata: { labels: { old: null }, annotations: { note: 'hi' } } },
    { metadata: { labels: { app: 'web' }, annotations: { note: 'hi' } } },
  ],
  [
    'kubectl apply adds an env variable and drops another',
    POD,
    containers({
      name: 'a',
      env: [
        { name: 'A', value: '1' },
        { name: 'B', value: '2' },
      ],
    }),
    {
      spec: {
        '$setElementOrder/containers': [{ name: 'a' }],
        containers: [
          {
            name: 'a',
            '$setElementOrder/env': [{ name: 'C' }, { name: 'A' }],
            env: [
              { name: 'C', value: '3' },
              { name: 'B', $patch: 'delete' },
            ],
          },
        ],
      },
    },
    containers({
      name: 'a',
      env: [
        { name: 'C', value: '3' },
        { name: 'A', value: '1' },
      ],
    }),
  ],
  [
    'order: patch items as the patch has them, server-only items keep their place',
    POD,
    containers({ name: 'a' }, { name: 'server' }, { name: 'b' }),
    {
      spec: {
        '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }, { name: 'new' }],
        containers: [{ name: 'new' }],
      },
    },
    containers({ name: 'server' }, { name: 'b' }, { name: 'a' }, { name: 'new' }),
  ],
  [
    'without an order directive new items come first, where the patch has them',
    POD,
    containers({ name: 'a' }, { name: 'b' }),
    containers({ name: 'c' }, { name: 'b', image: 'x' }),
    containers({ name: 'c' }, { name: 'a' }, { name: 'b', image: 'x' }),
  ],
  [
    'kubectl apply renames a container',
    POD,
    containers({ name: 'old' }, { name: 'injected' }),
    {
      spec: {
        '$setElementOrder/containers': [{ name: 'new' }],
        containers: [{ name: 'new' }, { name: 'old', $patch: 'delete' }],
      },
    },
    containers({ name: 'injected' }, { name: 'new' }),
  ],
  [
    'retainKeys: a volume changes its source',
    POD,
    { spec: { volumes: [{ name: 'v', emptyDir: {} }] } },
    { spec: { volumes: [{ name: 'v', $retainKeys: ['name', 'configMap'], configMap: { name: 'c' } }] } },
    { spec: { volumes: [{ name: 'v', configMap: { name: 'c' } }] } },
  ],
  [
    'retainKeys: a deployment changes its strategy',
    DEPLOYMENT,
    { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } },
    { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } },
    { spec: { strategy: { type: 'Recreate' } } },
  ],
  [
    'replace a list',
    POD,
    containers({ name: 'a' }, { name: 'b' }),
    { spec: { containers: [{ name: 'c' }, { $patch: 'replace' }] } },
    containers({ name: 'c' }),
  ],
  [
    'replace a map',
    POD,
    { metadata: { labels: { a: '1', b: '2' } } },
    { metadata: { labels: { $patch: 'replace', c: '3' } } },
    { metadata: { labels: { c: '3' } } },
  ],
  [
    'delete a map',
    POD,
    { metadata: { labels: { a: '1' }, name: 'x' } },
    { metadata: { labels: { $patch: 'delete' } } },
    { metadata: { labels: {}, name: 'x' } },
  ],
  [
    'delete from a primitive list',
    POD,
    { metadata: { finalizers: ['a/b', 'c/d', 'e/f'] } },
    {
      metadata: {
        '$deleteFromPrimitiveList/finalizers': ['c/d'],
        '$setElementOrder/finalizers': ['a/b', 'e/f'],
      },
    },
    { metadata: { finalizers: ['a/b', 'e/f'] } },
  ],
  [
    'a primitive list with merge strategy is a set',
    POD,
    { metadata: { finalizers: ['a/b', 'c/d'] } },
    { metadata: { finalizers: ['x/y', 'a/b'] } },
    { metadata: { finalizers: ['x/y', 'a/b', 'c/d'] } },
  ],
  [
    'an atomic list is replaced',
    POD,
    containers({ name: 'a', command: ['x', 'y'], image: 'i' }),
    containers({ name: 'a', command: ['z'] }),
    containers({ name: 'a', command: ['z'], image: 'i' }),
  ],
  [
    'ports merge by number',
    POD,
    containers({ name: 'a', ports: [{ containerPort: 80, name: 'http' }] }),
    containers({ name: 'a', ports: [{ containerPort: 80, protocol: 'TCP' }, { containerPort: 81 }] }),
    containers({
      name: 'a',
      ports: [{ containerPort: 80, name: 'http', protocol: 'TCP' }, { containerPort: 81 }],
    }),
  ],
  [
    'directives inside what is new do not stay',
    POD,
    { spec: {} },
    {
      spec: {
        '$setElementOrder/containers': [{ name: 'a' }],
        containers: [{ name: 'a', image: null, env: [{ name: 'X', $patch: 'delete' }] }],
      },
    },
    containers({ name: 'a', env: [] }),
  ],
  [
    'null for what is not there',
    POD,
    { metadata: { name: 'x' } },
    { metadata: { labels: null, annotations: { a: null } } },
    { metadata: { name: 'x', annotations: {} } },
  ],
  [
    'status conditions merge by type (kubectl edit --subresource=status)',
    POD,
    {
      status: {
        conditions: [
          { type: 'Ready', status: 'False' },
          { type: 'Initialized', status: 'True' },
        ],
      },
    },
    {
      status: {
        '$setElementOrder/conditions': [{ type: 'Ready' }, { type: 'Initialized' }],
        conditions: [{ type: 'Ready', status: 'True' }],
      },
    },
    {
      status: {
        conditions: [
          { type: 'Ready', status: 'True' },
          { type: 'Initialized', status: 'True' },
        ],
      },
    },
  ],
  [
    'maps of strings merge, in ConfigMaps too',
    'io.k8s.api.core.v1.ConfigMap',
    { data: { a: '1', b: '2' } },
    { data: { b: null, c: '3' } },
    { data: { a: '1', c: '3' } },
  ],
];
for (const [what, type, original, patch, expected] of cases) {
  test(what, () => {
    const input = JSON.parse(JSON.stringify(patch));
    const before = structuredClone(original);
    assert.deepEqual(merge(type, original, input), expected);
    assert.deepEqual(original, before, 'the original is not changed');
    assert.deepEqual(input, JSON.parse(JSON.stringify(patch)), 'the patch is not changed');
  });
}

const refused: [string, Json, 400 | 422][] = [
  ['unknown $patch in a map', { metadata: { $patch: 'spin' } }, 400],
  ['unknown $patch in a list', { spec: { containers: [{ $patch: 'spin' }] } }, 400],
  ['an item without its merge key', { spec: { containers: [{ image: 'x' }] } }, 422],
  ['retainKeys without a field of the patch', { metadata: { $retainKeys: ['name'], labels: {} } }, 400],
  [
    'order that contradicts the list',
    { spec: { '$setElementOrder/containers': [{ name: 'b' }], containers: [{ name: 'a' }] } },
    400,
  ],
  ['no object', [], 400],
];
for (const [what, patch, code] of refused) {
  test(`refused with ${code}: ${what}`, () => {
    assert.throws(
      () => merge(POD, { metadata: { name: 'x' }, ...(containers({ name: 'a' }) as object) }, patch),
      (error) => error instanceof PatchError && error.code === code,
    );
  });
}
