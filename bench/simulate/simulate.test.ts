import assert from 'node:assert/strict';
import test from 'node:test';
import { scalingSpec } from '../../src/serving/autoscaler/config.ts';
import { createIdleHistory, fixedKeepAlive } from '../../src/serving/autoscaler/hybrid.ts';
import { run } from './run.ts';
import { simulate } from './service.ts';
import { Totals } from './totals.ts';
import { DAY_MS, type ServiceTrace, serviceTrace } from './traces.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const spec = scalingSpec({}, 0);

/** Requests of 100 ms at these minutes, instances that start in a second. */
function traceAt(minutes: number[]): ServiceTrace {
  return {
    shape: 'timer',
    arrivals: Float64Array.from(minutes, (minute) => minute * MINUTE_MS),
    durations: Float64Array.from(minutes, () => 100),
    startMs: 1000,
  };
}

test('a fixed keep-alive costs what arithmetic says', () => {
  const totals = new Totals();
  const policy = { name: 'fixed', spec, idle: () => fixedKeepAlive(10 * MINUTE_MS) };
  simulate(traceAt([0, 5, 30, 100]), policy, 0, 3 * HOUR_MS, totals);
  assert.deepEqual([totals.requests, totals.cold, totals.starts, totals.prewarmed], [4, 3, 3, 0]);
  // Each start and its request, five minutes between the first two, and three times ten at the end.
  const ms = 3 * 1100 + (5 * MINUTE_MS - 1100) + 100 + 30 * MINUTE_MS;
  assert.equal(Math.round(totals.instanceMs), ms);
  assert.ok(Math.abs(totals.delay(0.99) - 1000) < 100);
  assert.equal(totals.delay(0.2), 0);
});

test('upstream keeps an instance for the stable window, decided by the same code as on the platform', () => {
  const totals = new Totals();
  simulate(traceAt([10, 11.9, 12.8]), { name: 'kpa', spec }, 0, HOUR_MS, totals);
  assert.deepEqual([totals.requests, totals.cold], [3, 2], 'a gap of 114 s is too long, one of 54 s is not');
  // From the first request of each stretch to the decision after a minute without any.
  assert.equal(totals.instanceMs, 62_000 + 116_000);
});

test('the hybrid policy learns a timer: warm when it is due, cold in between', () => {
  const totals = new Totals();
  const timer = traceAt(Array.from({ length: 48 }, (_, index) => 10 + index * 30));
  simulate(timer, { name: 'hybrid', spec, idle: () => createIdleHistory() }, 12 * HOUR_MS, DAY_MS, totals);
  assert.deepEqual([totals.requests, totals.cold], [24, 0]);
  assert.ok(totals.instanceMs < 4 * HOUR_MS, `${totals.instanceMs / HOUR_MS} of 12 hours`);
});

test('the same seed gives the same trace, another one does not', () => {
  const options = { services: 10, days: 1, seed: 1 };
  assert.deepEqual(serviceTrace(options, 5), serviceTrace(options, 5));
  assert.notDeepEqual(serviceTrace(options, 5), serviceTrace({ ...options, seed: 2 }, 5));
  for (let rank = 1; rank <= 40; rank++) {
    const { arrivals } = serviceTrace(options, rank * 250);
    assert.ok(arrivals.every((at, index) => at < DAY_MS && (index === 0 || at >= arrivals[index - 1]!)));
  }
});

test('half as many cold starts as ten minutes of keep-alive, for no more instance-hours', () => {
  // Every hundredth service of ten thousand.
  const only = ['fixed-10', 'hybrid'];
  const results = run({ services: 10_000, days: 2, warmUp: 1, seed: 1, only, every: 100 });
  const [fixed, hybrid] = only.map((key) => results.get(key)!.all);
  assert.ok(fixed!.requests > 5000, `${fixed!.requests}`);
  assert.ok(hybrid!.cold <= 0.5 * fixed!.cold, `${hybrid!.cold} of ${fixed!.cold}`);
  assert.ok(hybrid!.instanceMs <= 1.05 * fixed!.instanceMs, `${hybrid!.instanceMs} of ${fixed!.instanceMs}`);
});
