import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodSpec } from '../../kinds/pod.ts';
import {
  afterExit,
  BACKOFF,
  type ContainerRecord,
  decide,
  hasEnded,
  newRecord,
  nextBackoff,
  nextToStop,
  type Records,
} from './lifecycle.ts';
import { mergeConditions, podStatus, recordsFromStatus } from './pod-status.ts';

const T0 = Date.parse('2026-01-02T03:04:05Z');

const pod = (spec: Partial<PodSpec> = {}, status?: Pod['status']): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default', uid: 'u' },
  spec: { containers: [{ name: 'a' }, { name: 'b' }], restartPolicy: 'Always', ...spec },
  ...(status ? { status } : {}),
});
const exited = (exitCode: number, at = T0): ContainerRecord => ({
  ...newRecord(),
  state: {
    kind: 'terminated',
    exitCode,
    reason: exitCode === 0 ? 'Completed' : 'Error',
    startedAt: at - 1000,
    finishedAt: at,
  },
});
const running = (ready = true): ContainerRecord => ({
  ...newRecord(),
  state: { kind: 'running', startedAt: T0 },
  ready,
  started: true,
});
const records = (all: Record<string, ContainerRecord>): Records => new Map(Object.entries(all));
const facts = { hostIP: '127.0.0.1', podIP: '127.0.0.1', machine: [], terminating: false, startedAt: T0 };
const started = (decision: ReturnType<typeof decide>) => decision.start.map(({ name }) => name);

