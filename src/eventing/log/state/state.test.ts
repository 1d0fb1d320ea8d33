import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { type Clock, simulatedClock, systemClock } from '../../../base/clock.ts';
import { silentLogger } from '../../../base/log.ts';
import type { DeadRow, EngineState, Parked, Position } from './contract.ts';
import { openState } from './index.ts';

function fileIn(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'ps-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'state.db');
}

async function opened(t: TestContext, path: string, clock: Clock = systemClock): Promise<EngineState> {
  const state = await openState({ path, clock, log: silentLogger });
  t.after(() => state.close());
  return state;
}

const position = (uid: string, low: number, above: number[] = []): Position => ({
  uid,
  subscription: `trigger/default/${uid}`,
  stream: 'broker/default/b',
  low,
  above,
  since: 1,
});

const parked = (change: Partial<Parked> = {}): Omit<Parked, 'id'> => ({
  subscription: 'trigger/default/a',
  stream: 'broker/default/b',
  offset: 2 ** 40,
  at: 1_700_000_000_000,
  attempts: 1,
  due: 1000,
  phase: 'subscriber',
  record: Buffer.from('record'),
  ...change,
});

const dead = (change: Partial<DeadRow> = {}): Omit<DeadRow, 'id'> => ({
  subscription: 'trigger/default/a',
  stream: 'broker/default/b',
  offset: 7,
  at: 1,
  diedAt: 2,
  attempts: 4,
  status: 500,
  reason: 'it said no',
  record: Buffer.from('record'),
  ...change,
});

