import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createRegistry } from '../../../base/oci/registry.ts';
import { chunks, rawTar, temporaryDirectory } from '../../testing/archives.ts';
import { startRegistry } from '../../testing/registry.ts';
import { createPackageStore } from '../store.ts';
import { createOciDriver } from './driver.ts';

const HELLO = rawTar([{ name: 'hello.js', body: 'export default 1' }]);
const OTHER = rawTar([{ name: 'other.js', body: '2' }]);

async function world(t: TestContext, login?: string, now: () => number = Date.now) {
  const server = await startRegistry(t, login ? { login } : {});
  const registry = (as = login) =>
    createRegistry({ url: server.url, repository: 'team/packages', ...(as ? { login: as } : {}) });
  const dir = await temporaryDirectory(t);
  const open = (at: string) =>
    createPackageStore({
      dir: join(dir, at),
      driver: async () => createOciDriver(registry(), { exclusive: true, now }),
      now,
    });
  return { server, registry, open };
}

test('a package is kept in a registry, and found there by another platform', async (t) => {
  const { open } = await world(t);
  const { digest, created } = await open('one').put(chunks(HELLO));
  assert.equal(created, true);
  const second = open('two');
  assert.deepEqual(await second.stat(digest), { bytes: HELLO.length });
  assert.equal(await readFile(join(await second.directory(digest), 'hello.js'), 'utf8'), 'export default 1');
  await second.keepBuilt('ab-cd', digest);
  assert.equal(await open('three').built('ab-cd'), digest);
  await assert.rejects(second.directory(`sha256:${'0'.repeat(64)}`), { code: 'NotFound' });
});

test('a registry that asks gets a token; a wrong password is said', async (t) => {
  const { open, registry, server } = await world(t, 'me:secret');
  await open('one').put(chunks(HELLO));
  assert.ok(server.requests.includes('GET /token'));
  await assert.rejects(registry('me:wrong').blobSize(`sha256:${'0'.repeat(64)}`), {
    code: 'Unauthorized',
    fix: /docker login/,
  });
});

test('what nobody needs is removed with what was built to it', async (t) => {
  let time = Date.now();
  const { open, server } = await world(t, undefined, () => time);
  const store = open('one');
  const used = await store.put(chunks(HELLO));
  const unused = await store.put(chunks(OTHER));
  await store.keepBuilt('aa', unused.digest);
  await store.keepBuilt('bb', used.digest);
  time += 3_600_001;
  assert.equal(await store.collect(new Set([used.digest]), 3_600_000), OTHER.length);
  assert.deepEqual([...server.tags.keys()].sort(), [used.digest.slice(7), 'build-bb'].sort());
});
