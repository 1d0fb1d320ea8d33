import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type NodeState, obstacles, place, requestsOf, type SchedulablePod } from './fit.ts';

const node = (name: string, change: Partial<NodeState['node']> = {}, used = {}, pods = 0): NodeState => ({
  node: {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { disk: 'ssd' } },
    status: {
      allocatable: { cpu: '2', memory: '4Gi', pods: '10' },
      conditions: [{ type: 'Ready', status: 'True' }],
    },
    ...change,
  },
  used,
  pods,
});
const pod = (requests: Record<string, string> = {}, spec: object = {}): SchedulablePod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec: { containers: [{ name: 'c', resources: { requests } }], ...spec },
});

test('requests: containers add up, the largest init container counts, a limit stands for a request', () => {
  const containers = [
    { name: 'a', resources: { requests: { cpu: '100m' }, limits: { cpu: '1', memory: '1Mi' } } },
    { name: 'b', resources: { requests: { cpu: '200m' } } },
  ];
  const initContainers = [{ name: 'i', resources: { requests: { cpu: '250m', memory: '2Mi' } } }];
  assert.deepEqual(requestsOf(pod({}, { containers, initContainers })), { cpu: 300, memory: 2 * 2 ** 20 });
});

test('obstacles, in the words of kube-scheduler', () => {
  const taints = [{ key: 'k', value: 'v', effect: 'NoSchedule' }];
  const cases: [string, SchedulablePod, NodeState, string[]][] = [
    ['fits', pod({ cpu: '2', memory: '4Gi' }), node('n'), []],
    [
      'too much',
      pod({ cpu: '1', memory: '5Gi' }),
      node('n', {}, { cpu: 1500 }),
      ['Insufficient cpu', 'Insufficient memory'],
    ],
    ['unknown resource', pod({ 'example.com/gpu': '1' }), node('n'), ['Insufficient example.com/gpu']],
    ['full', pod(), node('n', {}, {}, 10), ['Too many pods']],
    ['cordoned', pod(), node('n', { spec: { unschedulable: true } }), ['node(s) were unschedulable']],
    ['tainted', pod(), node('n', { spec: { taints } }), ['node(s) had untolerated taint {k: v}']],
    ['tolerated', pod({}, { tolerations: [{ key: 'k', value: 'v' }] }), node('n', { spec: { taints } }), []],
    [
      'tolerates all',
      pod({}, { tolerations: [{ operator: 'Exists' }] }),
      node('n', { spec: { taints } }),
      [],
    ],
    [
      'other value',
      pod({}, { tolerations: [{ key: 'k', value: 'w' }] }),
      node('n', { spec: { taints } }),
      ['node(s) had untolerated taint {k: v}'],
    ],
    [
      'selector',
      pod({}, { nodeSelector: { disk: 'hdd' } }),
      node('n'),
      ["node(s) didn't match Pod's node affinity/selector"],
    ],
    [
      'not ready',
      pod(),
      node('n', { status: {} }),
      ['node(s) had untolerated taint {node.kubernetes.io/not-ready: }'],
    ],
  ];
  for (const [name, wanted, state, expected] of cases)
    assert.deepEqual(obstacles(wanted, state), expected, name);
});

test('the node with the most room wins; when none fits all reasons are counted', () => {
  const small = pod({ cpu: '500m' });
  assert.deepEqual(place(small, [node('a', {}, { cpu: 1000 }), node('b', {}, { cpu: 500 })]), { node: 'b' });
  assert.deepEqual(
    place(pod({ cpu: '3' }), [node('a'), node('b'), node('c', { spec: { unschedulable: true } })]),
    {
      message: '0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.',
    },
  );
  assert.deepEqual(place(small, []), { message: 'no nodes available to schedule pods' });
});
