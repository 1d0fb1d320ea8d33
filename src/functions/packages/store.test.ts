import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import type { Digest } from '../../kinds/function.ts';
import { chunks, rawTar, temporaryDirectory } from '../testing/archives.ts';
import { createPackageStore, type PackageStoreOptions } from './store.ts';

const digestOf = (bytes: Buffer): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const HELLO = rawTar([{ name: 'hello.js', body: 'export default 1' }]);

async function store(t: TestContext, options: Partial<PackageStoreOptions> = {}) {
  const dir = options.dir ?? (await temporaryDirectory(t));
  return { dir, store: createPackageStore({ dir, ...options }) };
}

/** Everything the store keeps, by kind; work in progress must be empty when nothing is in progress. */
async function contents(dir: string) {
  const list = async (part: string) =>
    (await fs.readdir(join(dir, part)).catch(() => [])).filter((name) => name !== '.boot');
  return {
    archives: await list('archives'),
    unpacked: await list('unpacked'),
    incoming: [...(await list('incoming')), ...(await list('partial'))],
  };
}

test('a package is stored once, unpacked once, and found again by a new store', async (t) => {
  const { dir, store: first } = await store(t);
  const digest = digestOf(HELLO);
  assert.deepEqual(await first.put(chunks(HELLO), { digest }), {
    digest,
    bytes: HELLO.length,
    created: true,
  });
  assert.equal(first.ready(digest), join(dir, 'unpacked', digest.slice(7)));
  assert.equal(
    await fs.readFile(join(first.ready(digest) as string, 'hello.js'), 'utf8'),
    'export default 1',
  );

  const never = (async function* (): AsyncGenerator<Uint8Array> {
    yield assert.fail('a known package must not be read');
  })();
  assert.deepEqual(await first.put(never, { digest }), { digest, bytes: HELLO.length, created: false });
  assert.equal((await first.put(chunks(HELLO))).created, false);

  const second = createPackageStore({ dir });
  assert.equal(await second.directory(digest), join(dir, 'unpacked', digest.slice(7)));
  assert.deepEqual(await second.stat(digest), { bytes: HELLO.length });
  const { stream } = await second.read(digest);
  const read: Uint8Array[] = [];
  for await (const part of stream) read.push(part);
  assert.deepEqual(Buffer.concat(read), HELLO);
});

test('after a crash of the machine trees are unpacked anew', async (t) => {
  const { dir, store: first } = await store(t, { bootId: 'one' });
  const { digest } = await first.put(chunks(HELLO));
  await fs.writeFile(join(dir, 'unpacked', digest.slice(7), 'hello.js'), '');
  const second = createPackageStore({ dir, bootId: 'two' });
  const tree = await second.directory(digest);
  assert.equal(await fs.readFile(join(tree, 'hello.js'), 'utf8'), 'export default 1');
});

test('uploads of one package at once end in one', async (t) => {
  const { dir, store: s } = await store(t);
  const all = await Promise.all(Array.from({ length: 8 }, () => s.put(chunks(HELLO, 64))));
  assert.equal(new Set(all.map((one) => one.digest)).size, 1);
  const found = await contents(dir);
  assert.deepEqual([found.archives.length, found.unpacked.length, found.incoming.length], [1, 1, 0]);
});

test('an upload that begins while an equal one is being unpacked does not disturb it', async (t) => {
  const files = Array.from({ length: 300 }, (_, i) => ({ name: `f${i}.js`, body: `${i}`.repeat(2000) }));
  const archive = rawTar(files);
  const digest = digestOf(archive);
  for (let round = 0; round < 5; round++) {
    const { dir, store: one } = await store(t);
    let arrived = () => {};
    const first = one.put(
      (async function* () {
        yield* chunks(archive);
        setImmediate(() => arrived());
      })(),
      { digest },
    );
    await new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const others = Array.from({ length: 10 }, async (_, i) => {
      for (let turn = 0; turn < i * 3; turn++) await new Promise((resolve) => setImmediate(resolve));
      return one.put(chunks(archive), { digest });
    });
    for (const each of await Promise.all([first, ...others])) assert.equal(each.digest, digest);
    assert.deepEqual((await contents(dir)).incoming, []);
  }
});

test('whatever fails leaves nothing behind', async (t) => {
  const empty = { archives: [], unpacked: [], incoming: [] };
  const { dir, store: s } = await store(t, { maxBytes: 4096 });
  const bad = rawTar([{ name: '../x', body: 'x' }]);
  await assert.rejects(s.put(chunks(bad)), { code: 'UnsafeArchive' });
  await assert.rejects(s.put(chunks(HELLO), { digest: digestOf(bad) }), { code: 'DigestMismatch' });
  const broken = (async function* (): AsyncGenerator<Uint8Array> {
    yield HELLO.subarray(0, 100);
    throw new Error('connection lost');
  })();
  await assert.rejects(s.put(broken), /connection lost/);
  assert.deepEqual(await contents(dir), empty);

  let read = 0;
  const endless = (async function* (): AsyncGenerator<Uint8Array> {
    while (true) {
      read += 1024;
      yield Buffer.alloc(1024);
    }
  })();
  await assert.rejects(s.put(endless), { code: 'PackageTooLarge' });
  assert.equal(read, 5120);
  await assert.rejects(s.put(endless, { bytes: 2 ** 31 }), { code: 'PackageTooLarge' });
  assert.equal(read, 5120);
  assert.deepEqual(await contents(dir), empty);
});

