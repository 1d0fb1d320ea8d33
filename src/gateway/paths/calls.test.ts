/** What is counted of requests by the path they came by. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CALL_BUCKETS_MS, type PathRoute, type RevisionCalls } from '../contract.ts';
import { h2Client } from '../testing/h2.ts';
import { eventually } from '../testing/harness.ts';
import { names, type Shop, startShop } from '../testing/shop.ts';
import { addCalls, CallCounter } from './calls.ts';

const ROUTE: PathRoute = {
  hosts: [],
  path: { type: 'exact', value: '/counted' },
  methods: [],
  rewrite: { to: '/' },
  to: [{ route: 'default/shop', percent: 100 }],
  count: '/counted',
  order: 0,
};

/** `label method status`: how often, over all reports so far. */
function told(shop: Shop): Record<string, number> {
  const all = shop.stats.flat().flatMap(({ calls = [] }) => calls);
  return Object.fromEntries(
    addCalls(all).map(({ label, method, status, count }) => [`${label} ${method} ${status}`, count]),
  );
}

/** Reports come once a second, and the last of them tells of the last request. */
async function counted(shop: Shop, wanted: Record<string, number>): Promise<void> {
  const sum = (counts: Record<string, number>) => Object.values(counts).reduce((all, one) => all + one, 0);
  await eventually(() => sum(told(shop)) >= sum(wanted), 'every request to be counted');
  assert.deepEqual(told(shop), wanted);
}

test('requests of a path route that asks for it, by method and status; others are not counted', async () => {
  const shop = await startShop({ workers: 2 });
  await shop.stock('a', [(s) => (s.method === 'PUT' ? s.respond(503, {}, 'no') : s.respond(200, {}, 'a'))]);
  shop.open({ a: 100 });
  shop.gateway.setPathRoute('counted', ROUTE);
  shop.gateway.setPathRoute('other', {
    ...ROUTE,
    path: { type: 'exact', value: '/other' },
    count: undefined,
  } as never);
  for (const method of ['GET', 'GET', 'PUT', 'PROPFIND']) await shop.ask({ method, path: '/counted' });
  for (const path of ['/other', '/']) await shop.ask({ path });
  const client = h2Client(shop.port);
  await client.fetch('/counted');
  client.close();
  await counted(shop, { '/counted GET 200': 3, '/counted PUT 503': 1, '/counted OTHER 200': 1 });
});

test('policies, refused origins and full queues: counted once, by what the client was told', async () => {
  const shop = await startShop();
  let failing = 1;
  const [endpoint] = await shop.stock('a', [
    (s) => (failing-- > 0 ? s.respond(503, {}, 'no') : s.respond(200, {}, 'a')),
  ]);
  assert.ok(endpoint);
  shop.open({ a: 100 }, { retries: { attempts: 1, on: ['503'], budgetPercent: 100 } });
  const cors = { origins: ['https://a.test'], methods: [], headers: [], expose: [], credentials: false };
  shop.gateway.setPathRoute('counted', { ...ROUTE, access: { cors } });
  const { status } = await shop.ask({ path: '/counted', headers: ['Origin: https://a.test'] });
  assert.equal(status, 200);
  await counted(shop, { '/counted GET 200': 1 });
  await shop.stock('full', [], { queueDepth: 0 });
  shop.open({ full: 100 });
  assert.equal((await shop.ask({ path: '/counted' })).status, 503);
  await counted(shop, { '/counted GET 200': 1, '/counted GET 503': 1 });
});

test('a request that came before there was an instance is cold', async () => {
  const shop = await startShop();
  await shop.stock('a', []);
  shop.open({ a: 100 });
  shop.gateway.setPathRoute('counted', ROUTE);
  const waiting = shop.ask({ path: '/counted' });
  await eventually(() => shop.demands.length > 0);
  await shop.stock('a', [names('a')]);
  assert.equal((await waiting).status, 200);
  await shop.ask({ path: '/counted' });
  await counted(shop, { '/counted GET 200': 2 });
  const [calls] = addCalls(shop.stats.flat().flatMap(({ calls: one = [] }) => one));
  assert.equal(calls?.cold, 1);
});

test('times go to the first bucket whose bound they do not exceed', () => {
  const counter = new CallCounter();
  for (const ms of [0, 5, 5.1, 60_000]) counter.count('l', 'GET', 200, ms, false);
  const [calls] = counter.take() as [RevisionCalls];
  assert.equal(calls.buckets.length, CALL_BUCKETS_MS.length + 1);
  assert.deepEqual([calls.buckets[0], calls.buckets[1], calls.buckets.at(-1)], [2, 1, 1]);
  assert.equal(calls.sumMs, 60_010.1);
  assert.deepEqual(counter.take(), []);
});
