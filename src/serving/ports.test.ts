import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import test from 'node:test';
import { findFreePort } from './ports.ts';

test('the port asked for, unless somebody has it, was promised it, or nobody may have it', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  assert.notEqual(await findFreePort(port, () => false), port);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(await findFreePort(port, () => false), port);
  assert.notEqual(await findFreePort(port, (one) => one === port), port);
  assert.ok((await findFreePort(80, () => false)) >= 1024);
  assert.ok((await findFreePort(undefined, () => false)) >= 1024);
  await assert.rejects(
    findFreePort(undefined, () => true),
    /no free port/,
  );
});
