import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type RawEntry, rawTar } from '../../../functions/testing/archives.ts';
import { accountOf } from './accounts.ts';
import { resolveInRoot } from './in-root.ts';
import { LAYER_LIMITS, unpackLayer } from './layer.ts';
import { mergeLayers } from './tree.ts';

function scratch(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'petrel-layers-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const unpack = async (dir: string, entries: RawEntry[], limits = LAYER_LIMITS) => {
  mkdirSync(dir, { recursive: true });
  return unpackLayer(
    (async function* () {
      yield rawTar(entries);
    })(),
    dir,
    undefined,
    limits,
  );
};

/** The tree of these layers. */
async function tree(t: TestContext, ...layers: RawEntry[][]): Promise<string> {
  const dir = scratch(t);
  const dirs: string[] = [];
  for (const [index, entries] of layers.entries()) {
    dirs.push(join(dir, String(index)));
    await unpack(dirs[index] as string, entries);
  }
  await mergeLayers(dirs, join(dir, 'root'));
  return join(dir, 'root');
}

const folder = (name: string, mode = 0o755): RawEntry => ({ name: `${name}/`, flag: '5', mode });
const link = (name: string, to: string): RawEntry => ({ name, flag: '2', link: to });

test('what a layer has hides what is below it, and what it removes is gone', async (t) => {
  const root = await tree(
    t,
    [
      { name: 'a', body: 'old' },
      { name: 'b', body: 'b' },
      { name: 'etc/one', body: '1' },
      { name: 'etc/two', body: '2' },
      { name: 'var/cache/x', body: 'x' },
      folder('thing'),
      { name: 'thing/inside', body: 'i' },
    ],
    [
      { name: 'a', body: 'new' },
      { name: '.wh.b' },
      { name: 'etc/.wh.one' },
      { name: 'var/cache/.wh..wh..opq' },
      { name: 'var/cache/y', body: 'y' },
      { name: 'thing', body: 'a file now' },
    ],
  );
  assert.equal(readFileSync(join(root, 'a'), 'utf8'), 'new');
  assert.deepEqual(readdirSync(root).sort(), ['a', 'etc', 'thing', 'var']);
  assert.deepEqual(readdirSync(join(root, 'etc')), ['two']);
  assert.deepEqual(readdirSync(join(root, 'var/cache')), ['y']);
  assert.equal(readFileSync(join(root, 'thing'), 'utf8'), 'a file now');
});

test('a directory that is a link below is filled where the link leads; second names reach into lower layers', async (t) => {
  const root = await tree(
    t,
    [folder('usr'), folder('usr/bin'), link('bin', 'usr/bin'), { name: 'usr/bin/sh', body: 'sh' }],
    [folder('bin'), { name: 'bin/ls', body: 'ls' }, { name: 'bin/dash', flag: '1', link: 'usr/bin/sh' }],
    [{ name: 'bin/.wh.ls' }],
  );
  assert.equal(readlinkSync(join(root, 'bin')), 'usr/bin');
  assert.deepEqual(readdirSync(join(root, 'usr/bin')).sort(), ['dash', 'sh']);
  assert.equal(readFileSync(join(root, 'bin/dash'), 'utf8'), 'sh');
});

test('equal files of two images are kept once', async (t) => {
  const dir = scratch(t);
  await unpack(join(dir, 'layer'), [{ name: 'big', body: 'b'.repeat(100_000) }]);
  for (const name of ['one', 'two']) await mergeLayers([join(dir, 'layer')], join(dir, name));
  assert.equal(statSync(join(dir, 'one/big')).ino, statSync(join(dir, 'two/big')).ino);
});

test('modes stay, but no right of another user; devices are left out', async (t) => {
  const root = await tree(t, [
    { name: 'su', body: '#!', mode: 0o6755 },
    folder('tmp', 0o1777),
    folder('closed', 0o500),
    { name: 'closed/file', body: 'x', mode: 0o600 },
    { name: 'dev/sda', flag: '4' },
  ]);
  assert.equal(statSync(join(root, 'su')).mode & 0o7777, 0o755);
  assert.equal(statSync(join(root, 'tmp')).mode & 0o7777, 0o1777);
  assert.equal(statSync(join(root, 'closed')).mode & 0o077, 0);
  assert.equal(statSync(join(root, 'closed/file')).mode & 0o7777, 0o600);
  assert.equal(existsSync(join(root, 'dev/sda')), false);
});

