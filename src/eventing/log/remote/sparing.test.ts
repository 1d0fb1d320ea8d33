import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedClock } from '../../../base/clock.ts';
import { atMostEvery } from './sparing.ts';

test('the first is done at once, those that follow together, later, and none after the end', async () => {
  const clock = simulatedClock();
  const closing = new AbortController();
  let done = 0;
  const ask = atMostEvery(1000, clock, closing.signal, async () => void done++);
  ask();
  assert.equal(done, 1);
  for (let i = 0; i < 5; i++) ask();
  await clock.advance(999);
  assert.equal(done, 1);
  await clock.advance(1);
  assert.equal(done, 2);
  await clock.advance(5000);
  assert.equal(done, 2);
  assert.equal(clock.pending(), 0);
  ask();
  ask();
  closing.abort();
  await clock.advance(5000);
  assert.equal(done, 3);
});
