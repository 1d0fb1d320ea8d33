/** Who may call, and what browsers are told, over real sockets: HTTP/1.1 and HTTP/2, with and without instances. */
import assert from 'node:assert/strict';
import { createHmac, hash } from 'node:crypto';
import { after, test } from 'node:test';
import type { RouteAccess } from '../contract.ts';
import { h2Client, startH2Instance } from '../testing/h2.ts';
import { eventually, RawClient } from '../testing/harness.ts';
import type { TestStream } from '../testing/mux-instance.ts';
import { SHOP_HOST, type Shop, startShop } from '../testing/shop.ts';
import { startUnixServer } from '../testing/unix-server.ts';

const digest = (key: string) => hash('sha256', key);
const cors = (change: Partial<NonNullable<RouteAccess['cors']>> = {}): NonNullable<RouteAccess['cors']> => ({
  origins: ['https://app.test', 'https://*.shop.test'],
  methods: ['GET', 'POST', 'PUT'],
  headers: ['content-type', 'x-api-key'],
  expose: ['x-total'],
  credentials: true,
  maxAgeSeconds: 600,
  ...change,
});

async function guarded(
  access: RouteAccess,
  handler?: (s: TestStream) => void,
): Promise<Shop & { seen: TestStream[] }> {
  const shop = await startShop();
  const seen: TestStream[] = [];
  await shop.stock('a', [
    (s) => {
      seen.push(s);
      if (handler !== undefined) handler(s);
      else if (s.ended) s.respond(200, {}, 'ok');
      else s.onEnd = () => s.respond(200, {}, s.body);
    },
  ]);
  shop.open({ a: 100 }, undefined, { access });
  return { ...shop, seen };
}

const reasonOf = ({ body }: { body: string }) => (JSON.parse(body) as { reason: string }).reason;

test('a preflight is answered without an instance', async () => {
  const shop = await startShop();
  shop.gateway.setRevision('default/none', {
    key: 'default/none',
    containerConcurrency: 0,
    timeoutMs: 1000,
    maxRequestBytes: 0,
    queueDepth: 10,
  });
  shop.open({ none: 100 }, undefined, { access: { cors: cors(), auth: {} } });
  const preflight = (origin: string, method = 'PUT', headers = 'Content-Type, X-API-Key') =>
    shop.ask({
      method: 'OPTIONS',
      headers: [
        `Origin: ${origin}`,
        `Access-Control-Request-Method: ${method}`,
        `Access-Control-Request-Headers: ${headers}`,
      ],
    });
  const good = await preflight('https://app.test');
  assert.equal(good.status, 204);
  assert.equal(good.headers['access-control-allow-origin'], 'https://app.test');
  assert.equal(good.headers['access-control-allow-credentials'], 'true');
  assert.equal(good.headers['access-control-allow-methods'], 'GET, POST, PUT');
  assert.equal(good.headers['access-control-allow-headers'], 'Content-Type, X-API-Key');
  assert.equal(good.headers['access-control-max-age'], '600');
  assert.match(good.headers.vary ?? '', /Origin.*Access-Control-Request-Method/);
  assert.equal((await preflight('https://a.shop.test')).status, 204);
  for (const [origin, method, headers] of [
    ['https://app.test.evil', 'PUT', ''],
    ['http://app.test', 'PUT', ''],
    ['https://app.test:8443', 'PUT', ''],
    ['null', 'PUT', ''],
    ['https://shop.test', 'PUT', ''],
    ['https://evil/.shop.test', 'PUT', ''],
    ['https://app.test', 'DELETE', ''],
    ['https://app.test', 'put', ''],
    ['https://app.test', 'PUT', 'x-other'],
  ] as const) {
    const bad = await preflight(origin, method, headers);
    assert.equal(bad.status, 403, `${origin} ${method} ${headers}`);
    assert.equal(reasonOf(bad), 'cors_refused');
    assert.equal(bad.headers['access-control-allow-origin'], undefined);
  }
  assert.deepEqual(shop.demands, []);
  const split = cors({ expose: ['a\r\nx-evil: 1', 'x-b'], methods: ['GET', 'PUT\r\nx-evil: 1'] });
  shop.open({ none: 100 }, undefined, { access: { cors: split, auth: {} } });
  const told = await shop.ask({ headers: ['Origin: https://app.test'] });
  assert.equal(told.headers['access-control-expose-headers'], 'x-b', 'names are names');
  assert.equal(told.headers['x-evil'], undefined);
});

