/** Instances that lie or die, a control plane that is gone, and policies over HTTP/2. */
import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { silentLogger } from '../../base/log.ts';
import type { RoutePolicy } from '../contract.ts';
import { GatewayControl } from '../gateway.ts';
import { grpcFrame, h2Client, startH2Instance } from '../testing/h2.ts';
import { eventually, get, HOST, KEY, RawClient } from '../testing/harness.ts';
import { startMuxInstance } from '../testing/mux-instance.ts';
import { names, SHOP_HOST, shopRequest, startShop } from '../testing/shop.ts';

async function plainInstance(answer: string, then: 'end' | 'reset' | 'stay') {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(answer, () => {
        if (then === 'end') socket.end();
        else if (then === 'reset') socket.resetAndDestroy();
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

const OK = 'HTTP/1.1 200 OK\r\n';
const POLICIES: [string, RoutePolicy | undefined][] = [
  ['without a policy', undefined],
  [
    'with one',
    {
      affinity: { cookie: 'at' },
      retries: { attempts: 2, on: ['reset', '5xx'], budgetPercent: 100, perTryTimeoutMs: 5000 },
      breaker: { errorPercent: 100, minRequests: 100, openMs: 1000, maxInFlight: 100 },
    },
  ],
];

for (const [how, policy] of POLICIES) {
  for (const [what, answer, then] of [
    ['ends before its length', `${OK}Content-Length: 10\r\n\r\nabc`, 'end'],
    ['dies before its length', `${OK}Content-Length: 10\r\n\r\nabc`, 'reset'],
    ['dies within a chunk', `${OK}Transfer-Encoding: chunked\r\n\r\nff\r\nabc`, 'reset'],
    ['ends between chunks', `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`, 'end'],
  ] as const) {
    test(`an instance that ${what}: the client's connection is cut, what came was passed on (${how})`, async () => {
      const shop = await startShop();
      await shop.stock('a', [], { outcomes: true });
      const port = await plainInstance(answer, then);
      shop.gateway.setEndpoints('default/a', [
        { id: 'x', address: { kind: 'http1', host: '127.0.0.1', port } },
      ]);
      shop.open({ a: 100 }, policy);
      const client = new RawClient(shop.port).send(shopRequest());
      await assert.rejects(client.response());
      await eventually(() => client.closed);
      await eventually(() => shop.gateway.counts('default/a')?.inFlight === 0);
      // reports come once a second: enough to wait for two of them
      if (what !== 'dies before its length') return;
      await eventually(() =>
        shop.stats.flat().some(({ key, outcomes }) => key === 'default/a' && outcomes?.classes[0] === 1),
      );
    });
  }

  test(`an instance that says more than its length: the client sees one whole answer (${how})`, async () => {
    const shop = await startShop();
    await shop.stock('a', []);
    const port = await plainInstance(`${OK}Content-Length: 3\r\n\r\nabcHTTP/1.1 200 evil\r\n\r\n`, 'stay');
    shop.gateway.setEndpoints('default/a', [
      { id: 'x', address: { kind: 'http1', host: '127.0.0.1', port } },
    ]);
    shop.open({ a: 100 }, policy);
    const client = new RawClient(shop.port);
    for (let i = 0; i < 3; i++) assert.equal((await shop.ask({ client })).body, 'abc');
    client.destroy();
  });
}

for (const workers of [0, 1]) {
  test(`a gateway whose control plane is gone serves what it knows (workers: ${workers})`, async () => {
    let told = 0;
    const fail = () => {
      told++;
      throw new Error('the control plane is gone');
    };
    const events = { demand: fail, stats: fail, endpointDown: fail };
    const gateway = new GatewayControl({ host: '127.0.0.1', port: 0, events, log: silentLogger });
    await gateway.start(workers);
    after(() => gateway.close(0));
    const sick = await startMuxInstance((s) => s.respond(200, {}, 'sick'));
    const well = await startMuxInstance((s) => s.respond(200, {}, 'well'));
    after(() => well.close());
    const entry = { containerConcurrency: 1, timeoutMs: 5000, maxRequestBytes: 0, queueDepth: 50 };
    gateway.setRevision(KEY, { key: KEY, ...entry });
    gateway.setRoute('default', 'hello', {
      namespace: 'default',
      name: 'hello',
      hosts: [HOST],
      targets: [{ revision: KEY, percent: 100 }],
    });
    const client = new RawClient(gateway.address.port).send(get());
    await eventually(() => told > 0, 'a demand that nobody hears');
    gateway.setEndpoints(KEY, [
      { id: 'sick', address: { kind: 'mux', path: sick.path } },
      { id: 'well', address: { kind: 'mux', path: well.path } },
    ]);
    assert.equal((await client.response()).status, 200);
    await sick.close();
    const heard = told;
    // the request that meets the dying instance may fail; no later one does
    while ((await client.send(get()).response()).body !== 'well');
    for (let i = 0; i < 20; i++) assert.equal((await client.send(get()).response()).body, 'well');
    // a report of the last second fails as well, and so did the word of the endpoint that went down
    await eventually(() => told > heard + 1, 'events that nobody hears');
    assert.equal((await client.send(get()).response()).body, 'well');
    client.destroy();
  });
}

test('what a gRPC answer says in its trailers is what counts', async () => {
  const shop = await startShop();
  const made = await startH2Instance((stream, headers) => {
    stream.resume();
    const code = String(headers['x-code']);
    if (headers[':path'] === '/only') {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': code },
        { endStream: true },
      );
      return;
    }
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': code }));
    stream.end(grpcFrame('x'));
  });
  after(() => made.close());
  await shop.stock('a', [], { outcomes: true });
  shop.gateway.setEndpoints('default/a', [{ id: 'a', address: made.address }]);
  shop.open({ a: 100 });
  const client = h2Client(shop.port);
  after(() => client.close());
  for (const path of ['/only', '/whole']) {
    for (const code of ['0', '5', '13', '14', '77']) {
      const headers = { ':authority': SHOP_HOST, 'content-type': 'application/grpc', 'x-code': code };
      const r = await client.fetch(path, headers, grpcFrame('q'));
      assert.equal(r.headers['grpc-status'] ?? r.trailers['grpc-status'], code);
    }
  }
  const classes = () => {
    const all = shop.stats.flat().filter(({ key }) => key === 'default/a');
    return all.reduce((sum, s) => sum.map((n, i) => n + (s.outcomes?.classes[i] ?? 0)), [0, 0, 0, 0, 0, 0]);
  };
  await eventually(() => classes().reduce((a, b) => a + b) === 10);
  assert.deepEqual(classes(), [0, 0, 2, 0, 2, 6]);
});

test('policies are the same for HTTP/2, on both sides', async () => {
  const shop = await startShop();
  const attempts: (string | undefined)[] = [];
  const made = await startH2Instance((stream, headers) => {
    attempts.push(headers['x-retry-attempt'] as string | undefined);
    stream.resume();
    stream.on('end', () => {
      stream.respond({ ':status': attempts.length === 1 ? 503 : 200 });
      stream.end('answer');
    });
  });
  after(() => made.close());
  const copies: { body: string; mark: unknown }[] = [];
  const copy = await startH2Instance((stream, headers) => {
    let body = '';
    stream.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    stream.on('end', () => {
      copies.push({ body, mark: headers['x-petrel-mirror'] });
      stream.respond({ ':status': 200 });
      stream.end();
    });
  });
  after(() => copy.close());
  await shop.stock('a', []);
  await shop.stock('m', []);
  await shop.stock('r', [names('ruled')]);
  shop.gateway.setEndpoints('default/a', [{ id: 'a', address: made.address }]);
  shop.gateway.setEndpoints('default/m', [{ id: 'm', address: copy.address }]);
  const rule = { headers: [{ name: 'x-r', type: 'Present' as const }], cookies: [], revision: 'default/r' };
  shop.open(
    { a: 100 },
    {
      rules: [rule],
      affinity: { cookie: 'at' },
      mirror: { revision: 'default/m', percent: 100 },
      retries: { attempts: 1, on: ['503'], budgetPercent: 100 },
      rateLimit: { requests: 3, periodMs: 60_000, burst: 3, key: {} },
    },
  );
  const client = h2Client(shop.port);
  after(() => client.close());
  const to = { ':authority': SHOP_HOST };
  const first = await client.fetch('/', to);
  assert.deepEqual([first.status, first.body], [200, 'answer']);
  assert.match(String(first.headers['set-cookie']), /^at=/);
  assert.deepEqual(attempts, [undefined, '1']);
  assert.equal((await client.fetch('/', to, 'the body')).body, 'answer');
  await eventually(() => copies.length === 2);
  assert.deepEqual(copies, [
    { body: '', mark: 'true' },
    { body: 'the body', mark: 'true' },
  ]);
  assert.equal((await client.fetch('/', { ...to, 'x-r': '1' })).body, 'ruled');
  const refused = await client.fetch('/', to);
  assert.equal(refused.status, 429);
  assert.ok(refused.headers['retry-after'] !== undefined && refused.headers.ratelimit !== undefined);
});
