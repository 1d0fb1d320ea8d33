import assert from 'node:assert/strict';
import test from 'node:test';
import { simulatedClock } from '../base/clock.ts';
import { silentLogger } from '../base/log.ts';
import { createBackground } from './background.ts';

function setUp(options: { concurrency?: number } = {}) {
  const clock = simulatedClock();
  const background = createBackground({
    clock,
    log: silentLogger,
    quietMs: 100,
    patienceMs: 1000,
    ...options,
  });
  const done: string[] = [];
  const add = (key: string, what = key) => background.add(key, async () => done.push(what));
  return { clock, background, done, add };
}

test('tasks run when it has been quiet, of several with one key the last', async () => {
  const { clock, background, done, add } = setUp();
  add('a', 'first');
  add('b');
  add('a', 'second');
  await clock.advance(99);
  assert.deepEqual(done, []);
  background.busy();
  await clock.advance(50);
  background.busy();
  await clock.advance(99);
  assert.deepEqual(done, []);
  await clock.advance(2);
  assert.deepEqual(done, ['b', 'second']);
  assert.equal(clock.pending(), 0);
});

test('nothing waits for ever, however busy it is', async () => {
  const { clock, background, done, add } = setUp();
  add('a');
  for (let at = 0; at < 1000; at += 50) {
    background.busy();
    await clock.advance(50);
  }
  await clock.advance(100);
  assert.deepEqual(done, ['a']);
});

test('one that fails is run again a few times, and the others do not wait for it', async () => {
  const { clock, background, done, add } = setUp({ concurrency: 1 });
  let runs = 0;
  background.add('bad', async () => {
    runs++;
    throw new Error('no');
  });
  add('good');
  await clock.advance(100);
  assert.deepEqual([runs, done], [1, ['good']]);
  await clock.advance(10_000);
  assert.equal(runs, 6);
  assert.equal(clock.pending(), 0);
});

test('after the end nothing begins, and what had begun is awaited', async () => {
  const { clock, background, done, add } = setUp({ concurrency: 1 });
  const held = Promise.withResolvers<void>();
  background.add('slow', () => held.promise.then(() => done.push('slow')));
  add('never');
  await clock.advance(100);
  const stopped = background.stop();
  add('late');
  held.resolve();
  await stopped;
  await clock.advance(1000);
  assert.deepEqual(done, ['slow']);
});
