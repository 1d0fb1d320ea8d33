import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { PetrelError } from '../../base/errors.ts';
import { type RawEntry, rawTar, rawZip, temporaryDirectory } from '../testing/archives.ts';
import { DEFAULT_LIMITS } from './layout.ts';
import { unpackArchive } from './unpack.ts';

async function unpack(
  t: import('node:test').TestContext,
  bytes: Buffer,
  limits = DEFAULT_LIMITS,
): Promise<string> {
  const dir = await temporaryDirectory(t);
  await writeFile(join(dir, 'archive'), bytes);
  await unpackArchive(join(dir, 'archive'), join(dir, 'out'), limits);
  return join(dir, 'out');
}

test('a tar keeps contents and execute bits, drops set-user-id', async (t) => {
  const out = await unpack(
    t,
    rawTar([
      { name: './', flag: '5' },
      { name: './a.txt', body: 'alpha' },
      { name: 'bin/tool', body: '#!', mode: 0o4755 },
      { name: 'lib', link: 'bin/tool', flag: '2' },
      { name: 'same', link: 'a.txt', flag: '1' },
      { name: 'empty/', flag: '5' },
    ]),
  );
  assert.equal(await readFile(join(out, 'a.txt'), 'utf8'), 'alpha');
  assert.equal((await stat(join(out, 'bin/tool'))).mode & 0o7777, 0o755);
  assert.equal(await readlink(join(out, 'lib')), 'bin/tool');
  assert.equal(await readFile(join(out, 'same'), 'utf8'), 'alpha');
  assert.ok((await stat(join(out, 'empty'))).isDirectory());
});

for (const format of ['v7', 'gnu', 'oldgnu', 'ustar', 'posix']) {
  test(`GNU tar's ${format} format is read, names of every length included`, async (t) => {
    const dir = await temporaryDirectory(t);
    const long = format === 'v7' ? 'short' : `${'d'.repeat(60)}/${'e'.repeat(60)}`;
    await mkdir(join(dir, 'in', long), { recursive: true });
    await writeFile(join(dir, 'in', long, 'file.js'), 'x'.repeat(100_000));
    if (format !== 'v7' && format !== 'ustar') await writeFile(join(dir, 'in', 'ü'.repeat(80)), 'umlaut');
    await symlink('file.js', join(dir, 'in', long, 'link'));
    execFileSync('tar', ['-C', join(dir, 'in'), `--format=${format}`, '-czf', join(dir, 'a.tgz'), '.']);
    await unpackArchive(join(dir, 'a.tgz'), join(dir, 'out'));
    execFileSync('diff', ['-r', '--no-dereference', join(dir, 'in'), join(dir, 'out')]);
  });
}

test('a zip is read: files, modes, links', async (t) => {
  const out = await unpack(
    t,
    rawZip([
      { name: 'src/', body: '', mode: 0o040755 },
      { name: 'src/a.py', body: 'print(1)\n'.repeat(1000) },
      { name: 'run.sh', body: '#!/bin/sh', mode: 0o100755 },
      { name: 'main.py', body: 'src/a.py', mode: 0o120777 },
    ]),
  );
  assert.equal((await readFile(join(out, 'main.py'), 'utf8')).length, 9000);
  assert.equal((await stat(join(out, 'run.sh'))).mode & 0o777, 0o755);
});

