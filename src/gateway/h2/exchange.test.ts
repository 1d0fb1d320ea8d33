/** HTTP/2 in and out, in every combination with what else the gateway speaks. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { answer, type H2Client, h2Client, startH2Instance } from '../testing/h2.ts';
import { eventually, get, type Harness, HOST, KEY, RawClient, startHarness } from '../testing/harness.ts';
import { startMuxInstance, type TestStream } from '../testing/mux-instance.ts';

async function setUp(workers = 0): Promise<Harness> {
  const h = await startHarness({ workers });
  after(() => h.gateway.close(0));
  return h;
}

function client(h: Harness): H2Client {
  const made = h2Client(h.port);
  after(() => made.close());
  return made;
}

async function mux(handler: (s: TestStream) => void) {
  const made = await startMuxInstance(handler);
  after(() => made.close());
  return made;
}

async function h2c(
  handler: Parameters<typeof startH2Instance>[0],
  options?: Parameters<typeof startH2Instance>[1],
) {
  const made = await startH2Instance(handler, options);
  after(() => made.close());
  return made;
}

async function http1(handler: (req: IncomingMessage, res: ServerResponse) => void) {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

for (const workers of [0, 1]) {
  test(`HTTP/2 to a multiplexed instance (workers: ${workers})`, async () => {
    const h = await setUp(workers);
    const made = await mux((s) => {
      const tell = () =>
        s.respond(200, { 'x-head': s.head.replaceAll('\r\n', '|'), 'set-cookie': 'a=b' }, `got ${s.body}`);
      if (s.ended) tell();
      else s.onEnd = tell;
    });
    h.endpoints(made.path);
    const c = client(h);
    const one = await c.fetch('/a?b=c', { cookie: ['x=1', 'y=2'], 'x-own': 'é' });
    assert.equal(one.status, 200);
    assert.equal(one.body, 'got ');
    assert.match(String(one.headers['x-request-id']), /^[0-9a-f]{32}$/);
    const head = String(one.headers['x-head']);
    assert.match(head, /^GET \/a\?b=c\|host: hello\.default\.localhost\|/);
    assert.match(head, /\|cookie: x=1; y=2\|/);
    assert.match(head, /\|x-forwarded-for: 127\.0\.0\.1\|x-forwarded-proto: http\|/);
    assert.match(head, /\|traceparent: 00-/);
    assert.deepEqual(one.headers['set-cookie'], ['a=b']);
    const all = await Promise.all(Array.from({ length: 50 }, (_, i) => c.fetch('/p', {}, `body ${i}`)));
    all.forEach((r, i) => {
      assert.equal(r.body, `got body ${i}`);
    });
    assert.equal(h.gateway.counts(KEY)?.inFlight, 0);
  });
}

test('HTTP/2 to HTTP/1.1: lengths, chunks, trailers, HEAD, 204', async () => {
  const h = await setUp();
  const address = await http1((req, res) => {
    if (req.url === '/empty') {
      res.writeHead(204).end();
      return;
    }
    const chunks: Buffer[] = [];
    req.on('data', (c: Buffer) => chunks.push(c));
    req.on('end', () => {
      if (req.method === 'HEAD') {
        res.setHeader('x-method', 'HEAD');
        res.end();
        return;
      }
      res.setHeader('Trailer', 'x-sum');
      res.write(`${req.method} ${req.headers['transfer-encoding'] ?? req.headers['content-length'] ?? '-'} `);
      res.write(Buffer.concat(chunks));
      res.addTrailers({ 'x-sum': '42' });
      res.end();
    });
  });
  h.endpoints(address);
  const c = client(h);
  assert.equal((await c.fetch('/', { te: 'trailers' })).body, 'GET - ');
  const posted = await c.fetch('/', {}, 'abc');
  assert.equal(posted.body, 'POST chunked abc');
  assert.equal(posted.trailers['x-sum'], '42');
  assert.equal((await c.fetch('/', { 'content-length': '3' }, 'abc')).body, 'POST 3 abc');
  assert.equal((await c.fetch('/empty')).status, 204);
  const head = await answer(c.request({ ':method': 'HEAD', ':path': '/' }, { endStream: true }));
  assert.equal(head.headers['x-method'], 'HEAD');
  assert.equal(head.body, '');
});

test('HTTP/1.1 to HTTP/2: one connection for all, trailers become chunked trailers', async () => {
  const h = await setUp();
  const made = await h2c((stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('data', (c: Buffer) => chunks.push(c));
    stream.on('end', () => {
      stream.respond({ ':status': 201, 'x-seen': JSON.stringify(headers) }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '7', 'x-request-id': 'no' }));
      stream.end(Buffer.concat(chunks));
    });
  });
  h.endpoints(made.address);
  const clients = Array.from({ length: 10 }, () => new RawClient(h.port));
  await Promise.all(
    clients.map(async (c, i) => {
      for (let k = 0; k < 5; k++) {
        const body = `hello ${i}`;
        const r = await c
          .send(`POST /x?y HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
          .response();
        assert.equal(r.status, 201);
        assert.equal(r.body, body);
        assert.equal(r.trailers, 'x-sum: 7\n');
        const seen = JSON.parse(r.headers['x-seen']!) as Record<string, string>;
        assert.equal(seen[':path'], '/x?y');
        assert.equal(seen[':authority'], HOST);
        assert.equal(seen.te, 'trailers');
        assert.equal(seen.host, undefined);
        assert.equal(seen['x-forwarded-for'], '127.0.0.1');
      }
      c.destroy();
    }),
  );
  assert.equal(made.sessions.size, 1);
});

test('an HTTP/2 instance that allows few streams gets more connections, then the rest waits', async () => {
  const h = await setUp();
  let now = 0;
  let most = 0;
  const made = await h2c(
    (stream) => {
      most = Math.max(most, ++now);
      setTimeout(() => {
        now--;
        stream.respond({ ':status': 200 });
        stream.end('x');
      }, 5);
    },
    { settings: { maxConcurrentStreams: 3 } },
  );
  h.endpoints(made.address);
  const c = client(h);
  await c.fetch('/');
  const all = await Promise.all(Array.from({ length: 60 }, () => c.fetch('/')));
  assert.ok(all.every((r) => r.status === 200));
  assert.ok(most > 3 && most <= 12, String(most));
  assert.ok(made.sessions.size > 1 && made.sessions.size <= 4, String(made.sessions.size));
});

test('every stream is a request: containerConcurrency holds, the rest waits, cancelled ones give their place back', async () => {
  const h = await setUp();
  h.revision({ containerConcurrency: 2, queueDepth: 10 });
  const held: TestStream[] = [];
  const made = await mux((s) => held.push(s));
  h.endpoints(made.path);
  const c = client(h);
  const streams = Array.from({ length: 5 }, () => c.request({}, { endStream: true }));
  await eventually(() => held.length === 2 && h.gateway.counts(KEY)?.queued === 3);
  streams[4]!.close(8);
  await eventually(() => h.gateway.counts(KEY)?.queued === 2);
  streams[0]!.close(8);
  await eventually(() => held.length === 3);
  await eventually(() => held[0]!.reset?.code === 'cancelled');
  c.close();
  await eventually(() => h.gateway.counts(KEY)?.queued === 0 && h.gateway.counts(KEY)?.inFlight === 0);
});

test('a request over HTTP/2 waits for a cold start', async () => {
  const h = await setUp();
  const made = await mux((s) => s.respond(200, {}, 'up'));
  const c = client(h);
  const waiting = c.fetch('/');
  await eventually(() => h.demands.length === 1);
  h.endpoints(made.path);
  assert.equal((await waiting).body, 'up');
});

test('large bodies go through both ways, and slow readers hold the instance back', async () => {
  const h = await setUp();
  let wrote = 0;
  const made = await h2c((stream, headers) => {
    if (headers[':path'] === '/sink') {
      let n = 0;
      stream.on('data', (c: Buffer) => {
        n += c.length;
      });
      stream.on('end', () => {
        stream.respond({ ':status': 200 });
        stream.end(String(n));
      });
      return;
    }
    stream.respond({ ':status': 200 });
    const chunk = Buffer.alloc(64 * 1024, 'z');
    const more = () => {
      while (wrote < 512) {
        wrote++;
        if (!stream.write(chunk)) return;
      }
      stream.end();
    };
    stream.on('drain', more);
    more();
  });
  h.endpoints(made.address);
  const c = client(h);
  const size = 20 * 1024 * 1024;
  assert.equal((await c.fetch('/sink', {}, Buffer.alloc(size, 'a'))).body, String(size));
  const slow = c.request({ ':path': '/flood' }, { endStream: true });
  await new Promise((resolve) => slow.once('response', resolve));
  let before = -1;
  await eventually(() => {
    const same = wrote === before;
    before = wrote;
    return same && wrote > 0;
  });
  assert.ok(wrote < 256, `${wrote} of 512 chunks were taken from the instance`);
  let n = 0;
  slow.on('data', (chunk: Buffer) => {
    n += chunk.length;
  });
  await new Promise((resolve) => slow.once('end', resolve));
  assert.equal(n, 512 * 64 * 1024);
  const raw = new RawClient(h.port);
  wrote = 0;
  raw.send(get('/flood'));
  const r = await raw.response();
  assert.equal(r.body.length, 512 * 64 * 1024);
  raw.destroy();
});

test('failures are told with their reason; a broken answer is reset, not ended', async () => {
  const h = await setUp();
  const made = await mux((s) => {
    if (s.target === '/crash') s.sendReset('crashed');
    else if (s.target === '/late') {
      s.begin(200, {});
      s.data('half');
      setTimeout(() => s.sendReset('crashed'), 20);
    } else if (s.target === '/short') {
      s.begin(200, { 'content-length': '10' });
      s.data('half');
      s.end();
    }
  });
  h.endpoints(made.path);
  const c = client(h);
  const unknown = await c.fetch('/', { ':authority': 'nobody.test' });
  assert.equal(unknown.status, 404);
  const body = JSON.parse(unknown.body) as Record<string, string>;
  assert.equal(body.reason, 'no_route');
  assert.equal(body.requestId, unknown.headers['x-request-id']);
  const short = await c.fetch('/short');
  assert.notEqual(short.code, 0);
  const late = await c.fetch('/late');
  assert.equal(late.status, 200);
  assert.notEqual(late.code, 0);
  h.endpoints(made.path);
  const crash = await c.fetch('/crash');
  assert.equal(crash.status, 502);
  assert.equal((JSON.parse(crash.body) as { reason: string }).reason, 'instance_crashed');
});

test('time limits hold for streams', async () => {
  const h = await setUp();
  h.revision({ timeoutMs: 60 });
  const made = await h2c(() => {});
  h.endpoints(made.address);
  const c = client(h);
  const r = await c.fetch('/');
  assert.equal(r.status, 504);
  assert.match(r.body, /request timeout/);
  const raw = new RawClient(h.port);
  assert.equal((await raw.send(get()).response()).status, 504);
  raw.destroy();
});

test('a body over the limit is refused', async () => {
  const h = await setUp();
  h.revision({ maxRequestBytes: 10 });
  const made = await mux(() => {});
  h.endpoints(made.path);
  const c = client(h);
  assert.equal((await c.fetch('/', { 'content-length': '11' }, 'x'.repeat(11))).status, 413);
  assert.equal((await c.fetch('/', {}, 'x'.repeat(11))).status, 413);
});

test('an instance that goes away: its connection is made anew, what it did not look at is sent again', async () => {
  const h = await setUp();
  let sessions = 0;
  const made = await h2c((stream) => {
    const { session } = stream;
    const body: Buffer[] = [];
    stream.on('data', (c: Buffer) => body.push(c));
    stream.on('end', () => {
      stream.respond({ ':status': 200 });
      stream.end(Buffer.concat(body));
      session?.close();
    });
  });
  made.server.on('session', () => sessions++);
  h.endpoints(made.address);
  const c = client(h);
  for (let round = 0; round < 5; round++) {
    const all = await Promise.all(Array.from({ length: 20 }, (_, i) => c.fetch('/', {}, `b${i}`)));
    assert.deepEqual(
      all.map((r) => `${r.status} ${r.body}`),
      all.map((_, i) => `200 b${i}`),
    );
  }
  assert.ok(sessions >= 5);
  assert.deepEqual(h.downs, []);
});

test('an instance that speaks only HTTP/1.1 where HTTP/2 was promised is told as such', async () => {
  const h = await setUp();
  const address = await http1((_req, res) => res.end('x'));
  h.endpoints({ kind: 'h2c', ...address });
  const r = await client(h).fetch('/');
  assert.equal(r.status, 502);
  assert.match(r.body, /upstream_protocol.*does not speak HTTP\/2/);
});

test('no connection: the endpoint is told to be down, and the request waits for another', async () => {
  const h = await setUp();
  const gone = await startH2Instance(() => {});
  await gone.close();
  const made = await mux((s) => s.respond(200, {}, 'other'));
  h.endpoints(gone.address);
  const waiting = client(h).fetch('/');
  await eventually(() => h.downs.length === 1);
  h.endpoints(made.path);
  assert.equal((await waiting).body, 'other');
});

test('an instance that hangs is doubted and given up', async () => {
  const h = await startHarness({ limits: { pongTimeoutMs: 30 } });
  after(() => h.gateway.close(0));
  h.revision({ timeoutMs: 60 });
  const made = await h2c(() => {});
  // shows its settings and says nothing any more
  const { createServer: createNet } = await import('node:net');
  const mute = createNet((socket) => {
    socket.on('error', () => {});
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    after(() => socket.destroy());
  });
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  after(() => mute.close());
  h.endpoints({ kind: 'h2c', host: '127.0.0.1', port: (mute.address() as AddressInfo).port });
  const c = client(h);
  assert.equal((await c.fetch('/')).status, 504);
  await eventually(() => h.downs.length === 1);
  assert.equal(h.downs[0]?.reason, 'does not answer');
  h.endpoints(made.address);
  assert.equal((await c.fetch('/')).status, 504);
  assert.equal(h.downs.length, 1, 'it answers PING');
});

test('a port without a name is asked only for HTTP/2 clients', async () => {
  const h = await setUp();
  const made = await h2c((stream) => {
    stream.respond({ ':status': 200 });
    stream.end('two');
  });
  const { kind: _, ...where } = made.address as { kind: 'h2c'; host: string; port: number };
  h.endpoints({ kind: 'http1', ...where, detect: true });
  const c = client(h);
  assert.equal((await c.fetch('/')).body, 'two');
  assert.equal((await c.fetch('/')).body, 'two');
  const one = await http1((req, res) => res.end(`one ${req.httpVersion}`));
  h.endpoints({ kind: 'http1', ...one, detect: true });
  assert.equal((await c.fetch('/')).body, 'one 1.1');
  const raw = new RawClient(h.port);
  assert.equal((await raw.send(get()).response()).body, 'one 1.1');
  raw.destroy();
});
