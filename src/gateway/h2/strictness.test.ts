/** What HTTP/2 clients may not do: malformed requests cost the stream, broken framing and floods the connection. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { answer, h2Client } from '../testing/h2.ts';
import { eventually, type Harness, HOST, KEY, RawClient, startHarness } from '../testing/harness.ts';
import { type MuxInstance, startMuxInstance, type TestStream } from '../testing/mux-instance.ts';

const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  rst: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
};
const FLAG = { endStream: 1, ack: 1, endHeaders: 4 };

function frame(type: number, flags: number, stream: number, payload: Buffer | string = ''): Buffer {
  const body = Buffer.from(payload as string);
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

/** A length in HPACK: seven bits, then the rest. */
function hpackLength(n: number): Buffer {
  if (n < 127) return Buffer.from([n]);
  const out = [127];
  let rest = n - 127;
  for (; rest >= 128; rest >>= 7) out.push((rest & 127) | 128);
  out.push(rest);
  return Buffer.from(out);
}

/** Fields as literals without indexing, names as they are. */
function hpack(fields: [string, string][]): Buffer {
  const text = (s: string) =>
    Buffer.concat([hpackLength(Buffer.byteLength(s, 'latin1')), Buffer.from(s, 'latin1')]);
  return Buffer.concat(fields.flatMap(([k, v]) => [Buffer.from([0]), text(k), text(v)]));
}

const GOOD: [string, string][] = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', HOST],
];
const change = (name: string, value: string | null): [string, string][] =>
  GOOD.flatMap(([k, v]) => (k !== name ? [[k, v]] : value === null ? [] : [[k, value]])) as [
    string,
    string,
  ][];

/** A client that writes frames as it likes and reads what comes. */
class FrameClient {
  readonly socket: Socket;
  readonly frames: { type: number; flags: number; stream: number; payload: Buffer }[] = [];
  closed = false;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1' });
    this.socket.on('data', (chunk: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      while (this.#buffer.length >= 9) {
        const end = 9 + this.#buffer.readUIntBE(0, 3);
        if (this.#buffer.length < end) break;
        const b = this.#buffer;
        this.frames.push({
          type: b[3]!,
          flags: b[4]!,
          stream: b.readUInt32BE(5),
          payload: b.subarray(9, end),
        });
        this.#buffer = this.#buffer.subarray(end);
      }
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
    });
    this.socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    this.send(frame(TYPE.settings, 0, 0));
  }

  send(bytes: Buffer): this {
    if (!this.socket.destroyed) this.socket.write(bytes);
    return this;
  }

  request(stream: number, fields = GOOD, flags = FLAG.endStream | FLAG.endHeaders): this {
    return this.send(frame(TYPE.headers, flags, stream, hpack(fields)));
  }

  async first(type: number, stream: number) {
    const find = () => this.frames.find((f) => f.type === type && f.stream === stream);
    await eventually(() => find() !== undefined || this.closed, `frame ${type}`);
    return find();
  }

  /** The code of the GOAWAY; null when the connection closed without one. */
  async goaway(): Promise<number | null> {
    const f = await this.first(TYPE.goaway, 0);
    return f === undefined ? null : f.payload.readUInt32BE(4);
  }
}

let h: Harness;
let instance: MuxInstance;
const seen: string[] = [];
let streaming: TestStream | undefined;

before(async () => {
  instance = await startMuxInstance((s) => {
    seen.push(s.head);
    if (s.target === '/hold') return;
    if (s.target === '/stream') {
      streaming = s;
      s.begin(200);
      return;
    }
    const tell = () => s.respond(200, {}, 'ok');
    if (s.ended) tell();
    else s.onEnd = tell;
  });
  h = await startHarness({ limits: { maxIdleFrames: 200, resetBurst: 100, resetsPerSecond: 10 } });
  h.endpoints(instance.path);
});
after(async () => {
  await h.gateway.close(0);
  await instance.close();
});

function client(): FrameClient {
  const made = new FrameClient(h.port);
  after(() => made.socket.destroy());
  return made;
}

