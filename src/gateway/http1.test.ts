/** Plain HTTP/1.1 instances: what is accepted of them, how connections are used again, and what never is. */
import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { eventually, get, HOST, RawClient, startHarness } from './testing/harness.ts';

interface Raw {
  port: number;
  sockets: Socket[];
  requests: string[];
}

/** A server that answers each request head with raw bytes; `null` answers nothing. */
async function rawServer(answer: (head: string, socket: Socket) => string | null): Promise<Raw> {
  const raw: Raw = { port: 0, sockets: [], requests: [] };
  const server = createServer((socket) => {
    raw.sockets.push(socket);
    let text = '';
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end);
        text = text.slice(end + 4);
        raw.requests.push(head);
        const reply = answer(head, socket);
        if (reply !== null) socket.write(Buffer.from(reply, 'latin1'));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  raw.port = (server.address() as AddressInfo).port;
  after(() => {
    for (const socket of raw.sockets) socket.destroy();
    server.close();
  });
  return raw;
}

async function setUp(answer: (head: string, socket: Socket) => string | null) {
  const upstream = await rawServer(answer);
  const h = await startHarness();
  after(() => h.gateway.close(0));
  h.endpoints({ host: '127.0.0.1', port: upstream.port });
  return { h, upstream };
}

const reasonOf = (body: string) => (JSON.parse(body) as { reason: string }).reason;
const OK = 'HTTP/1.1 200 OK\r\n';

/** [what, response, body] each followed by a second request on the same client connection. */
const ACCEPTED: [string, string, string][] = [
  ['Content-Length', `${OK}Content-Length: 3\r\n\r\nabc`, 'abc'],
  ['Content-Length 0', `${OK}Content-Length: 0\r\n\r\n`, ''],
  ['chunked', `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n`, 'abcde'],
  ['no reason phrase', 'HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\na', 'a'],
  ['no space before an empty reason', 'HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na', 'a'],
  ['HTTP/1.0 with a length', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na', 'a'],
  ['100 before', `HTTP/1.1 100 Continue\r\n\r\n${OK}Content-Length: 1\r\n\r\na`, 'a'],
  ['Connection: close with a length', `${OK}Connection: close\r\nContent-Length: 1\r\n\r\na`, 'a'],
];

for (const [what, response, body] of ACCEPTED) {
  test(`accepted from an instance: ${what}`, async () => {
    const { h } = await setUp(() => response);
    const client = new RawClient(h.port);
    for (let i = 0; i < 3; i++) {
      const r = await client.send(get()).response();
      assert.equal(r.status, 200);
      assert.equal(r.body, body);
      assert.equal(r.headers.connection, undefined);
    }
    client.destroy();
  });
  test(`accepted from an instance byte by byte: ${what}`, async () => {
    const { h } = await setUp((_head, socket) => {
      socket.setNoDelay(true);
      let i = 0;
      const next = () => {
        if (i < response.length && !socket.destroyed)
          socket.write(Buffer.from(response[i++]!, 'latin1'), () => setImmediate(next));
      };
      next();
      return null;
    });
    const client = new RawClient(h.port);
    const r = await client.send(get()).response();
    assert.equal(r.body, body);
    client.destroy();
  });
}

/** [what, response] answered with 502. */
const REFUSED: [string, string][] = [
  ['no HTTP', 'hello\r\n\r\n'],
  ['HTTP/2', 'HTTP/2.0 200 OK\r\n\r\n'],
  ['status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['status 999', 'HTTP/1.1 999 No\r\n\r\n'],
  ['bare LF', 'HTTP/1.1 200 OK\nContent-Length: 1\n\na'],
  ['folded header', `${OK}A: b\r\n c\r\nContent-Length: 1\r\n\r\na`],
  ['space before the colon', `${OK}Content-Length : 1\r\n\r\na`],
  ['two lengths', `${OK}Content-Length: 1\r\nContent-Length: 1\r\n\r\na`],
  ['a length that is no number', `${OK}Content-Length: 1x\r\n\r\na`],
  ['length and chunked', `${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`],
  ['unknown coding', `${OK}Transfer-Encoding: gzip\r\n\r\na`],
  ['NUL in a header', `${OK}A: \0\r\nContent-Length: 1\r\n\r\na`],
  ['an upgrade nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n'],
  ['endless interim responses', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(50)],
  ['endless head', `${OK}${`A: ${'b'.repeat(1000)}\r\n`.repeat(80)}`],
];

for (const [what, response] of REFUSED) {
  test(`refused from an instance: ${what}`, async () => {
    const { h, upstream } = await setUp(() => response);
    const client = new RawClient(h.port);
    const r = await client.send(get()).response();
    assert.equal(r.status, 502);
    assert.equal(reasonOf(r.body), 'upstream_protocol');
    await eventually(
      () => upstream.sockets[0]!.destroyed || upstream.sockets[0]!.readableEnded,
      'the connection to be dropped',
    );
    client.destroy();
  });
}

test('bytes after a response end the connection and reach nobody', async () => {
  let n = 0;
  const { h, upstream } = await setUp(() => {
    n++;
    return `${OK}Content-Length: 1\r\n\r\n${n}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`;
  });
  const client = new RawClient(h.port);
  assert.equal((await client.send(get()).response()).body, '1');
  assert.equal((await client.send(get()).response()).body, '2');
  assert.equal(upstream.sockets.length, 2);
  client.destroy();
});

test('connections are kept and used again', async () => {
  const { h, upstream } = await setUp(() => `${OK}Content-Length: 1\r\n\r\na`);
  const client = new RawClient(h.port);
  for (let i = 0; i < 10; i++) await client.send(get()).response();
  assert.equal(upstream.sockets.length, 1);
  client.destroy();
});

test('an instance that closes idle connections causes no failure', async () => {
  const { h, upstream } = await setUp(() => `${OK}Content-Length: 1\r\n\r\na`);
  const client = new RawClient(h.port);
  for (let i = 0; i < 5; i++) {
    assert.equal((await client.send(get()).response()).status, 200);
    const socket = upstream.sockets.at(-1)!;
    socket.end();
    await eventually(() => socket.closed, 'the idle connection to close');
  }
  assert.equal(upstream.sockets.length, 5);
  client.destroy();
});

test('Keep-Alive: timeout of an instance shortens how long its connection is kept', async () => {
  const { h, upstream } = await setUp(() => `${OK}Keep-Alive: timeout=1\r\nContent-Length: 1\r\n\r\na`);
  await new RawClient(h.port).send(get()).response();
  await eventually(
    () => upstream.sockets[0]!.readableEnded || upstream.sockets[0]!.destroyed,
    'the connection to close',
  );
});

test('a response delimited by the end of the connection is chunked for the client', async () => {
  const { h } = await setUp((_head, socket) => {
    socket.write(`${OK}\r\nabc`);
    setTimeout(() => socket.end('def'), 5);
    return null;
  });
  const client = new RawClient(h.port);
  for (let i = 0; i < 2; i++) {
    const r = await client.send(get()).response();
    assert.equal(r.headers['transfer-encoding'], 'chunked');
    assert.equal(r.body, 'abcdef');
  }
  client.destroy();
});

test('a broken response is cut, not completed', async () => {
  for (const start of [
    `${OK}Content-Length: 10\r\n\r\nabc`,
    `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nabc`,
  ]) {
    const { h } = await setUp((_head, socket) => {
      socket.write(start);
      setTimeout(() => socket.destroy(), 5);
      return null;
    });
    const client = new RawClient(h.port).send(get());
    assert.equal((await client.head()).status, 200);
    await client.end();
    assert.ok(!client.text.endsWith('0\r\n\r\n'));
  }
});

test('a connection that ends without an answer is 502, and the request is not repeated', async () => {
  const { h, upstream } = await setUp((_head, socket) => {
    socket.end();
    return null;
  });
  const r = await new RawClient(h.port).send(get()).response();
  assert.equal(r.status, 502);
  assert.equal(reasonOf(r.body), 'upstream_reset');
  assert.equal(upstream.requests.length, 1);
});

test('nobody listens: reported, and the request waits for another endpoint', async () => {
  const { h, upstream } = await setUp(() => `${OK}Content-Length: 1\r\n\r\na`);
  const unused = createServer();
  await new Promise<void>((resolve) => unused.listen(0, '127.0.0.1', resolve));
  const { port } = unused.address() as AddressInfo;
  await new Promise((resolve) => unused.close(resolve));
  h.endpoints({ host: '127.0.0.1', port });
  h.onDemand = () => h.endpoints({ host: '127.0.0.1', port: upstream.port });
  const post = `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 3\r\n\r\nabc`;
  assert.equal((await new RawClient(h.port).send(post).response()).status, 200);
  assert.match(h.downs[0]!.reason, /ECONNREFUSED/);
});

test('interim responses other than 100 are passed on', async () => {
  const { h } = await setUp(
    () => `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}Content-Length: 1\r\n\r\na`,
  );
  const client = new RawClient(h.port).send(get());
  const hints = await client.head();
  assert.equal(hints.status, 103);
  assert.equal(hints.headers.link, '</a>');
  assert.equal((await client.response()).body, 'a');
});

test('HEAD, 204 and 304 have no body whatever their headers say', async () => {
  const { h } = await setUp((head) => {
    if (head.startsWith('HEAD')) return `${OK}Content-Length: 1000\r\n\r\n`;
    if (head.includes('/204')) return 'HTTP/1.1 204 No Content\r\n\r\n';
    if (head.includes('/304')) return 'HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n';
    if (head.includes('/chunkedhead')) return `${OK}Transfer-Encoding: chunked\r\n\r\n`;
    return `${OK}Content-Length: 1\r\n\r\na`;
  });
  const client = new RawClient(h.port);
  const head = await client.send(`HEAD / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`).response(true);
  assert.equal(head.headers['content-length'], '1000');
  assert.equal((await client.send(get('/204')).response()).status, 204);
  const unmodified = await client.send(get('/304')).response();
  assert.equal(unmodified.headers['content-length'], '7');
  assert.equal((await client.send(get()).response()).body, 'a');
  client.destroy();
});

test('trailers of an instance are passed on', async () => {
  const { h } = await setUp(
    () => `${OK}Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\n\r\n`,
  );
  const r = await new RawClient(h.port).send(get()).response();
  assert.equal(r.trailers, 'x-t: 1\n');
  assert.equal(r.headers.trailer, 'X-T');
});

test('a client that goes away closes the connection to the instance', async () => {
  const { h, upstream } = await setUp(() => null);
  const client = new RawClient(h.port).send(get());
  await eventually(() => upstream.requests.length === 1);
  client.destroy();
  await eventually(
    () => upstream.sockets[0]!.readableEnded || upstream.sockets[0]!.destroyed,
    'the connection to close',
  );
});

test('an upgrade is tunnelled both ways', async () => {
  const { h } = await setUp((_head, socket) => {
    socket.removeAllListeners('data');
    socket.on('data', (chunk: Buffer) => socket.write(`<${chunk.toString()}>`));
    socket.on('end', () => socket.end('bye'));
    return 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nfirst';
  });
  const client = new RawClient(h.port).send(get('/', 'Connection: Upgrade\r\nUpgrade: chat\r\n'));
  assert.equal((await client.head()).status, 101);
  assert.equal(await client.take(5), 'first');
  client.send('x');
  assert.equal(await client.take(3), '<x>');
  client.destroy();
});

test('a slow client holds a fast instance back, and a slow instance a fast client', async () => {
  const total = 30 * 1024 * 1024;
  let sent = 0;
  const server = createHttpServer((req, res) => {
    if (req.method === 'POST') {
      req.pause();
      setTimeout(() => {
        let n = 0;
        req.on('data', (chunk: Buffer) => {
          n += chunk.length;
        });
        req.on('end', () => res.end(String(n)));
        req.resume();
      }, 100);
      return;
    }
    res.writeHead(200, { 'content-length': total });
    const pump = () => {
      while (sent < total) {
        sent += 65_536;
        if (!res.write(Buffer.alloc(65_536))) {
          res.once('drain', pump);
          return;
        }
      }
      res.end();
    };
    pump();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const h = await startHarness();
  after(async () => {
    await h.gateway.close(0);
    server.close();
    server.closeAllConnections();
  });
  h.endpoints({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  const slow = new RawClient(h.port);
  slow.socket.pause();
  slow.send(get());
  await eventually(() => sent > 0);
  let before = -1;
  for (let i = 0; i < 200 && sent !== before; i++) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(sent < total, `${sent} of ${total} bytes were taken for a client that reads nothing`);
  let received = 0;
  slow.socket.removeAllListeners('data');
  slow.socket.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  slow.socket.resume();
  await eventually(() => received > total, 'the whole body');
  slow.destroy();
  const upload = await fetch(`http://127.0.0.1:${h.port}/fn/default/hello/`, {
    method: 'POST',
    body: Buffer.alloc(8_000_000),
  });
  assert.equal(await upload.text(), '8000000');
});

test('fetch with keep-alive, streams and errors against a Node server behind the gateway', async () => {
  const server = createHttpServer((req, res) => {
    if (req.url === '/echo') req.pipe(res);
    else if (req.url === '/none') res.writeHead(204).end();
    else res.end(req.headers['x-forwarded-prefix']);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const h = await startHarness();
  after(async () => {
    await h.gateway.close(0);
    server.close();
    server.closeAllConnections();
  });
  h.endpoints({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  const base = `http://127.0.0.1:${h.port}/fn/default/hello`;
  assert.equal(await (await fetch(`${base}/`)).text(), '/fn/default/hello');
  assert.equal((await fetch(`${base}/none`)).status, 204);
  const body = new ReadableStream({
    start(controller) {
      for (let i = 0; i < 100; i++) controller.enqueue(new TextEncoder().encode(`part ${i};`));
      controller.close();
    },
  });
  const echoed = await fetch(`${base}/echo`, { method: 'POST', body, duplex: 'half' } as RequestInit);
  assert.match(await echoed.text(), /^part 0;.*part 99;$/);
  await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      const r = await fetch(`${base}/echo`, { method: 'POST', body: `body ${i}` });
      assert.equal(await r.text(), `body ${i}`);
    }),
  );
});
