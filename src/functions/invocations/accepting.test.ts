/** What is accepted, on its way from the journal into the file, with real files. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import { newId } from './dispatcher.ts';
import { type InvocationStore, openInvocationStore } from './store.ts';
import type { NewInvocation } from './types.ts';

function directory(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'pa-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function open(dir: string): { store: InvocationStore; stored: string[] } {
  const stored: string[] = [];
  const store = openInvocationStore({
    path: join(dir, 'i.db'),
    clock: systemClock,
    log: silentLogger,
    stored: ({ id }) => stored.push(id),
  });
  return { store, stored };
}

const invocation = (body: string | Uint8Array, key?: string): NewInvocation => ({
  id: newId(),
  target: 'default/f',
  url: null,
  acceptedAt: Date.now(),
  due: Date.now(),
  depth: 0,
  request: { method: 'POST', path: '/', headers: [['x-a', 'b']], body: Buffer.from(body) },
  ...(key === undefined ? {} : { dedup: { key, until: Date.now() + 3_600_000 } }),
});

const bodyOf = (store: InvocationStore, id: string) =>
  Buffer.from(store.request(store.get(id)?.seq ?? 0)?.body ?? []).toString();

/** The journal takes records as soon as its files are made: until then everything goes the other way. */
async function withJournal(dir: string): Promise<void> {
  const { store } = open(dir);
  await store.close();
}

test('without power before the file was flushed: what was acknowledged comes from the journal', async (t) => {
  const dir = directory(t);
  await withJournal(dir);
  const before = join(directory(t), 'before');
  cpSync(dir, before, { recursive: true });
  const { store } = open(dir);
  const ids: string[] = [];
  for (let i = 0; i < 20; i++) {
    const [one] = await store.accept([invocation(`n${i}`, i === 7 ? 'seven' : undefined)]);
    ids.push(one?.id ?? '');
  }
  const lost = directory(t);
  // The file as it was before all of it, the journal as it is.
  cpSync(before, lost, { recursive: true });
  for (const part of ['a', 'b'])
    cpSync(join(dir, `i.db-accepted-${part}`), join(lost, `i.db-accepted-${part}`));
  await store.close();

  const again = open(lost);
  // Known from the beginning, also to who asks with its key.
  const [same] = await again.store.accept([invocation('other', 'seven')]);
  assert.deepEqual(same, { id: ids[7], duplicate: true });
  await again.store.arriving(ids[19] ?? '');
  await again.store.settled();
  assert.deepEqual(again.stored, ids);
  assert.deepEqual(
    ids.map((id) => bodyOf(again.store, id)),
    ids.map((_, i) => `n${i}`),
  );
  await again.store.close();
  const third = open(lost);
  await third.store.settled();
  assert.deepEqual(third.stored, []);
  await third.store.close();
});

test('what is in the file is not taken from the journal again, even when it is over or gone', async (t) => {
  const dir = directory(t);
  await withJournal(dir);
  const { store } = open(dir);
  const [over, gone] = await store.accept([invocation('over'), invocation('gone')]);
  await store.settled();
  const end = { do: 'finish' as const, at: 1, reason: null, follow: [] };
  await store.run({ ...end, id: over?.id ?? '', state: 'succeeded', expires: Date.now() + 60_000 });
  await store.run({ ...end, id: gone?.id ?? '', state: 'dead', expires: Date.now() + 60_000 });
  await store.run({ do: 'purge', id: gone?.id ?? '' });
  const killed = join(directory(t), 'killed');
  cpSync(dir, killed, { recursive: true });
  await store.close();
  const again = open(killed);
  await again.store.settled();
  assert.deepEqual(again.stored, []);
  assert.equal(again.store.get(over?.id ?? '')?.state, 'succeeded');
  assert.equal(again.store.get(gone?.id ?? ''), undefined);
  await again.store.close();
});

test('the same key at the same time is one invocation, and so it is in one batch', async (t) => {
  const { store, stored } = open(directory(t));
  const [[first], [second, , third]] = await Promise.all([
    store.accept([invocation('a', 'k')]),
    store.accept([invocation('b', 'k'), invocation('c'), invocation('d', 'k')]),
  ]);
  assert.deepEqual(second, { id: first?.id, duplicate: true });
  assert.deepEqual(third, second);
  await store.settled();
  assert.equal(stored.length, 2);
  assert.equal(bodyOf(store, first?.id ?? ''), 'a');
  assert.equal(store.arriving(first?.id ?? ''), undefined);
  await store.close();
});

test('what is too large for the journal is in the file when it is acknowledged', async (t) => {
  const dir = directory(t);
  await withJournal(dir);
  const { store } = open(dir);
  const [large] = await store.accept([invocation(Buffer.alloc(1024 * 1024, 'x'))]);
  assert.equal(store.arriving(large?.id ?? ''), undefined);
  assert.equal(bodyOf(store, large?.id ?? '').length, 1024 * 1024);
  await store.close();
});

test('a file of before there was a journal is brought up to date', async (t) => {
  const dir = directory(t);
  const { store } = open(dir);
  const [one] = await store.accept([invocation('kept')]);
  await store.close();
  const { DatabaseSync } = await import('node:sqlite');
  const old = new DatabaseSync(join(dir, 'i.db'));
  old.exec('DROP TABLE journal; PRAGMA user_version = 1');
  old.close();
  const again = open(dir);
  assert.equal(bodyOf(again.store, one?.id ?? ''), 'kept');
  const [two] = await again.store.accept([invocation('new')]);
  await again.store.settled();
  assert.equal(bodyOf(again.store, two?.id ?? ''), 'new');
  await again.store.close();
});
