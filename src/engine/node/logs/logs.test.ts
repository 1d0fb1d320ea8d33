import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentLogger } from '../../../base/log.ts';
import { createLineCutter, MAX_PIECE, parseLine } from './format.ts';
import { type ReadOptions, readLog } from './reader.ts';
import { createLogStore } from './store.ts';
import { createLogWriter, type LogLimits } from './writer.ts';

const base = mkdtempSync(join(tmpdir(), 'petrel-logs-'));
after(() => rmSync(base, { recursive: true, force: true }));
let files = 0;
const NOW = Date.parse('2026-01-02T03:04:05.678Z');

const write = (limits: Partial<LogLimits> = {}, now = () => NOW) => {
  const path = join(base, `${files++}`, '0.log');
  return { path, writer: createLogWriter({ path, now, log: silentLogger, limits }) };
};
const read = async (path: string, options: ReadOptions = {}, writer?: ReturnType<typeof createLogWriter>) => {
  let text = '';
  for await (const chunk of readLog(path, options, writer)) text += chunk.toString();
  return text;
};

test('lines are cut where they end, whatever the chunks', () => {
  let lines = '';
  const cutter = createLineCutter('stdout', (parts, bytes) => {
    const line = Buffer.concat(parts);
    assert.equal(line.length, bytes);
    lines += line;
  });
  for (const chunk of ['a', 'b\nc', '\n', '\nd', 'é'.repeat(200), '!']) cutter.push(Buffer.from(chunk), 'T');
  cutter.end('T');
  assert.equal(lines, `T stdout F ab\nT stdout F c\nT stdout F \nT stdout F d${'é'.repeat(200)}!\n`);
});

test('a line without an end is written in pieces and read back as one', async () => {
  const long = 'x'.repeat(MAX_PIECE * 2 + 5);
  const { path, writer } = write();
  for (const part of [long.slice(0, 10), long.slice(10), '\nnext\n'])
    writer.write('stderr', Buffer.from(part));
  await writer.close();
  const tags = readFileSync(path, 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[2]);
  assert.deepEqual(tags, ['P', 'P', 'F', 'F', undefined]);
  assert.equal(await read(path), `${long}\nnext\n`);
});

test('the format is that of CRI', async () => {
  const { path, writer } = write();
  writer.write('stdout', Buffer.from('héllo wörld\n'));
  await writer.close();
  assert.equal(readFileSync(path, 'utf8'), '2026-01-02T03:04:05.678000000Z stdout F héllo wörld\n');
  assert.equal(parseLine(Buffer.from('no log line')), undefined);
});

test('more than a block of output is written as it came, over files', async () => {
  const { path, writer } = write({ maxFileBytes: 100_000, maxFiles: 5 });
  const all = Array.from({ length: 4000 }, (_, line) => `${line} ${'v'.repeat(line % 61)}\n`).join('');
  for (let at = 0; at < all.length; at += 33_333) {
    writer.write('stdout', Buffer.from(all.slice(at, at + 33_333)));
    await writer.flush();
  }
  await writer.close();
  assert.ok(readdirSync(join(path, '..')).length > 1);
  assert.equal(await read(path), all);
});

test('what is printed costs no memory of its own', async () => {
  const { writer } = write({ maxFileBytes: 1024 * 1024, maxFiles: 2 });
  const chunk = Buffer.from(
    'a line of the usual length, as programs print them by the million\n'.repeat(900),
  );
  const round = async () => {
    for (let at = 0; at < 20; at++) writer.write('stdout', chunk);
    await writer.flush();
  };
  await round();
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let at = 0; at < 40; at++) {
    await round();
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  await writer.close();
  assert.ok(most < 4 * 1024 * 1024, `${most} bytes for 47 MB`);
});

test('no output, no file, an empty log', async () => {
  const { path, writer } = write();
  await writer.close();
  assert.throws(() => readFileSync(path));
  assert.equal(await read(path), '');
});

test('files are set aside at their size, the oldest goes, the rest is read in order', async () => {
  const { path, writer } = write({ maxFileBytes: 200, maxFiles: 3 });
  for (let line = 0; line < 32; line++) {
    writer.write('stdout', Buffer.from(`line ${line}\n`));
    await writer.flush();
  }
  await writer.close();
  assert.deepEqual(readdirSync(join(path, '..')).sort(), ['0.log', '0.log.1', '0.log.2']);
  const lines = (await read(path)).trim().split('\n');
  assert.equal(lines.at(-1), 'line 31');
  assert.ok(lines.length < 32 && lines.length > 5);
  assert.equal(await read(path, { tailLines: lines.length - 1 }), `${lines.slice(1).join('\n')}\n`);
});

