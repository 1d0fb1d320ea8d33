import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedClock } from '../../../base/clock.ts';
import { redisServer } from '../testing/redis.ts';
import { openRedis } from './driver.ts';
import { encodeCommand, ReplyReader, RespError } from './resp.ts';

test('commands are arrays of bulk strings, bytes as they are', () => {
  assert.equal(encodeCommand(['SET', 'é', 7]).toString(), '*3\r\n$3\r\nSET\r\n$2\r\né\r\n$1\r\n7\r\n');
  assert.deepEqual(
    [...encodeCommand([new Uint8Array([13, 10, 0])])],
    [...Buffer.from('*1\r\n$3\r\n'), 13, 10, 0, 13, 10],
  );
});

test('replies of every kind, in one piece, byte by byte, and several at once', () => {
  const bytes = Buffer.from(
    '+OK\r\n-ERR no\r\n:-42\r\n$5\r\na\r\nb\r\r\n$-1\r\n*-1\r\n*3\r\n:1\r\n$0\r\n\r\n*1\r\n+x\r\n',
  );
  const expected = [
    'OK',
    new RespError('ERR no'),
    -42,
    Buffer.from('a\r\nb\r'),
    null,
    null,
    [1, Buffer.alloc(0), ['x']],
  ];
  assert.deepEqual(new ReplyReader().push(bytes), expected);
  const reader = new ReplyReader();
  assert.deepEqual(
    [...bytes].flatMap((byte) => reader.push(Buffer.from([byte]))),
    expected,
  );
});

test('what is no RESP2, or nested without end, is an error', () => {
  for (const text of ['HTTP/1.1 400\r\n', '$x\r\n', '*1\r\n'.repeat(20)])
    assert.throws(() => new ReplyReader().push(Buffer.from(text)));
});

test('a server that goes away: refused in words, and used again when it is back', async (t) => {
  const first = await redisServer();
  if (typeof first === 'string') return t.skip(first);
  const port = Number(new URL(first.url).port);
  const state = await openRedis(first.url, simulatedClock(Date.now()));
  const write = { value: Buffer.from('1'), type: 't', condition: {}, maxKeys: 9 };
  await state.put('s', 'k', write);
  await first.stop();
  await assert.rejects(state.get('s', 'k'), { code: 'NotReady' });
  const second = await redisServer(port);
  if (typeof second === 'string') return t.skip(second);
  assert.equal(await state.get('s', 'k'), undefined);
  assert.deepEqual(await state.put('s', 'k', write), { version: '1', created: true });
  await state.close();
  await second.stop();
  await assert.rejects(openRedis(second.url, simulatedClock()), { code: 'NotReady' });
  await assert.rejects(openRedis('http://x', simulatedClock()), { code: 'InvalidArgument' });
});
