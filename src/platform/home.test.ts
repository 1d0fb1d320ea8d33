import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { PetrelError } from '../base/errors.ts';
import { fileError, homePaths, prepareHome, readRecord, removeRecord, writeRecord } from './home.ts';

const DIR = mkdtempSync(join(tmpdir(), 'petrel-home-'));
after(() => rmSync(DIR, { recursive: true }));
const code = (expected: string) => (error: unknown) =>
  error instanceof PetrelError && error.code === expected;

test('the flag wins over PETREL_HOME, which wins over ~/.petrel', () => {
  const env = { HOME: '/home/ada', PETREL_HOME: '/srv/petrel' };
  assert.equal(homePaths('/flag', env).dir, '/flag');
  assert.equal(homePaths(undefined, env).dir, '/srv/petrel');
  assert.equal(homePaths(undefined, { HOME: '/home/ada' }).dir, '/home/ada/.petrel');
});

test('sockets are inside the home, and elsewhere when its path is too long for one', () => {
  assert.equal(homePaths('/srv/p', {}).socket, '/srv/p/run/platform.sock');
  const long = `/srv/${'x'.repeat(60)}`;
  const { runDir } = homePaths(long, {});
  assert.ok(runDir.startsWith(join(tmpdir(), `petrel-${process.getuid?.()}-`)));
  assert.notEqual(runDir, homePaths(`${long}y`, {}).runDir);
  assert.ok(`${runDir}/pods/00000000-0000-0000-0000-000000000000/i.sock`.length <= 107);
});

test("the folders are this user's alone, also when the home was open before", () => {
  const home = homePaths(join(DIR, 'open'), {});
  mkdirSync(home.dir);
  chmodSync(home.dir, 0o755);
  prepareHome(home);
  for (const folder of [home.dir, home.runDir, home.logs, home.pki]) {
    assert.equal(statSync(folder).mode & 0o777, 0o700, folder);
  }
  prepareHome(home);
});

test('a file in the place of the home, or of its parent, is told', () => {
  writeFileSync(join(DIR, 'file'), '');
  assert.throws(() => prepareHome(homePaths(join(DIR, 'file'), {})), code('HomeNotWritable'));
  assert.throws(() => prepareHome(homePaths(join(DIR, 'file/below'), {})), code('HomeNotWritable'));
});

test('folders above it are made; where none can be made that is told at once', () => {
  const deep = homePaths(join(DIR, 'one/two/three'), {});
  prepareHome(deep);
  assert.ok(statSync(deep.packages).isDirectory());
  assert.throws(() => prepareHome(homePaths('/proc/petrel/home', {})), code('HomeNotWritable'));
  assert.throws(() => prepareHome(homePaths('/proc/petrel', {})), code('HomeNotWritable'));
});

test('failures of the file system become errors with a fix', () => {
  const failure = (name: string) => Object.assign(new Error(name), { code: name, path: '/x' });
  for (const name of ['EACCES', 'EPERM', 'EROFS'])
    assert.ok(code('HomeNotWritable')(fileError(failure(name), '/x')), name);
  for (const name of ['ENOSPC', 'EDQUOT']) assert.ok(code('DiskFull')(fileError(failure(name), '/x')), name);
  const other = new Error('other');
  assert.equal(fileError(other, '/x'), other);
});

test('the record is what was written, for this user alone; a damaged one counts as none', () => {
  const home = homePaths(join(DIR, 'record'), {});
  prepareHome(home);
  assert.equal(readRecord(home), undefined);
  const record = {
    pid: 1,
    role: 'all' as const,
    gateway: '127.0.0.1:1',
    api: '127.0.0.1:2',
    home: home.dir,
    kubeconfig: home.kubeconfig,
    version: '0',
    startedAt: '2026-01-01T00:00:00Z',
  };
  writeRecord(home, record);
  assert.deepEqual(readRecord(home), record);
  assert.equal(statSync(home.record).mode & 0o777, 0o600);
  writeFileSync(home.record, '{"pid":');
  assert.equal(readRecord(home), undefined);
  removeRecord(home);
  removeRecord(home);
});
