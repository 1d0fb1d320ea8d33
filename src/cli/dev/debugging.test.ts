import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { PetrelError } from '../../base/errors.ts';
import type { Runtime, RuntimeDebugger } from '../../kinds/function.ts';
import { howToAttach, openDebugging } from './debugging.ts';

const runtime = (language: string, way?: RuntimeDebugger): Runtime => ({
  apiVersion: 'petrel.dev/v1',
  kind: 'Runtime',
  metadata: { name: language },
  spec: { language, extensions: [], command: ['x'], ...(way ? { debugger: way } : {}) },
});
const node = runtime('node', { protocol: 'inspector', port: 9229 });

/** A debugger of some version: says who it is to everybody. */
async function instance(t: TestContext, says: string): Promise<number> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.write(says);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

test('one port leads to the version that answers; who is at the one before is let go', async (t) => {
  const debugging = await openDebugging(node, 0, [node]);
  t.after(() => debugging.close());
  const first = connect(debugging.port, '127.0.0.1');
  await once(first, 'connect');
  debugging.answers(await instance(t, 'one'));
  const [said] = await once(first, 'data');
  assert.equal(String(said), 'one');
  debugging.answers(await instance(t, 'two'));
  await once(first, 'close');
  const second = connect(debugging.port, '127.0.0.1');
  const [answer] = await once(second, 'data');
  assert.equal(String(answer), 'two');
  second.destroy();
});

test('each version gets a port that nobody has', async (t) => {
  const debugging = await openDebugging(node, 0, [node]);
  t.after(() => debugging.close());
  const port = await debugging.next();
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.close();
  assert.notEqual(port, debugging.port);
});

test('a debugger that listens itself is called where it said', async () => {
  const php = runtime('php', { protocol: 'xdebug', port: 9003, reversed: true });
  const debugging = await openDebugging(php, undefined, [php]);
  assert.equal(await debugging.next(), 9003);
  assert.match(howToAttach(debugging), /listen on port 9003/);
});

test('a language without one, and a port that somebody has', async (t) => {
  const perl = runtime('perl');
  await assert.rejects(openDebugging(perl, undefined, [node, perl]), (error: PetrelError) => {
    assert.equal(error.code, 'UnsupportedSource');
    assert.match(`${error.message} ${error.why}`, /perl.*node/);
    return true;
  });
  const taken = await instance(t, '');
  await assert.rejects(
    openDebugging(node, taken, [node]),
    (error) => error instanceof PetrelError && error.code === 'PortInUse',
  );
});

test('a number that is no port', async () => {
  for (const asked of [65536, 99999999])
    await assert.rejects(
      openDebugging(node, asked, [node]),
      (error) => error instanceof PetrelError && error.code === 'InvalidArgument',
    );
});

test('a program is debugged by whoever starts it', async () => {
  await assert.rejects(
    openDebugging(undefined, undefined, [node]),
    (error) => error instanceof PetrelError && /--inspect/.test(error.fix),
  );
});
