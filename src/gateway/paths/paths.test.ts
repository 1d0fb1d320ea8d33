/** Path routes as clients meet them: over HTTP/1.1 and HTTP/2, to routes and to servers of the platform. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { PathRoute } from '../contract.ts';
import { h2Client } from '../testing/h2.ts';
import { RawClient } from '../testing/harness.ts';
import type { TestStream } from '../testing/mux-instance.ts';
import { names, type Shop, startShop } from '../testing/shop.ts';
import { startUnixServer } from '../testing/unix-server.ts';

const BASE: PathRoute = {
  hosts: [],
  path: { type: 'prefix', value: '/' },
  methods: [],
  rewrite: 'keep',
  to: [{ route: 'default/shop', percent: 100 }],
  order: 0,
};

/** Says what it was asked. */
const echo = (s: TestStream) =>
  s.respond(
    200,
    { 'x-saw': `${s.method} ${s.target}`, 'x-prefix': s.headers['x-forwarded-prefix'] ?? '' },
    s.head,
  );

async function open(...routes: Partial<PathRoute>[]): Promise<Shop> {
  const shop = await startShop();
  await shop.stock('a', [echo]);
  shop.open({ a: 100 });
  for (const [i, route] of routes.entries()) shop.gateway.setPathRoute(`r${i}`, { ...BASE, ...route });
  return shop;
}

async function ask(shop: Shop, line: string, host = 'any.test', more = '') {
  const client = new RawClient(shop.port);
  const answer = await client
    .send(`${line} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`)
    .response(line.startsWith('HEAD'));
  client.destroy();
  return answer;
}

const saw = async (shop: Shop, line: string, host?: string) => {
  const { status, headers } = await ask(shop, line, host);
  return status === 200 ? `${headers['x-saw']} [${headers['x-prefix']}]` : String(status);
};

test('the path is kept, stripped or replaced; the query stays', async () => {
  const shop = await open(
    { path: { type: 'prefix', value: '/keep' } },
    { path: { type: 'prefix', value: '/strip' }, rewrite: 'strip' },
    { path: { type: 'prefix', value: '/deep/er/' }, rewrite: 'strip' },
    { path: { type: 'template', value: '/u/{id}' }, rewrite: { to: '/user' } },
    { path: { type: 'exact', value: '/one' }, rewrite: 'strip' },
  );
  assert.equal(await saw(shop, 'GET /keep/x?q=1'), 'GET /keep/x?q=1 []');
  assert.equal(await saw(shop, 'GET /strip/x?q=1'), 'GET /x?q=1 [/strip]');
  assert.equal(await saw(shop, 'GET /strip?q=1'), 'GET /?q=1 [/strip]');
  assert.equal(await saw(shop, 'GET /%73trip/x'), 'GET /x [/%73trip]');
  assert.equal(await saw(shop, 'GET /deep/er/x'), 'GET /x [/deep/er]');
  assert.equal(await saw(shop, 'GET /u/7?q=1'), 'GET /user?q=1 []');
  assert.equal(await saw(shop, 'GET /one'), 'GET / [/one]');
  assert.equal(await saw(shop, 'GET /one/more'), '404');
  assert.equal(await saw(shop, 'GET /strip/../keep'), '404', 'dot segments match no path route');
  assert.equal(await saw(shop, 'GET http://any.test/strip/x'), 'GET /x [/strip]');
});

test('fields of a route, of the target that was chosen, and the target as it came', async () => {
  const shop = await startShop();
  const said = (s: TestStream) =>
    s.respond(200, {}, JSON.stringify([s.headers['x-who'], s.headers['x-full'], s.headers['x-both']]));
  for (const name of ['a', 'b']) {
    await shop.stock(name, [said]);
    const target = { revision: `default/${name}`, percent: 100 };
    shop.gateway.setRoute('default', name, { namespace: 'default', name, hosts: [], targets: [target] });
  }
  shop.gateway.setPathRoute('split', {
    ...BASE,
    path: { type: 'prefix', value: '/split' },
    rewrite: 'strip',
    to: ['a', 'b'].map((name) => ({ route: `default/${name}`, percent: 50, headers: { 'x-who': name } })),
    headers: { 'x-full': 'at {petrel.target}', 'x-both': 'yes' },
  });
  const seen = new Set<string>();
  for (let i = 0; i < 10; i++)
    seen.add((await ask(shop, 'GET /split/x?q=1', 'any.test', 'X-Who: me\r\n')).body);
  assert.deepEqual([...seen].sort(), ['["a","at /split/x?q=1","yes"]', '["b","at /split/x?q=1","yes"]']);
  const headers = { 'content-length': '1' };
  const to = [{ route: 'default/a', percent: 100, headers }];
  assert.throws(() => shop.gateway.setPathRoute('bad', { ...BASE, to }), /cannot be set/);
});

