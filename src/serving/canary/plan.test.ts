import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Revision, Service, TrafficTarget } from '../../kinds/serving.ts';
import type { CanaryPolicy } from '../../kinds/traffic-policy.ts';
import { emptyTally, type Tally } from './decide.ts';
import { CANARY_ANNOTATION, type CanaryState, plan } from './plan.ts';

const NOW = Date.parse('2026-01-02T03:04:05Z');
const POLICY: CanaryPolicy = { steps: [10, 50], intervalSeconds: 30, minRequests: 10 };
const GOOD: Tally = { requests: 100, errors: 0, latency: [] };
const BAD: Tally = { requests: 100, errors: 50, latency: [] };

const revision = (number: number, ready: 'True' | 'False' | 'Unknown'): Revision => ({
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Revision',
  metadata: {
    name: `web-${number}`,
    labels: { 'serving.knative.dev/configurationGeneration': String(number) },
  },
  spec: { containers: [] },
  status: { conditions: [{ type: 'Ready', status: ready, reason: 'Crashed', message: 'no database' }] },
});

const LATEST: TrafficTarget = { latestRevision: true, percent: 100 };
const to = (number: number, percent: number): TrafficTarget => ({ revisionName: `web-${number}`, percent });
/** `1=90 2=10`; `latest` is everything to the latest. */
const traffic = (text: string): TrafficTarget[] =>
  text === 'latest' ? [LATEST] : text.split(' ').map((part) => to(Number(part[0]), Number(part.slice(2))));
const said = (targets: TrafficTarget[] | undefined) =>
  targets
    ?.map(({ revisionName = 'latest', percent }) => `${revisionName.replace('web-', '')}=${percent}`)
    .join(' ');

