import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { simulatedClock } from '../../base/clock.ts';
import type { Stream } from './contract.ts';
import { all, directory, filesOf, MIB, opened, spec, text } from './testing/log.ts';

test('events get offsets in order, and are read from memory at once, from the disk as the same', async (t) => {
  const dir = directory(t);
  const { log } = await opened(t, dir);
  const stream = await log.open(spec());
  const told: string[] = [];
  const stop = stream.onAppend((entries) => {
    assert.equal(entries[0]?.offset, told.length);
    told.push(...text(entries));
  });
  const names = Array.from({ length: 3000 }, (_, i) => `event ${i} ${'x'.repeat(i % 700)}`);
  const answers = await Promise.all(names.map((name, i) => stream.append(Buffer.from(name), 1000 + i)));
  assert.deepEqual(
    answers,
    names.map((_, offset) => ({ offset, duplicate: false })),
  );
  assert.deepEqual(told, names);
  assert.deepEqual([stream.start, stream.end], [0, 3000]);
  stop();

  const hot = stream.read(10, 10_000);
  assert.ok(Array.isArray(hot), 'what is fresh does not wait');
  assert.equal(hot[0]?.offset, 10);
  assert.equal(hot[0]?.at, 1010);
  assert.deepEqual(text(await all(stream)), names);
  assert.deepEqual(stream.read(3000, 100), []);
  assert.equal((await stream.read(5, 1)).length, 1);
  await log.close();

  const { log: again } = await opened(t, dir);
  const cold = await again.open(spec());
  assert.deepEqual([cold.start, cold.end], [0, 3000]);
  assert.ok(!Array.isArray(cold.read(0, 100)));
  const entries = await all(cold, 0, 20_000);
  assert.deepEqual(text(entries), names);
  assert.deepEqual(
    entries.map(({ offset, at }) => at - offset),
    names.map(() => 1000),
  );
  assert.equal((await cold.append(Buffer.from('next'), 5000)).offset, 3000);
  // Across the seam of disk and memory.
  assert.deepEqual(text(await all(cold, 2990)), [...names.slice(2990), 'next']);
  assert.equal(told.length, 3000);
});

test('nothing is made before the first stream, no event file before the first event, and files are private', async (t) => {
  const dir = join(directory(t), 'events');
  const { log } = await opened(t, dir);
  assert.deepEqual(await log.keys(), []);
  assert.throws(() => statSync(dir), { code: 'ENOENT' });
  const stream = await log.open(spec());
  assert.deepEqual(readdirSync(filesOf(dir)), ['stream.json']);
  assert.deepEqual(await stream.read(0, 100), []);
  assert.equal(await stream.seek(0), 0);
  await stream.append(Buffer.from('x'), 1);
  assert.equal(statSync(join(filesOf(dir), '0000000000000000.log')).mode & 0o777, 0o600);
  assert.equal(statSync(dir).mode & 0o777, 0o700);
});

test('records of any size', async (t) => {
  const dir = directory(t);
  const { log } = await opened(t, dir, { hotBytes: MIB });
  const stream = await log.open(spec());
  const sizes = [1, 1_000_000, 3, 5_000_000, 262_144, 65_536, 2, 9_000_000, 100];
  const records = sizes.map((size, i) => Buffer.alloc(size, i + 1));
  for (const record of records) await stream.append(record, 0);
  await assert.rejects(stream.append(Buffer.alloc(0), 0), { code: 'InvalidArgument' });
  await log.close();
  const { log: again } = await opened(t, dir);
  const entries = await all(await again.open(spec()), 0, 1000);
  assert.ok(entries.every(({ record }, i) => record.equals(records[i]!)));
  assert.equal(entries.length, sizes.length);
});

test('memory for the newest is bounded over all streams; the rest is read from the disk', async (t) => {
  const { log } = await opened(t, directory(t), { hotBytes: MIB });
  const streams = await Promise.all(
    Array.from({ length: 20 }, (_, i) => log.open(spec({ key: `channel/default/c${i}` }))),
  );
  const record = (stream: number, i: number) => Buffer.from(`${stream}-${i}`.padEnd(1000, '.'));
  for (let i = 0; i < 300; i++) await Promise.all(streams.map((stream, s) => stream.append(record(s, i), i)));
  let memory = 0;
  for (const [s, stream] of streams.entries()) {
    const entries = await all(stream);
    assert.ok(entries.every((entry, i) => entry.offset === i && entry.record.equals(record(s, i))));
    assert.equal(entries.length, 300);
    if (Array.isArray(stream.read(299, 1))) memory++;
    assert.ok(!Array.isArray(stream.read(0, 1)));
  }
  assert.ok(memory > 0);
});

test('a stream of another uid begins anew, a removed one is gone, keys tell what is there', async (t) => {
  const dir = directory(t);
  const { log } = await opened(t, dir);
  const long = `broker/${'n'.repeat(63)}/${'b'.repeat(253)}`;
  const first = await log.open(spec());
  await (await log.open(spec({ key: long }))).append(Buffer.from('long'), 0);
  await first.append(Buffer.from('old'), 0);
  assert.deepEqual((await log.keys()).sort(), [long, 'broker/default/orders'].sort());
  assert.equal(await log.open(spec({ maxAgeMs: 5 })), first);
  assert.equal(first.spec.maxAgeMs, 5);
  const second = await log.open(spec({ uid: 'u2' }));
  assert.deepEqual([second.start, second.end], [0, 0]);
  await assert.rejects(first.append(Buffer.from('late'), 0), { code: 'NotReady' });
  await second.append(Buffer.from('new'), 0);
  await log.remove(long);
  assert.deepEqual(await log.keys(), ['broker/default/orders']);
  await log.remove('broker/default/none');
  await log.close();
  const { log: again } = await opened(t, dir);
  assert.deepEqual(text(await all(await again.open(spec({ uid: 'u2' })))), ['new']);
  assert.deepEqual(readdirSync(join(dir, 'streams')), ['broker~default~orders']);
});

