/** An instance that is not the bottleneck: answers every REQUEST of the instance protocol with the same RESPONSE. */
import { createServer } from 'node:net';

const HEADER = 9;
const block = Buffer.from('content-type: text/plain\r\nserver: bench\r\n', 'latin1');
const body = Buffer.from('hello, world\n');
const payload = Buffer.alloc(6 + block.length + body.length);
payload.writeUInt16LE(200, 0);
payload.writeUInt32LE(block.length, 2);
block.copy(payload, 6);
body.copy(payload, 6 + block.length);
const response = Buffer.alloc(HEADER + payload.length);
response.writeUInt32LE(payload.length, 0);
response[4] = 4;
payload.copy(response, HEADER);

const text = '{"version":1,"runtime":"bench","language":"1","pid":1,"state":"specialised"}';
const hello = Buffer.alloc(HEADER + text.length);
hello.writeUInt32LE(text.length, 0);
hello[4] = 1;
hello.write(text, HEADER);

const server = createServer((socket) => {
  let rest: Buffer = Buffer.alloc(0);
  socket.write(hello);
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    const input = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const out = Buffer.allocUnsafe((input.length / HEADER + 1) * response.length);
    let at = 0;
    let pos = 0;
    while (input.length - pos >= HEADER) {
      const length = input.readUInt32LE(pos);
      if (input.length - pos < HEADER + length) break;
      if (input[pos + 4] === 2) {
        response.copy(out, at);
        input.copy(out, at + 5, pos + 5, pos + 9);
        at += response.length;
      }
      pos += HEADER + length;
    }
    rest = pos === input.length ? Buffer.alloc(0) : Buffer.from(input.subarray(pos));
    if (at > 0) socket.write(out.subarray(0, at));
  });
});
server.listen(process.argv[2], () => console.log('ready'));
