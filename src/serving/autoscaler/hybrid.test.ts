import assert from 'node:assert/strict';
import test from 'node:test';
import { createIdleHistory, fixedKeepAlive, HYBRID_DEFAULTS, warmPlan } from './hybrid.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const after = (...minutes: number[]) => {
  const history = createIdleHistory();
  for (const minute of minutes) history.observe(minute * MINUTE);
  return history.window();
};
const rounded = ({ prewarmMs, keepAliveMs }: { prewarmMs: number; keepAliveMs: number }) => [
  Math.round(prewarmMs / 1000),
  Math.round(keepAliveMs / 1000),
];

test('what is known of too few idle times, or of none that stand out, is the standard keep-alive', () => {
  const standard = { prewarmMs: 0, keepAliveMs: HYBRID_DEFAULTS.standardMs };
  assert.deepEqual(after(), standard);
  assert.deepEqual(after(30, 30, 30, 30), standard);
  // One in every bin: nothing stands out.
  assert.deepEqual(after(...Array.from({ length: 240 }, (_, bin) => bin)), standard);
});

test('a timer: cold until just before it is due, warm until just after', () => {
  // Bin 30: from 30 to 31 minutes, a tenth off and on.
  assert.deepEqual(rounded(after(30.2, 30.2, 30.2, 30.2, 30.2)), [1620, 426]);
});

test('frequent requests: no cold time, warm until the 99th percentile', () => {
  const often = Array.from({ length: 99 }, (_, index) => (index % 3) + 0.5);
  assert.deepEqual(rounded(after(...often, 20)), [0, Math.round(3 * 60 * 1.1)]);
  assert.deepEqual(rounded(after(...often.slice(50), 20)), [0, Math.round(21 * 60 * 1.1)]);
});

test('mostly beyond the histogram: the mean of the last ones, if they agree', () => {
  assert.deepEqual(rounded(after(600, 601, 599, 600, 600)), [600 * 60 * 0.85, 600 * 60 * 0.3]);
  assert.deepEqual(after(300, 900, 500, 250, 700).keepAliveMs, HYBRID_DEFAULTS.standardMs);
});

test('a service that changes its ways is learnt anew: counts are halved when they are full', () => {
  const history = createIdleHistory();
  for (let index = 0; index < 70_000; index++) history.observe(10 * MINUTE);
  assert.deepEqual(rounded(history.window()), [540, 726 - 540]);
  for (let index = 0; index < 40_000; index++) history.observe(100 * MINUTE);
  const { prewarmMs, keepAliveMs } = history.window();
  assert.ok(prewarmMs === 540_000 && prewarmMs + keepAliveMs > 100 * MINUTE);
});

test('the plan during an idle time, and when it changes', () => {
  const window = { prewarmMs: HOUR, keepAliveMs: 10 * MINUTE };
  assert.deepEqual(warmPlan(window, 0), { warm: false, againMs: HOUR });
  assert.deepEqual(warmPlan(window, HOUR), { warm: true, againMs: 10 * MINUTE });
  assert.deepEqual(warmPlan(window, HOUR + 10 * MINUTE), { warm: false, againMs: undefined });
  assert.deepEqual(warmPlan(fixedKeepAlive(MINUTE).window(), 20_000), { warm: true, againMs: 40_000 });
});