test('answers tell the page, and failures do; what the function says of it does not count', async () => {
  const shop = await guarded(
    { cors: cors(), auth: { apiKeys: { header: 'x-api-key', digests: [digest('k')] } } },
    (s) => s.respond(200, { 'access-control-allow-origin': '*', vary: 'accept', 'x-total': '3' }, 'ok'),
  );
  const origin = 'Origin: https://app.test';
  const good = await shop.ask({ headers: [origin, 'X-Api-Key: k'] });
  assert.equal(good.headers['access-control-allow-origin'], 'https://app.test');
  assert.equal(good.headers['access-control-expose-headers'], 'x-total');
  const client = new RawClient(shop.port);
  client.send(
    `GET / HTTP/1.1\r\nHost: ${SHOP_HOST}\r\n${origin}\r\nX-Api-Key: k\r\nConnection: close\r\n\r\n`,
  );
  await client.end();
  assert.match(client.text, /\r\nvary: accept\r\n[\s\S]*\r\nvary: Origin\r\n/i, 'its own Vary stays');
  assert.equal(client.text.match(/access-control-allow-origin/gi)?.length, 1);
  const refused = await shop.ask({ headers: [origin] });
  assert.equal(refused.status, 401);
  assert.equal(refused.headers['access-control-allow-origin'], 'https://app.test');
  shop.gateway.setEndpoints('default/a', []);
  const waiting = shop.ask({ headers: [origin, 'X-Api-Key: k'] });
  await eventually(() => shop.demands.length > 0, 'the request waits');
  shop.gateway.failRevision('default/a', {
    status: 500,
    component: 'function',
    reason: 'load_error',
    message: 'no',
  });
  const failed = await waiting;
  assert.equal(failed.status, 500);
  assert.equal(failed.headers['access-control-allow-origin'], 'https://app.test');
  const stranger = await shop.ask({ headers: ['Origin: https://evil.test'] });
  assert.equal(stranger.headers['access-control-allow-origin'], undefined);
  assert.equal(stranger.headers.vary, 'Origin');
});

test('without settings nothing is added, and any origin never goes with credentials', async () => {
  const shop = await guarded({});
  const plain = await shop.ask({
    method: 'OPTIONS',
    headers: ['Origin: https://app.test', 'Access-Control-Request-Method: PUT'],
  });
  assert.equal(plain.status, 200);
  assert.equal(
    Object.keys(plain.headers).some((name) => name.startsWith('access-control')),
    false,
  );
  shop.open({ a: 100 }, undefined, { access: { cors: cors({ origins: ['*'] }) } });
  const any = await shop.ask({ headers: ['Origin: https://anyone.test'] });
  assert.equal(any.headers['access-control-allow-origin'], '*');
  assert.equal(any.headers['access-control-allow-credentials'], undefined);
  assert.equal(any.headers.vary, undefined);
});

