// gRPC without a library: `ping.PingService` with Ping (one message, one answer) and PingStream (an answer to each), whose messages
// have one field, the text `msg`, and the health service. SUFFIX is appended to each answer; HOSTNAME=true appends the host's name; DELAY
// is in ms.
import { createServer } from 'node:http2';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** Tag of field 1 as a length-delimited value, and as a number. */
const TEXT_FIELD = 0x0a;
const NUMBER_FIELD = 0x08;
const SERVING = 1;
const UNIMPLEMENTED = 12;
const PREFIX = 5;
const { PORT = '8080', DELAY = '0', SUFFIX = '', HOSTNAME } = process.env;
const tail = `${HOSTNAME === 'true' ? hostname() : ''}${SUFFIX}`;

function frame(message) {
  const prefix = Buffer.alloc(PREFIX);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function varint(value) {
  const bytes = [];
  for (; value > 0x7f; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return Buffer.from([...bytes, value]);
}

/** The text of field 1; empty where it is left out, as proto3 does with an empty one. */
function textOf(message) {
  if (message[0] !== TEXT_FIELD) return '';
  let length = 0;
  let at = 1;
  for (let shift = 0; ; shift += 7) {
    const byte = message[at++];
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return message.toString('utf8', at, at + length);
}

function pong(message) {
  const text = Buffer.from(textOf(message) + tail);
  return Buffer.concat([Buffer.from([TEXT_FIELD]), varint(text.length), text]);
}

const METHODS = {
  '/ping.PingService/Ping': async (message) => {
    await sleep(Number(DELAY));
    return pong(message);
  },
  '/ping.PingService/PingStream': pong,
  '/grpc.health.v1.Health/Check': () => Buffer.from([NUMBER_FIELD, SERVING]),
};

const server = createServer();
server.on('stream', async (stream, headers) => {
  stream.on('error', () => {});
  const answer = METHODS[headers[':path']];
  const head = { ':status': 200, 'content-type': 'application/grpc' };
  if (!answer) {
    stream.respond({ ...head, 'grpc-status': UNIMPLEMENTED }, { endStream: true });
    return;
  }
  stream.respond(head, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  let waiting = Buffer.alloc(0);
  for await (const chunk of stream) {
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= PREFIX && waiting.length >= PREFIX + waiting.readUInt32BE(1)) {
      const end = PREFIX + waiting.readUInt32BE(1);
      stream.write(frame(await answer(waiting.subarray(PREFIX, end))));
      waiting = waiting.subarray(end);
    }
  }
  stream.end();
});
server.listen(Number(PORT));
process.once('SIGTERM', () => server.close());