test('a bound host goes before none, and path routes before hosts and names', async () => {
  const shop = await startShop();
  for (const name of ['a', 'b', 'c']) await shop.stock(name, [names(name)]);
  shop.open({ c: 100 });
  for (const name of ['a', 'b']) {
    const target = { revision: `default/${name}`, percent: 100 };
    shop.gateway.setRoute('default', name, { namespace: 'default', name, hosts: [], targets: [target] });
  }
  const body = async (host: string, path: string) => (await ask(shop, `GET ${path}`, host)).body;
  assert.equal(await body('shop.test', '/x'), 'c');
  shop.gateway.setPathRoute('any', {
    ...BASE,
    path: { type: 'exact', value: '/x' },
    to: [{ route: 'default/a', percent: 100 }],
  });
  shop.gateway.setPathRoute('bound', {
    ...BASE,
    hosts: ['shop.test'],
    to: [{ route: 'default/b', percent: 100 }],
  });
  assert.equal(await body('shop.test', '/x'), 'b', 'host-bound though only by a prefix');
  assert.equal(await body('other.test:8080', '/x'), 'a');
  assert.equal(await body('other.test', '/fn/default/shop/'), 'c');
  shop.gateway.setPathRoute('bound', null);
  assert.equal(await body('shop.test', '/x'), 'a');
  shop.gateway.setPathRoute('any', null);
  shop.gateway.setPathRoute('any', null);
  assert.equal(await body('shop.test', '/x'), 'c');
  assert.equal((await ask(shop, 'GET /_petrel/healthz')).status, 200);
});

test('a method that no route of the path has is 405 with those that there are', async () => {
  const shop = await open(
    { path: { type: 'exact', value: '/m' }, methods: ['GET'] },
    { path: { type: 'exact', value: '/m' }, methods: ['PUT'], order: 1 },
    { path: { type: 'prefix', value: '/m' }, methods: ['DELETE'] },
  );
  assert.match(await saw(shop, 'GET /m'), /^GET/);
  assert.match(await saw(shop, 'PUT /m'), /^PUT/);
  assert.match(await saw(shop, 'DELETE /m'), /^DELETE/, 'a later route of the same path may have it');
  const refused = await ask(shop, 'POST /m');
  assert.equal(refused.status, 405);
  assert.equal(refused.headers.allow, 'GET, PUT, DELETE');
  assert.equal(refused.headers.connection, undefined, 'the connection goes on');
  assert.equal((JSON.parse(refused.body) as { reason: string }).reason, 'method_not_allowed');
  assert.equal((await ask(shop, 'GET /m/x')).headers.allow, 'DELETE');
  assert.equal((await ask(shop, 'TRACE /m')).headers.allow?.includes('OPTIONS'), true);
});

test('fields are set from parts of the path, and never from the client', async () => {
  const shop = await open({
    path: { type: 'template', value: '/u/{id}/{rest:.*}' },
    headers: { 'x-params-id': '{id}', 'x-where': 'at {rest} of {nobody}', 'x-fixed': 'yes' },
  });
  const { body } = await ask(
    shop,
    'GET /u/a%20b/c/d',
    'any.test',
    'X-Params-Id: forged\r\nX-Fixed: no\r\nX-Other: 1\r\n',
  );
  const lines = body.split('\r\n');
  assert.deepEqual(
    lines.filter((line) => /^x-(params|where|fixed|other)/.test(line)),
    ['x-other: 1', 'x-params-id: a b', 'x-where: at c/d of {nobody}', 'x-fixed: yes'],
  );
  const split = await ask(shop, 'GET /u/a%0d%0aX-Evil:1/x');
  assert.match(split.body, /x-params-id: a%0D%0AX-Evil:1\r\n/, 'a line cannot be smuggled in');
  assert.doesNotMatch(split.body, /\nx-evil/i);
});

test('weights over routes are exact, and a revision can be fixed', async () => {
  const shop = await startShop({ workers: 2 });
  for (const name of ['a', 'b']) {
    await shop.stock(name, [names(name)]);
    const target = { revision: `default/${name}`, percent: 100 };
    shop.gateway.setRoute('default', name, { namespace: 'default', name, hosts: [], targets: [target] });
  }
  shop.gateway.setPathRoute('w', {
    ...BASE,
    to: [
      { route: 'default/a', percent: 75 },
      { route: 'default/b', percent: 25 },
    ],
  });
  const seen: Record<string, number> = {};
  for (let i = 0; i < 40; i++) {
    const { body } = await ask(shop, 'GET /');
    seen[body] = (seen[body] ?? 0) + 1;
  }
  assert.deepEqual(seen, { a: 30, b: 10 });
  const fixed = [{ route: 'default/a', revision: 'default/b', percent: 100 }];
  shop.gateway.setPathRoute('w', { ...BASE, to: fixed });
  assert.equal((await ask(shop, 'GET /')).body, 'b');
  const policy = { timeouts: { timeoutMs: 5000 } };
  shop.gateway.setRoute('default', 'a', {
    namespace: 'default',
    name: 'a',
    hosts: [],
    targets: [{ revision: 'default/a', percent: 100 }],
    policy,
  });
  assert.equal((await ask(shop, 'GET /')).body, 'b', 'also where a policy stands between');
  shop.gateway.setPathRoute('w', { ...BASE, to: [{ route: 'default/nobody', percent: 100 }] });
  assert.equal((await ask(shop, 'GET /')).status, 404);
});