const REFUSED: [string, [string, string][]][] = [
  ['no :method', change(':method', null)],
  ['no :path', change(':path', null)],
  ['no :scheme', change(':scheme', null)],
  ['empty :path', change(':path', '')],
  [':path without a slash', change(':path', 'x')],
  [':method twice', [...GOOD.slice(0, 1), ...GOOD]],
  [':path twice', [[':path', '/y'], ...GOOD]],
  ['an unknown pseudo-header', [[':protocols', 'x'], ...GOOD]],
  ['a response pseudo-header', [[':status', '200'], ...GOOD]],
  ['a pseudo-header after a field', [...GOOD.slice(0, 3), ['x-a', 'b'], GOOD[3]!]],
  ['an upper-case name', [...GOOD, ['X-A', 'b']]],
  ['connection', [...GOOD, ['connection', 'close']]],
  ['keep-alive', [...GOOD, ['keep-alive', 'timeout=5']]],
  ['transfer-encoding', [...GOOD, ['transfer-encoding', 'chunked']]],
  ['upgrade', [...GOOD, ['upgrade', 'websocket']]],
  ['proxy-connection', [...GOOD, ['proxy-connection', 'close']]],
  ['te other than trailers', [...GOOD, ['te', 'gzip']]],
  ['a length that no body has', [...GOOD, ['content-length', '5']]],
  ['a length that is no number', [...GOOD, ['content-length', '+0']]],
  ['two lengths', [...GOOD, ['content-length', '0'], ['content-length', '0']]],
  ['two hosts', [...GOOD.slice(0, 3), ['host', 'a'], ['host', 'b']]],
  ['host and :authority that differ', [...GOOD, ['host', 'other.test']]],
  ['user information in :authority', change(':authority', `a@${HOST}`)],
  ['a slash in :authority', change(':authority', `${HOST}/x`)],
  ['no host at all', change(':authority', null)],
  ['white space in :path', change(':path', '/a b')],
  [
    'CONNECT',
    [
      [':method', 'CONNECT'],
      [':authority', `${HOST}:80`],
    ],
  ],
  ['TRACE', change(':method', 'TRACE')],
  ['* for GET', change(':path', '*')],
];

/** The HTTP/2 library throws such a field away and goes on with the request; it must not reach the instance. */
const DROPPED: [string, [string, string][]][] = [
  ['an empty name', [...GOOD, ['', 'b']]],
  ['a name with a space', [...GOOD, ['x a', 'b']]],
  ['a name with a colon', [...GOOD, ['x:a', 'b']]],
  ['a value with CR LF', [...GOOD, ['x-a', 'b\r\nx-smuggled: yes']]],
  ['a value with NUL', [...GOOD, ['x-a', 'b\0c']]],
];

for (const [what, fields] of DROPPED) {
  test(`thrown away: ${what}`, async () => {
    seen.length = 0;
    const c = client();
    c.request(1, fields);
    assert.equal((await c.first(TYPE.data, 1))?.payload.toString(), 'ok');
    assert.equal(seen.length, 1);
    assert.ok(!/smuggled|x-a|x a|x:a/.test(seen[0]!), String(seen[0]));
    c.socket.destroy();
  });
}

for (const [what, fields] of REFUSED) {
  test(`refused, and the connection goes on: ${what}`, async () => {
    seen.length = 0;
    const c = client();
    c.request(1, fields);
    await eventually(() => c.frames.some((f) => f.stream === 1) || c.closed);
    const first = c.frames.find((f) => f.stream === 1);
    const reset = first?.type === TYPE.rst;
    if (!reset) {
      const body = (await c.first(TYPE.data, 1))!.payload.toString();
      assert.equal((JSON.parse(body) as { component: string }).component, 'client');
    }
    c.request(3);
    assert.equal((await c.first(TYPE.data, 3))?.payload.toString(), 'ok');
    assert.ok(!seen.some((head) => head.includes('smuggled')), seen.join());
    assert.equal(seen.length, 1);
    c.socket.destroy();
  });
}

test('more header fields than allowed, and larger ones, cost the stream', async () => {
  seen.length = 0;
  for (const fields of [
    [...GOOD, ...Array.from({ length: 200 }, (_, i): [string, string] => [`x-${i}`, 'y'])],
    [...GOOD, ['x-a', 'z'.repeat(15_000)], ['x-b', 'z'.repeat(15_000)], ['x-c', 'z'.repeat(15_000)]] as [
      string,
      string,
    ][],
  ]) {
    const c = client();
    const block = hpack(fields);
    let flags = FLAG.endStream;
    for (let at = 0; at < block.length; at += 16_000) {
      const last = at + 16_000 >= block.length ? FLAG.endHeaders : 0;
      c.send(
        frame(at === 0 ? TYPE.headers : TYPE.continuation, flags | last, 1, block.subarray(at, at + 16_000)),
      );
      flags = 0;
    }
    await eventually(() => c.closed || c.frames.some((f) => f.stream === 1));
    const data = c.closed ? undefined : c.frames.find((f) => f.stream === 1 && f.type === TYPE.data);
    if (data !== undefined) assert.match(data.payload.toString(), /head_too_large/);
    c.socket.destroy();
  }
  assert.equal(seen.length, 0);
});

