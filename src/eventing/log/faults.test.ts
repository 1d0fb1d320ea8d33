import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Files, systemFiles } from './files.ts';
import { frameBytes } from './frame.ts';
import { all, directory, filesOf, MIB, opened, spec, text } from './testing/log.ts';

const SEGMENT = '0000000000000000.log';
const failure = (code: string) => Object.assign(new Error(`${code}: the disk says so`), { code });

test('a tail torn at any length is cut: what was whole before it is there', async (t) => {
  const dir = directory(t);
  const { log } = await opened(t, dir);
  const stream = await log.open(spec());
  for (const name of ['first', 'second', 'the third']) await stream.append(Buffer.from(name), 1, name);
  const path = join(filesOf(dir), SEGMENT);
  const whole = readFileSync(path);
  const ends = [0, ...['first', 'second', 'the third'].map((name) => frameBytes(name.length, false))];
  for (let i = 1; i < ends.length; i++) ends[i]! += ends[i - 1]!;
  assert.equal(ends.at(-1), whole.length);
  const copy = directory(t);
  cpSync(dir, copy, { recursive: true });
  const target = join(filesOf(copy), SEGMENT);
  for (let length = 0; length <= whole.length; length++) {
    for (const rest of [Buffer.alloc(0), Buffer.alloc(50), Buffer.alloc(50, 0xff)]) {
      rmSync(target.replace('.log', '.idx'), { force: true });
      writeFileSync(target, Buffer.concat([whole.subarray(0, length), rest]));
      const { log: after, said } = await opened(t, copy);
      const reopened = await after.open(spec());
      const kept = ends.filter((end) => end <= length).length - 1;
      assert.deepEqual(text(await all(reopened)), ['first', 'second', 'the third'].slice(0, kept));
      assert.equal(statSync(target).size, ends[kept]);
      // Zeros behind whole entries are room that was kept ready.
      const torn = length > ends[kept]! || rest.some((byte) => byte !== 0);
      assert.equal(said.length > 0, torn);
      assert.equal((await reopened.append(Buffer.from('more'), 2)).offset, kept);
      assert.deepEqual(text(await all(reopened)).at(-1), 'more');
      await after.close();
    }
  }
});

test('what is damaged in the middle is skipped, told of, and takes nothing else with it', async (t) => {
  const dir = directory(t);
  const limits = spec({ maxBytes: MIB });
  const { log } = await opened(t, dir);
  const stream = await log.open(limits);
  const names = Array.from({ length: 800 }, (_, i) => `${i}`.padEnd(1000, '.'));
  for (const name of names) await stream.append(Buffer.from(name), 1);
  await log.close();
  const files = readdirSync(filesOf(dir)).filter((name) => name.endsWith('.log'));
  assert.ok(files.length >= 3);
  const frame = frameBytes(1000, false);
  const wound = (name: string, position: number, bytes: Buffer) => {
    const content = readFileSync(join(filesOf(dir), name));
    bytes.copy(content, position);
    writeFileSync(join(filesOf(dir), name), content);
  };
  // A record, the length of another, a stretch over several; and one in the segment that is read at the start.
  wound(files[0]!, frame * 10 + 500, Buffer.from('damage'));
  wound(files[0]!, frame * 20, Buffer.from([0xff, 0xff, 0xff, 0x3f]));
  wound(files[1]!, frame * 5 + 100, Buffer.alloc(frame * 3));
  wound(files.at(-1)!, frame + 200, Buffer.from('damage'));
  for (const name of readdirSync(filesOf(dir)))
    if (name.endsWith('.idx')) writeFileSync(join(filesOf(dir), name), '');
  const lost = new Set([
    10,
    20,
    ...[5, 6, 7, 8].map((i) => i + Number(files[1]!.slice(0, 16))),
    1 + Number(files.at(-1)!.slice(0, 16)),
  ]);
  const { log: again, said } = await opened(t, dir);
  const reopened = await again.open(limits);
  assert.equal(reopened.end, 800);
  const entries = await all(reopened, 0, 10_000);
  assert.deepEqual(
    entries.map(({ offset }) => offset),
    names.map((_, i) => i).filter((i) => !lost.has(i)),
  );
  assert.ok(entries.every(({ offset, record }) => record.toString() === names[offset]));
  const told = said.filter((message) => message.includes('damaged')).length;
  assert.ok(told >= 4, said.join('\n'));
  await all(reopened, 0, 10_000);
  assert.equal(said.length, told, 'once for each place');
});

