/** A language that nobody built in: a folder with a manifest and a supervisor. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { call, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;

/** The least that runtimes/PROTOCOL.md asks for: a language whose programs are one line of text to answer with. */
const SUPERVISOR = `
const net = require('node:net'), fs = require('node:fs'), path = require('node:path');
const HELLO = 1, REQUEST = 2, REQUEST_BODY = 3, RESPONSE = 4, PING = 10, PONG = 11, CALL = 12, RESULT = 13;
let text, state = 'generic';
const frame = (type, stream, payload) => {
  const body = Buffer.isBuffer(payload) ? payload : Buffer.from(JSON.stringify(payload));
  const head = Buffer.alloc(9);
  head.writeUInt32LE(body.length, 0); head[4] = type; head.writeUInt32LE(stream, 5);
  return Buffer.concat([head, body]);
};
const answer = (status, body) => {
  const block = Buffer.from('content-type: text/plain\\r\\n');
  const head = Buffer.alloc(6); head.writeUInt16LE(status, 0); head.writeUInt32LE(block.length, 2);
  return Buffer.concat([head, block, Buffer.from(body)]);
};
const methods = {
  specialise({ code, entry }) {
    text = fs.readFileSync(path.join(code, entry), 'utf8').trim();
    if (text === '') throw { code: 'LoadError', message: 'a line of text is empty', file: entry, line: 1 };
    state = 'specialised';
    return { shape: 'line', loadMs: 0, transport: { kind: 'mux' } };
  },
  health: () => ({ state, inFlight: 0 }),
  drain: () => ({ left: 0 }),
  shutdown: () => setImmediate(() => process.exit(0)),
};
let controls = 0;
net.createServer((socket) => {
  let held = Buffer.alloc(0), control = false;
  socket.on('error', () => {});
  socket.on('close', () => { if (control && --controls === 0) process.exit(0); });
  socket.on('data', (chunk) => {
    held = Buffer.concat([held, chunk]);
    while (held.length >= 9 && held.length >= 9 + held.readUInt32LE(0)) {
      const size = held.readUInt32LE(0), type = held[4], stream = held.readUInt32LE(5), payload = held.subarray(9, 9 + size);
      held = held.subarray(9 + size);
      if (type === HELLO) {
        control = JSON.parse(payload).role === 'control';
        if (control) controls++;
        socket.write(frame(HELLO, 0, { version: 1, runtime: 'line', language: '1', pid: process.pid, state }));
      } else if (type === PING) socket.write(frame(PONG, 0, payload));
      else if (type === REQUEST || type === REQUEST_BODY) socket.write(frame(RESPONSE, stream, answer(200, text)));
      else if (type === CALL) {
        const { id, method, params } = JSON.parse(payload);
        try { socket.write(frame(RESULT, 0, { id, result: methods[method](params) ?? {} })); }
        catch (error) { socket.write(frame(RESULT, 0, { id, error })); }
      }
    }
  });
}).listen(process.env.PETREL_SOCKET);
process.on('SIGTERM', () => process.exit(0));
`;
const MANIFEST = `apiVersion: petrel.dev/v1
kind: Runtime
metadata: {name: line}
spec:
  language: line
  extensions: [.line]
  command: ["$(NODE)", "$(RUNTIME_DIR)/supervisor.cjs"]
  pool: {min: 1, max: 4}
`;

before(async () => {
  scratch.write({
    'h/runtimes/line/runtime.yaml': MANIFEST,
    'h/runtimes/line/supervisor.cjs': SUPERVISOR,
    'hello.line': 'hello from a line\n',
    'empty.line': '\n',
  });
  platform = await petrel.up();
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

test('a folder in the home adds a language: its files deploy by their extension, and answer', async () => {
  await petrel.deploy(scratch.path('hello.line'));
  const { status, body } = await call(platform.gateway, '/fn/default/hello/');
  assert.deepEqual([status, body], [200, 'hello from a line']);
});

test('what it says of code that cannot be loaded is what the user reads', async () => {
  const refused = await petrel.refused(['deploy', scratch.path('empty.line')]);
  assert.equal(refused.code, 'LoadError');
  assert.match(refused.message, /a line of text is empty/);
});