interface Case {
  name: string;
  /** State of each revision, oldest first. */
  revisions: ('True' | 'False' | 'Unknown')[];
  traffic: string;
  /** Phase, newest considered, stable, percent; absent: first look. */
  state?: [CanaryState['phase'], number, number, number?];
  tally?: Tally;
  elapsedMs?: number;
  policy?: CanaryPolicy | null;
  expected: { traffic?: string; state?: [CanaryState['phase'], number, number?, number?]; event?: string };
}
const cases: Case[] = [
  { name: 'no revision is ready yet', revisions: ['Unknown'], traffic: 'latest', expected: {} },
  {
    name: 'what is there has proven itself, and is named: the next begins small',
    revisions: ['True', 'True'],
    traffic: 'latest',
    expected: { traffic: '2=100', state: ['Idle', 2, 2] },
  },
  {
    name: 'a split that is there stays, with the latest named',
    revisions: ['True', 'True'],
    traffic: '1=30 2=70',
    expected: { state: ['Idle', 2, 2] },
  },
  {
    name: 'a new revision begins with the first step',
    revisions: ['True', 'True'],
    traffic: '1=100',
    state: ['Idle', 1, 1],
    expected: { traffic: '1=90 2=10', state: ['Progressing', 2, 1, 10], event: 'CanaryStep' },
  },
  {
    name: 'also when the traffic followed the latest for a moment',
    revisions: ['True', 'True'],
    traffic: 'latest',
    state: ['Promoted', 1, 1, 100],
    expected: { traffic: '1=90 2=10', state: ['Progressing', 2, 1, 10], event: 'CanaryStep' },
  },
  {
    name: 'nothing new: nothing happens',
    revisions: ['True'],
    traffic: '1=100',
    state: ['Promoted', 1, 1, 100],
    expected: { state: ['Promoted', 1, 1, 100] },
  },
  {
    name: 'one that is not ready yet waits',
    revisions: ['True', 'Unknown'],
    traffic: '1=100',
    state: ['Promoted', 1, 1, 100],
    expected: { state: ['Promoted', 1, 1, 100] },
  },
  {
    name: 'one that fails to start is rolled back, the traffic untouched',
    revisions: ['True', 'False'],
    traffic: '1=100',
    state: ['Promoted', 1, 1, 100],
    expected: { state: ['RolledBack', 2, 1], event: 'CanaryRolledBack' },
  },
  {
    name: 'it is said once',
    revisions: ['True', 'False'],
    traffic: '1=100',
    state: ['RolledBack', 2, 1],
    expected: { state: ['RolledBack', 2, 1] },
  },
  {
    name: 'one that had failed and starts after all gets its canary',
    revisions: ['True', 'True'],
    traffic: '1=100',
    state: ['RolledBack', 2, 1],
    expected: { traffic: '1=90 2=10', state: ['Progressing', 2, 1, 10], event: 'CanaryStep' },
  },
  {
    name: 'one that was rolled back for its answers does not begin again',
    revisions: ['True', 'True'],
    traffic: '1=100',
    state: ['RolledBack', 2, 1, 0],
    expected: { state: ['RolledBack', 2, 1, 0] },
  },
  {
    name: 'the next after a rollback begins against the stable one',
    revisions: ['True', 'True', 'True'],
    traffic: '1=100',
    state: ['RolledBack', 2, 1, 0],
    expected: { traffic: '1=90 3=10', state: ['Progressing', 3, 1, 10], event: 'CanaryStep' },
  },
  {
    name: 'after a rollback by hand nothing begins by itself',
    revisions: ['True', 'True'],
    traffic: '1=100',
    state: ['Promoted', 2, 2, 100],
    expected: { state: ['Promoted', 2, 2, 100] },
  },
  {
    name: 'a split by hand is left alone',
    revisions: ['True', 'True', 'True'],
    traffic: '1=50 2=50',
    state: ['Promoted', 2, 2, 100],
    expected: { state: ['Idle', 3] },
  },
  {
    name: 'good so far: waits',
    revisions: ['True', 'True'],
    traffic: '1=90 2=10',
    state: ['Progressing', 2, 1, 10],
    tally: GOOD,
    elapsedMs: 10_000,
    expected: { state: ['Progressing', 2, 1, 10] },
  },
  {
    name: 'good: the next step',
    revisions: ['True', 'True'],
    traffic: '1=90 2=10',
    state: ['Progressing', 2, 1, 10],
    tally: GOOD,
    elapsedMs: 30_000,
    expected: { traffic: '1=50 2=50', state: ['Progressing', 2, 1, 50], event: 'CanaryStep' },
  },
  {
    name: 'good to the end: promoted',
    revisions: ['True', 'True'],
    traffic: '1=50 2=50',
    state: ['Progressing', 2, 1, 50],
    tally: GOOD,
    elapsedMs: 30_000,
    expected: { traffic: '2=100', state: ['Promoted', 2, 2, 100], event: 'CanaryPromoted' },
  },
  {
    name: 'bad: back at once',
    revisions: ['True', 'True'],
    traffic: '1=90 2=10',
    state: ['Progressing', 2, 1, 10],
    tally: BAD,
    elapsedMs: 1000,
    expected: { traffic: '1=100', state: ['RolledBack', 2, 1, 0], event: 'CanaryRolledBack' },
  },
  {
    name: 'not ready any more: back',
    revisions: ['True', 'False'],
    traffic: '1=90 2=10',
    state: ['Progressing', 2, 1, 10],
    expected: { traffic: '1=100', state: ['RolledBack', 2, 1, 0], event: 'CanaryRolledBack' },
  },
  {
    name: 'a newer one takes the place of the canary',
    revisions: ['True', 'True', 'True'],
    traffic: '1=50 2=50',
    state: ['Progressing', 2, 1, 50],
    expected: { traffic: '1=90 3=10', state: ['Progressing', 3, 1, 10], event: 'CanaryStep' },
  },
  {
    name: 'promoted by hand',
    revisions: ['True', 'True'],
    traffic: '2=100',
    state: ['Progressing', 2, 1, 10],
    expected: { state: ['Promoted', 2, 2, 100], event: 'CanaryEnded' },
  },
  {
    name: 'given to the latest by hand',
    revisions: ['True', 'True'],
    traffic: 'latest',
    state: ['Progressing', 2, 1, 10],
    expected: { traffic: '2=100', state: ['Promoted', 2, 2, 100], event: 'CanaryEnded' },
  },
  {
    name: 'ended by hand',
    revisions: ['True', 'True'],
    traffic: '1=100',
    state: ['Progressing', 2, 1, 10],
    expected: { state: ['RolledBack', 2, 1, 0], event: 'CanaryEnded' },
  },
  {
    name: 'divided otherwise by hand',
    revisions: ['True', 'True'],
    traffic: '1=70 2=30',
    state: ['Progressing', 2, 1, 10],
    expected: { state: ['Idle', 2, 1], event: 'CanaryEnded' },
  },
  {
    name: 'without a policy the traffic follows the latest again',
    revisions: ['True', 'True'],
    traffic: '2=100',
    state: ['Promoted', 2, 2, 100],
    policy: null,
    expected: { traffic: 'latest=100' },
  },
  {
    name: 'without a policy what was rolled back stays so',
    revisions: ['True', 'True'],
    traffic: '1=100',
    state: ['RolledBack', 2, 1, 0],
    policy: null,
    expected: {},
  },
  {
    name: 'without a policy a canary under way ends',
    revisions: ['True', 'True'],
    traffic: '1=90 2=10',
    state: ['Progressing', 2, 1, 10],
    policy: null,
    expected: { traffic: '1=100', event: 'CanaryEnded' },
  },
  { name: 'never had one', revisions: ['True'], traffic: 'latest', policy: null, expected: {} },
];

