import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { elements } from '../../base/s3/xml.ts';
import { chunks, rawTar, temporaryDirectory } from '../testing/archives.ts';
import { KEYS, startS3 } from '../testing/s3.ts';
import { createS3Driver, type S3Options } from './s3-driver.ts';
import { createPackageStore } from './store.ts';

const HELLO = rawTar([{ name: 'hello.js', body: 'export default 1' }]);
const OTHER = rawTar([{ name: 'other.js', body: '2' }]);
const hexOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

async function world(t: TestContext, options: Partial<S3Options> = {}, now: () => number = Date.now) {
  const s3 = await startS3(t, 'packages', now);
  const driver = createS3Driver({
    endpoint: s3.endpoint,
    bucket: s3.bucket,
    prefix: 'team a/',
    region: 'eu-central-1',
    credentials: KEYS,
    exclusive: true,
    now,
    ...options,
  });
  const dir = await temporaryDirectory(t);
  const open = (at: string) => createPackageStore({ dir: join(dir, at), driver: async () => driver, now });
  return { s3, driver, dir, open };
}

test('a package is kept in the bucket, and found there by another platform', async (t) => {
  const { s3, open, dir } = await world(t);
  const first = open('one');
  const { digest } = await first.put(chunks(HELLO));
  assert.deepEqual([...s3.objects.keys()], [`team a/archives/${digest.slice(7)}`]);
  assert.deepEqual(await readdir(join(dir, 'one', 'incoming')), []);
  const second = open('two');
  assert.deepEqual(await second.stat(digest), { bytes: HELLO.length });
  assert.equal(await readFile(join(await second.directory(digest), 'hello.js'), 'utf8'), 'export default 1');
  assert.equal((await second.put(chunks(HELLO), { digest })).created, false);
  await first.keepBuilt('ab-cd', digest);
  assert.equal(await second.built('ab-cd'), digest);
  assert.equal(await second.built('ee-ff'), undefined);
});

test('a large one goes in parts, and is not seen before it is whole', async (t) => {
  const { s3, driver, dir } = await world(t, { partBytes: 100_000 });
  const bytes = randomBytes(250_000);
  const path = join(dir, 'large');
  await writeFile(path, bytes);
  await driver.put(hexOf(bytes), path, bytes.length);
  assert.equal(s3.requests.filter((line) => line.includes('partNumber=')).length, 3);
  const found = await driver.read(hexOf(bytes));
  const parts: Uint8Array[] = [];
  for await (const part of found?.stream ?? []) parts.push(part);
  assert.deepEqual(Buffer.concat(parts), bytes);
  assert.equal(s3.uploads.size, 0);
});

test('a busy store is asked again; one that refuses says why', async (t) => {
  const { s3, driver, dir } = await world(t);
  s3.state.busy = 1;
  assert.equal(await driver.bytesOf('00'), undefined);
  const path = join(dir, 'file');
  await writeFile(path, HELLO);
  const wrong = createS3Driver({
    endpoint: s3.endpoint,
    bucket: s3.bucket,
    prefix: '',
    region: 'x',
    credentials: { ...KEYS, secretAccessKey: 'other' },
    exclusive: false,
  });
  await assert.rejects(wrong.put(hexOf(HELLO), path, HELLO.length), {
    code: 'Unauthorized',
    why: /SignatureDoesNotMatch/,
  });
  const nowhere = createS3Driver({
    endpoint: s3.endpoint,
    bucket: 'nowhere',
    prefix: '',
    region: 'x',
    credentials: KEYS,
    exclusive: false,
  });
  await assert.rejects(nowhere.put(hexOf(HELLO), path, HELLO.length), {
    code: 'NotReady',
    fix: /make the bucket nowhere/,
  });
});

test('bytes that somebody has changed are not run', async (t) => {
  const { s3, open } = await world(t);
  const { digest } = await open('one').put(chunks(HELLO));
  s3.objects.set(`team a/archives/${digest.slice(7)}`, { body: OTHER, at: 0 });
  await assert.rejects(open('two').directory(digest), { code: 'DigestMismatch' });
});

test('who has the place alone collects there; who shares it does not', async (t) => {
  let time = Date.now();
  const { s3, open } = await world(t, {}, () => time);
  const store = open('one');
  const used = await store.put(chunks(HELLO));
  const unused = await store.put(chunks(OTHER));
  await store.keepBuilt('aa', unused.digest);
  await store.keepBuilt('bb', used.digest);
  await store.put(chunks(rawTar([{ name: 'third.js', body: '3' }])));
  time += 3_600_001;
  assert.ok((await store.collect(new Set([used.digest]), 3_600_000)) > OTHER.length);
  assert.deepEqual([...s3.objects.keys()].sort(), [
    `team a/archives/${used.digest.slice(7)}`,
    'team a/builds/bb',
  ]);
  assert.equal(await store.stat(unused.digest), undefined);

  const shared = await world(t, { exclusive: false }, () => time);
  const second = shared.open('two');
  await second.put(chunks(OTHER));
  time += 3_600_001;
  await second.collect(new Set(), 3_600_000);
  assert.equal(shared.s3.objects.size, 1);
});

test('answers are read without a parser', () => {
  assert.deepEqual(elements('<a><Key>x&amp;y</Key></a><a><Key>z</Key></a>', 'Key'), ['x&y', 'z']);
});
