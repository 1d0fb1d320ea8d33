/** The protocol itself: calls, frames, and what breaks its rules. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { encode, type MuxClient, RawConnection, type RequestOptions, T } from '../client.ts';
import type { Caller } from '../http-client.ts';
import type { Instance } from '../instance.ts';
import { loaded, MEGABYTE, type Suite } from './suite.ts';

export function describeProtocol(suite: Suite): void {
  const { title, mux, skip, check, framed } = suite;

  describe(`${title}: protocol`, { skip, concurrency: false }, () => {
    let instance: Instance;
    let data: Caller;
    const ask = (target: string, options: RequestOptions = {}) => data.request({ target, ...options });

    before(async () => {
      ({ instance, data } = await loaded(suite));
    });
    after(() => instance?.stop());

    check('specialise happens once', async () => {
      await assert.rejects(instance.control.call('specialise', { code: instance.dir }), {
        code: 'AlreadySpecialised',
      });
    });

    check('an unknown method is an error of the call, not of the connection', async () => {
      await assert.rejects(instance.control.call('make-coffee'), { code: 'BadRequest' });
      assert.deepEqual(await instance.control.call('health'), { state: 'specialised', inFlight: 0 });
    });

    check('PING is answered with its bytes', async () => {
      const raw = await RawConnection.open(instance.socket);
      const pong = new Promise<Buffer>((resolve) => {
        raw.onFrame = (frame) => frame.type === T.PONG && resolve(frame.payload);
      });
      raw.send(T.HELLO, 0, { version: 1, role: mux ? 'data' : 'control' });
      raw.send(T.PING, 0, Buffer.from('12345678'));
      assert.equal((await pong).toString(), '12345678');
      raw.socket.destroy();
    });

    framed('frames that arrive byte by byte are frames', async () => {
      const raw = await RawConnection.open(instance.socket);
      const answered = new Promise<Buffer>((resolve) => {
        raw.onFrame = (frame) => frame.type === T.RESPONSE && resolve(frame.payload);
      });
      const bytes = Buffer.concat([
        encode(T.HELLO, 0, '{"version":1,"role":"data"}'),
        encode(T.REQUEST_BODY, 1, 'POST /echo\r\nhost: x\r\n'),
        encode(T.DATA, 1, 'bit by bit'),
        encode(T.END, 1),
      ]);
      for (const byte of bytes) {
        raw.socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.match((await answered).toString('latin1'), /bit by bit$/);
      raw.socket.destroy();
    });

    const hello = encode(T.HELLO, 0, JSON.stringify({ version: 1, role: mux ? 'data' : 'control' }));
    const open = encode(T.REQUEST_BODY, 1, 'POST /hang-deaf\r\nhost: x\r\n');
    const tooLong = Buffer.alloc(9);
    tooLong.writeUInt32LE(MEGABYTE + 1);
    tooLong[4] = T.DATA;
    const violations: [string, Buffer[]][] = [
      ['a first frame that is not HELLO', [encode(T.REQUEST, 1, 'GET /\r\n')]],
      ['another version', [encode(T.HELLO, 0, '{"version":2,"role":"data"}')]],
      ['an unknown role', [encode(T.HELLO, 0, '{"version":1,"role":"admin"}')]],
      ['HELLO that is no JSON', [encode(T.HELLO, 0, 'GET / HTTP/1.1')]],
      ['a frame that is too long', [hello, tooLong]],
      ['a second HELLO', [hello, hello]],
    ];
    const ofStreams: [string, Buffer[]][] = [
      ['stream 0', [hello, encode(T.REQUEST, 0, 'GET /\r\n')]],
      ['a stream used twice', [hello, open, open]],
      [
        'a stream number that goes back',
        [
          hello,
          encode(T.REQUEST_BODY, 5, 'POST /hang-deaf\r\n'),
          encode(T.REQUEST_BODY, 4, 'POST /hang-deaf\r\n'),
        ],
      ],
      ['DATA for a stream that never began', [hello, encode(T.DATA, 9, 'x')]],
      ['DATA after END', [hello, open, encode(T.END, 1), encode(T.DATA, 1, 'x')]],
      ['a DATA frame beyond its size', [hello, open, encode(T.DATA, 1, Buffer.alloc(65537))]],
      [
        'more DATA than the window',
        [hello, open, ...Array.from({ length: 5 }, () => encode(T.DATA, 1, Buffer.alloc(65536)))],
      ],
      ['a WINDOW of the wrong size', [hello, open, encode(T.WINDOW, 1, 'x')]],
      ['a request head without target', [hello, encode(T.REQUEST, 1, 'GET\r\n')]],
      ['a CALL on a data connection', [hello, encode(T.CALL, 0, '{"id":1,"method":"shutdown"}')]],
      ['a RESPONSE from the platform', [hello, encode(T.RESPONSE, 1, 'x')]],
    ];
    const ofControl: [string, Buffer[]][] = [
      ['a data connection', [encode(T.HELLO, 0, '{"version":1,"role":"data"}')]],
      ['a request on a control connection', [hello, encode(T.REQUEST, 1, 'GET /\r\n')]],
    ];
    for (const [name, frames] of [...violations, ...(mux ? ofStreams : ofControl)]) {
      check(`protocol error: ${name} closes the connection, and only that`, async () => {
        const raw = await RawConnection.open(instance.socket);
        raw.socket.write(Buffer.concat(frames));
        await raw.closed;
        assert.equal((await ask('/log')).status, 200);
      });
    }
    check('a frame of an unknown type above 15 is ignored', async () => {
      (mux ? (data as MuxClient) : instance.control).raw.send(99, 0, 'from the future');
      assert.equal((await instance.control.call('health')).state, 'specialised');
      assert.equal((await ask('/log')).status, 200);
    });
  });
}