test('an API key is accepted in its header or as a bearer; who it is, only the gateway says', async () => {
  const apiKeys = {
    header: 'X-Api-Key',
    digests: [digest('one'), digest('zwei·')],
    names: ['ann', 'bob & co'],
  };
  const shop = await guarded({ auth: { apiKeys } });
  const subject = async (...headers: string[]) => {
    const { status } = await shop.ask({
      headers: [...headers, 'X-Petrel-Auth-Subject: root', 'x-petrel-auth-method: jwt'],
    });
    if (status !== 200) return status;
    const { headers: told } = shop.seen.at(-1)!;
    return `${told['x-petrel-auth-method']} ${told['x-petrel-auth-subject']}`;
  };
  assert.equal(await subject('X-Api-Key: one'), 'api-key ann');
  assert.equal(await subject('Authorization: Bearer one'), 'api-key ann');
  assert.equal(
    await subject(`X-Api-Key: ${Buffer.from('zwei·').toString('latin1')}`),
    'api-key bob%20&%20co',
  );
  assert.equal(await subject(), 401);
  assert.equal(await subject('X-Api-Key: two'), 403);
  assert.equal(await subject('X-Api-Key: one', 'X-Api-Key: one'), 403);
  assert.equal(await subject('Authorization: Basic one'), 401);
  const none = await shop.ask();
  assert.equal(none.headers['www-authenticate'], 'Bearer');
  assert.equal(reasonOf(none), 'unauthenticated');
  assert.equal(none.headers.connection, undefined, 'the connection goes on');
  shop.open({ a: 100 }, undefined, { access: { auth: { apiKeys: { header: 'x-api-key', digests: [] } } } });
  assert.equal(await subject('X-Api-Key: one'), 403, 'no key is accepted where there is none');
  shop.open({ a: 100 }, undefined, { access: { auth: {} } });
  assert.equal(await subject('X-Api-Key: one'), 401);
});

function hs256(claims: Record<string, unknown>, kid: string): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', kid })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', 'sesame').update(signed).digest('base64url')}`;
}

test('a token is asked for its signature, and a key that is not known is told of', async () => {
  const keys = [{ kty: 'oct', k: Buffer.from('sesame').toString('base64url'), kid: 'k1' }];
  const shop = await startShop({ workers: 1 });
  await shop.stock('a', [(s) => s.respond(200, {}, s.headers['x-petrel-auth-subject'] ?? '')]);
  shop.open({ a: 100 }, undefined, { access: { auth: { jwt: { keys } } } });
  const bearer = (token: string) => shop.ask({ headers: [`Authorization: Bearer ${token}`] });
  assert.equal(
    (await bearer(hs256({ sub: 'ann@x.test', exp: Date.now() / 1000 + 60 }, 'k1'))).body,
    'ann@x.test',
  );
  const unknown = await bearer(hs256({ sub: 'ann' }, 'k2'));
  assert.equal(unknown.status, 403);
  assert.match(unknown.headers['www-authenticate'] ?? '', /invalid_token/);
  await eventually(() => shop.missing.includes('default/shop'), 'word of the key');
  assert.equal((await bearer('nonsense')).status, 403);
  assert.equal((await shop.ask()).status, 401);
});

const sha256 = (body: string | Buffer, secret = 'hush') =>
  `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;

test('a signed body is held back until its signature has been checked', async () => {
  const access = { auth: { hmac: { header: 'X-Hub-Signature-256', secrets: ['old', 'hush'] } } };
  const shop = await guarded(access);
  const post = (body: string, signature?: string) =>
    shop.ask({
      method: 'POST',
      body,
      headers: signature === undefined ? [] : [`X-Hub-Signature-256: ${signature}`],
    });
  const body = 'x'.repeat(700_000);
  const good = await post(body, sha256(body));
  assert.equal(good.status, 200);
  assert.equal(good.body.length, body.length);
  assert.equal(shop.seen.at(-1)!.headers['x-petrel-auth-method'], 'hmac');
  assert.equal((await post('again', sha256('again', 'old'))).body, 'again');
  const before = shop.seen.length;
  assert.equal((await post('other', sha256('body'))).status, 403);
  assert.equal((await post('body', 'sha1=00')).status, 403);
  assert.equal((await post('body')).status, 401);
  assert.equal((await post('y'.repeat(1_048_577), sha256('y'))).status, 413);
  assert.equal((await shop.ask({ headers: [`X-Hub-Signature-256: ${sha256('x')}`] })).status, 403);
  assert.equal(shop.seen.length, before, 'nothing unsigned has reached an instance');
  assert.equal((await shop.ask({ headers: [`X-Hub-Signature-256: ${sha256('')}`] })).status, 200);
});