test('a target over the limit is 414, as over HTTP/1.1', async () => {
  const c = h2Client(h.port);
  const r = await answer(c.request({ ':path': `/${'a'.repeat(17_000)}` }, { endStream: true }));
  assert.equal(r.status, 414);
  c.close();
});

test('a body shorter or longer than its length is not forwarded as whole', async () => {
  for (const body of ['abc', 'abcdefg']) {
    const c = client();
    c.request(1, [[':method', 'POST'], ...GOOD.slice(1), ['content-length', '5']], FLAG.endHeaders);
    c.send(frame(TYPE.data, FLAG.endStream, 1, body));
    await eventually(() => c.closed || c.frames.some((f) => f.stream === 1 && f.type === TYPE.rst));
    assert.ok(!c.frames.some((f) => f.type === TYPE.data));
    c.socket.destroy();
  }
  const streams = instance.connections.flatMap((connection) => [...connection.streams.values()]);
  for (const s of streams.filter((one) => one.method === 'POST')) {
    assert.equal(s.ended, false);
    await eventually(() => s.reset !== null);
  }
  await eventually(() => h.gateway.counts(KEY)?.inFlight === 0);
});

test('a flood of CONTINUATION frames ends the connection', async () => {
  const c = client();
  c.send(frame(TYPE.headers, FLAG.endStream, 1, hpack(GOOD)));
  for (let i = 0; i < 50; i++) c.send(frame(TYPE.continuation, 0, 1, hpack([['x-a', 'b']])));
  await eventually(() => c.closed);
});

test('a flood of PINGs, of SETTINGS, of empty DATA ends the connection', async () => {
  for (const flood of [
    frame(TYPE.ping, 0, 0, Buffer.alloc(8)),
    frame(TYPE.settings, 0, 0, Buffer.from([0, 4, 0, 0, 255, 255])),
  ]) {
    const c = client();
    c.send(Buffer.concat(Array.from({ length: 2000 }, () => flood)));
    assert.equal(await c.goaway(), 11);
    await eventually(() => c.closed);
  }
  const c = client();
  c.request(1, [[':method', 'POST'], ...GOOD.slice(1)], FLAG.endHeaders);
  c.send(Buffer.concat(Array.from({ length: 2000 }, () => frame(TYPE.data, 0, 1))));
  await eventually(() => c.closed);
  await eventually(() => h.gateway.counts(KEY)?.inFlight === 0);
});

test('PINGs between answers, and between the parts of one, are no flood', async () => {
  const c = client();
  for (let i = 0; i < 20; i++) {
    c.send(Buffer.concat(Array.from({ length: 50 }, () => frame(TYPE.ping, 0, 0, Buffer.alloc(8)))));
    c.request(2 * i + 1);
    assert.equal((await c.first(TYPE.data, 2 * i + 1))?.payload.toString(), 'ok');
  }
  c.request(101, change(':path', '/stream'));
  await c.first(TYPE.headers, 101);
  for (let i = 1; i <= 20; i++) {
    c.send(Buffer.concat(Array.from({ length: 50 }, () => frame(TYPE.ping, 0, 0, Buffer.alloc(8)))));
    streaming!.data('x');
    await eventually(() => c.frames.filter((f) => f.type === TYPE.data && f.stream === 101).length === i);
  }
  c.socket.destroy();
});

test('a client that opens and resets streams without end loses its connection, and nothing stays behind', async () => {
  const c = client();
  for (let i = 0; i < 2000; i++) {
    const id = 2 * i + 1;
    c.request(id, change(':path', '/hold'));
    c.send(frame(TYPE.rst, 0, id, Buffer.from([0, 0, 0, 8])));
  }
  await eventually(() => c.closed);
  await eventually(() => h.gateway.counts(KEY)?.inFlight === 0);
});