test('tail counts lines from the end, across the borders of chunks', async () => {
  const { path, writer } = write();
  const all = Array.from({ length: 5000 }, (_, line) => `${line} ${'y'.repeat(line % 97)}`);
  writer.write('stdout', Buffer.from(`${all.join('\n')}\n`));
  await writer.close();
  for (const count of [0, 1, 2, 999, 4999, 5000, 6000]) {
    const text = await read(path, { tailLines: count });
    assert.equal(text, count === 0 ? '' : `${all.slice(-count).join('\n')}\n`, String(count));
  }
});

test('following sees every line once, over rotations, and ends with the run', async () => {
  const { path, writer } = write({ maxFileBytes: 300, maxFiles: 5 });
  writer.write('stdout', Buffer.from('before\n'));
  const reading = read(path, { follow: true }, writer);
  for (let line = 0; line < 40; line++) {
    writer.write('stdout', Buffer.from(`line ${line}\n`));
    await writer.flush();
    // The reader may be up to the files kept behind; it gets its turns as a real one would.
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  await writer.close();
  assert.equal(
    await reading,
    `before\n${Array.from({ length: 40 }, (_, line) => `line ${line}\n`).join('')}`,
  );
});

test('following ends when the reader leaves', async () => {
  const { path, writer } = write();
  const leave = new AbortController();
  const reading = read(path, { follow: true, signal: leave.signal }, writer);
  setImmediate(() => leave.abort());
  assert.equal(await reading, '');
  await writer.close();
});

test('since, time stamps and a limit of bytes', async () => {
  let now = NOW;
  const { path, writer } = write({}, () => now);
  writer.write('stdout', Buffer.from('old\n'));
  now += 5000;
  writer.write('stdout', Buffer.from('new\n'));
  await writer.close();
  assert.equal(await read(path, { since: NOW + 1 }), 'new\n');
  assert.equal(
    await read(path, { since: NOW + 1, timestamps: true }),
    '2026-01-02T03:04:10.678000000Z new\n',
  );
  assert.equal(await read(path, { limitBytes: 6 }), 'old\nne');
});

test('who waits for room when asked to loses nothing, and waits for no disk for ever', async () => {
  const { path, writer } = write({ maxPendingBytes: 10_000 });
  let waited = 0;
  for (let line = 0; line < 200; line++) {
    const room = writer.write('stdout', Buffer.from(`${line} ${'w'.repeat(400)}\n`));
    if (room) waited++;
    await room;
  }
  await writer.close();
  assert.ok(waited > 0);
  assert.equal((await read(path)).split('\n').length, 201);

  const slow = write({ maxPendingBytes: 100, holdMs: 1 });
  await slow.writer.write('stdout', Buffer.from(`${'w'.repeat(60)}\n`));
  await slow.writer.close();
});

test('output faster than the disk is dropped and counted, not kept in memory', async () => {
  const { path, writer } = write({ maxPendingBytes: 1000 });
  for (let line = 0; line < 100; line++) writer.write('stdout', Buffer.from(`${'z'.repeat(60)}\n`));
  await writer.close();
  const text = await read(path);
  assert.match(text, /\[\d+ bytes of output dropped/);
  assert.ok(text.length < 1500);
});

test('logs of Pods that are gone are kept up to a total, the oldest go first', async () => {
  const dir = join(base, 'store');
  const store = createLogStore({
    dir,
    goneDir: join(base, 'gone'),
    now: () => NOW,
    log: silentLogger,
    maxGoneBytes: 25,
  });
  for (const [index, uid] of ['one', 'two', 'three', 'live'].entries()) {
    const path = join(dir, `ns_p_${uid}`, 'c');
    await mkdir(path, { recursive: true });
    writeFileSync(join(path, '0.log'), '0123456789');
    await utimes(join(path, '0.log'), index + 1, index + 1);
  }
  await store.prune(new Set(['live']));
  assert.deepEqual(readdirSync(dir).sort(), ['ns_p_live', 'ns_p_three', 'ns_p_two']);
});

test('runs before the previous one are removed', async () => {
  const dir = join(base, 'runs');
  const store = createLogStore({ dir, goneDir: join(base, 'gone'), now: () => NOW, log: silentLogger });
  const owner = { namespace: 'ns', pod: 'p', uid: 'u', container: 'c' };
  for (let run = 0; run < 4; run++) {
    const writer = store.begin(owner, run);
    writer.write('stdout', Buffer.from(`run ${run}\n`));
    await writer.close();
  }
  assert.deepEqual(
    readdirSync(join(dir, 'ns_p_u', 'c'))
      .sort()
      .slice(-2),
    ['2.log', '3.log'],
  );
  let text = '';
  for await (const chunk of store.read(owner, 3, {})) text += chunk;
  assert.equal(text, 'run 3\n');
});