test('a log of a newer version is refused', async (t) => {
  const dir = directory(t);
  const { log } = await opened(t, dir);
  await log.open(spec());
  const label = join(filesOf(dir), 'stream.json');
  writeFileSync(label, readFileSync(label, 'utf8').replace('"format":1', '"format":2'));
  await log.close();
  const { log: again } = await opened(t, dir);
  await assert.rejects(again.open(spec()), { code: 'StartFailed' });
});

test('an event that is repeated within the window is kept once, also across a start', async (t) => {
  const dir = directory(t);
  const clock = simulatedClock();
  const { log } = await opened(t, dir, { clock });
  const stream = await log.open(spec({ dedupMs: 60_000 }));
  const at = clock.now();
  const send = (to: typeof stream, key: string, time: number) => to.append(Buffer.from(key), time, key);
  assert.deepEqual(await Promise.all(['a', 'b', 'a', 'a'].map((key) => send(stream, key, at))), [
    { offset: 0, duplicate: false },
    { offset: 1, duplicate: false },
    { offset: 0, duplicate: true },
    { offset: 0, duplicate: true },
  ]);
  assert.deepEqual(await send(stream, 'b', at + 60_000), { offset: 1, duplicate: true });
  assert.deepEqual(await send(stream, 'b', at + 60_001), { offset: 2, duplicate: false });
  await stream.append(Buffer.from('no key'), at + 60_001);
  await log.close();

  await clock.advance(60_001);
  const { log: again } = await opened(t, dir, { clock });
  const reopened = await again.open(spec({ dedupMs: 60_000 }));
  assert.deepEqual(await send(reopened, 'b', clock.now()), { offset: 2, duplicate: true });
  assert.deepEqual(await send(reopened, 'a', clock.now()), { offset: 4, duplicate: false });
  reopened.update(spec({ dedupMs: 0 }));
  assert.equal((await send(reopened, 'a', clock.now())).duplicate, false);
});

test('keys of large events are found again after a start, and memory for keys is given back when they have left the window', async (t) => {
  const dir = directory(t);
  const clock = simulatedClock();
  const { log } = await opened(t, dir, { clock });
  const stream = await log.open(spec({ dedupMs: 60_000 }));
  for (let i = 0; i < 20; i++) await stream.append(Buffer.alloc(1 + i * 60_000, i), clock.now(), `key ${i}`);
  assert.equal(clock.pending(), 1);
  await clock.advance(60_001);
  assert.equal(clock.pending(), 0);
  for (let i = 0; i < 20; i++) await stream.append(Buffer.alloc(1 + i * 60_000, i), clock.now(), `key ${i}`);
  await log.close();
  const { log: again } = await opened(t, dir, { clock });
  const reopened = await again.open(spec({ dedupMs: 60_000 }));
  for (let i = 0; i < 20; i++)
    assert.deepEqual(await reopened.append(Buffer.from('x'), clock.now(), `key ${i}`), {
      offset: 20 + i,
      duplicate: true,
    });
});

test('the first event of a time or later is found, in memory of the index or without, whatever the clock did', async (t) => {
  const dir = directory(t);
  const { log } = await opened(t, dir);
  const small = spec({ maxBytes: MIB });
  const stream = await log.open(small);
  const times: number[] = [];
  const record = Buffer.alloc(2000);
  for (let i = 0; i < 1500; i++) {
    // The clock is set back in the middle.
    times.push(i < 700 ? 10_000 + i * 10 : 5000 + i * 10);
    await stream.append(record, times[i]!);
  }
  const expected = (at: number) => {
    const found = times.findIndex((time) => time >= at);
    return found < 0 ? times.length : found;
  };
  const probes = [0, 10_000, 10_001, 16_990, 16_991, 17_000, 19_990, 19_991];
  for (const at of probes) assert.equal(await stream.seek(at), expected(at), `at ${at}`);
  assert.ok(readdirSync(filesOf(dir)).filter((name) => name.endsWith('.log')).length > 5);
  await log.close();
  for (const name of readdirSync(filesOf(dir)).slice(0, 5))
    if (name.endsWith('.idx')) writeFileSync(join(filesOf(dir), name), 'no index');
  const { log: again } = await opened(t, dir);
  const reopened = await again.open(small);
  for (const at of probes) assert.equal(await reopened.seek(at), expected(at), `at ${at}, anew`);
  assert.equal((await all(reopened, 0, 5000)).length, 1500);
});

test('the memory of a record may be used again at once, also while keys of before the start are looked up', async (t) => {
  const dir = directory(t);
  const one = { dedupMs: 60_000 };
  const { log } = await opened(t, dir);
  const scratch = Buffer.alloc(5);
  const put = (stream: Stream, what: string) => {
    scratch.write(what);
    return stream.append(scratch, Date.now(), what);
  };
  const stream = await log.open(spec(one));
  assert.equal(stream.copies, true);
  await Promise.all(['first', 'other'].map((what) => put(stream, what)));
  await log.close();
  const { log: again } = await opened(t, dir);
  const next = await again.open(spec(one));
  await Promise.all(['third', 'forth'].map((what) => put(next, what)));
  assert.deepEqual(text(await all(next)), ['first', 'other', 'third', 'forth']);
});
