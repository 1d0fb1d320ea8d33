/** Requests that are to be carried out later go to the platform's server; and functions that call each other in a circle are stopped. */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { after, test } from 'node:test';
import { RawClient } from './testing/harness.ts';
import { names, startShop } from './testing/shop.ts';
import { startUnixServer } from './testing/unix-server.ts';

async function acceptor() {
  const seen: { req: IncomingMessage; body: string }[] = [];
  const server = await startUnixServer((req, res) => {
    let body = '';
    req.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    req.on('end', () => {
      seen.push({ req, body });
      res.writeHead(202, { 'x-petrel-invocation-id': '7' }).end('{}');
    });
  });
  after(() => server.close());
  return { seen, address: server.address };
}

test('the wish to be carried out later is handed over, in all its forms', async () => {
  const { seen, address } = await acceptor();
  const shop = await startShop();
  await shop.stock('a', [names('a')]);
  shop.open(
    { a: 100 },
    { rateLimit: { requests: 100, periodMs: 1000, burst: 100, key: {} } },
    { async: address },
  );
  const wishes = [
    'Prefer: respond-async',
    'prefer: wait=10, Respond-Async',
    'X-Petrel-Invoke-Mode: ASYNC',
    'X-Petrel-Invoke-Mode: batch',
  ];
  for (const wish of wishes) {
    const answer = await shop.ask({
      method: 'POST',
      path: '/do?x=1',
      headers: [wish, 'X-Petrel-Route: other/one'],
      body: 'work',
    });
    assert.equal(answer.status, 202, wish);
    assert.equal(answer.headers['x-petrel-invocation-id'], '7');
    const { req, body } = seen.at(-1)!;
    assert.equal(req.url, '/do?x=1');
    assert.equal(req.headers['x-petrel-route'], 'default/shop');
    assert.equal(body, 'work');
  }
  const others = ['Prefer: return=minimal', 'Prefer: respond-asynchronously', 'X-Petrel-Invoke-Mode: sync'];
  for (const other of others) assert.equal((await shop.ask({ headers: [other] })).body, 'a', other);
  assert.equal(seen.length, wishes.length);
});

test('a limit on clients holds for what they want done later', async () => {
  const { seen, address } = await acceptor();
  const shop = await startShop();
  await shop.stock('a', [names('a')]);
  const rateLimit = { requests: 2, periodMs: 600_000, burst: 2, key: {} };
  shop.open({ a: 100 }, { rateLimit }, { async: address });
  const statuses: number[] = [];
  for (let i = 0; i < 3; i++) statuses.push((await shop.ask({ headers: ['Prefer: respond-async'] })).status);
  assert.deepEqual(statuses, [202, 202, 429]);
  assert.equal((await shop.ask()).status, 429, 'it is one limit');
  assert.equal(seen.length, 2);
});

test('the server sees the path as an instance would, and a wish nobody takes is ignored', async () => {
  const { seen, address } = await acceptor();
  const shop = await startShop();
  await shop.stock('a', [names('a')]);
  shop.open({ a: 100 });
  const later = { headers: ['Prefer: respond-async'], path: '/fn/default/shop/x?y' };
  assert.equal((await shop.ask({ headers: later.headers })).body, 'a');
  shop.gateway.setPathRoute('p', {
    hosts: ['paths.test'],
    path: { type: 'prefix', value: '/q' },
    methods: [],
    rewrite: 'strip',
    to: [{ route: 'default/shop', revision: 'default/a', percent: 100 }],
    async: true,
    order: 0,
  });
  const byPath = { path: '/q/z', headers: [] };
  const post = async (host: string, { path, headers }: { path: string; headers: string[] }) => {
    const client = new RawClient(shop.port);
    const lines = [`GET ${path} HTTP/1.1`, `Host: ${host}`, ...headers, '', ''];
    const answer = await client.send(lines.join('\r\n')).response();
    client.destroy();
    return answer;
  };
  const none = await post('paths.test', byPath);
  assert.equal(none.status, 501);
  shop.open({ a: 100 }, undefined, { async: address });
  assert.equal((await post('other.test', later)).status, 202);
  assert.equal(seen.at(-1)?.req.url, '/x?y');
  assert.equal(seen.at(-1)?.req.headers['x-forwarded-prefix'], '/fn/default/shop');
  assert.equal((await post('paths.test', byPath)).status, 202);
  assert.equal(seen.at(-1)?.req.url, '/z');
  assert.equal(seen.at(-1)?.req.headers['x-petrel-revision'], 'default/a');
});

test('hops are counted where they are told, begun where functions call each other, and have a limit', async () => {
  const shop = await startShop();
  const told: (string | undefined)[] = [];
  await shop.stock('a', [
    (s) => {
      told.push(s.headers['x-petrel-hops']);
      s.respond(200, {}, '');
    },
  ]);
  shop.open({ a: 100 });
  await shop.ask();
  await shop.ask({ path: '/fn/default/shop/' });
  await shop.ask({ headers: ['X-Petrel-Hops: 1'] });
  await shop.ask({ headers: ['X-Petrel-Hops: 15', 'X-Petrel-Hops: 2'] });
  assert.deepEqual(told, [undefined, undefined, '2', '16'], 'its own host: nobody began to count');
  const client = new RawClient(shop.port);
  await client.send('GET /fn/default/shop/ HTTP/1.1\r\nHost: gateway\r\n\r\n').response();
  assert.equal(told.at(-1), '1');
  client.destroy();
  const refused = await shop.ask({ headers: ['X-Petrel-Hops: 16'] });
  assert.equal(refused.status, 508);
  assert.equal((JSON.parse(refused.body) as { reason: string }).reason, 'loop_detected');
  assert.equal((await shop.ask({ headers: ['X-Petrel-Hops: many'] })).status, 400);
});
