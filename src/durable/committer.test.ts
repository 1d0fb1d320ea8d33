import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { createCommitter } from './committer.ts';
import { durable, type NoteCommand } from './testing/notes.ts';

const MODULE = new URL('./testing/notes.ts', import.meta.url).href;

function directory(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'pc-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
const open = (path: string) => createCommitter<NoteCommand, number>({ path, file: durable, module: MODULE });
const count = (path: string): unknown => {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    return database.prepare('SELECT count(*) AS n FROM note').get()?.n;
  } finally {
    database.close();
  }
};

test('commands are answered with their results, in order, when another connection can read them', async (t) => {
  const path = join(directory(t), 'notes.db');
  const committer = open(path);
  const ids = await Promise.all(Array.from({ length: 2500 }, (_, i) => committer.run({ add: `${i}` })));
  assert.deepEqual(
    ids,
    Array.from({ length: 2500 }, (_, i) => i + 1),
  );
  assert.equal(count(path), 2500);
  assert.equal(committer.reader.prepare('SELECT text FROM note WHERE id = 7').get()?.text, '6');
  assert.throws(() => committer.reader.exec('DELETE FROM note'), /readonly/);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  await committer.close();
  await assert.rejects(committer.run({ add: 'late' }), { code: 'Internal' });
  const again = open(path);
  assert.equal(await again.run({ add: 'more' }), 2501);
  await again.close();
});

test('a patient command is committed alone after a moment, and what is queued at the end is not lost', async (t) => {
  const path = join(directory(t), 'notes.db');
  const committer = open(path);
  assert.equal(await committer.run({ add: 'a' }, { patient: true }), 1);
  const [patient, urgent] = [committer.run({ add: 'b' }, { patient: true }), committer.run({ add: 'c' })];
  assert.deepEqual(await Promise.all([patient, urgent]), [2, 3]);
  const late = committer.run({ add: 'd' }, { patient: true });
  await committer.close();
  assert.equal(await late, 4);
  assert.equal(count(path), 4);
});

test('a command that throws undoes its group and nothing else', async (t) => {
  const path = join(directory(t), 'notes.db');
  const committer = open(path);
  await committer.run({ add: 'before' });
  const group = await Promise.allSettled([committer.run({ add: 'with' }), committer.run({ fail: 'broken' })]);
  assert.deepEqual(
    group.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  await committer.run({ add: 'after' });
  assert.equal(count(path), 2);
  await committer.close();
});

test('a file of a newer version is refused', async (t) => {
  const path = join(directory(t), 'notes.db');
  await open(path).close();
  const database = new DatabaseSync(path);
  database.exec('PRAGMA user_version = 3');
  database.close();
  assert.throws(() => open(path), { code: 'StartFailed' });
});

test('a full disk refuses, keeps what was acknowledged, and goes on when there is room', async (t) => {
  const dir = directory(t);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=400k', 'tmpfs', dir]).status !== 0)
    return t.skip('needs the right to mount a small file system');
  const path = join(dir, 'notes.db');
  const committer = open(path);
  try {
    let written = 0;
    await assert.rejects(
      async () => {
        for (; written < 100; written++) await committer.run({ add: 'x'.repeat(20_000) });
      },
      { code: 'DiskFull' },
    );
    assert.ok(written > 0);
    spawnSync('mount', ['-o', 'remount,size=8m', dir]);
    assert.equal(await committer.run({ add: 'room' }), written + 1);
  } finally {
    await committer.close();
    spawnSync('umount', [dir]);
  }
});
