// A WebSocket server without a library (RFC 6455): sends every message back, followed by SUFFIX where it is set, after the `delay` in
// seconds that the request's query asks for. It says goodbye when it is told to end.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const { PORT = '8080', SUFFIX } = process.env;
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const CLOSE = 8;
const PING = 9;
const PONG = 10;
const NORMAL_CLOSURE = Buffer.from([0x03, 0xe8, ...Buffer.from('bye')]);

/** The first whole frame in `data`, unmasked, and where it ends; undefined while there is none. */
function readFrame(data) {
  if (data.length < 2) return undefined;
  const short = data[1] & 0x7f;
  const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
  const mask = 2 + extra;
  const start = mask + (data[1] & 0x80 ? 4 : 0);
  if (data.length < start) return undefined;
  const length = extra === 2 ? data.readUInt16BE(2) : extra === 8 ? Number(data.readBigUInt64BE(2)) : short;
  if (data.length < start + length) return undefined;
  const payload = Buffer.from(data.subarray(start, start + length));
  if (start > mask) for (let i = 0; i < length; i++) payload[i] ^= data[mask + (i % 4)];
  return { opcode: data[0] & 0x0f, payload, end: start + length };
}

function frame(opcode, payload) {
  const { length } = payload;
  if (length < 126) return Buffer.concat([Buffer.from([0x80 | opcode, length]), payload]);
  const head = Buffer.alloc(length < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  head[1] = length < 65_536 ? 126 : 127;
  if (length < 65_536) head.writeUInt16BE(length, 2);
  else head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
}

const sockets = new Set();
const server = createServer((_request, response) => response.end('a WebSocket is what this is for\n'));
server.on('upgrade', async ({ url, headers }, socket, head) => {
  sockets.add(socket);
  socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  const accept = createHash('sha1')
    .update(headers['sec-websocket-key'] + GUID)
    .digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  const delay = Number(new URL(url, 'http://localhost').searchParams.get('delay') ?? 0) * 1000;
  socket.unshift(head);
  let waiting = Buffer.alloc(0);
  for await (const chunk of socket) {
    waiting = Buffer.concat([waiting, chunk]);
    for (let got = readFrame(waiting); got; got = readFrame(waiting)) {
      waiting = waiting.subarray(got.end);
      if (got.opcode === CLOSE) {
        if (!socket.writableEnded) socket.end(frame(CLOSE, got.payload));
      } else if (got.opcode === PING) {
        socket.write(frame(PONG, got.payload));
      } else if (got.opcode !== PONG) {
        const text = SUFFIX ? Buffer.concat([got.payload, Buffer.from(` ${SUFFIX}`)]) : got.payload;
        await sleep(delay);
        socket.write(frame(got.opcode, text));
      }
    }
  }
});
server.listen(Number(PORT));
process.once('SIGTERM', () => {
  server.close();
  for (const socket of sockets) socket.end(frame(CLOSE, NORMAL_CLOSURE));
});
