/** The instance protocol: windows, resets, going away, and what a broken instance can and cannot do. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { FRAME, INITIAL_WINDOW } from '../base/mux/frames.ts';
import { eventually, get, HOST, RawClient, startHarness } from './testing/harness.ts';
import { startMuxInstance, type TestConnection, type TestStream } from './testing/mux-instance.ts';

async function setUp(handler: (s: TestStream) => void, hello?: string) {
  const instance = await startMuxInstance(handler, hello);
  const h = await startHarness();
  h.endpoints(instance.path);
  after(async () => {
    await h.gateway.close(0);
    await instance.close();
  });
  return { h, instance };
}

const reasonOf = (body: string) => (JSON.parse(body) as { reason: string }).reason;

test('many requests at once share one connection and find their clients', async () => {
  const { h, instance } = await setUp((s) => setImmediate(() => s.respond(200, {}, s.target)));
  const clients = Array.from({ length: 50 }, () => new RawClient(h.port));
  await Promise.all(
    clients.map(async (client, i) => {
      for (let k = 0; k < 20; k++) {
        const path = `/${i}/${k}`;
        assert.equal((await client.send(get(path)).response()).body, path);
      }
      client.destroy();
    }),
  );
  assert.equal(instance.connections.length, 1);
});

test('request bodies respect the window of the instance, and memory stays bounded', async () => {
  let stream: TestStream | undefined;
  const { h } = await setUp((s) => {
    s.grant = false;
    stream = s;
    s.onEnd = () => s.respond(200, {}, String(s.received));
  });
  const size = 4 * 1024 * 1024;
  const client = new RawClient(h.port);
  client.send(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: ${size}\r\n\r\n`);
  client.send(Buffer.alloc(size, 'x'));
  await eventually(() => stream?.received === INITIAL_WINDOW, 'a full window');
  // nothing more comes, and the client is held back: most of its bytes are still in its own socket
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(stream!.received, INITIAL_WINDOW);
  assert.ok(client.socket.writableLength > 0);
  stream!.grant = true;
  stream!.give(size);
  assert.equal((await client.response()).body, String(size));
  client.destroy();
});

test('response bodies wait for a client that does not read', async () => {
  let stream: TestStream | undefined;
  let sent = 0;
  const total = 20 * 1024 * 1024;
  const { h } = await setUp((s) => {
    stream = s;
    s.begin(200, { 'content-length': String(total) });
    const pump = () => {
      while (s.sendWindow > 0 && sent < total) {
        const n = Math.min(s.sendWindow, 65_536, total - sent);
        sent += n;
        s.data(Buffer.alloc(n, 'y'));
      }
      if (sent === total) s.end();
    };
    s.onWindow = pump;
    pump();
  });
  const client = new RawClient(h.port);
  client.socket.pause();
  client.send(get());
  await eventually(() => sent > 0);
  let before = -1;
  await eventually(() => {
    const stalled = sent === before;
    before = sent;
    return stalled && sent < total;
  });
  assert.ok(sent < total / 2, `${sent} bytes were accepted for a client that reads nothing`);
  let received = 0;
  client.socket.removeAllListeners('data');
  client.socket.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  client.socket.resume();
  await eventually(() => received > total, 'the whole body');
  assert.ok(stream);
  client.destroy();
});

test('an upload and a download of many megabytes arrive unchanged', async () => {
  const { h } = await setUp((s) => {
    s.keep = false;
    s.begin(200);
    const waiting: Buffer[] = [];
    const pump = () => {
      while (waiting.length > 0 && s.sendWindow > 0) {
        const chunk = waiting[0]!;
        const n = Math.min(chunk.length, s.sendWindow);
        s.data(chunk.subarray(0, n));
        if (n === chunk.length) waiting.shift();
        else waiting[0] = chunk.subarray(n);
      }
      if (waiting.length === 0 && s.ended) s.end();
    };
    s.onData = (chunk) => {
      waiting.push(chunk);
      pump();
    };
    s.onWindow = pump;
    s.onEnd = pump;
  });
  const body = Buffer.alloc(6 * 1024 * 1024);
  for (let i = 0; i < body.length; i++) body[i] = (i * 31 + (i >> 8)) & 255;
  const response = await fetch(`http://127.0.0.1:${h.port}/fn/default/hello/`, { method: 'POST', body });
  const back = Buffer.from(await response.arrayBuffer());
  assert.equal(back.compare(body), 0);
});

test('a client that goes away resets its stream', async () => {
  const codes: string[] = [];
  const { h } = await setUp((s) => {
    s.onReset = (code) => codes.push(code);
    if (s.target === '/begun') s.begin(200);
    if (s.target === '/begun') s.data('x');
  });
  for (const path of ['/waiting', '/begun']) {
    const client = new RawClient(h.port).send(get(path));
    await eventually(() => h.gateway !== null);
    if (path === '/begun') await client.head();
    else await new Promise((resolve) => setTimeout(resolve, 20));
    client.destroy();
    await eventually(() => codes.length > 0, 'a reset');
    assert.equal(codes.pop(), 'cancelled');
  }
});

for (const [code, status, reason] of [
  ['handler_error', 500, 'function_error'],
  ['overloaded', 503, 'overloaded'],
  ['whatever', 502, 'upstream_reset'],
] as const) {
  test(`RESET ${code} before a response is ${status} ${reason}`, async () => {
    const { h } = await setUp((s) => s.sendReset(code, 'because'));
    const client = new RawClient(h.port);
    for (let i = 0; i < 2; i++) {
      const r = await client.send(get()).response();
      assert.equal(r.status, status);
      assert.equal(reasonOf(r.body), reason);
      assert.match(r.body, /because/);
    }
    client.destroy();
  });
}

test('RESET crashed: 502, and the endpoint is used no more although its connection still stands', async () => {
  const { h } = await setUp((s) => s.sendReset('crashed', 'because'));
  const client = new RawClient(h.port);
  const r = await client.send(get()).response();
  assert.equal(r.status, 502);
  assert.equal(reasonOf(r.body), 'instance_crashed');
  assert.deepEqual(
    h.downs.map((d) => d.reason),
    ['crashed'],
  );
  const other = await startMuxInstance((s) => s.respond(200, {}, 'other'));
  after(() => other.close());
  h.onDemand = () => h.endpoints(other.path);
  assert.equal((await client.send(get()).response()).body, 'other');
  client.destroy();
});

test('RESET after a response has begun cuts the connection', async () => {
  const { h } = await setUp((s) => {
    s.begin(200);
    s.data('part');
    setTimeout(() => s.sendReset('crashed'), 5);
  });
  const client = new RawClient(h.port).send(get());
  await client.head();
  await client.end();
  assert.equal(client.text, '4\r\npart\r\n');
});

test('RESET draining of a request without body: another instance takes it', async () => {
  const { h, instance } = await setUp((s) => s.sendReset('draining'));
  const other = await startMuxInstance((s) => s.respond(200, {}, 'other'));
  after(() => other.close());
  h.onDemand = () => h.endpoints(instance.path, other.path);
  const client = new RawClient(h.port).send(get());
  h.gateway.setEndpoints('default/hello-00001', [
    { id: 'a', address: { kind: 'mux', path: instance.path } },
    { id: 'b', address: { kind: 'mux', path: other.path } },
  ]);
  const bodies: string[] = [];
  for (let i = 0; i < 5; i++) bodies.push((await client.response()).body) && i < 4 && client.send(get());
  assert.deepEqual(new Set(bodies), new Set(['other']));
  client.destroy();
});

test('GOAWAY: open requests are answered, new ones wait for another endpoint', async () => {
  let first: TestStream | undefined;
  const { h } = await setUp((s) => {
    first ??= s;
  });
  const one = new RawClient(h.port).send(get('/1'));
  await eventually(() => first !== undefined);
  first!.connection.send(FRAME.goaway, 0, Buffer.alloc(0));
  await eventually(() => h.downs.length === 1);
  assert.equal(h.downs[0]!.reason, 'draining');
  const other = await startMuxInstance((s) => s.respond(200, {}, 'other'));
  after(() => other.close());
  const two = new RawClient(h.port).send(get('/2'));
  await eventually(() => h.demands.length === 1);
  h.endpoints(other.path);
  assert.equal((await two.response()).body, 'other');
  first!.respond(200, {}, 'late');
  assert.equal((await one.response()).body, 'late');
  await eventually(() => first!.connection.socket.destroyed, 'the drained connection to close');
  one.destroy();
  two.destroy();
});

test('PING is answered', async () => {
  const { h, instance } = await setUp((s) => {
    s.connection.send(FRAME.ping, 0, Buffer.from('12345678'));
    s.respond(200, {}, '');
  });
  await new RawClient(h.port).send(get()).response();
  await eventually(() => instance.connections[0]!.pongs.length === 1);
  assert.deepEqual(instance.connections[0]!.pongs, ['12345678']);
});

test('an instance that dies: its requests fail, the endpoint is reported, waiting requests go elsewhere', async () => {
  const { h, instance } = await setUp((s) => {
    if (s.target === '/die') s.connection.socket.destroy();
    else if (s.target === '/begun') s.begin(200, { 'content-length': '10' });
  });
  const begun = new RawClient(h.port).send(get('/begun'));
  await begun.head();
  const die = new RawClient(h.port).send(get('/die'));
  const r = await die.response();
  assert.equal(r.status, 502);
  assert.equal(reasonOf(r.body), 'instance_crashed');
  await begun.end();
  assert.equal(h.downs.length, 1);
  const waiting = new RawClient(h.port).send(get('/again'));
  await eventually(() => h.demands.length === 1);
  const other = await startMuxInstance((s) => s.respond(200, {}, 'alive'));
  after(() => other.close());
  h.endpoints(other.path);
  assert.equal((await waiting.response()).body, 'alive');
  assert.ok(instance);
});

test('an endpoint that nobody listens on: reported, and the request is served by the next one', async () => {
  const other = await startMuxInstance((s) => s.respond(200, {}, 'alive'));
  const h = await startHarness();
  after(async () => {
    await h.gateway.close(0);
    await other.close();
  });
  h.endpoints('/nonexistent/i.sock');
  h.onDemand = () => {
    h.onDemand = () => {};
    h.endpoints(other.path);
  };
  const client = new RawClient(h.port).send(get());
  assert.equal((await client.response()).body, 'alive');
  assert.match(h.downs[0]!.reason, /^connect: ENOENT/);
  client.destroy();
});

function head(status: number, block: string, body = ''): Buffer {
  const out = Buffer.alloc(6 + block.length);
  out.writeUInt16LE(status, 0);
  out.writeUInt32LE(block.length, 2);
  out.write(block, 6, 'latin1');
  return Buffer.concat([out, Buffer.from(body)]);
}

/** What only the request itself may suffer from: 502, and the connection lives. */
const BAD_HEADS: [string, Buffer][] = [
  ['header injection', head(200, 'a: b\r\n\r\nHTTP/1.1 200 OK\r\n')],
  ['LF in a value', head(200, 'a: b\nc: d\r\n')],
  ['NUL in a value', head(200, 'a: b\0\r\n')],
  ['block without CRLF', head(200, 'a: b')],
  ['space before the colon', head(200, 'a : b\r\n')],
  ['status 99', head(99, '')],
  ['status 101 in RESPONSE', head(101, '')],
  ['status 600', head(600, '')],
  ['two Content-Lengths', head(200, 'content-length: 1\r\ncontent-length: 2\r\n', 'x')],
];

