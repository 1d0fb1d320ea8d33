import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { simulatedClock } from '../../base/clock.ts';
import type { Stream } from './contract.ts';
import { all, directory, filesOf, MIB, opened, spec } from './testing/log.ts';

const RECORD = Buffer.alloc(10_000, 1);

async function fill(stream: Stream, count: number, at: () => number): Promise<void> {
  for (let i = 0; i < count; i += 10) {
    const group = await Promise.allSettled(Array.from({ length: 10 }, () => stream.append(RECORD, at())));
    for (const one of group) if (one.status === 'rejected') throw one.reason;
  }
}

/** Waits until something is so; files go in the background. */
async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !what(); i++) await new Promise((resolve) => setTimeout(resolve, 2));
  assert.ok(what());
}

const segments = (dir: string) => readdirSync(filesOf(dir)).filter((name) => name.endsWith('.log'));

test('what is too much goes when nobody needs it, oldest first, and never before somebody said so', async (t) => {
  const dir = directory(t);
  const { log } = await opened(t, dir);
  const stream = await log.open(spec({ maxBytes: 2 * MIB, hardMaxBytes: 20 * MIB }));
  await fill(stream, 500, () => Date.now());
  assert.equal(stream.start, 0);
  stream.need(100);
  await until(() => stream.start > 50);
  assert.ok(stream.start <= 100);
  assert.equal((await all(stream)).at(0)?.offset, stream.start);
  stream.need(Number.MAX_SAFE_INTEGER);
  await until(() => stream.bytes <= 2 * MIB);
  assert.ok(stream.bytes > MIB, `${stream.bytes} are left`);
  assert.equal(stream.end, 500);
  await until(() => segments(dir).length <= 11);
  // From before the oldest: what there is.
  assert.equal((await stream.read(0, 100))[0]?.offset, stream.start);
});

test('what nobody took fills the stream, and then it refuses until somebody does', async (t) => {
  const { log } = await opened(t, directory(t));
  const stream = await log.open(spec({ maxBytes: MIB, hardMaxBytes: 2 * MIB }));
  await assert.rejects(
    fill(stream, 1000, () => Date.now()),
    { code: 'DiskFull' },
  );
  assert.ok(stream.bytes <= 2 * MIB && stream.bytes > 2 * MIB - 300_000);
  assert.equal((await all(stream)).length, stream.end);
  const { end } = stream;
  stream.need(end);
  await until(() => stream.bytes <= MIB);
  await fill(stream, 10, () => Date.now());
  assert.equal(stream.end, end + 10);
});

test('what is too old goes by itself, at its time, all of it; offsets go on', async (t) => {
  const dir = directory(t);
  const clock = simulatedClock();
  const { log } = await opened(t, dir, { clock });
  const limits = spec({ maxAgeMs: 80_000 });
  const stream = await log.open(limits);
  await fill(stream, 20, clock.now);
  assert.equal(clock.pending(), 0);
  stream.need(Number.MAX_SAFE_INTEGER);
  await clock.advance(40_000);
  await fill(stream, 20, clock.now);
  await until(() => clock.pending() === 1);
  await clock.advance(40_001);
  await until(() => stream.start === 20);
  await until(() => clock.pending() === 1);
  await clock.advance(40_000);
  await until(() => stream.start === 40);
  assert.deepEqual([stream.end, stream.bytes], [40, 0]);
  await until(() => segments(dir).length === 1);
  assert.equal(clock.pending(), 0);
  await log.close();
  const { log: again } = await opened(t, dir, { clock });
  const reopened = await again.open(limits);
  assert.deepEqual([reopened.start, reopened.end], [40, 40]);
  assert.deepEqual(await reopened.append(RECORD, clock.now()), { offset: 40, duplicate: false });
});

test('what somebody begins to need later stays from then on', async (t) => {
  const { log } = await opened(t, directory(t));
  const stream = await log.open(spec({ maxBytes: MIB, hardMaxBytes: 20 * MIB }));
  stream.need(Number.MAX_SAFE_INTEGER);
  await fill(stream, 200, () => Date.now());
  await until(() => stream.bytes <= MIB);
  const { start } = stream;
  assert.ok(start > 0);
  stream.need(start);
  await fill(stream, 400, () => Date.now());
  assert.equal(stream.start, start);
  assert.equal((await all(stream)).length, 600 - start);
});

test('what is too old and needed stays', async (t) => {
  const clock = simulatedClock();
  const { log } = await opened(t, directory(t), { clock });
  const stream = await log.open(spec({ maxAgeMs: 10_000 }));
  await fill(stream, 20, clock.now);
  stream.need(5);
  await clock.advance(100_000);
  await fill(stream, 10, clock.now);
  assert.equal(stream.start, 0);
  stream.need(20);
  await until(() => stream.start === 20);
});
