import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { parseIgnore } from './ignore.ts';
import { type PackedSource, packDirectory } from './pack.ts';
import { createPackageStore } from './packages/store.ts';
import { temporaryDirectory } from './testing/archives.ts';

async function tree(root: string, files: Record<string, string>): Promise<string> {
  for (const [name, body] of Object.entries(files)) {
    await fs.mkdir(dirname(join(root, name)), { recursive: true });
    await fs.writeFile(join(root, name), body);
  }
  return root;
}

async function listing(packed: PackedSource, dir: string): Promise<string[]> {
  const path = join(dir, 'out.tar');
  const parts: Uint8Array[] = [];
  for await (const part of packed.stream()) parts.push(part);
  await fs.writeFile(path, zstdDecompressSync(Buffer.concat(parts)));
  return execFileSync('tar', ['-tf', path], { encoding: 'utf8' }).trim().split('\n');
}

test('equal trees give equal bytes, whatever order and time they were written in', async (t) => {
  const dir = await temporaryDirectory(t);
  const one = await tree(join(dir, 'one'), { 'b.js': '2', 'a/x.js': '1', 'a.js': '3' });
  const two = await tree(join(dir, 'two'), { 'a.js': '3', 'a/x.js': '1', 'b.js': '2' });
  await fs.utimes(join(two, 'a.js'), 1, 1);
  await fs.chmod(join(two, 'a.js'), 0o600);
  const first = await packDirectory(one);
  const second = await packDirectory(two);
  assert.equal(first.digest, second.digest);
  assert.deepEqual(await listing(first, dir), ['a/', 'a/x.js', 'a.js', 'b.js']);
  await fs.chmod(join(two, 'b.js'), 0o755);
  assert.notEqual((await packDirectory(two)).digest, first.digest);
});

test('an extra file is added, or takes the place of the one at the top', async (t) => {
  const dir = await temporaryDirectory(t);
  const root = await tree(join(dir, 'in'), { Procfile: 'web: old', 'sub/Procfile': 'kept', server: '1' });
  const packed = await packDirectory(root, { extra: { Procfile: 'web: new' } });
  assert.deepEqual(await listing(packed, dir), ['server', 'sub/', 'sub/Procfile', 'Procfile']);
  assert.equal(
    execFileSync('tar', ['-xOf', join(dir, 'out.tar'), 'Procfile'], { encoding: 'utf8' }),
    'web: new',
  );
});

test('one file is packaged under its own name', async (t) => {
  const dir = await tree(await temporaryDirectory(t), { 'hello.ts': 'export default 1', 'other.ts': 'x' });
  const packed = await packDirectory(join(dir, 'hello.ts'));
  assert.deepEqual(await listing(packed, dir), ['hello.ts']);
  assert.equal(packed.files, 1);
});

test('what goes in comes out of the store: long names, links, large files', async (t) => {
  const dir = await temporaryDirectory(t);
  const root = await tree(join(dir, 'in'), {
    [`${'n'.repeat(120)}/${'m'.repeat(200)}/ö.js`]: 'deep',
    'node_modules/a/index.js': '1',
  });
  await fs.writeFile(join(root, 'large.bin'), randomBytes(9_000_000));
  await fs.mkdir(join(root, 'node_modules/.bin'));
  await fs.symlink('../a/index.js', join(root, 'node_modules/.bin/a'));
  await fs.symlink(join(root, 'node_modules'), join(root, 'absolute'));
  const packed = await packDirectory(root, { temporaryDirectory: dir });
  const store = createPackageStore({ dir: join(dir, 'store') });
  await store.put(packed.stream(), { digest: packed.digest, bytes: packed.bytes });
  const out = await store.directory(packed.digest);
  assert.equal(await fs.readlink(join(out, 'absolute')), 'node_modules');
  await fs.rm(join(root, 'absolute'));
  await fs.symlink('node_modules', join(root, 'absolute'));
  execFileSync('diff', ['-r', '--no-dereference', root, out]);
  const left = async () => (await fs.readdir(dir)).filter((name) => name.startsWith('petrel-package-'));
  assert.equal((await left()).length, 1);
  await packed.dispose();
  assert.deepEqual(await left(), []);
});

test('.git and what .petrelignore names stay out', async (t) => {
  const dir = await temporaryDirectory(t);
  const root = await tree(join(dir, 'in'), {
    '.petrelignore': '# comment\n*.log\n/build/\n!keep.log\ntest/**/data\n',
    '.git/config': 'x',
    'sub/.git/config': 'x',
    'a.log': 'x',
    'sub/b.log': 'x',
    'keep.log': 'x',
    'build/x': 'x',
    'sub/build/x': 'x',
    'test/deep/er/data': 'x',
    'index.js': 'x',
  });
  const names = await listing(await packDirectory(root), dir);
  assert.deepEqual(
    names.filter((name) => !name.endsWith('/')),
    ['index.js', 'keep.log', 'sub/build/x'],
  );
});

test('links that leave are refused, pipes are reported', async (t) => {
  const dir = await temporaryDirectory(t);
  const root = await tree(join(dir, 'in'), { 'index.js': 'x' });
  execFileSync('mkfifo', [join(root, 'pipe')]);
  assert.deepEqual((await packDirectory(root)).skipped, ['pipe']);
  for (const target of ['../secret', '/etc/passwd']) {
    await fs.symlink(target, join(root, 'link'));
    await assert.rejects(packDirectory(root), { code: 'UnsafeArchive', message: /"link"/ });
    await fs.rm(join(root, 'link'));
  }
});

test('bad sources are named', async (t) => {
  const dir = await temporaryDirectory(t);
  await assert.rejects(packDirectory(join(dir, 'no.ts')), { code: 'FileNotFound' });
  await assert.rejects(packDirectory(dir), { code: 'UnsupportedSource' });
  await assert.rejects(packDirectory('/dev/null'), { code: 'UnsupportedSource' });
  const root = await tree(join(dir, 'in'), { 'index.js': randomBytes(50_000).toString('hex') });
  await assert.rejects(packDirectory(root, { maxBytes: 10_000 }), { code: 'PackageTooLarge' });
});

const PATTERNS: [string, string, boolean, boolean][] = [
  ['*.log', 'a/b.log', false, true],
  ['*.log', 'a/b.logs', false, false],
  ['/a.js', 'b/a.js', false, false],
  ['/a.js', 'a.js', false, true],
  ['a/b', 'x/a/b', false, false],
  ['**/b', 'x/y/b', false, true],
  ['a/**', 'a/b/c', false, true],
  ['a/**/c', 'a/c', false, true],
  ['build/', 'build', false, false],
  ['build/', 'x/build', true, true],
  ['[ab].js', 'b.js', false, true],
  ['[!ab].js', 'b.js', false, false],
  ['a?.js', 'ab.js', false, true],
  ['a?.js', 'a/.js', false, false],
  ['\\#x', '#x', false, true],
  ['*\n!a', 'a', false, false],
  ['a.b', 'aXb', false, false],
];
test('ignore patterns mean what gitignore says', () => {
  for (const [pattern, path, directory, ignored] of PATTERNS) {
    assert.equal(parseIgnore(pattern)(path, directory), ignored, `${pattern} on ${path}`);
  }
});
