/** Rate limits, circuit breakers and limits on requests in flight, over real sockets and with several workers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WorkerLink } from '../links.ts';
import { eventually, RawClient } from '../testing/harness.ts';
import type { TestStream } from '../testing/mux-instance.ts';
import { names, shopRequest, startShop } from '../testing/shop.ts';

const failureOf = (body: string) => JSON.parse(body) as Record<string, string>;

for (const workers of [0, 3]) {
  test(`a rate limit is one limit, whatever worker takes the request (workers: ${workers})`, async () => {
    const shop = await startShop({ workers });
    await shop.stock('a', [names('a')]);
    const rateLimit = { requests: 10, periodMs: 600_000, burst: 10, key: { header: 'x-user' } };
    shop.open({ a: 100 }, { rateLimit });
    for (const user of ['alice', 'bob']) {
      const statuses: number[] = [];
      for (let i = 0; i < 15; i++) statuses.push((await shop.ask({ headers: [`X-User: ${user}`] })).status);
      assert.deepEqual(statuses, [...new Array<number>(10).fill(200), ...new Array<number>(5).fill(429)]);
    }
    // a route that is set again with the same limit has the same limit
    shop.open({ a: 100 }, { rateLimit, timeouts: { timeoutMs: 1000 } });
    assert.equal((await shop.ask({ headers: ['X-User: bob'] })).status, 429);
    shop.open({ a: 100 }, { rateLimit: { ...rateLimit, requests: 20 } });
    assert.equal((await shop.ask({ headers: ['X-User: bob'] })).status, 200);
  });
}

test('a refused request is told when to come again; the connection goes on, its body unread', async () => {
  const shop = await startShop();
  await shop.stock('a', [names('a')]);
  shop.open({ a: 100 }, { rateLimit: { requests: 2, periodMs: 100_000, burst: 1, key: {} } });
  const client = new RawClient(shop.port);
  const first = await shop.ask({ client });
  assert.equal(first.headers['ratelimit-policy'], '"default";q=2;w=100');
  assert.equal(first.headers.ratelimit, '"default";r=0;t=50');
  for (let i = 0; i < 3; i++) {
    const r = await shop.ask({ client, method: 'POST', body: 'x'.repeat(1000) });
    assert.equal(r.status, 429);
    assert.ok(Number(r.headers['retry-after']) > 45 && Number(r.headers['retry-after']) <= 50);
    assert.equal(r.headers['ratelimit-policy'], '"default";q=2;w=100');
    const failure = failureOf(r.body);
    assert.deepEqual([failure.component, failure.reason], ['gateway', 'rate_limited']);
    assert.equal(failure.requestId, r.headers['x-request-id']);
  }
  client.destroy();
});

test('the circuit opens, one request tries, and it closes again', async () => {
  const shop = await startShop({ workers: 2 });
  let healthy = false;
  let seen = 0;
  const held: TestStream[] = [];
  await shop.stock('a', [
    (s) => {
      seen++;
      if (s.target === '/try') held.push(s);
      else s.respond(healthy ? 200 : 500, {}, '');
    },
  ]);
  shop.open({ a: 100 }, { breaker: { errorPercent: 50, minRequests: 5, openMs: 1000 } });
  for (let i = 0; i < 5; i++) assert.equal((await shop.ask()).status, 500);
  // an answer is with its client a moment before the other worker can know of it
  while ((await shop.ask()).status === 500);
  const before = seen;
  for (let i = 0; i < 10; i++) {
    const r = await shop.ask();
    assert.equal(r.status, 503);
    assert.equal(failureOf(r.body).reason, 'circuit_open');
    assert.equal(r.headers['retry-after'], '1');
  }
  assert.equal(seen, before);
  await new Promise((resolve) => setTimeout(resolve, 1010));
  healthy = true;
  const tries = Array.from({ length: 6 }, () => new RawClient(shop.port).send(shopRequest({ path: '/try' })));
  await eventually(() => tries.filter((client) => client.text !== '').length === 5);
  assert.equal(held.length, 1, 'one request tries');
  held[0]!.respond(200, {}, '');
  const statuses = await Promise.all(tries.map(async (client) => (await client.response()).status));
  assert.deepEqual(statuses.sort(), [200, 503, 503, 503, 503, 503]);
  while ((await shop.ask()).status === 503);
  for (let i = 0; i < 5; i++) assert.equal((await shop.ask()).status, 200);
  for (const client of tries) client.destroy();
});

test('a client that leaves says nothing about the instance', async () => {
  const shop = await startShop();
  const held: TestStream[] = [];
  await shop.stock('a', [(s) => (s.target === '/hold' ? held.push(s) : s.respond(200, {}, ''))]);
  shop.open({ a: 100 }, { breaker: { errorPercent: 10, minRequests: 1, openMs: 60_000 } });
  let resets = 0;
  for (let i = 0; i < 5; i++) {
    const client = new RawClient(shop.port).send(shopRequest({ path: '/hold' }));
    await eventually(() => held.length === i + 1);
    held[i]!.onReset = () => resets++;
    client.destroy();
    await eventually(() => resets === i + 1);
  }
  assert.equal((await shop.ask()).status, 200);
});

for (const workers of [0, 3]) {
  test(`requests of a route in flight are limited exactly, and given back in every way they end (workers: ${workers})`, async () => {
    const shop = await startShop({ workers });
    let now = 0;
    let most = 0;
    const held: TestStream[] = [];
    await shop.stock('a', [
      (s) => {
        most = Math.max(most, ++now);
        s.onReset = () => now--;
        if (s.target === '/hold') held.push(s);
        else {
          setImmediate(() => {
            now--;
            if (s.target === '/crash') s.sendReset('handler_error');
            else s.respond(200, {}, '');
          });
        }
      },
    ]);
    shop.open({ a: 100 }, { breaker: { minRequests: 1, openMs: 1, maxInFlight: 4 } });
    const counts = { ok: 0, refused: 0, failed: 0 };
    await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const client = new RawClient(shop.port);
        for (let k = 0; k < 20; k++) {
          const r = await shop.ask({ client, path: (i + k) % 5 === 0 ? '/crash' : '/' });
          if (r.status === 200) counts.ok++;
          else if (r.status === 500) counts.failed++;
          else {
            assert.equal(failureOf(r.body).reason, 'too_many_in_flight');
            counts.refused++;
          }
        }
        client.destroy();
      }),
    );
    assert.ok(most <= 4, String(most));
    assert.ok(counts.ok > 0 && counts.failed > 0 && counts.refused > 0, JSON.stringify(counts));
    for (let round = 0; round < 3; round++) {
      const clients = Array.from({ length: 4 }, () =>
        new RawClient(shop.port).send(shopRequest({ path: '/hold' })),
      );
      await eventually(() => held.length === 4 * (round + 1), `four of round ${round}`);
      assert.equal((await shop.ask()).status, 503);
      for (const client of clients) client.destroy();
      await eventually(() => now === 0);
    }
  });
}

test('what a dead worker had in flight does not count any more', async () => {
  const shop = await startShop({ workers: 2 });
  const held: TestStream[] = [];
  await shop.stock('a', [(s) => (s.target === '/hold' ? held.push(s) : s.respond(200, {}, ''))]);
  shop.open({ a: 100 }, { breaker: { minRequests: 1, openMs: 1, maxInFlight: 6 } });
  const clients = Array.from({ length: 6 }, () =>
    new RawClient(shop.port).send(shopRequest({ path: '/hold' })),
  );
  await eventually(() => held.length === 6);
  assert.equal((await shop.ask()).status, 503);
  for (const index of [0, 1]) {
    const dead = shop.gateway.links[index] as WorkerLink;
    await dead.thread.terminate();
    await eventually(() => shop.gateway.links[index] !== null && shop.gateway.links[index] !== dead);
  }
  await eventually(() => clients.every((client) => client.closed));
  // a new worker takes a moment until it listens
  const later: RawClient[] = [];
  await eventually(() => {
    while (later.filter((client) => !client.closed).length < 6) {
      later.push(new RawClient(shop.port).send(shopRequest({ path: '/hold' })));
    }
    return held.length === 12;
  }, 'six in flight again');
  for (const client of [...clients, ...later]) client.destroy();
});
