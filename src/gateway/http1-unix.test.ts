/** Instances whose language has an HTTP server of its own, on a unix socket: what they are sent, how they fail, and how they leave. */
import assert from 'node:assert/strict';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { after, test } from 'node:test';
import { h2Client } from './testing/h2.ts';
import { eventually, get, type Harness, HOST, KEY, RawClient, startHarness } from './testing/harness.ts';
import { startUnixServer, type UnixServer } from './testing/unix-server.ts';

async function setUp(
  handler: RequestListener,
  workers = 0,
): Promise<{ h: Harness; server: UnixServer; client: RawClient }> {
  const server = await startUnixServer(handler);
  const h = await startHarness({ workers });
  const client = new RawClient(h.port);
  after(async () => {
    client.destroy();
    await h.gateway.close(0);
    await server.close();
  });
  h.endpoints(server.address);
  return { h, server, client };
}

const textOf = async (req: IncomingMessage) => {
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
};
const reasonOf = ({ body }: { body: string }) => (JSON.parse(body) as { reason: string }).reason;

for (const workers of [0, 2]) {
  test(`requests and bodies pass on connections that are kept (workers: ${workers})`, async () => {
    const { h, server, client } = await setUp(async (req, res) => {
      const body = await textOf(req);
      res.setHeader('x-forwarded', `${req.headers['x-forwarded-for']} ${req.headers.host}`);
      res.end(`${req.method} ${req.url} ${body.length} ${req.headers['transfer-encoding'] ?? '-'}`);
    }, workers);
    for (let i = 0; i < 5; i++) {
      const answer = await client.send(get(`/a?b=${i}`)).response();
      assert.equal(answer.body, `GET /a?b=${i} 0 -`);
      assert.equal(answer.headers['x-forwarded'], `127.0.0.1 ${HOST}`);
    }
    assert.equal(server.sockets.size, 1, 'one connection for one client');
    const body = 'x'.repeat(300_000);
    const head = `POST /b HTTP/1.1\r\nHost: ${HOST}\r\n`;
    assert.equal(
      (await client.send(`${head}Content-Length: ${body.length}\r\n\r\n${body}`).response()).body,
      'POST /b 300000 -',
    );
    client.send(`${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`);
    assert.equal((await client.response()).body, 'POST /b 5 chunked');
    const over2 = h2Client(h.port);
    after(() => over2.close());
    assert.equal((await over2.fetch('/c', {}, 'body')).body, 'POST /c 4 chunked');
  });
}

test('an answer streams, and its trailers come with it', async () => {
  let more: () => void = () => {};
  const { client } = await setUp((_, res) => {
    res.writeHead(200, { trailer: 'x-sum' });
    res.write('one');
    more = () => {
      res.addTrailers({ 'x-sum': '3' });
      res.end('two');
    };
  });
  client.send(get());
  await client.until(() => client.text.includes('one'));
  more();
  const answer = await client.response();
  assert.equal(answer.body, 'onetwo');
  assert.match(answer.trailers, /x-sum: 3/);
});

test('nobody listens: the request waits, the instance is reported, and takes its requests when it is back', async () => {
  const { h, server, client } = await setUp((_, res) => res.end('back'));
  await server.stop();
  client.send(get());
  await eventually(() => h.downs.length === 1 && h.demands.length > 0, 'the report');
  assert.match(h.downs[0]!.reason, /^connect: (ENOENT|ECONNREFUSED)$/);
  await server.listen();
  h.endpoints(server.address);
  assert.equal((await client.response()).body, 'back');
});

