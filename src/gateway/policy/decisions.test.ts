/** Retries, outliers, the ring, sessions and outcomes: the decisions without a gateway around them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Affinity } from './affinity.ts';
import { addMirror, addOutcomes, latencyBucket, OutcomeCounter } from './outcomes.ts';
import { judge, outlierRecord } from './outliers.ts';
import { pauseMs, type Repeatability, repeatable, retriable } from './retry.ts';
import { hashText, loadBound, Ring } from './ring.ts';

const PLAIN: Repeatability = { method: 'GET', keyed: false, bodyPassed: false, upgrade: false };

test('what may be sent again', () => {
  const cases: [Partial<Repeatability>, boolean][] = [
    [{}, true],
    [{ method: 'PUT' }, true],
    [{ method: 'DELETE' }, true],
    [{ method: 'POST' }, false],
    [{ method: 'PATCH' }, false],
    [{ method: 'get' }, false],
    [{ method: 'POST', keyed: true }, true],
    [{ method: 'POST', keyed: true, bodyPassed: true }, false],
    [{ method: 'PUT', bodyPassed: true }, false],
    [{ upgrade: true }, false],
  ];
  for (const [change, expected] of cases)
    assert.equal(repeatable({ ...PLAIN, ...change }), expected, JSON.stringify(change));
});

test('which failures are retried', () => {
  const cases: [number, string, Parameters<typeof retriable>[1], boolean][] = [
    [503, '', ['503'], true],
    [503, '', ['502', '504'], false],
    [500, '', ['5xx'], true],
    [500, '', ['502', '503', '504', 'reset'], false],
    [502, 'upstream_reset', ['reset'], true],
    [502, 'instance_crashed', ['reset'], true],
    [502, 'instance_crashed', ['502'], true],
    [502, 'upstream_protocol', ['reset'], false],
    [502, '', ['reset'], false],
    [504, 'try_timeout', ['504'], true],
    [504, 'timeout', ['504', '5xx'], false],
    [503, 'not_ready', ['503', '5xx'], false],
    [503, 'queue_full', ['503'], false],
    [503, 'overloaded', ['503'], true],
    [500, 'load_error', ['5xx'], false],
    [502, 'upstream_reset', ['connect-failure'], false],
  ];
  for (const [status, reason, on, expected] of cases)
    assert.equal(retriable({ status, reason }, on), expected, `${status} ${reason} on ${on}`);
});

test('pauses double up to their limit, and are spread', () => {
  const cases: [number, number, number][] = [
    [1, 0, 12.5],
    [1, 1, 25],
    [2, 1, 50],
    [3, 0.5, 75],
    [9, 1, 250],
  ];
  for (const [attempt, random, ms] of cases) assert.equal(pauseMs(attempt, random), ms);
});

test('outliers: after so many in a row, longer each time, forgiven in time', () => {
  const settings = { consecutiveErrors: 3, baseEjectionMs: 1000, maxEjectionPercent: 50 };
  const r = outlierRecord();
  const fail = (now: number, total = 4, out = 0) => judge(r, true, now, total, out, settings);
  assert.deepEqual([fail(0), fail(0)], [0, 0]);
  judge(r, false, 0, 4, 0, settings);
  assert.deepEqual([fail(0), fail(0), fail(0)], [0, 0, 1000], 'a success begins anew');
  assert.deepEqual([fail(1001), fail(1001), fail(1001)], [0, 0, 2000]);
  judge(r, false, 5000, 4, 0, settings);
  judge(r, false, 7000, 4, 0, settings);
  assert.deepEqual([fail(7000), fail(7000), fail(7000)], [0, 0, 1000], 'two base times of good answers');
});

test('outliers: never too many, never the last', () => {
  const cases: [number, number, number, boolean][] = [
    [1, 0, 100, false],
    [2, 0, 50, true],
    [2, 1, 100, false],
    [2, 0, 10, true],
    [10, 4, 50, true],
    [10, 5, 50, false],
    [10, 8, 100, true],
    [10, 9, 100, false],
    [10, 0, 0, false],
  ];
  for (const [total, out, maxEjectionPercent, expected] of cases) {
    const settings = { consecutiveErrors: 1, baseEjectionMs: 10, maxEjectionPercent };
    const ms = judge(outlierRecord(), true, 0, total, out, settings);
    assert.equal(ms > 0, expected, `${out} of ${total} out, at most ${maxEjectionPercent} %`);
  }
});

test('ring: keys are spread, and stay when endpoints come and go', () => {
  const ids = Array.from({ length: 10 }, (_, i) => `pod-${i}`);
  const keys = Array.from({ length: 10_000 }, (_, i) => hashText(`key-${i}`));
  const owners = (list: string[]) => {
    const ring = new Ring(list);
    return keys.map((k) => list[ring.find(k, () => true)]!);
  };
  const before = owners(ids);
  for (const id of ids) {
    const share = before.filter((o) => o === id).length / keys.length;
    assert.ok(share > 0.05 && share < 0.17, `${id}: ${share}`);
  }
  const fewer = owners(ids.filter((id) => id !== 'pod-3'));
  keys.forEach((_, i) => {
    if (before[i] !== 'pod-3') assert.equal(fewer[i], before[i]);
  });
  const more = owners([...ids, 'pod-10']);
  const moved = keys.filter((_, i) => more[i] !== before[i]);
  keys.forEach((_, i) => {
    if (more[i] !== before[i]) assert.equal(more[i], 'pod-10');
  });
  assert.ok(moved.length < keys.length * 0.17);
  assert.deepEqual(owners([...ids].reverse()), before, 'the order of the list does not matter');
});

test('ring: an endpoint that does not accept is passed over, each is asked once', () => {
  const ring = new Ring(['a', 'b', 'c']);
  const asked: number[] = [];
  assert.equal(
    ring.find(7, (i) => {
      asked.push(i);
      return false;
    }),
    -1,
  );
  assert.deepEqual([...asked].sort(), [0, 1, 2]);
  assert.equal(
    ring.find(7, (i) => i === asked[2]),
    asked[2],
  );
  assert.equal(
    new Ring([]).find(7, () => true),
    -1,
  );
});

test('bounded loads: a quarter above the mean, rounded up, and a few in any case', () => {
  const cases: [number, number, number][] = [
    [0, 4, 8],
    [23, 4, 8],
    [31, 4, 10],
    [99, 10, 13],
    [0, 1, 8],
  ];
  for (const [total, count, most] of cases) assert.equal(loadBound(total, count), most);
});

test('sessions: a cookie leads back, tells nothing, and cannot be made up', () => {
  const config = { cookie: 'petrel', ttlMs: 90_000 };
  const of = (route: string, keys: string[], secret = 's') => new Affinity(route, keys, config, secret);
  const a = of('default/shop', ['default/shop-1', 'default/shop-2']);
  const line = a.line('default/shop-2', a.instance('uid-7'), '/fn/default/shop');
  const match = /^set-cookie: petrel=([\w.-]+); Path=(\S+); Max-Age=90; HttpOnly; SameSite=Lax\r\n$/.exec(
    line,
  );
  assert.ok(match, line);
  assert.equal(match[2], '/fn/default/shop');
  const value = match[1]!;
  assert.ok(!value.includes('shop') && !value.includes('uid'));
  const request = (v: string) => Buffer.from(`cookie: other=1; petrel=${v}\r\n`);
  assert.deepEqual(a.read(request(value)), { revision: 'default/shop-2', instance: a.instance('uid-7') });
  const foreign: [string, Affinity][] = [
    ['another route', of('default/other', ['default/shop-2'])],
    ['another gateway', of('default/shop', ['default/shop-2'], 'x')],
    ['a revision that has left the route', of('default/shop', ['default/shop-1'])],
  ];
  for (const [what, other] of foreign) assert.equal(other.read(request(value)), null, what);
  for (const made of ['', '.', 'default/shop-1.x', value.toLowerCase(), `${value}x`.slice(1)])
    assert.equal(a.read(request(made)), null, made);
  assert.equal(a.read(Buffer.alloc(0)), null);
});

test('latency buckets are powers of the square root of two', () => {
  const cases: [number, number][] = [
    [0, 0],
    [0.99, 0],
    [1, 1],
    [1.4, 1],
    [1.5, 2],
    [2, 3],
    [1000, 20],
    [2 ** 15, 31],
    [1e9, 31],
  ];
  for (const [ms, bucket] of cases) {
    assert.equal(latencyBucket(ms), bucket, String(ms));
    if (bucket < 31)
      assert.ok(ms < 2 ** (bucket / 2) + 1e-9 && (bucket === 0 || ms >= 2 ** ((bucket - 1) / 2) - 1e-9));
  }
});

test('outcomes are counted, taken and added up', () => {
  const a = new OutcomeCounter();
  for (const [status, ms] of [
    [200, 1],
    [204, 3],
    [503, 10],
    [0, 5],
    [1, 5],
  ] as const)
    a.count(status, ms);
  const taken = a.take();
  assert.deepEqual(taken.classes, [2, 0, 2, 0, 0, 1]);
  assert.equal(
    taken.latency.reduce((x, y) => x + y, 0),
    3,
  );
  assert.deepEqual(a.take().classes, [0, 0, 0, 0, 0, 0]);
  assert.deepEqual(addOutcomes(taken, taken).classes, [4, 0, 4, 0, 0, 2]);
  const mirror = { copied: 1, skipped: { upgrade: 2 } };
  assert.deepEqual(addMirror(mirror, { copied: 2, skipped: { upgrade: 1, overloaded: 1 } }), {
    copied: 3,
    skipped: { upgrade: 3, overloaded: 1 },
  });
});