test('a held body comes in pieces, waits for an instance, and is forgotten with its client', async () => {
  const shop = await guarded({ cors: cors(), auth: { hmac: { header: 'x-sig', secrets: ['hush'] } } });
  const client = new RawClient(shop.port);
  const head = `POST / HTTP/1.1\r\nHost: ${SHOP_HOST}\r\nX-Sig: ${sha256('helloworld')}\r\n`;
  client.send(`${head}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n`);
  assert.equal((await client.head()).status, 100);
  client.send('5\r\nhello\r\n');
  shop.gateway.setEndpoints('default/a', []);
  client.send('5\r\nworld\r\n0\r\n\r\n');
  await eventually(() => shop.demands.length > 0, 'demand');
  await shop.stock('a', [(s) => (s.onEnd = () => s.respond(200, {}, s.body))]);
  assert.equal((await client.response()).body, 'helloworld');
  const wrong = `POST / HTTP/1.1\r\nHost: ${SHOP_HOST}\r\nX-Sig: ${sha256('x')}\r\nContent-Length: 5\r\n\r\n`;
  assert.equal((await client.send(`${wrong}hello`).response()).status, 403);
  assert.equal(
    (await client.send(`${head}Content-Length: 10\r\n\r\nhelloworld`).response()).status,
    200,
    'the connection goes on',
  );
  client.send(`${head}Content-Length: 10\r\n\r\nhello`).destroy();
  const many = new RawClient(shop.port);
  many.send(`${head}Transfer-Encoding: chunked\r\n\r\n`);
  for (let i = 0; i < 20; i++) many.send(`10000\r\n${'z'.repeat(65536)}\r\n`);
  assert.equal((await many.response()).status, 413);
  many.destroy();
  client.destroy();
});

test('a held body reaches instances whatever they speak, more than they take at once', async () => {
  const shop = await guarded({ auth: { hmac: { header: 'x-sig', secrets: ['hush'] } } });
  const http1 = await startUnixServer(async (req, res) => {
    let bytes = 0;
    for await (const chunk of req) bytes += (chunk as Buffer).length;
    res.end(`http1 ${bytes} ${req.headers['content-length']}`);
  });
  const http2 = await startH2Instance((stream) => {
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    stream.on('end', () => {
      stream.respond({ ':status': 200 });
      stream.end(`http2 ${bytes}`);
    });
  });
  after(() => Promise.all([http1.close(), http2.close()]));
  const body = 'x'.repeat(1_000_000);
  const headers = [`X-Sig: ${sha256(body)}`];
  for (const [address, told] of [
    [http1.address, 'http1 1000000 1000000'],
    [http2.address, 'http2 1000000'],
  ] as const) {
    shop.gateway.setEndpoints('default/a', [{ id: address.kind, address }]);
    assert.equal((await shop.ask({ method: 'POST', body, headers })).body, told);
  }
});

test('a held body whose time runs out is answered, and its connection can be used again', async () => {
  const shop = await guarded({ auth: { hmac: { header: 'x-sig', secrets: ['hush'] } } });
  shop.open(
    { a: 100 },
    { timeouts: { timeoutMs: 60 } },
    { access: { auth: { hmac: { header: 'x-sig', secrets: ['hush'] } } } },
  );
  const client = new RawClient(shop.port);
  client.send(
    `POST / HTTP/1.1\r\nHost: ${SHOP_HOST}\r\nX-Sig: ${sha256('hello')}\r\nContent-Length: 5\r\n\r\nhel`,
  );
  const late = await client.response();
  assert.equal(late.status, 504);
  client.destroy();
  assert.deepEqual(shop.gateway.counts('default/a'), { inFlight: 0, queued: 0 });
});