test('an instance that breaks off costs its own request; half an answer is never taken for a whole one', async () => {
  const { client } = await setUp((req, res) => {
    if (req.url === '/before') req.socket.destroy();
    else if (req.url === '/garbage') req.socket.end('what?\r\n\r\n');
    else if (req.url === '/middle') {
      res.writeHead(200, { 'content-length': '10' });
      res.write('half', () => req.socket.destroy());
    } else res.end('fine');
  });
  const before = await client.send(get('/before')).response();
  assert.equal(before.status, 502);
  assert.equal(reasonOf(before), 'upstream_reset');
  const garbage = await client.send(get('/garbage')).response();
  assert.equal(reasonOf(garbage), 'upstream_protocol');
  assert.equal((await client.send(get()).response()).body, 'fine');
  await client.send(get('/middle')).end();
  assert.match(client.text, /half$/, 'the connection ends in the middle');
});

test('time limits end a request, and its connection with it', async () => {
  const closed: string[] = [];
  const { h, client } = await setUp((req) => {
    req.socket.on('close', () => closed.push(req.url ?? ''));
  });
  h.revision({ timeoutMs: 50 });
  const late = await client.send(get('/late')).response();
  assert.equal(late.status, 504);
  assert.equal(reasonOf(late), 'timeout');
  await eventually(() => closed.includes('/late'), 'the instance sees that nobody waits');
  const gone = new RawClient(h.port);
  h.revision({ timeoutMs: 20_000 });
  gone.send(get('/gone'));
  await eventually(() => h.gateway.counts(KEY)?.inFlight === 1);
  gone.destroy();
  await eventually(() => closed.includes('/gone'), 'a client that left');
  await eventually(() => h.gateway.counts(KEY)?.inFlight === 0);
});

test('left out, an instance ends what it has begun, gets nothing new, and its idle connections close', async () => {
  const held: ServerResponse[] = [];
  const { h, server, client } = await setUp((req, res) => {
    if (req.url === '/slow') held.push(res);
    else res.end('quick');
  });
  await client.send(get()).response();
  const slow = new RawClient(h.port).send(get('/slow'));
  await eventually(() => held.length === 1);
  h.gateway.setEndpoints(KEY, []);
  let drained = false;
  const draining = h.gateway.drained(KEY, 'pod-0', 10_000).then(() => {
    drained = true;
  });
  client.send(get('/new'));
  await eventually(() => h.demands.length > 0, 'the new one waits for another');
  assert.equal(drained, false);
  held[0]!.end('slow but whole');
  assert.equal((await slow.response()).body, 'slow but whole');
  await draining;
  await eventually(() => server.sockets.size === 0, 'its connections');
  h.endpoints(server.address);
  assert.equal((await client.response()).body, 'quick');
  slow.destroy();
});

test('a connection that the instance closed while it was idle costs no request', async () => {
  const { server, client } = await setUp((_, res) => res.end('ok'));
  for (let i = 0; i < 20; i++) {
    assert.equal((await client.send(get()).response()).status, 200);
    for (const socket of server.sockets) socket.destroy();
    await eventually(() => server.sockets.size === 0);
  }
});

test('a WebSocket is a tunnel both ways, which ends when either side ends it', async () => {
  const { server, h, client } = await setUp((_, res) => res.end('no upgrade'));
  const sockets: Socket[] = [];
  server.server.on('upgrade', (_req: IncomingMessage, socket: Socket, head: Buffer) => {
    sockets.push(socket);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.write(`head:${head.toString()};`);
    socket.on('data', (chunk: Buffer) => socket.write(`re:${chunk.toString()};`));
    socket.on('end', () => socket.end('bye'));
  });
  const upgrade = get('/ws', 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n');
  client.send(upgrade);
  const { status, headers } = await client.head();
  assert.equal(status, 101);
  assert.equal(headers.upgrade, 'websocket');
  client.send('ping');
  await client.until(() => client.text.includes('re:ping;'));
  client.socket.end();
  await client.end();
  assert.match(client.text, /bye$/);
  const other = new RawClient(h.port).send(upgrade);
  await other.head();
  sockets[1]!.end();
  await other.end();
  await eventually(() => h.gateway.counts(KEY)?.inFlight === 0);
  const plain = new RawClient(h.port);
  assert.equal((await plain.send(get()).response()).body, 'no upgrade');
  plain.destroy();
});
