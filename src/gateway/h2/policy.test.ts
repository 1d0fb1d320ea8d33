/** What a route's policy asks for holds for HTTP/2 clients and HTTP/2 instances too. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { h2Client, startH2Instance } from '../testing/h2.ts';
import { names, SHOP_HOST, type Shop, startShop } from '../testing/shop.ts';

function client(shop: Shop) {
  const made = h2Client(shop.port);
  after(() => made.close());
  return (path: string, headers: Record<string, string> = {}, body?: string) =>
    made.fetch(path, { ':authority': SHOP_HOST, ...headers }, body);
}

test('rules choose by header and cookie, and a session sticks to its instance', async () => {
  const shop = await startShop();
  await shop.stock('blue', [names('blue')]);
  await shop.stock('green', [names('green-0'), names('green-1')]);
  shop.open(
    { green: 100 },
    {
      rules: [
        { headers: [{ name: 'x-beta', type: 'Exact', value: 'yes' }], cookies: [], revision: 'default/blue' },
      ],
      affinity: { cookie: 'sid' },
    },
  );
  const ask = client(shop);
  assert.equal((await ask('/', { 'x-beta': 'yes' })).body, 'blue');
  const first = await ask('/');
  const cookie = first.headers['set-cookie']?.[0]?.split(';')[0];
  assert.ok(cookie?.startsWith('sid='), String(first.headers['set-cookie']));
  for (let i = 0; i < 10; i++) assert.equal((await ask('/', { cookie: String(cookie) })).body, first.body);
});

test('a rate limit answers in the terms of the client', async () => {
  const shop = await startShop();
  await shop.stock('blue', [names('blue')]);
  shop.open({ blue: 100 }, { rateLimit: { requests: 1, periodMs: 60_000, burst: 1, key: {} } });
  const ask = client(shop);
  const answers = [await ask('/'), await ask('/'), await ask('/')];
  const refused = answers.find((r) => r.status === 429);
  assert.ok(refused, answers.map((r) => r.status).join());
  assert.equal((JSON.parse(refused.body) as { reason: string }).reason, 'rate_limited');
  assert.ok(Number(refused.headers['retry-after']) > 0);
  const call = await ask('/', { 'content-type': 'application/grpc' }, 'x');
  assert.equal(call.status, 200);
  assert.equal(call.headers['grpc-status'], '8');
});

test('an attempt that fails at an HTTP/2 instance is made again at another', async () => {
  const shop = await startShop();
  let asked = 0;
  const made = await Promise.all(
    [503, 200].map((status) =>
      startH2Instance((stream) => {
        asked++;
        stream.respond({ ':status': status });
        stream.end(`from ${status}`);
      }),
    ),
  );
  after(() => Promise.all(made.map((instance) => instance.close())));
  await shop.stock('blue', []);
  shop.gateway.setEndpoints(
    'default/blue',
    made.map(({ address }, i) => ({ id: `pod-${i}`, address })),
  );
  shop.open({ blue: 100 }, { retries: { attempts: 2, on: ['503'], budgetPercent: 100 } });
  const ask = client(shop);
  for (let i = 0; i < 10; i++) assert.equal((await ask('/')).body, 'from 200');
  assert.ok(asked > 10, 'some came to the failing one first');
});