test('HTTP/2 clients meet the same', async () => {
  const shop = await guarded({
    cors: cors(),
    auth: {
      apiKeys: { header: 'x-api-key', digests: [digest('k')] },
      hmac: { header: 'x-sig', secrets: ['hush'] },
    },
  });
  const client = h2Client(shop.port);
  after(() => client.close());
  const ask = (headers: Record<string, string>, body?: string) =>
    client.fetch('/', { ':authority': SHOP_HOST, origin: 'https://app.test', ...headers }, body);
  const preflight = await ask({ ':method': 'OPTIONS', 'access-control-request-method': 'PUT' });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers['access-control-allow-origin'], 'https://app.test');
  const none = await ask({});
  assert.equal(none.status, 401);
  assert.equal(none.headers['access-control-allow-origin'], 'https://app.test');
  assert.equal((await ask({ 'x-api-key': 'k' })).headers['access-control-allow-origin'], 'https://app.test');
  assert.equal((await ask({ 'x-sig': sha256('hi') }, 'hi')).body, 'hi');
  assert.equal((await ask({ 'x-sig': sha256('hi') }, 'ho')).status, 403);
});

test("a path route may have its own, takes the route's where it says nothing, and with an empty one nobody is asked", async () => {
  const server = await startUnixServer((_, res) => res.end('server'));
  after(() => server.close());
  const shop = await guarded({ auth: { apiKeys: { header: 'x-api-key', digests: [digest('k')] } } });
  shop.open(
    { a: 100 },
    { rateLimit: { requests: 1, periodMs: 600_000, burst: 1, key: {} } },
    {
      access: { auth: { apiKeys: { header: 'x-api-key', digests: [digest('k')] } } },
    },
  );
  const base = {
    hosts: ['p.test'],
    rewrite: 'keep' as const,
    order: 0,
    to: [{ route: 'default/shop', percent: 100 }],
  };
  const set = (path: string, access: RouteAccess | undefined, more = {}) =>
    shop.gateway.setPathRoute(path, {
      ...base,
      path: { type: 'exact', value: path },
      methods: ['POST'],
      ...(access && { access }),
      ...more,
    });
  set('/same', undefined);
  set('/cors', { cors: cors() });
  set('/own', { auth: { apiKeys: { header: 'x-own', digests: [digest('own')] } } });
  set('/open', {});
  set(
    '/server',
    { cors: cors(), auth: { apiKeys: { header: 'x-own', digests: [digest('own')] } } },
    { to: server.address },
  );
  const client = new RawClient(shop.port);
  after(() => client.destroy());
  const ask = (method: string, path: string, headers: string[] = []) =>
    client.send([`${method} ${path} HTTP/1.1`, 'Host: p.test', ...headers, '', ''].join('\r\n')).response();
  for (let i = 0; i < 3; i++)
    assert.equal((await ask('POST', '/open')).status, 200, 'no limit on clients either');
  assert.equal((await ask('POST', '/same')).status, 401);
  assert.equal((await ask('POST', '/same', ['X-Api-Key: k'])).status, 200);
  assert.equal((await ask('POST', '/own', ['X-Api-Key: k'])).status, 401);
  assert.equal((await ask('POST', '/own', ['X-Own: own'])).status, 429, "the limit is the route's");
  const preflight = ['Origin: https://app.test', 'Access-Control-Request-Method: POST'];
  assert.equal((await ask('OPTIONS', '/cors', preflight)).status, 204);
  assert.equal((await ask('OPTIONS', '/server', preflight)).status, 204);
  assert.equal((await ask('OPTIONS', '/same', preflight)).status, 405);
  assert.equal((await ask('OPTIONS', '/open', preflight)).status, 405);
  assert.equal((await ask('POST', '/cors')).status, 401, 'what it says of origins does not open it');
  assert.equal((await ask('POST', '/server')).status, 401);
  assert.equal((await ask('POST', '/server', ['X-Own: own'])).body, 'server');
});