test('back-off: at once, 10 s, doubling to 5 min, forgotten after 10 min of running', () => {
  const waits: number[] = [];
  let wait = 0;
  for (let restarts = 0; restarts < 8; restarts++) {
    wait = nextBackoff(wait, 1000, restarts);
    waits.push(wait / 1000);
  }
  assert.deepEqual(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
  assert.equal(nextBackoff(300_000, BACKOFF.resetAfterMs, 9), 0);
});

test('who is started', () => {
  const cases: [string, Partial<PodSpec>, Record<string, ContainerRecord>, string[]][] = [
    ['a new Pod', {}, {}, ['a', 'b']],
    ['one runs', {}, { a: running() }, ['b']],
    ['Always restarts success', {}, { a: exited(0), b: running() }, ['a']],
    ['OnFailure does not', { restartPolicy: 'OnFailure' }, { a: exited(0), b: exited(1) }, ['b']],
    ['Never does nothing', { restartPolicy: 'Never' }, { a: exited(0), b: exited(1) }, []],
    ['the first init alone', { initContainers: [{ name: 'i' }, { name: 'j' }] }, {}, ['i']],
    ['then the second', { initContainers: [{ name: 'i' }, { name: 'j' }] }, { i: exited(0) }, ['j']],
    ['then the others', { initContainers: [{ name: 'i' }] }, { i: exited(0) }, ['a', 'b']],
    ['an init that failed again', { initContainers: [{ name: 'i' }] }, { i: exited(1) }, ['i']],
    ['unless Never', { initContainers: [{ name: 'i' }], restartPolicy: 'Never' }, { i: exited(1) }, []],
    ['nothing while an init runs', { initContainers: [{ name: 'i' }] }, { i: running() }, []],
  ];
  for (const [name, spec, state, expected] of cases) {
    assert.deepEqual(started(decide(pod(spec), records(state), T0)), expected, name);
  }
});

test('sidecars: what comes after waits until they have started, once; they run for ever and end last', () => {
  const initContainers = [
    { name: 'i' },
    { name: 's', restartPolicy: 'Always' },
    { name: 't', restartPolicy: 'Always' },
    { name: 'j' },
  ];
  const with_ = (state: Record<string, ContainerRecord>, policy: PodSpec['restartPolicy'] = 'Always') =>
    started(decide(pod({ initContainers, restartPolicy: policy }), records({ i: exited(0), ...state }), T0));
  const up = { ...running(), passed: true };
  const unstarted = { ...running(false), started: false };
  assert.deepEqual(with_({}), ['s']);
  assert.deepEqual(with_({ s: unstarted }), []);
  assert.deepEqual(with_({ s: up }), ['t']);
  assert.deepEqual(with_({ s: up, t: up }), ['j']);
  assert.deepEqual(with_({ s: up, t: up, j: exited(0) }), ['a', 'b']);
  const crashed = { ...exited(1), passed: true };
  assert.deepEqual(with_({ s: crashed, t: up, j: exited(0), a: running() }, 'Never'), ['s', 'b']);

  const all = { i: exited(0), s: up, t: up, j: exited(0) };
  const over = { ...all, a: exited(0), b: exited(0) };
  const spec: Partial<PodSpec> = { initContainers, restartPolicy: 'Never' };
  assert.equal(hasEnded(pod(spec), records(over)), true);
  assert.equal(podStatus(pod(spec), records(over), facts, T0).phase, 'Running');
  assert.equal(
    podStatus(pod(spec), records({ ...over, s: crashed, t: crashed }), facts, T0).phase,
    'Succeeded',
  );
  const unready = podStatus(
    pod(spec),
    records({ ...all, t: { ...up, ready: false }, a: running(), b: running() }),
    facts,
    T0,
  );
  const of = (type: string) => unready.conditions?.find((each) => each.type === type);
  assert.equal(of('Initialized')?.status, 'True');
  assert.equal(of('Ready')?.message, 'containers with unready status: [t]');
  assert.deepEqual(nextToStop(pod(spec), new Set(['s', 't', 'a', 'b'])), ['a', 'b']);
  assert.deepEqual(nextToStop(pod(spec), new Set(['s', 't'])), ['t']);
  assert.deepEqual(nextToStop(pod(spec), new Set(['s'])), ['s']);
});

test('a crash waits for its back-off, and the decision says until when', () => {
  // The machine's clock was set back meanwhile, which moves nothing.
  const end = { exitCode: 1, reason: 'Error', startedAt: T0, finishedAt: T0 - 3_600_000 };
  const once = afterExit(pod(), { name: 'a' }, running(), end, 5, T0 + 5);
  assert.equal(once.notBefore, T0 + 5, 'the first restart is at once');
  const again = afterExit(pod(), { name: 'a' }, { ...running(), restarts: 1 }, end, 5, T0 + 5);
  const decision = decide(pod(), records({ a: again, b: running() }), T0 + 10);
  assert.deepEqual(started(decision), []);
  assert.deepEqual(
    decision.backOff.map(({ container }) => container.name),
    ['a'],
  );
  assert.equal(decision.wakeAt, T0 + 5 + 10_000);
  assert.deepEqual(started(decide(pod(), records({ a: again, b: running() }), T0 + 10_005)), ['a']);
});

test('phases', () => {
  const crashed: ContainerRecord = {
    ...newRecord(),
    state: { kind: 'waiting', reason: 'CrashLoopBackOff' },
    last: { exitCode: 1, reason: 'Error', startedAt: T0, finishedAt: T0 },
    restarts: 1,
  };
  const cases: [string, Partial<PodSpec>, Record<string, ContainerRecord>, boolean, string][] = [
    ['nothing started', {}, {}, false, 'Pending'],
    ['one waits', {}, { a: running() }, false, 'Pending'],
    ['all run', {}, { a: running(), b: running() }, false, 'Running'],
    ['a crash loop', {}, { a: crashed, b: crashed }, false, 'Running'],
    ['Never, all well', { restartPolicy: 'Never' }, { a: exited(0), b: exited(0) }, false, 'Succeeded'],
    ['Never, one failed', { restartPolicy: 'Never' }, { a: exited(0), b: exited(2) }, false, 'Failed'],
    ['Never, one still runs', { restartPolicy: 'Never' }, { a: exited(2), b: running() }, false, 'Running'],
    [
      'OnFailure will run again',
      { restartPolicy: 'OnFailure' },
      { a: exited(0), b: exited(2) },
      false,
      'Running',
    ],
    ['Always, deleted', {}, { a: exited(0), b: exited(0) }, true, 'Succeeded'],
    ['Always, killed', {}, { a: exited(137), b: exited(0) }, true, 'Failed'],
    ['initialising', { initContainers: [{ name: 'i' }] }, { i: running() }, false, 'Pending'],
    [
      'init failed',
      { initContainers: [{ name: 'i' }], restartPolicy: 'Never' },
      { i: exited(1) },
      false,
      'Failed',
    ],
  ];
  for (const [name, spec, state, terminating, expected] of cases) {
    assert.equal(podStatus(pod(spec), records(state), { ...facts, terminating }, T0).phase, expected, name);
  }
});

test('conditions name what is missing; transition times move only with the status', () => {
  const first = podStatus(pod(), records({ a: running(), b: running(false) }), facts, T0);
  const ready = first.conditions?.find(({ type }) => type === 'Ready');
  assert.deepEqual(ready, {
    type: 'Ready',
    status: 'False',
    reason: 'ContainersNotReady',
    message: 'containers with unready status: [b]',
    lastTransitionTime: '2026-01-02T03:04:05Z',
  });
  const later = podStatus(pod({}, first), records({ a: running(), b: running() }), facts, T0 + 60_000);
  const times = Object.fromEntries(
    (later.conditions ?? []).map(({ type, lastTransitionTime }) => [type, lastTransitionTime]),
  );
  assert.equal(times.Ready, '2026-01-02T03:05:05Z');
  assert.equal(times.Initialized, '2026-01-02T03:04:05Z');
  assert.equal(later.startTime, first.startTime);
});

test("conditions of others are kept, also the scheduler's", () => {
  const others = [{ type: 'example.com/gate', status: 'True' as const, lastTransitionTime: 'then' }];
  const merged = mergeConditions(others, [{ type: 'Ready', status: 'True' }], T0);
  assert.deepEqual(
    merged.map(({ type }) => type),
    ['Ready', 'example.com/gate'],
  );
});

test('a Pod has ended when no policy starts anything again', () => {
  assert.equal(hasEnded(pod({ restartPolicy: 'Never' }), records({ a: exited(0), b: exited(1) })), true);
  assert.equal(hasEnded(pod({ restartPolicy: 'OnFailure' }), records({ a: exited(0), b: exited(1) })), false);
  assert.equal(hasEnded(pod(), records({ a: exited(0), b: exited(0) })), false);
});

test('what ran under an earlier agent counts as ended in an unknown way', () => {
  const before = podStatus(pod(), records({ a: running(), b: exited(3) }), facts, T0);
  const restored = recordsFromStatus(pod({}, before), T0 + 1000);
  const a = restored.get('a')?.state;
  assert.equal(a?.kind, 'terminated');
  assert.equal(a?.kind === 'terminated' && a.reason, 'ContainerStatusUnknown');
  assert.equal(a?.kind === 'terminated' && a.exitCode, 137);
  const b = restored.get('b')?.state;
  assert.equal(b?.kind === 'terminated' && b.exitCode, 3);
});
