import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UntypedObject } from './object.ts';
import { builtinRegistry } from './registry.ts';
import { toTable } from './table.ts';

const registry = builtinRegistry();
const NOW = Date.parse('2026-01-01T01:00:00Z');
const CREATED = '2026-01-01T00:59:00Z';

function rows(group: string, plural: string, object: object, wide = false): unknown[] {
  const resource = registry.find(group, 'v1', plural)!;
  const full = { metadata: { name: 'x', creationTimestamp: CREATED }, ...object } as UntypedObject;
  const table = toTable(resource, [full], { now: NOW });
  const definitions = table.columnDefinitions!;
  assert.equal(table.rows[0]?.cells.length, definitions.length);
  return table.rows[0]!.cells.filter((_, i) => wide || definitions[i]!.priority === 0);
}

const cases: [string, unknown[], unknown[]][] = [
  ['configmap', rows('', 'configmaps', { data: { a: '1' }, binaryData: { b: '' } }), ['x', 2, '60s']],
  ['secret', rows('', 'secrets', { type: 'Opaque', data: { a: '' } }), ['x', 'Opaque', 1, '60s']],
  ['namespace', rows('', 'namespaces', { status: { phase: 'Active' } }), ['x', 'Active', '60s']],
  [
    'node',
    rows('', 'nodes', {
      metadata: {
        name: 'x',
        creationTimestamp: CREATED,
        labels: { 'node-role.kubernetes.io/worker': '', 'node-role.kubernetes.io/control-plane': '' },
      },
      spec: { unschedulable: true },
      status: { conditions: [{ type: 'Ready', status: 'True' }], nodeInfo: { kubeletVersion: 'v1.32.4' } },
    }),
    ['x', 'Ready,SchedulingDisabled', 'control-plane,worker', '60s', 'v1.32.4'],
  ],
  ['a node that says nothing', rows('', 'nodes', {}), ['x', 'Unknown', '<none>', '60s', '']],
  [
    'event',
    rows('', 'events', {
      involvedObject: { kind: 'Pod', name: 'p' },
      type: 'Normal',
      reason: 'Started',
      message: 'Started container\n',
      lastTimestamp: '2026-01-01T00:58:00Z',
      count: 3,
    }),
    ['2m', 'Normal', 'Started', 'pod/p', 'Started container'],
  ],
  [
    'event series',
    rows('events.k8s.io', 'events', {
      regarding: { kind: 'Pod', name: 'p' },
      type: 'Warning',
      reason: 'BackOff',
      note: 'again',
      eventTime: '2026-01-01T00:50:00.000000Z',
      series: { count: 7, lastObservedTime: '2026-01-01T00:59:30.000000Z' },
    }),
    ['30s (x7 over 10m)', 'Warning', 'BackOff', 'pod/p', 'again'],
  ],
  [
    'service',
    rows(
      '',
      'services',
      {
        spec: {
          type: 'ClusterIP',
          clusterIP: '10.0.0.1',
          ports: [{ port: 80 }, { port: 443, nodePort: 30000, protocol: 'TCP' }],
          selector: { a: 'b' },
        },
      },
      true,
    ),
    ['x', 'ClusterIP', '10.0.0.1', '<none>', '80/TCP,443:30000/TCP', '60s', 'a=b'],
  ],
  [
    'deployment, wide',
    rows(
      'apps',
      'deployments',
      {
        spec: {
          replicas: 2,
          selector: {
            matchLabels: { a: 'b' },
            matchExpressions: [{ key: 'c', operator: 'In', values: ['e', 'd'] }],
          },
          template: { spec: { containers: [{ name: 'n', image: 'i' }] } },
        },
        status: { readyReplicas: 1 },
      },
      true,
    ),
    ['x', '1/2', 0, 0, '60s', 'n', 'i', 'a=b,c in (d,e)'],
  ],
  [
    'knative service',
    rows('serving.knative.dev', 'services', {
      status: {
        url: 'http://x',
        latestCreatedRevisionName: 'x-00002',
        latestReadyRevisionName: 'x-00001',
        conditions: [{ type: 'Ready', status: 'False', reason: 'RevisionFailed' }],
      },
    }),
    ['x', 'http://x', 'x-00002', 'x-00001', 'False', 'RevisionFailed'],
  ],
  [
    'revision',
    rows('serving.knative.dev', 'revisions', {
      metadata: {
        name: 'x',
        labels: {
          'serving.knative.dev/configuration': 'c',
          'serving.knative.dev/configurationGeneration': '2',
        },
      },
      status: { actualReplicas: 0, conditions: [{ type: 'Ready', status: 'True' }] },
    }),
    ['x', 'c', '2', 'True', null, 0, null],
  ],
  [
    'function',
    rows('petrel.dev', 'functions', { spec: { runtime: 'node' } }),
    ['x', null, null, null, 'node', '60s'],
  ],
];
for (const [what, actual, expected] of cases) {
  test(what, () => assert.deepEqual(actual, expected));
}

test('rows carry metadata, the object, or nothing', () => {
  const resource = registry.find('', 'v1', 'configmaps')!;
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data: {} } as UntypedObject;
  const carried = (includeObject?: 'None' | 'Metadata' | 'Object') =>
    toTable(resource, [object], { now: NOW, includeObject }).rows[0]?.object;
  assert.deepEqual(carried(), {
    kind: 'PartialObjectMetadata',
    apiVersion: 'meta.k8s.io/v1',
    metadata: { name: 'x' },
  });
  assert.equal(carried('Object'), object);
  assert.equal(carried('None'), undefined);
});

test('list metadata', () => {
  const resource = registry.find('', 'v1', 'configmaps')!;
  const table = toTable(resource, [], {
    now: NOW,
    resourceVersion: '7',
    continue: 'next',
    remaining: 3,
    headers: false,
  });
  assert.deepEqual(table.metadata, { resourceVersion: '7', continue: 'next', remainingItemCount: 3 });
  assert.equal(table.columnDefinitions, null);
});
