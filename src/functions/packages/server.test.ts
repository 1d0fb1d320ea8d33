import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
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
  assert.deepEqual(await fs.readdir(join(dir, 'packages', 'archives')).catch(() => []), []);
});

test('more routes can be added; one that fails does not take the socket down', async (t) => {
  const { socketPath } = await serve(t, [
    { method: 'GET', path: '/status', handle: (_, response) => sendJson(response, 200, { ready: true }) },
    { method: 'POST', path: '/bad', handle: async () => Promise.reject(new Error('boom')) },
  ]);
  await assert.rejects(askPlatform(socketPath, 'POST', '/bad'), { code: 'Internal', message: /boom/ });
  assert.deepEqual(await askPlatform(socketPath, 'GET', '/status'), { ready: true });
});

test('an upload goes on when the platform was away in the middle of it', async (t) => {
  const dir = await temporaryDirectory(t);
  const socketPath = join(dir, 'platform.sock');
  const open = () =>
    servePackages({
      socketPath,
      store: createPackageStore({ dir: join(dir, 'packages') }),
      routes: [],
      log: silentLogger,
    });
  let server = await open();
  t.after(() => server.close());
  const bytes = rawTar([{ name: 'noise.bin', body: randomBytes(8_000_000).toString('latin1') }]);
  const began: number[] = [];
  const slow = {
    ...source(bytes),
    stream: async function* (from = 0): AsyncGenerator<Uint8Array> {
      began.push(from);
      for (let at = from; at < bytes.length; at += 65_536) {
        yield bytes.subarray(at, at + 65_536);
        if (began.length === 1 && at > bytes.length / 2) {
          // What is on its way arrives before the connection breaks.
          await setTimeout(50);
          await server.close();
          server = await open();
          throw new Error('the reader is not asked for more');
        }
      }
    },
  };
  const stored = await uploadPackage(socketPath, slow);
  assert.equal(stored.created, true);
  assert.equal(began.length, 2);
  assert.ok((began[1] ?? 0) > bytes.length / 4, `it went on at ${began[1]} of ${bytes.length}`);
});

test('ranges that are none are refused', async (t) => {
  const { socketPath } = await serve(t);
  const { digest } = source(HELLO);
  for (const range of ['bytes 5-4/10', 'bytes 0-3/10', 'items 1-2/3', 'bytes x']) {
    const sent = askPlatform(socketPath, 'PUT', `/packages/${digest}`, {
      bytes: 4,
      headers: { 'content-range': range },
      stream: () => chunks(Buffer.from('abcd')),
    });
    await assert.rejects(sent, { code: 'InvalidArgument' }, range);
  }
});
