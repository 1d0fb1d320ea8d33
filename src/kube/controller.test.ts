import assert from 'node:assert/strict';
import test from 'node:test';
import { simulatedClock } from '../base/clock.ts';
import { silentLogger } from '../base/log.ts';
import { createController } from './controller.ts';
import { createQueue } from './queue.ts';

test('a key waits once, however often it is added', () => {
  const queue = createQueue();
  queue.add('a');
  queue.add('b');
  queue.add('a');
  assert.deepEqual([queue.take(), queue.take(), queue.take()], ['a', 'b', undefined]);
});

test('a key that is added while in work comes again after it, not beside it', () => {
  const queue = createQueue();
  queue.add('a');
  queue.take();
  queue.add('a');
  assert.equal(queue.take(), undefined);
  queue.done('a');
  assert.equal(queue.take(), 'a');
});

test('of two delays the earlier wins, and an immediate add cancels both', async () => {
  const clock = simulatedClock();
  const queue = createQueue({ clock });
  queue.addAfter('a', 1000);
  queue.addAfter('a', 100);
  queue.addAfter('a', 500);
  await clock.advance(99);
  assert.equal(queue.length, 0);
  await clock.advance(1);
  assert.equal(queue.take(), 'a');
  queue.done('a');
  queue.addAfter('b', 100);
  queue.add('b');
  assert.equal(queue.take(), 'b');
  queue.done('b');
  await clock.advance(10_000);
  assert.equal(queue.length, 0);
  assert.equal(clock.pending(), 0);
});

test('different keys run side by side up to the limit, one key never beside itself', async () => {
  const releases: (() => void)[] = [];
  const running: string[] = [];
  let most = 0;
  const controller = createController({
    name: 'test',
    log: silentLogger,
    concurrency: 2,
    async reconcile(key) {
      assert.ok(!running.includes(key));
      running.push(key);
      most = Math.max(most, running.length);
      await new Promise<void>((resolve) => releases.push(resolve));
      running.splice(running.indexOf(key), 1);
      return undefined;
    },
  });
  for (const key of ['a', 'b', 'c']) controller.enqueue(key);
  controller.start();
  controller.enqueue('a');
  assert.deepEqual(running, ['a', 'b']);
  while (releases.length > 0) {
    releases.shift()!();
    await new Promise(setImmediate);
  }
  assert.equal(most, 2);
  await controller.stop();
});

test('failures come back with growing waits until success, which resets them', async () => {
  const clock = simulatedClock();
  const at: number[] = [];
  let failing = true;
  const controller = createController({
    name: 'test',
    log: silentLogger,
    clock,
    random: () => 0,
    baseMs: 100,
    maxMs: 1000,
    async reconcile() {
      at.push(clock.now());
      if (failing) throw new Error('not yet');
      return undefined;
    },
  });
  controller.start();
  controller.enqueue('a');
  await clock.advance(750);
  assert.deepEqual(
    at.slice(1).map((time, index) => time - at[index]!),
    [50, 100, 200, 400],
  );
  failing = false;
  await clock.advance(10_000);
  const settled = at.length;
  await clock.advance(10_000);
  assert.equal(at.length, settled);
  failing = true;
  const from = clock.now();
  controller.enqueue('a');
  await clock.advance(50);
  assert.deepEqual(at.slice(settled), [from, from + 50]);
  await controller.stop();
  assert.equal(clock.pending(), 0);
});

test('a reconcile may ask to be called again', async () => {
  const clock = simulatedClock();
  let calls = 0;
  const controller = createController({
    name: 'test',
    log: silentLogger,
    clock,
    async reconcile() {
      return ++calls < 3 ? 1000 : undefined;
    },
  });
  controller.start();
  controller.enqueue('a');
  await clock.advance(999);
  assert.equal(calls, 1);
  await clock.advance(10_000);
  assert.equal(calls, 3);
  await controller.stop();
});