test('a client that opens more streams at once than it may loses its connection', async () => {
  const c = client();
  const settings = (await c.first(TYPE.settings, 0))!.payload;
  assert.ok(settings.includes(Buffer.from([0, 3, 0, 0, 0, 128])), 'the limit was told');
  c.send(frame(TYPE.settings, FLAG.ack, 0));
  for (let i = 0; i < 128; i++) c.request(2 * i + 1, change(':path', '/hold'));
  await eventually(() => h.gateway.counts(KEY)?.inFlight === 128);
  for (let i = 128; i < 140; i++) c.request(2 * i + 1, change(':path', '/hold'));
  await eventually(() => c.closed);
  await eventually(() => h.gateway.counts(KEY)?.inFlight === 0);
});

test('broken frames end the connection', async () => {
  for (const bytes of [
    frame(TYPE.data, 0, 1, 'x'),
    frame(TYPE.headers, FLAG.endHeaders, 2, hpack(GOOD)),
    frame(TYPE.window, 0, 0, Buffer.alloc(4)),
    frame(TYPE.settings, 0, 1),
    frame(TYPE.ping, 0, 0, Buffer.alloc(7)),
    frame(TYPE.headers, FLAG.endHeaders, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
    Buffer.concat([Buffer.from([0xff, 0xff, 0xff]), Buffer.alloc(6)]),
  ]) {
    const c = client();
    c.send(bytes);
    await eventually(() => c.closed);
  }
});

test('the preface is for the beginning of a connection only, and has to be whole', async () => {
  const late = new RawClient(h.port);
  late.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  assert.equal((await late.response()).status, 200);
  late.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  assert.equal((await late.response()).status, 505);
  late.destroy();
  const wrong = new RawClient(h.port);
  wrong.send('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n');
  await wrong.end();
  wrong.destroy();
  const slow = connect({ port: h.port, host: '127.0.0.1' });
  const got: Buffer[] = [];
  slow.on('data', (chunk: Buffer) => got.push(chunk));
  const bytes = Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    frame(TYPE.settings, 0, 0),
    frame(TYPE.ping, 0, 0, Buffer.alloc(8)),
  ]);
  for (const byte of bytes) {
    slow.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await eventually(() => Buffer.concat(got).includes(frame(TYPE.ping, FLAG.ack, 0, Buffer.alloc(8))));
  slow.destroy();
});

test('an answer that a client does not take is given up in the end, and further requests are refused', async () => {
  const big = await startHarness({ limits: { keepAliveMs: 300, maxUnsentBytes: 100_000 } });
  const made = await startMuxInstance((s) => s.respond(200, {}, Buffer.alloc(500_000, 'x')));
  big.endpoints(made.path);
  const c = new FrameClient(big.port);
  c.send(frame(TYPE.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])));
  c.request(1);
  assert.equal((await c.first(TYPE.headers, 1))?.stream, 1);
  c.request(3);
  assert.equal((await c.first(TYPE.rst, 3))?.payload.readUInt32BE(0), 7);
  assert.equal((await c.first(TYPE.rst, 1))?.payload.readUInt32BE(0), 8);
  c.socket.destroy();
  await big.gateway.close(0);
  await made.close();
});

/** Numbers that look random and are the same in every run. */
function randoms(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test('whatever frames come, and however bent, the gateway serves on and nothing stays behind', async () => {
  const random = randoms(42);
  const clients: FrameClient[] = [];
  for (let round = 0; round < 60; round++) {
    const c = client();
    clients.push(c);
    for (let i = 0; i < 20; i++) {
      const stream = random(8);
      const good = Buffer.concat([
        hpack([
          ...GOOD,
          ...Array.from({ length: random(4) }, (): [string, string] => [`x-${random(9)}`, 'y']),
        ]),
      ]);
      const payload =
        random(3) > 0 ? good : Buffer.from(Array.from({ length: random(40) }, () => random(256)));
      const bytes = frame(random(12), random(2) === 0 ? 5 : random(256), stream, payload);
      if (random(4) === 0) bytes[random(bytes.length)] = random(256);
      c.send(bytes);
    }
    if (random(2) === 0) c.socket.destroy();
  }
  const other = client();
  other.request(1);
  assert.equal((await other.first(TYPE.data, 1))?.payload.toString(), 'ok');
  for (const c of clients) c.socket.destroy();
  await eventually(() => h.gateway.counts(KEY)?.inFlight === 0 && h.gateway.counts(KEY)?.queued === 0);
});
