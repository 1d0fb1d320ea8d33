/** Time limits of what lives long: event streams and upgraded connections are judged by activity. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { eventually, get, type Harness, HOST, KEY, RawClient, startHarness } from './testing/harness.ts';
import { startMuxInstance, type TestStream } from './testing/mux-instance.ts';

const TICK_MS = 20;
const LIMIT_MS = 150;

async function setUp(handler: (s: TestStream) => void): Promise<Harness> {
  const h = await startHarness();
  const made = await startMuxInstance(handler);
  after(async () => {
    await h.gateway.close(0);
    await made.close();
  });
  h.endpoints(made.path);
  return h;
}

/** Calls `tick` until `ms` have passed. */
async function during(ms: number, tick: () => void): Promise<void> {
  const end = performance.now() + ms;
  while (performance.now() < end) {
    tick();
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
}

for (const type of ['text/event-stream', 'text/event-stream; charset=utf-8']) {
  test(`${type} outlives the limit of a request while events come, and ends when they do not`, async () => {
    let stream: TestStream | undefined;
    const h = await setUp((s) => {
      stream = s;
      s.begin(200, { 'content-type': type });
    });
    h.revision({ timeoutMs: LIMIT_MS });
    const client = new RawClient(h.port).send(get());
    const head = await client.head();
    assert.equal(head.status, 200);
    await during(3 * LIMIT_MS, () => stream!.data('data: x\n\n'));
    assert.equal(client.closed, false);
    assert.ok(client.text.split('data: x').length > 5);
    await client.end();
    await eventually(() => stream!.reset?.code === 'timeout');
    assert.equal(h.gateway.counts(KEY)?.inFlight, 0);
  });
}

test('any other answer is cut by the limit of the whole, bytes or not', async () => {
  let stream: TestStream | undefined;
  const h = await setUp((s) => {
    stream = s;
    s.begin(200, { 'content-type': 'text/plain' });
  });
  h.revision({ timeoutMs: LIMIT_MS });
  const client = new RawClient(h.port).send(get());
  await client.head();
  const timer = setInterval(() => stream!.data('x'), TICK_MS);
  await client.end();
  clearInterval(timer);
  await eventually(() => stream!.reset?.code === 'timeout');
  assert.match(client.text, /\r\n1\r\nx\r\nf\r\nrequest timeout\r\n0\r\n\r\n$/, 'it says so where it ends');
});

test('an answer that falls short of its length when time runs out is broken off', async () => {
  const h = await setUp((s) => s.begin(200, { 'content-length': '5' }));
  h.revision({ timeoutMs: LIMIT_MS });
  const client = new RawClient(h.port).send(get());
  await client.head();
  await client.end();
  assert.ok(!client.text.includes('request timeout'), client.text);
});

test('an idle limit of its own counts for event streams', async () => {
  let stream: TestStream | undefined;
  const h = await setUp((s) => {
    stream = s;
    s.begin(200, { 'content-type': 'text/event-stream' });
  });
  h.revision({ timeoutMs: 60_000, idleTimeoutMs: LIMIT_MS });
  const client = new RawClient(h.port).send(get());
  await client.head();
  await during(2 * LIMIT_MS, () => stream!.data('data: x\n\n'));
  assert.equal(client.closed, false);
  await client.end();
});

test('an upgraded connection lives while bytes flow either way', async () => {
  const server = createServer();
  server.on('upgrade', (_req, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.on('error', () => {});
    socket.on('data', () => {}); // only takes
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const h = await startHarness();
  after(async () => {
    await h.gateway.close(0);
    server.close();
    server.closeAllConnections();
  });
  h.revision({ timeoutMs: LIMIT_MS });
  h.endpoints({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  const client = new RawClient(h.port);
  client.send(`GET /ws HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
  assert.equal((await client.head()).status, 101);
  await during(3 * LIMIT_MS, () => client.send('ping'));
  assert.equal(client.closed, false);
  await client.end();
});

test('the answer to a request that ran out of time says so in the words clients know', async () => {
  const h = await setUp(() => {});
  h.revision({ timeoutMs: LIMIT_MS });
  const r = await new RawClient(h.port).send(get()).response();
  assert.equal(r.status, 504);
  assert.match((JSON.parse(r.body) as { message: string }).message, /^request timeout/);
});