for (const [what, payload] of BAD_HEADS) {
  test(`an unusable response head (${what}) harms only its request`, async () => {
    const { h, instance } = await setUp((s) => {
      if (s.target === '/bad') s.connection.send(FRAME.response, s.id, payload);
      else s.respond(200, {}, 'fine');
    });
    const client = new RawClient(h.port);
    const bad = await client.send(get('/bad')).response();
    assert.equal(bad.status, 502);
    assert.equal(reasonOf(bad.body), 'upstream_protocol');
    assert.equal((await client.send(get('/good')).response()).body, 'fine');
    assert.equal(instance.connections.length, 1);
    assert.equal(h.downs.length, 0);
    client.destroy();
  });
}

const raw = (bytes: Buffer) => (c: TestConnection) => c.socket.write(bytes);
const send =
  (type: number, stream: number, payload: Buffer = Buffer.alloc(0)) =>
  (c: TestConnection) =>
    c.send(type, stream, payload);

/** What costs the instance its connection. */
const VIOLATIONS: [string, (c: TestConnection, s: TestStream) => void][] = [
  ['a frame of 2 MiB', raw(Buffer.from([0, 0, 0x20, 0, 4, 1, 0, 0, 0]))],
  ['RESPONSE on a stream never opened', send(FRAME.response, 999, head(200, ''))],
  ['RESPONSE on stream 0', send(FRAME.response, 0, head(200, ''))],
  ['DATA before a head', (c, s) => c.send(FRAME.data, s.id, Buffer.from('x'))],
  ['END before a head', (c, s) => c.send(FRAME.end, s.id, Buffer.alloc(0))],
  ['a second HELLO', send(FRAME.hello, 0, Buffer.from('{"version":1}'))],
  ['REQUEST from an instance', send(FRAME.request, 1, Buffer.from('GET / '))],
  ['CALL on a data connection', send(FRAME.call, 0, Buffer.from('{}'))],
  ['RESULT on a data connection', send(FRAME.result, 0, Buffer.from('{}'))],
  ['type 0', send(0, 0)],
  ['a short RESPONSE', (c, s) => c.send(FRAME.response, s.id, Buffer.from('abc'))],
  [
    'a header length past the frame',
    (c, s) => c.send(FRAME.response, s.id, Buffer.from([200, 0, 255, 0, 0, 0])),
  ],
  ['a short WINDOW', (c, s) => c.send(FRAME.window, s.id, Buffer.from('ab'))],
  ['a window past 2^31', (c, s) => c.send(FRAME.window, s.id, Buffer.from([255, 255, 255, 255]))],
  ['a short PING', send(FRAME.ping, 0, Buffer.from('1'))],
  [
    'a second head',
    (_c, s) => {
      s.begin(200);
      s.begin(200);
    },
  ],
  [
    'DATA past the window',
    (_c, s) => {
      s.begin(200);
      for (let i = 0; i < 600; i++) s.data(Buffer.alloc(65_536));
    },
  ],
];

