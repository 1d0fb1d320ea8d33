import assert from 'node:assert/strict';
import test from 'node:test';
import { decideHpa, hpaState } from './hpa.ts';

const SETTINGS = { target: 50, min: 1, max: 0, stabilizationMs: undefined };

/** Decisions one after the other: [ms since the last, mean, ready (default: what was asked for last)] → desired. */
function decisions(settings: typeof SETTINGS, current: number, steps: [number, number, number?][]): number[] {
  const state = hpaState();
  let now = 1_000_000;
  return steps.map(([ms, mean, ready]) => {
    now += ms;
    current = decideHpa(settings, state, { now, mean, ready: ready ?? current, current });
    return current;
  });
}

test('in proportion, rounded up, and not for a tenth', () => {
  assert.deepEqual(decisions(SETTINGS, 4, [[0, 75]]), [6]);
  assert.deepEqual(decisions(SETTINGS, 4, [[0, 54.9]]), [4]);
  assert.deepEqual(decisions(SETTINGS, 4, [[0, 55.1]]), [5]);
  assert.deepEqual(decisions(SETTINGS, 4, [[0, 45.1]]), [4]);
  assert.deepEqual(decisions(SETTINGS, 4, [[0, 44]]), [4]);
  assert.deepEqual(decisions(SETTINGS, 4, [[0, 37]]), [3]);
  assert.deepEqual(decisions(SETTINGS, 4, [[0, 100, 2]]), [4], 'of those that are ready');
  assert.deepEqual(decisions(SETTINGS, 3, [[0, 100, 0]]), [3], 'without any ready there is nothing to go by');
});

test('up by no more than four, or twofold, in fifteen seconds', () => {
  const steps: [number, number][] = [
    [0, 1000],
    [5000, 1000],
    [10_000, 1000],
    [15_000, 1000],
  ];
  assert.deepEqual(decisions(SETTINGS, 1, steps), [5, 5, 10, 20]);
});

test('down to the most that was asked for in five minutes, never below the minimum or above the maximum', () => {
  const steps: [number, number][] = [
    [0, 50],
    [15_000, 10],
    [285_000, 10],
    [15_000, 10],
  ];
  assert.deepEqual(decisions(SETTINGS, 10, steps), [10, 10, 2, 2]);
  assert.deepEqual(decisions({ ...SETTINGS, min: 3, max: 8 }, 5, [[0, 1000]]), [8]);
  assert.deepEqual(decisions({ ...SETTINGS, min: 3, max: 8 }, 5, [[0, 0]]), [3]);
});
