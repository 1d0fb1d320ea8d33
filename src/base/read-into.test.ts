import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { readInto } from './read-into.ts';

test('sockets of a server are read into one buffer; pausing and the end are as ever', async () => {
  const memory = Buffer.alloc(16);
  const got: string[] = [];
  let wake = () => {};
  const foreign: Buffer[] = [];
  const accepted: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(socket);
    const name = accepted.length;
    readInto(socket, memory, (bytes, buffer) => {
      if (buffer !== memory) foreign.push(buffer);
      got.push(`${name}:${buffer.toString('latin1', 0, bytes)}`);
      wake();
    });
    socket.on('end', () => {
      got.push(`${name}:end`);
      socket.end();
      wake();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => server.close());
  const until = async (text: string) => {
    while (!got.join(' ').includes(text)) await new Promise<void>((resolve) => (wake = resolve));
  };
  const open = async () => {
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(client, 'connect');
    return client;
  };
  const one = await open();
  one.write('first');
  await until('1:first');
  const two = await open();
  two.write('twenty bytes, at once');
  await until('2: once');
  assert.deepEqual(got, ['1:first', '2:twenty bytes, at', '2: once']);
  accepted[0]!.pause();
  one.end('held back');
  two.write('passes');
  await until('2:passes');
  assert.ok(!got.includes('1:held back'));
  accepted[0]!.resume();
  await until('1:held back');
  await until('1:end');
  two.end();
  await until('2:end');
  assert.deepEqual(foreign, [], 'this Node has the fields that it needs');
});
