import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedClock } from '../base/clock.ts';
import { createMemoryTrim } from './memory-trim.ts';

test('memory is given back once, when a burst is over', async () => {
  const clock = simulatedClock();
  let trims = 0;
  const memory = createMemoryTrim(clock, () => trims++);
  for (let round = 0; round < 20; round++) {
    memory.collected(3);
    await clock.advance(1000);
  }
  assert.equal(trims, 0, 'not while it lasts');
  await clock.advance(4000);
  assert.equal(trims, 1);
  await clock.advance(600_000);
  assert.equal(trims, 1);
  assert.equal(clock.pending(), 0, 'nothing ticks when idle');
});

test('a little work is no reason', async () => {
  const clock = simulatedClock();
  let trims = 0;
  const memory = createMemoryTrim(clock, () => trims++);
  memory.collected(29);
  await clock.advance(60_000);
  assert.equal(trims, 0);
  assert.equal(clock.pending(), 0);
  memory.collected(1);
  await clock.advance(5000);
  assert.equal(trims, 1);
});
