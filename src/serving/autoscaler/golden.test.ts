/**
 * The decisions against vectors computed by upstream's own code (knative/serving main of 2026-08-21): random specs, loads and
 * clocks, compared for equality of every number. The vectors' layout stands beside each comparison.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { parseConfigAutoscaler } from '../../kinds/config/autoscaler.ts';
import { activators, activity, outcome, type ScaleState } from './bounds.ts';
import { DEFAULT_AUTOSCALER_CONFIG, type ScalingSpec, scalingSpec } from './config.ts';
import { decide, initialState } from './decide.ts';
import { type Aggregation, createAverageWindow } from './window.ts';

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`./fixtures/golden-${name}.json`, import.meta.url), 'utf8'));
const decisionVectors: Record<'decisions' | 'windows' | 'weights' | 'loads', unknown> = read('decisions');
const scaleVectors: Record<'scale' | 'active' | 'activators' | 'specs', unknown> = read('scale');
const START = 1_700_000_000_000;
const AGGREGATIONS: Aggregation[] = ['linear', 'weighted-exponential'];
const GROUP = 'autoscaling.knative.dev/';

/** [max-scale-up-rate, max-scale-down-rate, total, target, burst capacity, panic threshold, window s, delay s, activation scale] */
type SpecRow = number[];
function specOf(row: SpecRow): ScalingSpec {
  const [up, down, total, target, burst, panic, window, delay, activation] = row;
  return {
    ...scalingSpec({}, 0),
    maxScaleUpRate: up!,
    maxScaleDownRate: down!,
    total: total!,
    target: target!,
    targetBurstCapacity: burst!,
    panicThreshold: panic!,
    stableWindowMs: window! * 1000,
    scaleDownDelayMs: delay! * 1000,
    activationScale: activation!,
  };
}

test('2,600 decisions in sequences: panic, rates, activation, delay, burst capacity', () => {
  // [spec, ready at first, [ms since the last, ready, reachable, stable, panic, desired, burst capacity] …]; no data: three numbers.
  const vectors = decisionVectors.decisions as [SpecRow, number, number[][]][];
  let compared = 0;
  for (const [index, [row, ready, steps]] of vectors.entries()) {
    const spec = specOf(row);
    const state = initialState(spec, ready, START);
    let now = START;
    for (const [step, [ms, readyPods, reachable, stable, panic, desired, burst]] of steps.entries()) {
      now += ms!;
      const seen = { now, readyPods: readyPods!, reachable: reachable === 1, stable, panic };
      const expected = desired === undefined ? undefined : { desired, excessBurstCapacity: burst };
      assert.deepEqual(decide(spec, state, seen), expected, `sequence ${index}, step ${step}`);
      compared++;
    }
  }
  assert.equal(compared, 2600);
});

test('2,470 averages, plain and weighted, with gaps, late values and empty windows', () => {
  // [window s, weighted, [ms since the last, value or null, average, empty] …]
  const vectors = decisionVectors.windows as [number, number, [number, number | null, number, number][]][];
  let compared = 0;
  for (const [index, [size, weighted, steps]] of vectors.entries()) {
    const window = createAverageWindow(size * 1000, AGGREGATIONS[weighted]);
    let now = START;
    for (const [step, [ms, value, average, empty]] of steps.entries()) {
      now += ms;
      if (value !== null) window.record(now, value);
      assert.deepEqual(
        [window.average(now), window.isEmpty(now)],
        [average, empty === 1],
        `${index}/${step}`,
      );
      compared++;
    }
  }
  assert.equal(compared, 2470);
});

test('the weights of windows of 1 to 60 seconds', () => {
  for (const [index, [newest, oldest]] of (decisionVectors.weights as [number, number][]).entries()) {
    const size = index + 1;
    const window = createAverageWindow(size * 1000, 'weighted-exponential');
    window.record(START, 1);
    assert.equal(window.average(START), newest, `${size} s`);
    if (size > 1) assert.equal(window.average(START + index * 1000), oldest, `${size} s`);
  }
});

test('1,530 decisions from counts: a value each second, a decision every other', () => {
  // [spec, panic window s, weighted, ready at first, values, desired]
  const vectors = decisionVectors.loads as [
    SpecRow,
    number,
    number,
    number,
    (number | null)[],
    (number | null)[],
  ][];
  for (const [index, [row, panicWindow, weighted, atFirst, values, results]] of vectors.entries()) {
    const spec = specOf(row);
    const stable = createAverageWindow(spec.stableWindowMs, AGGREGATIONS[weighted]);
    const panic = createAverageWindow(panicWindow * 1000, AGGREGATIONS[weighted]);
    const state = initialState(spec, atFirst, START);
    let ready = atFirst;
    const decided: (number | null)[] = [];
    for (const [second, value] of values.entries()) {
      const now = START + (second + 1) * 1000;
      if (value !== null) {
        stable.record(now, value);
        panic.record(now, value);
      }
      if (second % 2 === 0) continue;
      const measured = !stable.isEmpty(now);
      const seen = {
        now,
        readyPods: ready,
        reachable: true,
        stable: measured ? stable.average(now) : undefined,
        panic: measured ? panic.average(now) : undefined,
      };
      const decision = decide(spec, state, seen);
      decided.push(decision?.desired ?? null);
      ready = decision?.desired ?? ready;
    }
    assert.deepEqual(decided, results, `sequence ${index}`);
  }
});