for (const {
  name,
  revisions,
  state,
  policy = POLICY,
  tally = emptyTally(),
  elapsedMs = 0,
  ...given
} of cases) {
  test(name, () => {
    const ready = revisions.lastIndexOf('True') + 1;
    const known: CanaryState | undefined = state && {
      phase: state[0],
      revisionName: `web-${state[1]}`,
      stableRevisionName: `web-${state[2]}`,
      ...(state[3] === undefined ? {} : { percent: state[3] }),
      ...(state[0] === 'Progressing' ? { stepStartedAt: new Date(NOW - elapsedMs).toISOString() } : {}),
    };
    const service: Service = {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata: { name: 'web', annotations: known ? { [CANARY_ANNOTATION]: JSON.stringify(known) } : {} },
      spec: { template: { spec: { containers: [] } }, traffic: traffic(given.traffic) },
      status: {
        latestCreatedRevisionName: `web-${revisions.length}`,
        ...(ready > 0 ? { latestReadyRevisionName: `web-${ready}` } : {}),
      },
    };
    const result = plan({
      service,
      revisions: revisions.map((status, index) => revision(index + 1, status)),
      policy: policy ?? undefined,
      tally,
      now: NOW,
    });
    const { expected } = given;
    assert.equal(said(result.traffic), expected.traffic, 'traffic');
    const [phase, newest, stable, percent] = expected.state ?? [];
    assert.equal(result.state?.phase, phase);
    assert.equal(result.state?.revisionName, newest && `web-${newest}`);
    if (stable) assert.equal(result.state?.stableRevisionName, `web-${stable}`);
    assert.equal(result.state?.percent, percent);
    assert.equal(result.event?.reason, expected.event);
  });
}

test('a step that has had its time and no requests says what it waits for', () => {
  const state = {
    phase: 'Progressing',
    revisionName: 'web-2',
    stableRevisionName: 'web-1',
    percent: 10,
    stepStartedAt: new Date(NOW - 60_000).toISOString(),
  };
  const service: Service = {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name: 'web', annotations: { [CANARY_ANNOTATION]: JSON.stringify(state) } },
    spec: { template: { spec: { containers: [] } }, traffic: [to(1, 90), to(2, 10)] },
    status: { latestCreatedRevisionName: 'web-2', latestReadyRevisionName: 'web-2' },
  };
  const revisions = [revision(1, 'True'), revision(2, 'True')];
  const waiting = plan({ service, revisions, policy: POLICY, tally: emptyTally(), now: NOW });
  assert.deepEqual(waiting, {
    state: { ...state, message: 'Waits until 10 requests were answered at 10 %.' },
  });
});

test('tags stay on their revisions through every step', () => {
  const tagged = { revisionName: 'web-1', tag: 'old', percent: 0 };
  const service: Service = {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: {
      name: 'web',
      annotations: {
        [CANARY_ANNOTATION]: JSON.stringify({
          phase: 'Promoted',
          revisionName: 'web-2',
          stableRevisionName: 'web-2',
        }),
      },
    },
    spec: { template: { spec: { containers: [] } }, traffic: [to(2, 100), tagged] },
    status: { latestCreatedRevisionName: 'web-3', latestReadyRevisionName: 'web-3' },
  };
  const revisions = [revision(1, 'True'), revision(2, 'True'), revision(3, 'True')];
  const { traffic: result } = plan({ service, revisions, policy: POLICY, tally: emptyTally(), now: NOW });
  assert.deepEqual(result, [to(2, 90), to(3, 10), tagged]);
});

test('an annotation that cannot be read is as good as none', () => {
  const service: Service = {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name: 'web', annotations: { [CANARY_ANNOTATION]: '{nonsense' } },
    spec: { template: { spec: { containers: [] } } },
    status: { latestReadyRevisionName: 'web-1' },
  };
  const result = plan({
    service,
    revisions: [revision(1, 'True')],
    policy: POLICY,
    tally: emptyTally(),
    now: NOW,
  });
  assert.equal(result.state?.phase, 'Idle');
});
