import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedClock } from '../base/clock.ts';
import { createAlarm } from './alarm.ts';
import { backoffWait, nextAttempt, retryAfterMs } from './schedule.ts';

const TERMS = { maxAttempts: 5, baseMs: 1000, capMs: 5000, jitter: 0.5, maxAgeMs: 60_000 };

test('waits double up to the cap; chance adds its share', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 50, 5000].map((n) => backoffWait(n, TERMS, 0)),
    [1000, 2000, 4000, 5000, 5000, 5000],
  );
  assert.equal(backoffWait(4, TERMS, 1), 7500);
  assert.equal(backoffWait(1, { ...TERMS, baseMs: 0 }, 0.9), 0);
});

test('the next attempt: after the wait, not before Retry-After, not when it is too late or has been enough', () => {
  const past = { failures: 1, acceptedAt: 0, now: 10_000, random: 0 };
  assert.deepEqual(nextAttempt(TERMS, past), { due: 11_000 });
  assert.deepEqual(nextAttempt(TERMS, { ...past, retryAfter: 20_000 }), { due: 30_000 });
  assert.deepEqual(nextAttempt(TERMS, { ...past, retryAfter: 10 }), { due: 11_000 });
  assert.deepEqual(nextAttempt(TERMS, { ...past, failures: 5 }), { givenUp: 'attempts' });
  assert.deepEqual(nextAttempt(TERMS, { ...past, now: 59_500 }), { givenUp: 'age' });
});

test('Retry-After: seconds or the fixed form of a date, nothing else', () => {
  const now = Date.UTC(2026, 0, 1, 12, 0, 0);
  assert.equal(retryAfterMs('120', now), 120_000);
  assert.equal(retryAfterMs('Thu, 01 Jan 2026 12:00:30 GMT', now), 30_000);
  assert.equal(retryAfterMs('Thu, 01 Jan 2026 11:00:00 GMT', now), 0);
  for (const text of [undefined, '', '-1', '1.5', 'soon', '2026-01-01', '99999999999'])
    assert.equal(retryAfterMs(text, now), undefined);
});

test('an alarm goes off once, for the earliest moment, also after the time of day was set', async () => {
  const clock = simulatedClock();
  let rung = 0;
  const alarm = createAlarm(clock, () => rung++);
  const start = clock.now();
  alarm.by(start + 5000);
  alarm.by(start + 1000);
  alarm.by(start + 9000);
  assert.equal(clock.pending(), 1);
  await clock.advance(999);
  assert.equal(rung, 0);
  await clock.advance(1);
  assert.equal(rung, 1);
  assert.equal(clock.pending(), 0);
  // Set back: the moment is further away now.
  alarm.by(clock.now() + 1000);
  clock.jump(-10_000);
  await clock.advance(1000);
  assert.equal(rung, 1);
  await clock.advance(10_000);
  assert.equal(rung, 2);
  alarm.by(clock.now() + 10 * 3_600_000);
  await clock.advance(10 * 3_600_000);
  assert.equal(rung, 3);
  alarm.by(clock.now() + 10);
  alarm.cancel();
  await clock.advance(20);
  assert.equal(rung, 3);
});