test('a later entry of a layer replaces an earlier one', async (t) => {
  const root = await tree(t, [
    { name: 'x', body: 'first' },
    { name: 'x', body: 'second' },
    link('y', 'x'),
    folder('y'),
    { name: 'y/z', body: 'z' },
  ]);
  assert.equal(readFileSync(join(root, 'x'), 'utf8'), 'second');
  assert.ok(lstatSync(join(root, 'y')).isDirectory());
});

test('nothing leads out of the image: neither names nor links, in one layer or over several', async (t) => {
  const dir = scratch(t);
  const outside = join(dir, 'outside');
  mkdirSync(outside);
  await assert.rejects(unpack(join(dir, 'dots'), [{ name: '../outside/x', body: 'x' }]), {
    code: 'UnsafeArchive',
  });
  await unpack(join(dir, 'absolute'), [{ name: `${outside}/x`, body: 'x' }]);
  await unpack(join(dir, 'l1'), [link('up', '../../../../outside'), link('abs', outside)]);
  await unpack(join(dir, 'l2'), [
    { name: 'up/x', body: 'x' },
    { name: 'abs/x', body: 'x' },
    { name: 'abs/.wh.keep' },
  ]);
  await unpack(join(dir, 'l3'), [link('self', outside), { name: 'self/x', body: 'x' }]);
  await unpack(join(dir, 'l4'), [link('hard', outside), { name: 'taken', flag: '1', link: 'hard/secret' }]);
  await mergeLayers(
    ['l1', 'l2', 'l3', 'l4'].map((name) => join(dir, name)),
    join(dir, 'root'),
  );
  assert.deepEqual(readdirSync(outside), []);
  assert.equal(readFileSync(join(dir, 'root', outside.slice(1), 'x'), 'utf8'), 'x', 'it is in the image');
  assert.equal(existsSync(join(dir, 'root/taken')), false);
  await assert.rejects(
    unpack(join(dir, 'circle'), [link('a', 'b'), link('b', 'a'), { name: 'a/x', body: 'x' }]),
    { code: 'UnsafeArchive' },
  );
});

test('a layer that is too much ends early', async (t) => {
  const dir = scratch(t);
  const many = Array.from({ length: 20 }, (_, i) => ({ name: `f${i}`, body: 'x' }));
  await assert.rejects(unpack(join(dir, 'many'), many, { ...LAYER_LIMITS, entries: 10 }), {
    code: 'PackageTooLarge',
  });
  await assert.rejects(
    unpack(join(dir, 'large'), [{ name: 'f', body: 'x'.repeat(2000) }], { ...LAYER_LIMITS, bytes: 1000 }),
    { code: 'PackageTooLarge' },
  );
});

test('paths are resolved within the root', () => {
  const links: Record<string, string> = { a: '/b', 'b/c': '../../../d', loop: 'loop' };
  const resolve = (path: string) => resolveInRoot(path, (one) => links[one]);
  assert.equal(resolve('/a/x'), 'b/x');
  assert.equal(resolve('a/c/y'), 'd/y');
  assert.equal(resolve('../../x'), 'x');
  assert.equal(resolve('loop/x'), undefined);
});

test('users of an image are found by its own names', async (t) => {
  const root = await tree(t, [
    {
      name: 'etc/passwd',
      body: 'root:x:0:0::/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\nbad:x:x:::\n',
    },
    { name: 'etc/group', body: 'staff:x:50:\n' },
  ]);
  const cases: [string | undefined, object][] = [
    [undefined, { home: '/root' }],
    ['root', { home: '/root' }],
    ['0:0', { home: '/root' }],
    ['node', { user: '1000:1001', home: '/home/node' }],
    ['1000', { user: '1000:1001', home: '/home/node' }],
    ['node:staff', { user: '1000:50', home: '/home/node' }],
    ['77:88', { user: '77:88', home: '/' }],
    ['77', { user: '77', home: '/' }],
    ['nobody-knows', { home: '/' }],
  ];
  for (const [user, expected] of cases) assert.deepEqual(accountOf(root, user), expected, String(user));
});