test('1,000 outcomes: bounds, initial scale, and the way to zero', () => {
  const ACTIVE: ScaleState['active'][] = ['False', 'True', 'Unknown'];
  for (const [index, row] of (scaleVectors.scale as number[][]).entries()) {
    const [desired, toZero, allowZero, grace, min, max, initial, window, retention, deadline] = row;
    const [reachable, active, lasted, initialized, buffered, scale, applied, again] = row.slice(10);
    const config = {
      ...DEFAULT_AUTOSCALER_CONFIG,
      enableScaleToZero: toZero === 1,
      allowZeroInitialScale: allowZero === 1,
      scaleToZeroGracePeriodMs: grace! * 1000,
    };
    const annotations = {
      [`${GROUP}min-scale`]: `${min}`,
      [`${GROUP}max-scale`]: `${max}`,
      [`${GROUP}initial-scale`]: `${initial}`,
      [`${GROUP}window`]: `${window}s`,
      [`${GROUP}scale-to-zero-pod-retention-period`]: `${retention}s`,
      'serving.knative.dev/progress-deadline': `${deadline}s`,
    };
    const state: ScaleState = {
      active: ACTIVE[active!]!,
      since: START - lasted!,
      initialized: initialized === 1,
      reachable: reachable === 1,
      bufferedSince: START - buffered!,
    };
    const result = outcome(scalingSpec(annotations, 0, config), state, desired!, START);
    const name = `vector ${index}: ${JSON.stringify(row)}`;
    assert.equal(result.scale, applied === 1 ? scale : undefined, name);
    if (applied === 0 && state.active === 'True') assert.equal(result.deactivate, true, name);
    // Upstream looks again at a stuck activation after the whole deadline; we when it is over.
    if (state.active !== 'Unknown' && result.deactivate !== true)
      assert.equal(result.againMs ?? -1, again, name);
  }
});

test('1,728 activities', () => {
  const ACTIVE: ScaleState['active'][] = ['False', 'True', 'Unknown'];
  const codes = scaleVectors.active as string;
  let index = 0;
  for (const want of [-1, 0, 1, 5])
    for (const ready of [0, 1, 2, 5])
      for (const min of [0, 1, 3])
        for (const initial of [0, 1, 3])
          for (const initialized of [false, true])
            for (const reachable of [true, false])
              for (const active of ACTIVE) {
                const code = codes.charCodeAt(index++) - 97;
                const spec = { ...scalingSpec({}, 0), minScale: min, initialScale: initial };
                const expected = {
                  active: ACTIVE[code % 3],
                  initialized: Math.floor(code / 3) % 2 === 1,
                  timedOut: code >= 6,
                };
                const got = activity(spec, { active, initialized, reachable }, want, ready);
                assert.deepEqual(
                  got,
                  expected,
                  JSON.stringify({ want, ready, min, initial, initialized, reachable, active }),
                );
              }
  assert.equal(index, codes.length);
});

test('120 numbers of activators', () => {
  for (const [ready, total, burst, capacity, expected] of scaleVectors.activators as number[][]) {
    assert.equal(activators({ total: total!, targetBurstCapacity: burst! }, ready!, capacity!), expected);
  }
});

test('180 specs from ConfigMaps and annotations', () => {
  const vectors = scaleVectors.specs as [
    Record<string, string>,
    Record<string, string>,
    number,
    (string | number)[],
  ][];
  // Upstream has this off by default; we have it on.
  const defaults = { 'allow-zero-initial-scale': 'false' };
  for (const [index, [data, annotations, concurrency, expected]] of vectors.entries()) {
    const config = { ...DEFAULT_AUTOSCALER_CONFIG, ...parseConfigAutoscaler({ ...defaults, ...data }) };
    const spec = scalingSpec(annotations, concurrency, config);
    const got = [
      spec.metric,
      spec.target,
      spec.total,
      spec.targetBurstCapacity,
      spec.panicThreshold,
      spec.maxScaleUpRate,
      spec.maxScaleDownRate,
      spec.stableWindowMs,
      spec.panicWindowMs,
      spec.scaleDownDelayMs,
      spec.initialScale,
      spec.activationScale,
      spec.minScale,
      spec.maxScale,
      spec.aggregation,
      spec.scaleToZeroPodRetentionMs,
      Number(spec.enableScaleToZero),
      spec.scaleToZeroGracePeriodMs,
      spec.progressDeadlineMs,
      config.activatorCapacity,
    ];
    // No algorithm named is the plain average.
    const plain = expected.map((value, at) => (at === 14 && value === '' ? 'linear' : value));
    assert.deepEqual(got, plain, `vector ${index}: ${JSON.stringify([data, annotations, concurrency])}`);
  }
});