for (const [what, act] of VIOLATIONS) {
  test(`a protocol violation (${what}) costs the instance its connection and others nothing`, async () => {
    const { h } = await setUp((s) => act(s.connection, s));
    const healthy = await startMuxInstance((s) => s.respond(200, {}, 'fine'));
    after(() => healthy.close());
    const key = 'default/other-00001';
    h.gateway.setRevision(key, {
      key,
      containerConcurrency: 0,
      timeoutMs: 5000,
      maxRequestBytes: 0,
      queueDepth: 1,
    });
    h.gateway.setRoute('default', 'other', {
      namespace: 'default',
      name: 'other',
      hosts: [],
      targets: [{ revision: key, percent: 100 }],
    });
    h.gateway.setEndpoints(key, [{ id: 'x', address: { kind: 'mux', path: healthy.path } }]);
    const client = new RawClient(h.port).send(get());
    if (what.startsWith('a second head') || what.startsWith('DATA past')) {
      await client.head();
      if (what.startsWith('DATA past')) client.socket.pause();
      await eventually(() => h.downs.length === 1, 'the endpoint to be given up');
    } else {
      const r = await client.response();
      assert.equal(r.status, 502);
      assert.equal(reasonOf(r.body), 'upstream_protocol');
    }
    assert.equal(h.downs.length, 1);
    assert.match(h.downs[0]!.reason, /protocol error/);
    const other = new RawClient(h.port).send('GET /fn/default/other/ HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.equal((await other.response()).body, 'fine');
    client.destroy();
    other.destroy();
  });
}

test('unknown frame types above 15 are ignored', async () => {
  const { h } = await setUp((s) => {
    s.connection.send(77, 5, Buffer.from('what'));
    s.respond(200, {}, 'ok');
  });
  assert.equal((await new RawClient(h.port).send(get()).response()).body, 'ok');
});

for (const [what, hello] of [
  ['a wrong version', '{"version":2}'],
  ['no JSON', 'hi'],
  ['null', 'null'],
]) {
  test(`HELLO with ${what} is not accepted`, async () => {
    const { h } = await setUp((s) => s.respond(200, {}, 'never'), hello);
    const r = await new RawClient(h.port).send(get()).response();
    assert.equal(r.status, 502);
  });
}

test('a response longer or shorter than its Content-Length is cut', async () => {
  const { h } = await setUp((s) => {
    s.begin(200, { 'content-length': '5' });
    s.data(s.target === '/long' ? 'more than five' : 'few');
    s.end();
  });
  for (const path of ['/long', '/short']) {
    const client = new RawClient(h.port).send(get(path));
    await client.head();
    await client.end();
    assert.ok(client.text.length < 5);
  }
});

test('an instance that times out and does not answer a PING is given up; one that does is not', async () => {
  const hung = await startMuxInstance((s) => {
    s.connection.hung = s.target === '/hang';
  });
  const h = await startHarness({ limits: { pongTimeoutMs: 100 } });
  after(async () => {
    await h.gateway.close(0);
    await hung.close();
  });
  h.revision({ timeoutMs: 40 });
  h.endpoints(hung.path);
  const client = new RawClient(h.port);
  assert.equal((await client.send(get('/slow')).response()).status, 504);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(h.downs.length, 0);
  assert.equal((await client.send(get('/hang')).response()).status, 504);
  // What comes before it is given up waits for another instance, which is asked for.
  const other = await startMuxInstance((s) => s.respond(200, {}, 'alive'));
  after(() => other.close());
  h.revision({ timeoutMs: 10_000 });
  h.onDemand = () => {
    if (h.downs.length > 0) h.endpoints(other.path);
  };
  assert.equal((await client.send(get()).response()).body, 'alive');
  assert.equal(h.downs.length, 1);
  assert.equal(h.downs[0]!.reason, 'does not answer');
  client.destroy();
});