const HOSTILE: [string, RawEntry[], RegExp][] = [
  ['dot-dot', [{ name: '../evil', body: 'x' }], /"\.\.\/evil" leaves the package/],
  ['dot-dot inside', [{ name: 'a/../../evil', body: 'x' }], /leaves the package/],
  ['absolute', [{ name: '/etc/evil', body: 'x' }], /"\/etc\/evil" has an absolute path/],
  ['absolute link', [{ name: 'l', flag: '2', link: '/etc/passwd' }], /"l" is a link to the absolute path/],
  [
    'link out',
    [{ name: 'd/l', flag: '2', link: '../../x' }],
    /"d\/l" is a link to "\.\.\/\.\.\/x", which leaves/,
  ],
  [
    'link out by way of a link',
    [
      { name: 'd/up', flag: '2', link: '..' },
      { name: 'l', flag: '2', link: 'd/up/../x' },
    ],
    /"l" is a link .* leaves/,
  ],
  [
    'link loop',
    [
      { name: 'a', flag: '2', link: 'b' },
      { name: 'b', flag: '2', link: 'a' },
    ],
    /never ends/,
  ],
  [
    'write through a link',
    [
      { name: 'd', flag: '2', link: 'real' },
      { name: 'd/f', body: 'x' },
    ],
    /"d\/f" would be written through the link "d"/,
  ],
  [
    'replace a file by a link and write to it',
    [
      { name: 'f', body: 'x' },
      { name: 'f', flag: '2', link: '../f' },
    ],
    /"f" occurs twice/,
  ],
  [
    'directory that is a file',
    [
      { name: 'f', body: 'x' },
      { name: 'f/g', body: 'x' },
    ],
    /"f\/g" lies below "f"/,
  ],
  ['hard link out', [{ name: 'h', flag: '1', link: '../../etc/passwd' }], /"\.\.\/\.\.\/etc\/passwd" leaves/],
  ['hard link to nothing', [{ name: 'h', flag: '1', link: 'later' }], /"h" is a hard link to "later"/],
  [
    'hard link to a link',
    [
      { name: 'l', flag: '2', link: 'x' },
      { name: 'h', flag: '1', link: 'l' },
    ],
    /"h" is a hard link to "l"/,
  ],
  ['character device', [{ name: 'null', flag: '3' }], /"null" is neither file, directory nor link/],
  ['block device', [{ name: 'sda', flag: '4' }], /neither/],
  ['pipe', [{ name: 'fifo', flag: '6' }], /neither/],
  ['cut short', [{ name: 'f', body: 'x', claims: 99_999 }], /ends in the middle of "f"/],
  [
    'huge pax header',
    [{ name: 'p', flag: 'x', claims: 1_000_000_000 }],
    /extended header of 1000000000 bytes/,
  ],
  [
    'pax path that leaves',
    [
      { name: 'p', flag: 'x', body: '17 path=../evil2\n' },
      { name: 'f', body: 'x' },
    ],
    /"\.\.\/evil2" leaves/,
  ],
  ['broken pax header', [{ name: 'p', flag: 'x', body: '99 path=x\n' }, { name: 'f' }], /wrong length/],
];

for (const [what, entries, message] of HOSTILE) {
  test(`refused: ${what}`, async (t) => {
    for (const bytes of [rawTar(entries), gzipSync(rawTar(entries))]) {
      const dir = await temporaryDirectory(t);
      await writeFile(join(dir, 'archive'), bytes);
      await mkdir(join(dir, 'jail'));
      await assert.rejects(unpackArchive(join(dir, 'archive'), join(dir, 'jail', 'out')), (error) => {
        assert.ok(error instanceof PetrelError);
        assert.equal(error.code, 'UnsafeArchive');
        assert.match(error.message, message);
        return true;
      });
      assert.deepEqual(await readdir(join(dir, 'jail')), ['out']);
      assert.deepEqual((await readdir(dir)).sort(), ['archive', 'jail']);
    }
  });
}

test('limits end a bomb early', async (t) => {
  const small = { maxEntries: 3, maxTotalBytes: 5000, maxFileBytes: 4000, maxPathBytes: 50 };
  const cases: [Buffer, RegExp][] = [
    [rawTar(Array.from({ length: 4 }, (_, i) => ({ name: `f${i}` }))), /limit of 3 entries/],
    [rawTar([{ name: 'f', body: 'x'.repeat(4001) }]), /"f" unpacks to 4001 bytes/],
    [
      rawTar([1, 2].map((i) => ({ name: `f${i}`, body: 'x'.repeat(3000) }))),
      /"f2" makes the package too large/,
    ],
    [rawTar([{ name: 'n'.repeat(51) }]), /limit of 50 bytes/],
    [rawZip([{ name: 'z', body: 'x'.repeat(100_000), claims: 10 }]), /larger than its directory says/],
  ];
  for (const [bytes, message] of cases) {
    const code = message.source.includes('directory') ? 'UnsafeArchive' : 'PackageTooLarge';
    await assert.rejects(unpack(t, bytes, small), { code, message });
  }
});

test('zip entries obey the same rules', async (t) => {
  await assert.rejects(unpack(t, rawZip([{ name: '../z', body: 'x' }])), {
    code: 'UnsafeArchive',
    message: /"\.\.\/z"/,
  });
  await assert.rejects(
    unpack(t, rawZip([{ name: 'l', body: '../../x', mode: 0o120777 }])),
    /leaves the package/,
  );
  await assert.rejects(unpack(t, rawZip([{ name: 'd', body: '', mode: 0o020666 }])), /neither/);
});

test('what is no archive is said to be none', async (t) => {
  await assert.rejects(unpack(t, Buffer.from('export default 1')), { code: 'UnsupportedSource' });
  await assert.rejects(unpack(t, gzipSync(Buffer.from('export default 1'))), { code: 'UnsafeArchive' });
  await assert.rejects(unpack(t, gzipSync(rawTar([{ name: 'f', body: 'x' }])).subarray(0, 60)), {
    code: 'UnsafeArchive',
  });
  await assert.rejects(unpack(t, Buffer.alloc(0)), { code: 'UnsupportedSource' });
});
