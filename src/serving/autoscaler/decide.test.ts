import assert from 'node:assert/strict';
import test from 'node:test';
import { parseGoDuration } from '../../kinds/go-duration.ts';
import { applyBounds, outcome, type ScaleState, scaleBounds } from './bounds.ts';
import { DEFAULT_AUTOSCALER_CONFIG, scalingSpec } from './config.ts';
import { decide, initialState } from './decide.ts';

const NOW = 1_700_000_000_000;
const annotated = (annotations: Record<string, string>, concurrency = 0) =>
  scalingSpec(
    Object.fromEntries(
      Object.entries(annotations).map(([name, value]) => [`autoscaling.knative.dev/${name}`, value]),
    ),
    concurrency,
  );

test('target: the default, a hard limit, annotations and requests per second', () => {
  const targets: [Record<string, string>, number, number, number][] = [
    [{}, 0, 100, 70],
    [{}, 1, 1, 0.7],
    [{}, 10, 10, 7],
    [{ target: '50' }, 0, 50, 35],
    [{ target: '50' }, 10, 10, 7],
    [{ target: '5' }, 10, 5, 3.5],
    [{ target: '0.01' }, 0, 0.01, 0.01],
    [{ 'target-utilization-percentage': '80' }, 10, 10, 8],
    [{ targetUtilizationPercentage: '80' }, 10, 10, 8],
    [{ metric: 'rps' }, 10, 200, 140],
    [{ metric: 'rps', target: '20' }, 10, 20, 14],
    [{ target: 'many' }, 0, 100, 70],
    [{ target: '0.001' }, 0, 100, 70],
  ];
  for (const [annotations, concurrency, total, target] of targets) {
    const spec = annotated(annotations, concurrency);
    assert.equal(spec.total, total, JSON.stringify(annotations));
    assert.equal(Math.round(spec.target * 1e9) / 1e9, target, JSON.stringify(annotations));
  }
});

test('every annotation is read in both spellings; what is out of range counts as absent', () => {
  const spec = annotated({
    class: 'hpa.autoscaling.knative.dev',
    window: '40s',
    'panic-window-percentage': '20',
    'panic-threshold-percentage': '150',
    'target-burst-capacity': '-1',
    'scale-down-delay': '15m',
    'min-scale': '2',
    maxScale: '5',
    initialScale: '3',
    'activation-scale': '4',
    'metric-aggregation-algorithm': 'weighted-exponential',
    'scale-to-zero-pod-retention-period': '1m5s',
  });
  assert.deepEqual(
    [spec.class, spec.stableWindowMs, spec.panicWindowMs, spec.panicThreshold, spec.targetBurstCapacity],
    ['hpa.autoscaling.knative.dev', 40_000, 8000, 1.5, -1],
  );
  assert.deepEqual([spec.scaleDownDelayMs, spec.scaleToZeroPodRetentionMs], [900_000, 65_000]);
  assert.deepEqual([spec.minScale, spec.maxScale, spec.initialScale, spec.activationScale], [2, 5, 3, 4]);
  assert.equal(spec.aggregation, 'weighted-exponential');
  const bad = annotated({
    window: '5s',
    'min-scale': '-1',
    'max-scale': '1.5',
    'initial-scale': '-1',
    'activation-scale': '1',
  });
  const plain = annotated({});
  assert.deepEqual(bad, plain);
  const zero = { 'autoscaling.knative.dev/initial-scale': '0' };
  assert.equal(scalingSpec(zero, 0).initialScale, 0);
  assert.equal(
    scalingSpec(zero, 0, { ...DEFAULT_AUTOSCALER_CONFIG, allowZeroInitialScale: false }).initialScale,
    1,
  );
  assert.equal(scalingSpec({ 'serving.knative.dev/progress-deadline': '2m' }, 0).progressDeadlineMs, 120_000);
  assert.equal(annotated({ window: '6s' }).panicWindowMs, 1000);
});

test('durations as Go reads them', () => {
  const table: [string | undefined, number | undefined][] = [
    ['0', 0],
    ['30s', 30_000],
    ['1m30s', 90_000],
    ['1.5h', 5_400_000],
    ['.5s', 500],
    ['-2s', -2000],
    ['100ms', 100],
    ['30', undefined],
    ['', undefined],
    ['s', undefined],
    ['1m 30s', undefined],
    [undefined, undefined],
  ];
  for (const [text, ms] of table) assert.equal(parseGoDuration(text), ms, String(text));
});