test('a stream whose label is damaged keeps its events', async (t) => {
  const dir = directory(t);
  const { log } = await opened(t, dir);
  await (await log.open(spec())).append(Buffer.from('kept'), 1);
  await log.close();
  const label = join(filesOf(dir), 'stream.json');
  for (const damage of [() => writeFileSync(label, '{"form'), () => rmSync(label)]) {
    damage();
    const { log: again, said } = await opened(t, dir);
    assert.deepEqual(text(await all(await again.open(spec()))), ['kept']);
    assert.equal(said.length, 1);
    assert.deepEqual(await again.keys(), ['broker/default/orders']);
    await again.close();
  }
});

test('a middle file that is short or gone costs its own events', async (t) => {
  const dir = directory(t);
  const limits = spec({ maxBytes: MIB });
  const { log } = await opened(t, dir);
  const stream = await log.open(limits);
  for (let i = 0; i < 1200; i++) await stream.append(Buffer.alloc(1000, 1), 1);
  await log.close();
  const files = readdirSync(filesOf(dir)).filter((name) => name.endsWith('.log'));
  const first = (i: number) => Number(files[i]!.slice(0, 16));
  truncateSync(join(filesOf(dir), files[1]!), frameBytes(1000, false) * 7 + 3);
  truncateSync(join(filesOf(dir), files[2]!), 0);
  const { log: again } = await opened(t, dir);
  const offsets = (await all(await again.open(limits))).map(({ offset }) => offset);
  const expected = Array.from({ length: 1200 }, (_, i) => i).filter((i) => i < first(1) + 7 || i >= first(3));
  assert.deepEqual(offsets, expected);
});

test('a full disk refuses, keeps what was acknowledged and nothing else, and goes on when there is room', async (t) => {
  const dir = directory(t);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir]).status !== 0)
    return t.skip('needs the right to mount a small file system');
  const { log } = await opened(t, dir);
  try {
    const stream = await log.open(spec({ dedupMs: 60_000 }));
    const kept: string[] = [];
    let refused = 0;
    for (let round = 0; refused === 0 && round < 100; round++) {
      const names = Array.from({ length: 10 }, (_, i) => `${round}-${i}`.padEnd(7000, '.'));
      const now = Date.now();
      const answers = await Promise.allSettled(
        names.map((name) => stream.append(Buffer.from(name), now, name)),
      );
      for (const [i, answer] of answers.entries()) {
        if (answer.status === 'fulfilled') {
          assert.equal(answer.value.offset, kept.length);
          kept.push(names[i]!);
        } else {
          assert.equal(answer.reason.code, 'DiskFull');
          refused++;
        }
      }
    }
    assert.ok(refused > 0 && kept.length > 0);
    assert.deepEqual(text(await all(stream)), kept);
    spawnSync('mount', ['-o', 'remount,size=8m', dir]);
    // It was not kept, so it is no duplicate.
    const retried = await stream.append(Buffer.from('again'), Date.now(), 'again');
    assert.deepEqual(retried, { offset: kept.length, duplicate: false });
    await log.close();
    const { log: reopened } = await opened(t, dir);
    assert.deepEqual(text(await all(await reopened.open(spec()))), [...kept, 'again']);
    await reopened.close();
  } finally {
    await log.close();
    spawnSync('umount', [dir]);
  }
});

