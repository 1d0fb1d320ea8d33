import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CanaryPolicy } from '../../kinds/traffic-policy.ts';
import { addOutcomes, type Decision, decide, emptyTally, rulesOf, slowerThan } from './decide.ts';

const POLICY: CanaryPolicy = {
  steps: [10, 50],
  intervalSeconds: 30,
  minRequests: 20,
  maxErrorPercent: 5,
  maxLatencyMs: 64,
};
/** Buckets: 16 is below 256 ms, 12 below 64 ms, 0 below 1 ms. */
const latency = (fast: number, slow: number) =>
  Array.from({ length: 32 }, (_, bucket) => (bucket === 0 ? fast : bucket === 16 ? slow : 0));

interface Case {
  name: string;
  percent?: number;
  elapsedMs?: number;
  requests: number;
  errors?: number;
  slow?: number;
  policy?: Partial<CanaryPolicy>;
  expected: Decision | 'rollback';
}
const cases: Case[] = [
  { name: 'too early', elapsedMs: 10_000, requests: 100, expected: { act: 'hold', forMs: 20_000 } },
  {
    name: 'a clock that was set back',
    elapsedMs: -5000,
    requests: 100,
    expected: { act: 'hold', forMs: 30_000 },
  },
  { name: 'too few requests', requests: 19, expected: { act: 'hold' } },
  { name: 'no request at all', requests: 0, expected: { act: 'hold' } },
  { name: 'the next step', requests: 20, expected: { act: 'step', percent: 50 } },
  { name: 'after the last step everything', percent: 50, requests: 20, expected: { act: 'promote' } },
  {
    name: 'a percentage between the steps of a changed policy',
    percent: 30,
    requests: 20,
    expected: { act: 'step', percent: 50 },
  },
  { name: 'errors within the limit', requests: 100, errors: 5, expected: { act: 'step', percent: 50 } },
  { name: 'errors beyond it', requests: 100, errors: 6, expected: 'rollback' },
  {
    name: 'one unlucky request among few',
    elapsedMs: 0,
    requests: 1,
    errors: 1,
    expected: { act: 'hold', forMs: 30_000 },
  },
  { name: 'lost before the time is over', elapsedMs: 0, requests: 2, errors: 2, expected: 'rollback' },
  {
    name: 'no error allowed',
    requests: 1000,
    errors: 1,
    policy: { maxErrorPercent: 0 },
    expected: 'rollback',
  },
  {
    name: 'no error allowed, none there',
    requests: 20,
    policy: { maxErrorPercent: 0 },
    expected: { act: 'step', percent: 50 },
  },
  { name: 'slow within the percentile', requests: 100, slow: 5, expected: { act: 'step', percent: 50 } },
  { name: 'slow beyond it', requests: 100, slow: 6, expected: 'rollback' },
  {
    name: 'another percentile',
    requests: 100,
    slow: 6,
    policy: { latencyPercentile: 50 },
    expected: { act: 'step', percent: 50 },
  },
  {
    name: 'no limit of time',
    requests: 100,
    slow: 100,
    policy: { maxLatencyMs: undefined },
    expected: { act: 'step', percent: 50 },
  },
];
for (const {
  name,
  percent = 10,
  elapsedMs = 30_000,
  requests,
  errors = 0,
  slow = 0,
  policy,
  expected,
} of cases) {
  test(name, () => {
    const tally = { requests, errors, latency: latency(requests - slow, slow) };
    const decision = decide(rulesOf({ ...POLICY, ...policy }), percent, elapsedMs, tally);
    if (expected === 'rollback') assert.equal(decision.act, 'rollback');
    else assert.deepEqual(decision, expected);
  });
}

test('a rollback says what was too much', () => {
  const rules = rulesOf(POLICY);
  const failed = decide(rules, 10, 0, { requests: 40, errors: 30, latency: [] });
  assert.deepEqual(failed, { act: 'rollback', message: '30 of 40 requests failed at 10 %, more than 5 %' });
  const slow = decide(rules, 10, 0, { requests: 40, errors: 0, latency: latency(10, 30) });
  assert.deepEqual(slow, {
    act: 'rollback',
    message: '30 of 40 requests took longer than 64 ms at 10 %, more than 5 %',
  });
});

test('defaults', () => {
  assert.deepEqual(rulesOf({}), {
    steps: [5, 25, 50],
    intervalMs: 30_000,
    minRequests: 10,
    maxErrorPercent: 1,
    maxLatencyMs: undefined,
    latencyPercentile: 95,
  });
  assert.deepEqual(rulesOf({ steps: [] }).steps, [5, 25, 50]);
});

test('what the gateway reports adds up; 5xx and broken answers failed', () => {
  const tally = emptyTally();
  addOutcomes(tally, { classes: [1, 0, 5, 0, 2, 3], latency: [4, 7] });
  addOutcomes(tally, { classes: [0, 0, 1, 0, 0, 0], latency: [0, 0, 1] });
  assert.deepEqual(tally, { requests: 12, errors: 4, latency: [4, 7, 1] });
});

test('requests of the bucket that the limit cuts count in part', () => {
  assert.equal(slowerThan([0, 0, 0, 0, 100], 4), 0); // below 4 ms
  assert.equal(slowerThan([0, 0, 0, 0, 0, 100], 4), 100); // from 4 to 5.66 ms
  assert.equal(Math.round(slowerThan([0, 0, 100], 1.5)), 85); // from 1.41 to 2 ms
});