interface Step {
  /** Seconds after the start. */
  at?: number;
  stable: number;
  panic: number;
  ready: number;
  desired: number;
  reachable?: boolean;
}

/** Target 10 (CC = 10 with utilisation 100 %) unless said otherwise: wishes are easy to read off. */
const TEN = { 'target-utilization-percentage': '100' };
const DECISIONS: { name: string; annotations?: Record<string, string>; ready?: number; steps: Step[] }[] = [
  { name: 'load for exactly one', steps: [{ stable: 10, panic: 10, ready: 1, desired: 1 }] },
  { name: 'a little more needs another', steps: [{ stable: 10.000001, panic: 10, ready: 1, desired: 2 }] },
  { name: 'no load asks for none', steps: [{ stable: 0, panic: 0, ready: 1, desired: 0 }] },
  {
    name: 'none ready counts as one: load for two of ten is panic',
    steps: [{ stable: 0, panic: 20, ready: 0, desired: 2 }],
  },
  { name: 'scaling down is at most by half', steps: [{ stable: 10, panic: 10, ready: 10, desired: 5 }] },
  { name: 'half of an odd number is rounded down', steps: [{ stable: 0, panic: 0, ready: 7, desired: 3 }] },
  {
    name: 'what nobody can reach shrinks at once',
    steps: [{ stable: 0, panic: 0, ready: 10, desired: 0, reachable: false }],
  },
  {
    name: 'scaling up is at most a thousandfold',
    steps: [{ stable: 20_000, panic: 20_000, ready: 1, desired: 1000 }],
  },
  {
    name: 'below twice the ready ones the stable average decides',
    steps: [{ stable: 20, panic: 30, ready: 2, desired: 2 }],
  },
  {
    name: 'panic begins at twice the ready ones, never scales down, and ends a stable window after its last extension',
    steps: [
      { at: 0, stable: 10, panic: 40, ready: 2, desired: 4 },
      { at: 2, stable: 12, panic: 100, ready: 4, desired: 10 },
      { at: 4, stable: 12, panic: 10, ready: 10, desired: 10 },
      { at: 62, stable: 12, panic: 10, ready: 10, desired: 10 },
      { at: 62.001, stable: 12, panic: 10, ready: 10, desired: 5 },
    ],
  },
  {
    name: 'in panic the larger of both averages counts',
    steps: [{ stable: 100, panic: 20, ready: 1, desired: 10 }],
  },
  {
    name: 'activation scale lifts any wish but none',
    annotations: { ...TEN, 'activation-scale': '3' },
    steps: [
      { stable: 1, panic: 1, ready: 1, desired: 3 },
      { stable: 0, panic: 0, ready: 3, desired: 1 },
    ],
  },
  {
    name: 'scale-down delay keeps the most of its time',
    annotations: { ...TEN, 'scale-down-delay': '6s' },
    steps: [
      { at: 0, stable: 40, panic: 40, ready: 4, desired: 4 },
      { at: 2, stable: 30, panic: 30, ready: 4, desired: 4 },
      { at: 4, stable: 20, panic: 20, ready: 4, desired: 4 },
      { at: 6, stable: 20, panic: 20, ready: 4, desired: 3 },
      { at: 8, stable: 20, panic: 20, ready: 3, desired: 2 },
    ],
  },
  {
    name: 'after a restart with several ready nothing is lost for a stable window',
    ready: 5,
    steps: [
      { at: 0, stable: 0, panic: 0, ready: 5, desired: 5 },
      { at: 60, stable: 0, panic: 0, ready: 5, desired: 5 },
      { at: 60.001, stable: 0, panic: 0, ready: 5, desired: 2 },
    ],
  },
  {
    name: 'after a restart with one ready there is no panic',
    ready: 1,
    steps: [{ at: 0, stable: 0, panic: 0, ready: 1, desired: 0 }],
  },
];

for (const { name, annotations = TEN, ready = 0, steps } of DECISIONS) {
  test(`decision: ${name}`, () => {
    const spec = annotated(annotations, 10);
    const state = initialState(spec, ready, NOW);
    for (const step of steps) {
      const decision = decide(spec, state, {
        now: NOW + (step.at ?? 0) * 1000,
        stable: step.stable,
        panic: step.panic,
        readyPods: step.ready,
        reachable: step.reachable ?? true,
      });
      assert.equal(decision?.desired, step.desired, JSON.stringify(step));
    }
  });
}

