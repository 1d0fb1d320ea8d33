import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UntypedObject } from '../object.ts';
import { POD_COLUMNS } from './pod.ts';

const NOW = Date.parse('2026-01-01T01:00:00Z');

function print(spec: object, status: object, metadata: object = {}): string {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', creationTimestamp: '2026-01-01T00:59:30Z', ...metadata },
    spec: { containers: [{ name: 'a' }], ...spec },
    status,
  } as UntypedObject;
  return POD_COLUMNS.filter((c) => c.priority === 0)
    .map((c) => c.value?.(pod, NOW))
    .join(' | ');
}

const running = (name: string, ready = true, extra: object = {}) => ({
  name,
  ready,
  restartCount: 0,
  state: { running: { startedAt: '2026-01-01T00:59:40Z' } },
  lastState: {},
  ...extra,
});
const two = { containers: [{ name: 'a' }, { name: 'b' }] };
const isReady = { conditions: [{ type: 'Ready', status: 'True' }] };

const cases: [string, string, object, object, object?][] = [
  ['not scheduled', 'p | 0/1 | Pending | 0 | 30s', {}, { phase: 'Pending' }],
  ['running', 'p | 1/1 | Running | 0 | 30s', {}, { phase: 'Running', containerStatuses: [running('a')] }],
  [
    'not ready',
    'p | 0/1 | Running | 0 | 30s',
    {},
    { phase: 'Running', containerStatuses: [running('a', false)] },
  ],
  [
    'crash loop',
    'p | 0/1 | CrashLoopBackOff | 3 (5m ago) | 30s',
    {},
    {
      phase: 'Running',
      containerStatuses: [
        {
          name: 'a',
          ready: false,
          restartCount: 3,
          state: { waiting: { reason: 'CrashLoopBackOff' } },
          lastState: { terminated: { exitCode: 1, finishedAt: '2026-01-01T00:55:00Z' } },
        },
      ],
    },
  ],
  [
    'exit code without reason',
    'p | 0/1 | ExitCode:2 | 0 | 30s',
    {},
    {
      phase: 'Failed',
      containerStatuses: [{ name: 'a', restartCount: 0, state: { terminated: { exitCode: 2 } } }],
    },
  ],
  [
    'signal without reason',
    'p | 0/1 | Signal:9 | 0 | 30s',
    {},
    {
      phase: 'Failed',
      containerStatuses: [
        { name: 'a', restartCount: 0, state: { terminated: { exitCode: 137, signal: 9 } } },
      ],
    },
  ],
  [
    'completed',
    'p | 0/1 | Completed | 0 | 30s',
    {},
    {
      phase: 'Succeeded',
      containerStatuses: [
        { name: 'a', restartCount: 0, state: { terminated: { exitCode: 0, reason: 'Completed' } } },
      ],
    },
  ],
  [
    'one completed, one running and ready',
    'p | 1/2 | Running | 0 | 30s',
    two,
    {
      phase: 'Running',
      ...isReady,
      containerStatuses: [
        { name: 'a', restartCount: 0, state: { terminated: { exitCode: 0, reason: 'Completed' } } },
        running('b'),
      ],
    },
  ],
  [
    'one completed, one running, pod not ready',
    'p | 1/2 | NotReady | 0 | 30s',
    two,
    {
      phase: 'Running',
      containerStatuses: [
        { name: 'a', restartCount: 0, state: { terminated: { exitCode: 0, reason: 'Completed' } } },
        running('b'),
      ],
    },
  ],
  [
    'terminating',
    'p | 1/1 | Terminating | 0 | 30s',
    {},
    { phase: 'Running', containerStatuses: [running('a')] },
    { deletionTimestamp: '2026-01-01T00:59:59Z' },
  ],
  [
    'a finished pod that is being deleted keeps its status',
    'p | 0/1 | Succeeded | 0 | 30s',
    {},
    { phase: 'Succeeded' },
    { deletionTimestamp: '2026-01-01T00:59:59Z' },
  ],
  ['evicted', 'p | 0/1 | Evicted | 0 | 30s', {}, { phase: 'Failed', reason: 'Evicted' }],
  [
    'init container runs',
    'p | 0/1 | Init:1/2 | 0 | 30s',
    { initContainers: [{ name: 'x' }, { name: 'y' }] },
    {
      phase: 'Pending',
      initContainerStatuses: [
        { name: 'x', restartCount: 0, state: { terminated: { exitCode: 0, reason: 'Completed' } } },
        { name: 'y', restartCount: 0, state: { running: {} } },
      ],
      containerStatuses: [{ name: 'a', restartCount: 0, state: { waiting: { reason: 'PodInitializing' } } }],
    },
  ],
  [
    'init container fails',
    'p | 0/1 | Init:CrashLoopBackOff | 2 (10m ago) | 30s',
    { initContainers: [{ name: 'x' }] },
    {
      phase: 'Pending',
      initContainerStatuses: [
        {
          name: 'x',
          restartCount: 2,
          state: { waiting: { reason: 'CrashLoopBackOff' } },
          lastState: { terminated: { exitCode: 1, finishedAt: '2026-01-01T00:50:00Z' } },
        },
      ],
    },
  ],
  [
    'sidecar counts as a container',
    'p | 2/2 | Running | 0 | 30s',
    { initContainers: [{ name: 's', restartPolicy: 'Always' }] },
    {
      phase: 'Running',
      initContainerStatuses: [running('s', true, { started: true })],
      containerStatuses: [running('a')],
    },
  ],
];
for (const [what, expected, spec, status, metadata] of cases) {
  test(what, () => assert.equal(print(spec, status, metadata), expected));
}
