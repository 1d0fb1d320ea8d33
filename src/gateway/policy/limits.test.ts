/** Rate limits, circuit breaker, retry budget and the window below them, with the time given. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Breaker, GATE } from './breaker.ts';
import { RetryBudget } from './budget.ts';
import { clientNetwork, keyReader } from './key.ts';
import { rateTableBytes } from './memory.ts';
import { RateTable, rateShape } from './rate-table.ts';
import { RollingWindow, WINDOW_CELLS } from './window.ts';

const table = (requests: number, periodMs: number, burst: number) =>
  new RateTable(new SharedArrayBuffer(rateTableBytes), rateShape(requests, periodMs, burst), 'secret');

for (const [requests, periodMs, burst] of [
  [10, 1000, 10],
  [3, 1000, 3],
  [100, 60_000, 5],
  [7, 1000, 1000],
  [50_000, 1000, 200],
] as const) {
  test(`${requests} per ${periodMs} ms, ${burst} at once: the burst is exact and comes back at the rate`, () => {
    const limit = table(requests, periodMs, burst);
    const start = 1_000_000.25;
    const takeAll = (now: number) => {
      let n = 0;
      while (limit.take('k', now).allowed) n++;
      return n;
    };
    assert.equal(takeAll(start), burst);
    const refused = limit.take('k', start);
    assert.equal(refused.allowed, false);
    assert.ok(refused.retryAfter > 0 && refused.retryAfter <= periodMs / requests + 1);
    assert.equal(takeAll(start + refused.retryAfter * 0.9), 0);
    assert.equal(takeAll(start + refused.retryAfter + 0.01), 1);
    // a long time later there is one burst again, not more
    assert.equal(takeAll(start + 1000 * periodMs), burst);
  });
}

test('remaining counts down', () => {
  const limit = table(3, 1000, 3);
  assert.deepEqual(
    [1, 2, 3, 4].map(() => limit.take('k', 5000).remaining),
    [2, 1, 0, 0],
  );
});

test('keys do not touch each other; two tables on one memory are one limit', () => {
  const memory = new SharedArrayBuffer(rateTableBytes);
  const shape = rateShape(1, 1000, 1);
  const one = new RateTable(memory, shape, 's');
  const two = new RateTable(memory, shape, 's');
  for (let i = 0; i < 5000; i++) {
    assert.equal(one.take(`client-${i}`, 100).allowed, true, `first of ${i}`);
  }
  for (let i = 0; i < 5000; i++) assert.equal(two.take(`client-${i}`, 100).allowed, false, `second of ${i}`);
});

test('a flood of keys costs no memory and refuses nobody new', () => {
  const limit = table(1, 3_600_000, 1);
  for (let i = 0; i < 100_000; i++) assert.equal(limit.take(`flood-${i}`, 100).allowed, true);
});

test('who is one client', () => {
  const cases: [string, string][] = [
    ['192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::1', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['2001:0db8:0001:0002::', '2001:db8:1:2'],
  ];
  for (const [address, network] of cases) assert.equal(clientNetwork(address), network);
  const out = Buffer.from('x-key: 10.0.0.1\r\ncookie: k=10.0.0.1\r\n');
  const target = () => '/?k=10.0.0.1';
  const none = Buffer.alloc(0);
  const header = keyReader({ header: 'x-key' });
  const keys = [
    header(out, '10.0.0.1', target),
    keyReader({ cookie: 'k' })(out, '10.0.0.1', target),
    keyReader({ queryParameter: 'k' })(out, '10.0.0.1', target),
    keyReader({})(out, '10.0.0.1', target),
  ];
  assert.equal(new Set(keys).size, 4, 'a value made to look like an address is another key');
  assert.equal(header(none, '10.0.0.1', target), keyReader(undefined)(none, '10.0.0.1', target));
});

function breaker(errorPercent: number, minRequests: number, openMs: number) {
  const until = new BigInt64Array(new SharedArrayBuffer(8));
  const cells = new Int32Array(new SharedArrayBuffer(WINDOW_CELLS * 4));
  const settings = { errorPercent, minRequests, openMs };
  return () => new Breaker(settings, until, 0, new RollingWindow(cells));
}

test('breaker: opens at its part of failures, not before enough requests; one try at a time; closes again', () => {
  const make = breaker(50, 4, 1000);
  const a = make();
  const b = make();
  const now = 50_000;
  for (const failed of [true, true, true]) a.ended(now, failed, false);
  assert.equal(b.enter(now), GATE.pass, 'three are too few');
  b.ended(now, true, false);
  assert.ok(a.enter(now) > 0, 'open for all workers');
  assert.ok(a.enter(now + 999) > 0);
  assert.equal(b.enter(now + 1001), GATE.probe);
  assert.ok(a.enter(now + 1001) > 0, 'only one tries');
  b.ended(now + 1100, true, true);
  assert.ok(a.enter(now + 2050) > 0, 'open again from the failure on');
  assert.equal(a.enter(now + 2101), GATE.probe);
  a.ended(now + 2110, false, true);
  assert.equal(b.enter(now + 2110), GATE.pass);
  b.ended(now + 2110, true, false);
  assert.equal(a.enter(now + 2111), GATE.pass, 'what was before is forgotten');
});

test('breaker: a try that never ends, or whose client left, does not keep it open', () => {
  const b = breaker(50, 1, 1000)();
  b.ended(1000, true, false);
  assert.equal(b.enter(2001), GATE.probe);
  assert.equal(b.enter(3002), GATE.probe, 'the first try hangs: the next one after the open time');
  b.ended(3100, null, true);
  assert.equal(b.enter(3101), GATE.probe, 'its client left: at once');
});

test('breaker: failures that are long past do not count', () => {
  const b = breaker(50, 4, 1000)();
  for (let i = 0; i < 3; i++) b.ended(1000, true, false);
  b.ended(12_000, true, false);
  assert.equal(b.enter(12_000), GATE.pass);
  for (let i = 0; i < 20; i++) b.ended(12_000, false, false);
  for (let i = 0; i < 10; i++) b.ended(12_000, true, false);
  assert.equal(b.enter(12_000), GATE.pass, '11 of 31');
});

test('retry budget: its part of ten seconds, and a few in any case', () => {
  const budget = new RetryBudget(20);
  assert.deepEqual(
    [1, 2, 3, 4].map(() => budget.take(1000)),
    [true, true, true, false],
  );
  for (let i = 0; i < 100; i++) budget.request(5000);
  let taken = 0;
  while (budget.take(5000)) taken++;
  assert.equal(taken, 17, '20 of 100, three of them were made before');
  assert.equal(budget.take(15_500), true, 'another second');
  assert.equal(new RetryBudget(0).take(1000), false);
});

test('window: ten seconds, then gone', () => {
  const w = new RollingWindow();
  w.add(500, 1, 2);
  w.add(9500, 10, 20);
  assert.deepEqual(w.sums(9999), { first: 11, second: 22 });
  assert.deepEqual(w.sums(10_500), { first: 10, second: 20 });
  w.add(10_500, 5, 0);
  assert.deepEqual(w.sums(10_500), { first: 15, second: 20 });
  assert.deepEqual(w.sums(60_000), { first: 0, second: 0 });
});