test('positions are written after a moment, the newest of each, and by flush and close', async (t) => {
  const path = fileIn(t);
  const clock = simulatedClock();
  const state = await opened(t, path, clock);
  const committed = () => {
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      return database
        .prepare('SELECT uid, low FROM position ORDER BY uid')
        .all()
        .map(({ uid, low }) => `${uid}:${low}`);
    } finally {
      database.close();
    }
  };
  for (let low = 1; low <= 100; low++) state.savePosition(position('a', low));
  state.savePosition(position('b', 2 ** 45, [3, 4, 9, 9]));
  assert.deepEqual(committed(), []);
  assert.equal(clock.pending(), 1);
  await clock.advance(1000);
  await state.flush();
  for (let i = 0; i < 1000 && committed().length < 2; i++) await new Promise((done) => setTimeout(done, 2));
  assert.deepEqual(committed(), ['a:100', `b:${2 ** 45}`]);
  assert.equal(clock.pending(), 0);
  state.savePosition(position('a', 101));
  await state.flush();
  assert.deepEqual(committed(), ['a:101', `b:${2 ** 45}`]);
  state.dropPosition('b');
  state.savePosition(position('c', 1));
  state.savePosition(position('d', 1));
  state.dropPosition('d');
  await state.close();
  const again = await opened(t, path);
  assert.deepEqual(again.positions(), [position('a', 101), position('c', 1)]);
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('what waits comes back as it was, in the order in which it is due, of one subscription, bounded', async (t) => {
  const path = fileIn(t);
  const state = await opened(t, path);
  const pool = Buffer.from('in a larger buffer: record');
  const ids = await state.park(
    [
      parked({ due: 3000, record: pool.subarray(20) }),
      parked({
        due: 1000,
        phase: 'deadLetter',
        lastStatus: 503,
        lastError: 'no',
        lastBody: Buffer.from('body'),
      }),
      parked({ due: 2000 }),
      parked({ due: 500, subscription: 'trigger/default/other' }),
    ],
    position('a', 5, [7, 8]),
  );
  assert.equal(new Set(ids).size, 4);
  assert.equal(state.nextDue('trigger/default/a'), 1000);
  assert.equal(state.nextDue('trigger/default/none'), undefined);
  assert.equal(state.parkedCount('trigger/default/a'), 3);
  assert.deepEqual(state.due('trigger/default/a', 2000, 10), [
    {
      ...parked({ due: 1000, phase: 'deadLetter' }),
      id: ids[1],
      lastStatus: 503,
      lastError: 'no',
      lastBody: Buffer.from('body'),
    },
    { ...parked({ due: 2000 }), id: ids[2] },
  ]);
  assert.deepEqual(
    state.due('trigger/default/a', 9000, 2).map(({ id }) => id),
    [ids[1], ids[2]],
  );
  await state.repark(ids[1]!, { attempts: 2, due: 9000, phase: 'deadLetter', lastStatus: 500 });
  await state.unpark([ids[2]!, 999]);
  assert.equal(state.parkedCount('trigger/default/a'), 2);
  await state.close();

  const again = await opened(t, path);
  assert.deepEqual(again.positions(), [position('a', 5, [7, 8])]);
  assert.deepEqual(again.due('trigger/default/a', 9000, 10), [
    { ...parked({ due: 3000 }), id: ids[0] },
    { ...parked({ due: 9000, phase: 'deadLetter', attempts: 2 }), id: ids[1], lastStatus: 500 },
  ]);
  assert.equal(again.parkedCount('trigger/default/a'), 2);
  assert.equal(again.parkedCount('trigger/default/other'), 1);
  // Ids are not used twice: somebody may still hold an old one.
  assert.ok((await again.park([parked()]))[0]! > Math.max(...ids));
  const large = Buffer.alloc(3_000_000);
  await again.park([1, 2, 3].map((due) => parked({ subscription: 'trigger/default/l', due, record: large })));
  assert.equal(again.due('trigger/default/l', 9, 10).length, 1);
});

test('a death takes the waiting delivery away and moves the position, in one commit', async (t) => {
  const path = fileIn(t);
  const state = await opened(t, path);
  const [id] = await state.park([parked()]);
  state.savePosition(position('a', 3));
  const [first] = await state.bury([{ row: dead(), parked: id! }], position('a', 4));
  assert.equal(state.parkedCount('trigger/default/a'), 0);
  assert.equal(state.nextDue('trigger/default/a'), undefined);
  const [second, third] = await state.bury([
    { row: dead({ subscription: 'trigger/shop/a', status: undefined, reason: 'silent' }) },
    { row: dead({ subscription: 'subscription/default/s' }) },
  ]);
  await state.flush();
  assert.deepEqual(state.positions(), [position('a', 4)]);

  assert.deepEqual(state.dead({ namespace: 'default', limit: 10 }), [
    { ...dead(), id: first },
    { ...dead({ subscription: 'subscription/default/s' }), id: third },
  ]);
  const { status: _, ...silent } = dead({ subscription: 'trigger/shop/a', reason: 'silent' });
  assert.deepEqual(state.dead({ subscription: 'trigger/shop/a', limit: 10 }), [{ ...silent, id: second }]);
  const ids = (rows: DeadRow[]) => rows.map((row) => row.id);
  assert.deepEqual(ids(state.dead({ limit: 2 })), [first, second]);
  assert.deepEqual(ids(state.dead({ limit: 2, after: second })), [third]);
  assert.deepEqual(ids(state.dead({ limit: 2, newest: true })), [third, second]);
  assert.deepEqual(ids(state.dead({ limit: 9, ids: [third!, first!, 77] })), [first, third]);
  assert.deepEqual(ids(state.dead({ limit: 9, ids: [third!, first!], namespace: 'shop' })), []);
  assert.equal(await state.exhume([first!, 77]), 1);
  assert.equal(await state.exhume([]), 0);
  assert.deepEqual(ids(state.dead({ limit: 9 })), [second, third]);
});

test('a checkpoint is what was saved last, also while it is written, and goes with its source', async (t) => {
  const path = fileIn(t);
  const state = await opened(t, path);
  assert.equal(state.checkpoint('kafka/default/k'), undefined);
  const saved = state.saveCheckpoint('kafka/default/k', { at: 1 });
  assert.deepEqual(state.checkpoint('kafka/default/k'), { at: 1 });
  await saved;
  assert.deepEqual(state.checkpoint('kafka/default/k'), { at: 1 });
  await Promise.all([
    state.saveCheckpoint('kafka/default/k', [2]),
    state.saveCheckpoint('ping/default/p', 'x'),
  ]);
  state.dropCheckpoint('ping/default/p');
  assert.equal(state.checkpoint('ping/default/p'), undefined);
  await state.close();
  const again = await opened(t, path);
  assert.deepEqual(again.checkpoint('kafka/default/k'), [2]);
  assert.equal(again.checkpoint('ping/default/p'), undefined);
});

test('what belongs to nobody is forgotten; dead letters stay until somebody takes them', async (t) => {
  const state = await opened(t, fileIn(t));
  await state.park([
    parked(),
    parked({ subscription: 'trigger/default/gone' }),
    parked({ subscription: 'kafkasource/default/k' }),
  ]);
  await state.saveCheckpoint('kafkasource/default/k', 1);
  await state.saveCheckpoint('kafkasource/default/gone', 1);
  await state.bury([{ row: dead({ subscription: 'trigger/default/gone' }) }]);
  state.savePosition(position('a', 1));
  state.savePosition(position('gone', 1));
  await state.flush();
  state.savePosition(position('gone', 2));
  await state.sweep({
    subscriptions: new Set(['trigger/default/a']),
    sources: new Set(['kafkasource/default/k']),
  });
  await state.flush();
  assert.deepEqual(state.positions(), [position('a', 1)]);
  assert.equal(state.parkedCount('trigger/default/gone'), 0);
  assert.equal(state.nextDue('trigger/default/gone'), undefined);
  assert.equal(state.parkedCount('kafkasource/default/k'), 1);
  assert.equal(state.checkpoint('kafkasource/default/gone'), undefined);
  assert.equal(state.checkpoint('kafkasource/default/k'), 1);
  assert.equal(state.dead({ limit: 9 }).length, 1);
});

test('a full disk refuses what must be safe, and positions are written when there is room', async (t) => {
  const path = fileIn(t);
  const dir = dirname(path);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=500k', 'tmpfs', dir]).status !== 0)
    return t.skip('needs the right to mount a small file system');
  const clock = simulatedClock();
  const state = await openState({ path, clock, log: silentLogger });
  try {
    let count = 0;
    await assert.rejects(
      async () => {
        for (; count < 100; count++) await state.park([parked({ record: Buffer.alloc(20_000) })]);
      },
      { code: 'DiskFull' },
    );
    assert.ok(count > 0);
    assert.equal(state.parkedCount('trigger/default/a'), count);
    for (let uid = 0; uid < 3000; uid++) state.savePosition(position(`${uid}`, 1, [2, 3]));
    await assert.rejects(state.flush(), { code: 'DiskFull' });
    state.savePosition(position('7', 5));
    spawnSync('mount', ['-o', 'remount,size=20m', dir]);
    assert.equal(clock.pending(), 1);
    await clock.advance(5000);
    await state.flush();
    await state.park([parked()]);
    const positions = state.positions();
    assert.equal(positions.length, 3000);
    assert.equal(positions.find(({ uid }) => uid === '7')?.low, 5);
    assert.equal(state.parkedCount('trigger/default/a'), count + 1);
    assert.equal(clock.pending(), 0);
  } finally {
    await state.close();
    spawnSync('umount', [dir]);
  }
});