test('HTTP/2 clients find the same', async () => {
  const shop = await open(
    { path: { type: 'template', value: '/u/{id}' }, rewrite: { to: '/user' }, headers: { 'x-id': '{id}' } },
    { path: { type: 'exact', value: '/m' }, methods: ['PUT'] },
  );
  const client = h2Client(shop.port);
  after(() => client.close());
  const found = await client.fetch('/u/7?q=1', { ':authority': 'any.test' }, 'body');
  assert.equal(found.headers['x-saw'], 'POST /user?q=1');
  assert.match(found.body, /x-id: 7\r\n/);
  const refused = await client.fetch('/m');
  assert.equal(refused.status, 405);
  assert.equal(refused.headers.allow, 'PUT');
});

test('a server of the platform answers, and one that is away is asked again by the next request', async () => {
  const server = await startUnixServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () =>
      res.end(
        `${req.method} ${req.url} ${req.headers['x-id']} ${Buffer.concat(chunks)}${req.headers['x-petrel-route'] ?? ''}`,
      ),
    );
  });
  after(() => server.close());
  const shop = await startShop();
  shop.gateway.setPathRoute('s', {
    ...BASE,
    path: { type: 'template', value: '/v1/{id}' },
    rewrite: 'keep',
    to: server.address,
    headers: { 'x-id': '{id}' },
  });
  const client = new RawClient(shop.port);
  const post =
    'POST /v1/9?q HTTP/1.1\r\nHost: x\r\nX-Petrel-Route: default/forged\r\nContent-Length: 4\r\n\r\nbody';
  assert.equal((await client.send(post).response()).body, 'POST /v1/9?q 9 body');
  await server.stop();
  const down = await client.send(post).response();
  assert.equal(down.status, 503);
  const told = JSON.parse(down.body) as { component: string; message: string };
  assert.equal(told.component, 'platform');
  assert.match(told.message, /ECONNREFUSED|ENOENT/);
  await server.listen();
  assert.equal((await client.send(post).response()).body, 'POST /v1/9?q 9 body');
  client.destroy();
  assert.deepEqual(shop.demands, [], 'nobody is asked to start a server of the platform');
});

test('what no worker could use is refused at once', async () => {
  const shop = await startShop();
  const bad: Partial<PathRoute>[] = [
    { path: { type: 'template', value: '/{' } },
    { path: { type: 'prefix', value: 'x' } },
    { rewrite: { to: 'x\r\n' } },
    { headers: { 'content-length': '1' } },
    { headers: { 'a b': '1' } },
    { access: { auth: { apiKeys: {} } } as never },
    { to: [{ route: 'shop', percent: 100 }] },
  ];
  for (const one of bad) {
    assert.throws(
      () => shop.gateway.setPathRoute('x', { ...BASE, ...one }),
      { code: 'InvalidArgument' },
      JSON.stringify(one),
    );
  }
});

test('a worker that takes over knows the path routes', async () => {
  const shop = await startShop({ workers: 1 });
  await shop.stock('a', [names('a')]);
  shop.open({ a: 100 });
  shop.gateway.setPathRoute('p', { ...BASE, path: { type: 'exact', value: '/p' } });
  await shop.gateway.restart(0);
  assert.equal((await ask(shop, 'GET /p')).body, 'a');
});

test('requests that no path route is about are told apart by a few bytes, however their paths are written', async () => {
  const shop = await open(
    { path: { type: 'prefix', value: '/.petrel/x' } },
    { path: { type: 'template', value: '/.petrel/{name}/y' } },
    { path: { type: 'template', value: '/.petrel/{n:[0-9]+}' } },
  );
  const paths: [string, boolean][] = [
    ['/.petrel/x', true],
    ['/%2epetrel/x/1', true],
    ['/.%70etrel/a/y', true],
    ['/.petrel/12', true],
    ['/.petrel', false],
    ['/.petre', false],
    ['/', false],
    ['/other', false],
    ['/.petrelx/x', false],
  ];
  for (const [path, found] of paths) {
    assert.equal((await ask(shop, `GET ${path}`)).status, found ? 200 : 404, path);
  }
  assert.equal((await ask(shop, 'GET http://any.test')).status, 404);
  shop.gateway.setPathRoute('root', { ...BASE, path: { type: 'exact', value: '/' } });
  assert.equal((await ask(shop, 'GET http://any.test')).status, 200, 'a path that is left out is /');
  assert.equal((await ask(shop, 'GET http://any.test?q=1')).headers['x-saw'], 'GET /?q=1');
  assert.equal((await ask(shop, 'GET /.petrel/x')).status, 200);
});