test('a full disk is named as such', async (t) => {
  const { dir, store: s } = await store(t, {
    openFile: async (...args) => {
      const file = await fs.open(...args);
      file.writeFile = async () => {
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
      };
      return file;
    },
  });
  await assert.rejects(s.put(chunks(HELLO)), { code: 'DiskFull', fix: /PETREL_HOME/ });
  assert.deepEqual(await contents(dir), { archives: [], unpacked: [], incoming: [] });
});

test('a store opened after kill -9 in the middle of an upload forgets the half', async (t) => {
  const { dir, store: first } = await store(t);
  await first.put(chunks(HELLO));
  await fs.writeFile(join(dir, 'incoming', 'half'), 'x');
  const second = createPackageStore({ dir });
  await second.directory(digestOf(HELLO));
  assert.deepEqual((await contents(dir)).incoming, []);
});

test('collect removes what nobody refers to and nothing younger than asked', async (t) => {
  let time = Date.now();
  const { dir, store: s } = await store(t, { now: () => time });
  const other = rawTar([{ name: 'other.js', body: '2' }]);
  const used = await s.put(chunks(HELLO));
  const unused = await s.put(chunks(other));
  assert.equal(await s.collect(new Set([used.digest]), 3_600_000), 0);
  time += 3_600_001;
  await s.put(chunks(other));
  assert.equal(await s.collect(new Set([used.digest]), 3_600_000), 0, 'deployed again counts as new');
  time += 3_600_001;
  assert.equal(await s.collect(new Set([used.digest]), 3_600_000), other.length);
  assert.equal(s.ready(unused.digest), undefined);
  assert.equal(await s.stat(unused.digest), undefined);
  await assert.rejects(s.directory(unused.digest), { code: 'NotFound' });
  const found = await contents(dir);
  assert.deepEqual([found.archives.length, found.unpacked.length, found.incoming.length], [1, 1, 0]);
});

test('an upload that broke off goes on where it ended, also in another life', async (t) => {
  const { dir, store: first } = await store(t);
  const digest = digestOf(HELLO);
  const half = Math.floor(HELLO.length / 2);
  const broken = (async function* (): AsyncGenerator<Uint8Array> {
    yield HELLO.subarray(0, half);
    throw new Error('connection lost');
  })();
  await assert.rejects(first.put(broken, { digest }), /connection lost/);
  assert.equal(await first.begun(digest), half);
  const second = createPackageStore({ dir });
  assert.equal(await second.begun(digest), half);
  await assert.rejects(second.put(chunks(HELLO), { digest, offset: 7 }), { code: 'Conflict' });
  const rest = HELLO.subarray(half);
  const { created } = await second.put(chunks(rest), { digest, bytes: rest.length, offset: half });
  assert.equal(created, true);
  assert.equal(
    await fs.readFile(join(await second.directory(digest), 'hello.js'), 'utf8'),
    'export default 1',
  );
  assert.deepEqual((await contents(dir)).incoming, []);
});

test('what goes on with other bytes is refused, and begins anew', async (t) => {
  const { store: s } = await store(t);
  const digest = digestOf(HELLO);
  const broken = (async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(100, 'x');
    throw new Error('connection lost');
  })();
  await assert.rejects(s.put(broken, { digest }), /connection lost/);
  await assert.rejects(s.put(chunks(HELLO.subarray(100)), { digest, offset: 100 }), {
    code: 'DigestMismatch',
  });
  assert.equal(await s.begun(digest), 0);
  assert.equal((await s.put(chunks(HELLO), { digest })).created, true);
});

test('uploads that nobody goes on with are forgotten, and what was built goes with its package', async (t) => {
  let time = Date.now();
  const { store: s } = await store(t, { now: () => time });
  const broken = (async function* (): AsyncGenerator<Uint8Array> {
    yield HELLO.subarray(0, 10);
    throw new Error('connection lost');
  })();
  const digest = digestOf(HELLO);
  await assert.rejects(s.put(broken, { digest }), /connection lost/);
  const other = await s.put(chunks(rawTar([{ name: 'other.js', body: '2' }])));
  await s.keepBuilt('ab-cd', other.digest);
  assert.equal(await s.built('ab-cd'), other.digest);
  await s.collect(new Set(), 3_600_000);
  assert.equal(await s.begun(digest), 10);
  time += 25 * 3_600_000;
  await s.collect(new Set(), 3_600_000);
  assert.equal(await s.begun(digest), 0);
  assert.equal(await s.built('ab-cd'), undefined);
});

test('an archive is unpacked as it comes, and nothing of a bad one stays', async (t) => {
  const { dir, store: s } = await store(t, { maxBytes: 100_000 });
  const packed = zstdCompressSync(HELLO);
  const { digest, created } = await s.putStream(chunks(packed, 100));
  assert.deepEqual([digest, created], [digestOf(packed), true]);
  assert.equal(await fs.readFile(join(s.ready(digest) as string, 'hello.js'), 'utf8'), 'export default 1');
  assert.equal((await s.putStream(chunks(packed))).created, false);
  const bad = zstdCompressSync(rawTar([{ name: '../x', body: 'x' }]));
  await assert.rejects(s.putStream(chunks(bad)), { code: 'UnsafeArchive' });
  await assert.rejects(s.putStream(chunks(HELLO)), { code: 'UnsafeArchive' });
  const broken = (async function* (): AsyncGenerator<Uint8Array> {
    yield packed.subarray(0, 50);
    throw new Error('connection lost');
  })();
  await assert.rejects(s.putStream(broken), /connection lost/);
  const found = await contents(dir);
  assert.deepEqual([found.archives.length, found.unpacked.length, found.incoming.length], [1, 1, 0]);
});
