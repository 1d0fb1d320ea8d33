import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '../../base/log.ts';
import { chunks, rawTar, temporaryDirectory } from '../testing/archives.ts';
import { askPlatform, uploadPackage } from './client.ts';
import { type SocketRoute, sendJson, servePackages } from './server.ts';
import { createPackageStore } from './store.ts';

const source = (bytes: Buffer) => ({
  digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}` as const,
  bytes: bytes.length,
  stream: () => chunks(bytes),
});
const HELLO = rawTar([{ name: 'hello.js', body: 'export default 1' }]);

async function serve(t: TestContext, routes: SocketRoute[] = [], maxBytes = 1_000_000) {
  const dir = await temporaryDirectory(t);
  const socketPath = join(dir, 'platform.sock');
  const store = createPackageStore({ dir: join(dir, 'packages'), maxBytes });
  const server = await servePackages({ socketPath, store, routes, log: silentLogger });
  t.after(() => server.close());
  return { dir, socketPath, store };
}

test('upload, ask, download over a private socket', async (t) => {
  const { socketPath, store } = await serve(t);
  assert.equal((await fs.stat(socketPath)).mode & 0o777, 0o600);
  const hello = source(HELLO);
  assert.deepEqual(await uploadPackage(socketPath, hello), {
    digest: hello.digest,
    bytes: HELLO.length,
    created: true,
  });
  assert.equal((await uploadPackage(socketPath, hello)).created, false);
  assert.ok(store.ready(hello.digest));

  const { promise, resolve } = Promise.withResolvers<{ status: number | undefined; body: Buffer }>();
  httpRequest({ socketPath, path: `/packages/${hello.digest}` }, async (response) => {
    const parts: Buffer[] = [];
    for await (const part of response) parts.push(part as Buffer);
    resolve({ status: response.statusCode, body: Buffer.concat(parts) });
  }).end();
  assert.deepEqual(await promise, { status: 200, body: HELLO });
});

test('refusals arrive as the error they are', async (t) => {
  const { socketPath, dir } = await serve(t);
  const bad = source(rawTar([{ name: '/abs', body: 'x' }]));
  await assert.rejects(uploadPackage(socketPath, bad), {
    name: 'PetrelError',
    code: 'UnsafeArchive',
    message: /"\/abs"/,
  });
  const large = source(randomBytes(20_000_000));
  await assert.rejects(uploadPackage(socketPath, large), { code: 'PackageTooLarge' });
  await assert.rejects(uploadPackage(socketPath, { ...source(HELLO), digest: bad.digest }), {
    code: 'DigestMismatch',
  });
  await assert.rejects(askPlatform(socketPath, 'GET', `/packages/${bad.digest}`), { code: 'NotFound' });
  await assert.rejects(askPlatform(socketPath, 'GET', '/packages/..%2f..%2fstate.db'), {
    code: 'InvalidArgument',
  });
  await assert.rejects(askPlatform(socketPath, 'GET', '/nothing'), { code: 'NotFound' });
  await assert.rejects(askPlatform(join(dir, 'no.sock'), 'GET', '/status'), { code: 'PlatformNotRunning' });
  assert.deepEqual(await fs.readdir(join(dir, 'packages', 'archives')), []);
});

test('more routes can be added; one that fails does not take the socket down', async (t) => {
  const { socketPath } = await serve(t, [
    { method: 'GET', path: '/status', handle: (_, response) => sendJson(response, 200, { ready: true }) },
    { method: 'POST', path: '/bad', handle: async () => Promise.reject(new Error('boom')) },
  ]);
  await assert.rejects(askPlatform(socketPath, 'POST', '/bad'), { code: 'Internal', message: /boom/ });
  assert.deepEqual(await askPlatform(socketPath, 'GET', '/status'), { ready: true });
});
