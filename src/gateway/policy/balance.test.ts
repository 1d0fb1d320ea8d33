/** Which instance a request goes to: ring, zone, outliers; limits hold whatever is preferred. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoint } from '../contract.ts';
import { eventually, RawClient } from '../testing/harness.ts';
import type { TestStream } from '../testing/mux-instance.ts';
import { names, shopRequest, startShop } from '../testing/shop.ts';

const four = [0, 1, 2, 3].map((i) => names(`a${i}`));

for (const workers of [0, 2]) {
  test(`ring: a key stays with its instance, in every worker and when others go (workers: ${workers})`, async () => {
    const shop = await startShop({ workers });
    const endpoints = await shop.stock('a', four, {
      balancing: { policy: 'RingHash', hashOn: { header: 'x-key' } },
    });
    shop.open({ a: 100 });
    const owner = async (key: string) => (await shop.ask({ headers: [`X-Key: ${key}`] })).body;
    const keys = Array.from({ length: 24 }, (_, i) => `key-${i}`);
    const before = new Map<string, string>();
    for (const key of keys) before.set(key, await owner(key));
    assert.ok(new Set(before.values()).size >= 3, 'keys are spread');
    for (const key of keys) assert.equal(await owner(key), before.get(key));
    shop.gateway.setEndpoints('default/a', endpoints.slice(1));
    for (const key of keys) {
      const now = await owner(key);
      if (before.get(key) === 'a0') assert.notEqual(now, 'a0');
      else assert.equal(now, before.get(key));
    }
    shop.gateway.setEndpoints('default/a', endpoints);
    for (const key of keys) assert.equal(await owner(key), before.get(key), 'back again');
  });
}

test('ring: one hot key takes no more than the slots', async () => {
  const shop = await startShop();
  const now = [0, 0, 0, 0];
  const most = [0, 0, 0, 0];
  const held: TestStream[] = [];
  const handlers = now.map((_, i) => (s: TestStream) => {
    most[i] = Math.max(most[i]!, ++now[i]!);
    held.push(s);
  });
  await shop.stock('a', handlers, {
    containerConcurrency: 3,
    balancing: { policy: 'RingHash', hashOn: { header: 'x-key' } },
  });
  shop.open({ a: 100 });
  const clients = Array.from({ length: 14 }, () =>
    new RawClient(shop.port).send(shopRequest({ headers: ['X-Key: hot'] })),
  );
  await eventually(() => held.length === 12 && shop.gateway.counts('default/a')?.queued === 2);
  assert.deepEqual(most, [3, 3, 3, 3]);
  for (const s of held.splice(0)) {
    now[0]!--;
    s.respond(200, {}, '');
  }
  await eventually(() => held.length === 2);
  for (const s of held) s.respond(200, {}, '');
  for (const client of clients) {
    assert.equal((await client.response()).status, 200);
    client.destroy();
  }
});

test('ring: without slots, one hot key takes no more than its share', async () => {
  const shop = await startShop();
  const seen = [0, 0, 0, 0];
  const handlers = seen.map((_, i) => () => void seen[i]!++);
  await shop.stock('a', handlers, { balancing: { policy: 'RingHash', hashOn: { cookie: 'user' } } });
  shop.open({ a: 100 });
  const clients: RawClient[] = [];
  for (let i = 1; i <= 48; i++) {
    clients.push(new RawClient(shop.port).send(shopRequest({ headers: ['Cookie: user=hot'] })));
    await eventually(() => seen.reduce((a, b) => a + b) === i);
  }
  // a quarter above the mean of twelve
  assert.equal(Math.max(...seen), 15, String(seen));
  for (const client of clients) client.destroy();
});

test('zone: the own zone first while it has room, others then, and alone when there is none of it', async () => {
  const shop = await startShop({ zone: 'here' });
  const held: { name: string; stream: TestStream }[] = [];
  const handlers = ['near0', 'near1', 'far0', 'far1'].map((name) => (s: TestStream) => {
    if (s.target === '/hold') held.push({ name, stream: s });
    else s.respond(200, {}, name);
  });
  const endpoints = await shop.stock('a', handlers, {
    containerConcurrency: 2,
    balancing: { policy: 'LeastLoaded', zoneAware: true },
  });
  const zoned: Endpoint[] = endpoints.map((e, i) => ({ ...e, zone: i < 2 ? 'here' : 'there' }));
  shop.gateway.setEndpoints('default/a', zoned);
  shop.open({ a: 100 });
  for (let i = 0; i < 10; i++) assert.match((await shop.ask()).body, /near/);
  const clients: RawClient[] = [];
  for (let i = 0; i < 6; i++) {
    clients.push(new RawClient(shop.port).send(shopRequest({ path: '/hold' })));
    await eventually(() => held.length === i + 1);
  }
  const where = held.map(({ name }) => name.slice(0, -1));
  assert.deepEqual(where, ['near', 'near', 'near', 'near', 'far', 'far']);
  shop.gateway.setEndpoints('default/a', zoned.slice(2));
  assert.match((await shop.ask()).body, /far/);
  for (const client of clients) client.destroy();
});

test('zone: without a limit on requests, a small own zone is not buried', async () => {
  const shop = await startShop({ zone: 'here' });
  const seen = { near: 0, far: 0 };
  const hold = (zone: 'near' | 'far') => () => void seen[zone]++;
  const endpoints = await shop.stock('a', [hold('near'), hold('far'), hold('far'), hold('far')], {
    balancing: { policy: 'LeastLoaded', zoneAware: true },
  });
  shop.gateway.setEndpoints(
    'default/a',
    endpoints.map((e, i) => ({ ...e, zone: i === 0 ? 'here' : 'there' })),
  );
  shop.open({ a: 100 });
  const clients: RawClient[] = [];
  for (let i = 0; i < 40; i++) {
    clients.push(new RawClient(shop.port).send(shopRequest()));
    await eventually(() => seen.near + seen.far === i + 1);
  }
  assert.ok(seen.near >= 15 && seen.near <= 25, JSON.stringify(seen));
  for (const client of clients) client.destroy();
});

test('outliers: an instance that keeps failing is left out, comes back, and is left out again', async () => {
  const shop = await startShop();
  const seen = { bad: 0, good: 0 };
  let sick = true;
  await shop.stock(
    'a',
    [
      (s) => {
        seen.bad++;
        s.respond(sick ? 500 : 200, {}, 'bad');
      },
      (s) => {
        seen.good++;
        s.respond(200, {}, 'good');
      },
    ],
    { outliers: { consecutiveErrors: 3, baseEjectionMs: 400, maxEjectionPercent: 50 } },
  );
  shop.open({ a: 100 });
  const client = new RawClient(shop.port);
  while (seen.bad < 3) await shop.ask({ client });
  for (let i = 0; i < 30; i++) assert.equal((await shop.ask({ client })).body, 'good');
  assert.equal(seen.bad, 3);
  sick = false;
  await eventually(() => {
    void shop.ask().catch(() => {});
    return seen.bad > 3;
  }, 'the instance to come back');
  client.destroy();
});

test('outliers: the last instance is never left out', async () => {
  const shop = await startShop();
  await shop.stock('a', [(s) => s.respond(500, {}, 'a0'), (s) => s.respond(500, {}, 'a1')], {
    containerConcurrency: 1,
    outliers: { consecutiveErrors: 1, baseEjectionMs: 60_000, maxEjectionPercent: 100 },
  });
  shop.open({ a: 100 });
  const client = new RawClient(shop.port);
  const bodies: string[] = [];
  for (let i = 0; i < 20; i++) bodies.push((await shop.ask({ client })).body);
  assert.equal(new Set(bodies.slice(1)).size, 1, 'one is out, the other one serves');
  client.destroy();
});

test('outliers: when the good one is gone, the ejected one is better than none', async () => {
  const shop = await startShop();
  const endpoints = await shop.stock('a', [(s) => s.respond(500, {}, 'bad'), names('good')], {
    containerConcurrency: 1,
    outliers: { consecutiveErrors: 1, baseEjectionMs: 60_000, maxEjectionPercent: 50 },
  });
  shop.open({ a: 100 });
  assert.equal((await shop.ask()).body, 'bad');
  assert.equal((await shop.ask()).body, 'good');
  shop.gateway.setEndpoints('default/a', endpoints.slice(0, 1));
  assert.equal((await shop.ask()).body, 'bad');
});

for (const workers of [0, 2]) {
  test(`containerConcurrency holds exactly while endpoints come and go (workers: ${workers})`, async () => {
    const shop = await startShop({ workers });
    const now = [0, 0, 0, 0];
    const most = [0, 0, 0, 0];
    const handlers = now.map((_, i) => (s: TestStream) => {
      most[i] = Math.max(most[i]!, ++now[i]!);
      s.onReset = () => now[i]!--;
      setImmediate(() => {
        if (s.reset !== null) return;
        now[i]!--;
        s.respond(200, {}, 'x');
      });
    });
    const endpoints = await shop.stock('a', handlers, {
      containerConcurrency: 2,
      balancing: { policy: 'RingHash' },
    });
    shop.open({ a: 100 }, { affinity: { cookie: 'at' } });
    let stop = false;
    const churn = (async () => {
      for (let i = 0; !stop; i++) {
        shop.gateway.setEndpoints(
          'default/a',
          endpoints.filter((_, k) => (i + k) % 4 !== 0),
        );
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    })();
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const client = new RawClient(shop.port);
        for (let k = 0; k < 40; k++) assert.equal((await shop.ask({ client })).status, 200);
        client.destroy();
      }),
    );
    stop = true;
    await churn;
    assert.ok(
      most.every((n) => n <= 2),
      String(most),
    );
    await eventually(() => shop.gateway.counts('default/a')?.inFlight === 0);
  });
}

test('ring: the key may stand in the query', async () => {
  const shop = await startShop();
  await shop.stock('a', four, { balancing: { policy: 'RingHash', hashOn: { queryParameter: 'room' } } });
  shop.open({ a: 100 });
  const owner = async (path: string) => (await shop.ask({ path })).body;
  const rooms = Array.from({ length: 16 }, (_, i) => `r${i} ä`);
  const seen = new Set<string>();
  for (const room of rooms) {
    const query = `room=${encodeURIComponent(room)}`;
    const first = await owner(`/a?${query}`);
    seen.add(first);
    assert.equal(await owner(`/b?x=1&${query}&room=other`), first);
  }
  assert.ok(seen.size >= 3, 'rooms are spread');
  assert.equal(await owner('/?a=1'), await owner('/'), 'without a key it is the address that counts');
});