test('a refused event is no duplicate when it comes again', async (t) => {
  let full = true;
  const files: Files = {
    ...systemFiles,
    write: (fd, parts, position) =>
      full && position === 0 && parts[0]!.length > 100
        ? Promise.reject(failure('ENOSPC'))
        : systemFiles.write(fd, parts, position),
  };
  const { log } = await opened(t, directory(t), { files });
  const stream = await log.open(spec({ dedupMs: 60_000 }));
  const send = () => stream.append(Buffer.alloc(200, 1), Date.now(), 'key');
  const refusals = await Promise.allSettled([send(), send()]);
  assert.ok(refusals.every((one) => one.status === 'rejected' && one.reason.code === 'DiskFull'));
  full = false;
  assert.deepEqual(await Promise.all([send(), send()]), [
    { offset: 0, duplicate: false },
    { offset: 0, duplicate: true },
  ]);
});

test('after a failed flush the file is left, and the same events go to a new one', async (t) => {
  const dir = directory(t);
  let failing = 0;
  const written: number[] = [];
  const files: Files = {
    ...systemFiles,
    async write(fd, parts, position) {
      await systemFiles.write(fd, parts, position);
      // As fsync fails: the bytes are in the file, for now.
      if (failing > 0 && parts[0]!.includes('event')) {
        failing--;
        written.push(fd);
        throw failure('EIO');
      }
    },
    truncate: () => Promise.reject(failure('EIO')),
  };
  const { log, said } = await opened(t, dir, { files });
  const stream = await log.open(spec());
  await stream.append(Buffer.from('event 0'), 1);
  failing = 1;
  const during = await Promise.all([1, 2].map((i) => stream.append(Buffer.from(`event ${i}`), 1)));
  assert.deepEqual(
    during.map(({ offset }) => offset),
    [1, 2],
  );
  assert.ok(said.some((message) => message.includes('a new file is begun')));
  // Failing in the new one as well is an answer, and the next append tries again, even where nothing was written before.
  failing = 2;
  await assert.rejects(stream.append(Buffer.from('event lost'), 1), { code: 'Internal' });
  assert.equal((await stream.append(Buffer.from('event 3'), 1)).offset, 3);
  const names = ['event 0', 'event 1', 'event 2', 'event 3'];
  assert.deepEqual(text(await all(stream)), names);
  await log.close();
  const { log: again } = await opened(t, dir);
  const reopened = await again.open(spec());
  assert.deepEqual(text(await all(reopened)), names);
  assert.equal((await reopened.append(Buffer.from('event 4'), 1)).offset, 4);
});

test('a disk that hangs takes a bounded amount of memory with it', async (t) => {
  const hanging = Promise.withResolvers<void>();
  let hangs = false;
  const files: Files = {
    ...systemFiles,
    async write(fd, parts, position) {
      if (hangs) await hanging.promise;
      await systemFiles.write(fd, parts, position);
    },
  };
  const { log } = await opened(t, directory(t), { files });
  const streams = await Promise.all(
    ['a', 'b'].map((name) => log.open(spec({ key: `broker/default/${name}` }))),
  );
  for (const stream of streams) await stream.append(Buffer.from('x'), 1);
  hangs = true;
  const record = Buffer.alloc(4 * MIB, 1);
  const waiting = Array.from({ length: 15 }, (_, i) => streams[i % 2]!.append(record, 1));
  waiting.push(streams[0]!.append(record, 1));
  await assert.rejects(streams[1]!.append(Buffer.from('x'), 1), { code: 'NotReady' });
  hanging.resolve();
  assert.equal((await Promise.all(waiting)).length, 16);
  await streams[1]!.append(Buffer.from('x'), 1);
});

test('a reader that throws stops nobody', async (t) => {
  const { log, said } = await opened(t, directory(t));
  const stream = await log.open(spec());
  let told = 0;
  stream.onAppend(() => {
    throw new Error('broken');
  });
  stream.onAppend((entries) => {
    told += entries.length;
  });
  assert.equal((await stream.append(Buffer.from('a'), 1)).offset, 0);
  assert.equal(told, 1);
  assert.equal(said.length, 1);
});