test('no data, no decision', () => {
  const spec = annotated({});
  const seen = { now: NOW, stable: undefined, panic: undefined, readyPods: 3, reachable: true };
  assert.equal(decide(spec, initialState(spec, 3, NOW), seen), undefined);
});

test('excess burst capacity: three ready instances of a default revision leave the buffer', () => {
  const table: [Record<string, string>, number, number, number, number][] = [
    [{}, 0, 2, 0, -11],
    [{}, 0, 3, 0, 89],
    [{}, 0, 3, 90, -1],
    [{}, 10, 22, 0, 9],
    [{}, 1, 211, 0.5, -1],
    [{ 'target-burst-capacity': '0' }, 0, 1, 50, 0],
    [{ 'target-burst-capacity': '-1' }, 0, 100, 0, -1],
  ];
  for (const [annotations, concurrency, ready, panic, excess] of table) {
    const spec = annotated(annotations, concurrency);
    const seen = { now: NOW, stable: 0, panic, readyPods: ready, reachable: true };
    assert.equal(decide(spec, initialState(spec, 0, NOW), seen)?.excessBurstCapacity, excess);
  }
});

const base: ScaleState = {
  active: 'True',
  since: NOW,
  initialized: true,
  reachable: true,
  bufferedSince: NOW - 3_600_000,
};

test('bounds: minimum, maximum, initial scale, and none of the lower ones for what nobody can reach', () => {
  const spec = annotated({ 'min-scale': '2', 'max-scale': '5', 'initial-scale': '3' });
  assert.deepEqual(scaleBounds(spec, base), { min: 2, max: 5 });
  assert.deepEqual(scaleBounds(spec, { ...base, initialized: false }), { min: 3, max: 5 });
  assert.deepEqual(scaleBounds(spec, { initialized: false, reachable: false }), { min: 0, max: 5 });
  assert.equal(applyBounds({ min: 2, max: 5 }, 1), 2);
  assert.equal(applyBounds({ min: 2, max: 5 }, 9), 5);
  assert.equal(applyBounds({ min: 0, max: 0 }, 9000), 9000);
});

test('the way to zero: a stable window active, then inactive for grace or retention', () => {
  const after = (seconds: number) => NOW + seconds * 1000;
  const plain = annotated({});
  assert.deepEqual(outcome(plain, base, 3, after(0)), { scale: 3 });
  assert.deepEqual(outcome(plain, base, 0, after(10)), { scale: 1, againMs: 50_000 });
  assert.deepEqual(outcome(plain, base, 0, after(60)), { scale: undefined, deactivate: true, againMs: 0 });
  const inactive: ScaleState = { ...base, active: 'False' };
  // The gateway has been able to hold requests for longer than the grace period: at once.
  assert.deepEqual(outcome(plain, inactive, 0, after(0)), { scale: 0 });
  const recent = { ...inactive, bufferedSince: after(0) };
  assert.deepEqual(outcome(plain, recent, 0, after(10)), { scale: undefined, againMs: 20_000 });
  assert.deepEqual(outcome(plain, recent, 0, after(30)), { scale: 0 });
  const kept = annotated({ 'scale-to-zero-pod-retention-period': '45s' });
  assert.deepEqual(outcome(kept, inactive, 0, after(40)), { scale: undefined, againMs: 5000 });
  assert.deepEqual(outcome(kept, inactive, 0, after(45)), { scale: 0 });
  assert.deepEqual(outcome(kept, { ...inactive, reachable: false }, 0, after(0)), { scale: 0 });
  assert.deepEqual(outcome({ ...plain, enableScaleToZero: false }, inactive, 0, after(90)), { scale: 1 });
  assert.deepEqual(outcome(annotated({ 'min-scale': '1' }), inactive, 0, after(90)), { scale: 1 });
});

test('an activation that takes longer than its deadline is given up', () => {
  const spec = annotated({});
  const activating: ScaleState = { ...base, active: 'Unknown' };
  assert.deepEqual(outcome(spec, activating, 0, NOW + 1000), { scale: undefined, againMs: 629_001 });
  assert.deepEqual(outcome(spec, activating, 0, NOW + 630_001), { scale: 0, timedOut: true });
});
