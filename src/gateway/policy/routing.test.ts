/** Where a request goes: tags, rules, sessions and percentages, over real sockets and with several workers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, RawClient } from '../testing/harness.ts';
import { names, type Shop, shopRequest, startShop } from '../testing/shop.ts';

async function counts(shop: Shop, requests: number, headers: () => string[] = () => []) {
  const seen: Record<string, number> = {};
  for (let i = 0; i < requests; i++) {
    const { body } = await shop.ask({ headers: headers() });
    seen[body] = (seen[body] ?? 0) + 1;
  }
  return seen;
}

function cookieOf(headers: Record<string, string>): string {
  return headers['set-cookie']?.split(';')[0] ?? '';
}

test('the tag header chooses, an unknown tag goes the default way and the instance is told', async () => {
  const shop = await startShop();
  const told: Record<string, (string | undefined)[]> = { a: [], b: [] };
  for (const name of ['a', 'b']) {
    await shop.stock(name, [
      (s) => {
        told[name]!.push(s.headers['knative-serving-default-route']);
        s.respond(200, {}, name);
      },
    ]);
  }
  shop.open({ a: 100 }, undefined, { tags: { beta: 'default/b' } });
  assert.equal((await shop.ask()).body, 'a');
  assert.equal((await shop.ask({ headers: ['Knative-Serving-Tag: beta'] })).body, 'b');
  for (const tag of ['gamma', 'constructor', '']) {
    assert.equal((await shop.ask({ headers: [`Knative-Serving-Tag: ${tag}`] })).body, 'a');
  }
  await shop.ask({ headers: ['Knative-Serving-Tag: beta', 'Knative-Serving-Default-Route: true'] });
  assert.deepEqual(told, { a: ['true', 'true', 'true', 'true'], b: [undefined, undefined] });
  shop.open({ a: 100 });
  await shop.ask();
  assert.equal(told.a!.at(-1), undefined, 'a route without tags says nothing');
});

test("instances behind a tag's own host see the tag, whatever the client says", async () => {
  const shop = await startShop();
  const told: (string | undefined)[] = [];
  await shop.stock('a', [
    (s) => {
      told.push(s.headers['knative-serving-tag']);
      s.respond(200, {}, '');
    },
  ]);
  for (const policy of [undefined, { timeouts: { timeoutMs: 5000 } }]) {
    shop.open({ a: 100 }, policy, { tag: 'beta' });
    await shop.ask();
    await shop.ask({ headers: ['Knative-Serving-Tag: other'] });
  }
  assert.deepEqual(told, ['beta', 'beta', 'beta', 'beta']);
});

test('rules come before percentages, the first that matches decides, tags come before rules', async () => {
  const shop = await startShop();
  for (const name of ['main', 'beta', 'staff', 'api']) await shop.stock(name, [names(name)]);
  shop.open(
    { main: 100 },
    {
      rules: [
        {
          headers: [{ name: 'x-user', type: 'Prefix', value: 'staff-' }],
          cookies: [],
          revision: 'default/staff',
        },
        { headers: [], cookies: [{ name: 'beta', type: 'Present' }], revision: 'default/beta' },
        { headers: [], cookies: [], pathPrefix: '/api', revision: 'default/api' },
      ],
    },
    { tags: { t: 'default/main' } },
  );
  const cases: [string, string[], string][] = [
    ['/', [], 'main'],
    ['/', ['X-User: staff-1'], 'staff'],
    ['/', ['Cookie: x=1; beta=1'], 'beta'],
    ['/api/things?x=1', [], 'api'],
    ['/api?x', [], 'api'],
    ['/apis', [], 'main'],
    ['/?x=/api', [], 'main'],
    ['/api', ['X-User: staff-1', 'Cookie: beta='], 'staff'],
    ['/api', ['Knative-Serving-Tag: t'], 'main'],
  ];
  const client = new RawClient(shop.port);
  for (const [path, headers, expected] of cases) {
    assert.equal((await shop.ask({ path, headers, client })).body, expected, `${path} ${headers}`);
  }
  client.send('GET /fn/default/shop/api/x HTTP/1.1\r\nHost: any\r\n\r\n');
  assert.equal((await client.response()).body, 'api', 'the path is the one the instance sees');
  client.destroy();
});

for (const workers of [0, 3]) {
  test(`a split is exact over a hundred requests of separate connections (workers: ${workers})`, async () => {
    const shop = await startShop({ workers });
    await shop.stock('a', [names('a')]);
    await shop.stock('b', [names('b')]);
    shop.open({ a: 93, b: 7 });
    assert.deepEqual(await counts(shop, 100), { a: 93, b: 7 });
    shop.open({ a: 50, b: 50 });
    assert.deepEqual(await counts(shop, 40), { a: 20, b: 20 });
  });

  test(`sessions stay, and new clients are split exactly all the same (workers: ${workers})`, async () => {
    const shop = await startShop({ workers });
    for (const name of ['a', 'b'])
      await shop.stock(
        name,
        [0, 1, 2].map((i) => names(`${name}${i}`)),
      );
    shop.open({ a: 80, b: 20 }, { affinity: { cookie: 'at' } });
    const firsts: Record<string, number> = {};
    const clients: { cookie: string; body: string }[] = [];
    for (let i = 0; i < 50; i++) {
      const first = await shop.ask();
      const cookie = cookieOf(first.headers);
      assert.match(first.headers['set-cookie']!, /^at=[\w.-]+; Path=\/; HttpOnly; SameSite=Lax$/);
      firsts[first.body[0]!] = (firsts[first.body[0]!] ?? 0) + 1;
      clients.push({ cookie, body: first.body });
      // those who come back take no turns of those who are new
      const back = clients[(i * 7) % clients.length]!;
      const again = await shop.ask({ headers: [`Cookie: x=y; ${back.cookie}`] });
      assert.equal(again.body, back.body);
      assert.equal(again.headers['set-cookie'], undefined);
    }
    assert.deepEqual(firsts, { a: 40, b: 10 });
  });
}

test('a session whose instance or revision is gone falls back and is given a new cookie', async () => {
  const shop = await startShop();
  const endpoints = await shop.stock('a', [names('a0'), names('a1')]);
  await shop.stock('b', [names('b')]);
  shop.open({ a: 100 }, { affinity: { cookie: 'at', ttlMs: 60_000 } });
  const first = await shop.ask();
  assert.match(first.headers['set-cookie']!, /Max-Age=60/);
  const cookie = cookieOf(first.headers);
  shop.gateway.setEndpoints(
    'default/a',
    endpoints.filter(({ id }) => id !== `a-${first.body[1]}`),
  );
  const second = await shop.ask({ headers: [`Cookie: ${cookie}`] });
  assert.notEqual(second.body, first.body);
  assert.notEqual(cookieOf(second.headers), '');
  assert.notEqual(cookieOf(second.headers), cookie);
  shop.open({ b: 100 }, { affinity: { cookie: 'at', ttlMs: 60_000 } });
  const third = await shop.ask({ headers: [`Cookie: ${cookieOf(second.headers)}`] });
  assert.equal(third.body, 'b');
  assert.notEqual(cookieOf(third.headers), '');
});

test('sessions survive a gateway with the same secret, and no other', async () => {
  const values: string[] = [];
  for (const secret of ['one', 'one', 'two']) {
    const shop = await startShop({ secret });
    await shop.stock('a', [names('a')]);
    shop.open({ a: 100 }, { affinity: { cookie: 'at' } });
    values.push(cookieOf((await shop.ask()).headers));
  }
  assert.equal(values[0], values[1]);
  assert.notEqual(values[0], values[2]);
});

test('a session whose instance has no room is served by another meanwhile', async () => {
  const shop = await startShop();
  const held: (() => void)[] = [];
  const make = (name: string) => (s: Parameters<ReturnType<typeof names>>[0]) => {
    if (s.target === '/hold') held.push(() => s.respond(200, {}, name));
    else s.respond(200, {}, name);
  };
  await shop.stock('a', [make('a0'), make('a1')], { containerConcurrency: 1 });
  shop.open({ a: 100 }, { affinity: { cookie: 'at' } });
  const first = await shop.ask();
  const headers = [`Cookie: ${cookieOf(first.headers)}`];
  const busy = new RawClient(shop.port).send(shopRequest({ path: '/hold', headers }));
  await eventually(() => held.length === 1);
  const other = await shop.ask({ headers });
  assert.notEqual(other.body, first.body);
  held[0]!();
  assert.equal((await busy.response()).body, first.body);
  busy.destroy();
});

test("a route's time limits come before its revision's", async () => {
  const shop = await startShop();
  await shop.stock('a', [() => {}], { timeoutMs: 20_000 });
  const reasons: string[] = [];
  for (const timeouts of [
    { timeoutMs: 40 },
    { responseStartTimeoutMs: 40 },
    { idleTimeoutMs: 40, timeoutMs: 5000 },
  ]) {
    shop.open({ a: 100 }, { timeouts });
    const r = await shop.ask();
    assert.equal(r.status, 504);
    reasons.push((JSON.parse(r.body) as { reason: string }).reason);
  }
  assert.deepEqual(reasons, ['timeout', 'response_start_timeout', 'idle_timeout']);
});
