/** Attempts that fail, over real sockets: when another is made, with what, and when not. */
import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { after, test } from 'node:test';
import type { RoutePolicy } from '../contract.ts';
import { eventually, RawClient } from '../testing/harness.ts';
import type { TestStream } from '../testing/mux-instance.ts';
import { names, shopRequest, startShop } from '../testing/shop.ts';

const retries = (change: Partial<NonNullable<RoutePolicy['retries']>> = {}): RoutePolicy => ({
  retries: { attempts: 2, on: ['reset', '502', '503', '504'], budgetPercent: 100, ...change },
});
const reasonOf = (body: string) => (JSON.parse(body) as { reason: string }).reason;

/** One revision whose two instances share what they do: the nth attempt seen by either is done by `steps[n]`. */
async function scripted(steps: ((s: TestStream) => void)[], policy: RoutePolicy | undefined) {
  const shop = await startShop();
  const seen: { instance: number; stream: TestStream }[] = [];
  const handler = (instance: number) => (s: TestStream) => {
    const step = steps[seen.length] ?? names('later');
    seen.push({ instance, stream: s });
    step(s);
  };
  await shop.stock('a', [handler(0), handler(1)]);
  shop.open({ a: 100 }, policy);
  return { shop, seen };
}

const busy = (s: TestStream) => s.respond(503, {}, 'busy');
const busySlowly = (s: TestStream) => {
  s.begin(503);
  s.data('busy');
};

test('an answer that is to be retried is, elsewhere, with the same id and a count', async () => {
  const { shop, seen } = await scripted([busy, names('good')], retries());
  const r = await shop.ask({ headers: ['X-Request-Id: my-id', 'X-Retry-Attempt: 7'] });
  assert.equal(r.body, 'good');
  assert.equal(r.headers['x-request-id'], 'my-id');
  assert.deepEqual(
    seen.map(({ stream }) => [stream.headers['x-request-id'], stream.headers['x-retry-attempt']]),
    [
      ['my-id', undefined],
      ['my-id', '1'],
    ],
  );
  assert.notEqual(seen[0]!.instance, seen[1]!.instance);
});

test('a generated request id stays too', async () => {
  const { shop, seen } = await scripted([busy, names('good')], retries());
  const r = await shop.ask();
  assert.equal(
    new Set([...seen.map(({ stream }) => stream.headers['x-request-id']), r.headers['x-request-id']]).size,
    1,
  );
});

const CASES: [
  string,
  ((s: TestStream) => void)[],
  RoutePolicy | undefined,
  Parameters<typeof shopRequest>[0],
  number,
  number,
][] = [
  ['no policy, no retry', [busy], undefined, {}, 503, 1],
  ['a status that is not named', [(s) => s.respond(500, {}, '')], retries(), {}, 500, 1],
  ['5xx names all of them', [(s) => s.respond(500, {}, '')], retries({ on: ['5xx'] }), {}, 200, 2],
  ['an instance that gives up', [(s) => s.sendReset('overloaded')], retries(), {}, 200, 2],
  ['an instance that dies', [(s) => s.connection.socket.destroy()], retries({ on: ['reset'] }), {}, 200, 2],
  [
    'one that dies, resets not named',
    [(s) => s.connection.socket.destroy()],
    retries({ on: ['503'] }),
    {},
    502,
    1,
  ],
  ['an answer that streams', [busySlowly], retries(), {}, 200, 2],
  ['attempts are counted', [busy, busy, busy, busy], retries(), {}, 503, 3],
  ['attempts 0', [busy], retries({ attempts: 0 }), {}, 503, 1],
  ['no budget', [busy], retries({ budgetPercent: 0 }), {}, 503, 1],
  ['POST', [busy], retries(), { method: 'POST' }, 503, 1],
  ['POST with a key', [busy], retries(), { method: 'POST', headers: ['Idempotency-Key: 1'] }, 200, 2],
  ['a body that was passed on', [busy], retries(), { method: 'PUT', body: 'abc' }, 503, 1],
  ['HEAD', [busy], retries(), { method: 'HEAD' }, 200, 2],
  ['a good answer', [names('good')], retries({ on: ['5xx'] }), {}, 200, 1],
];

for (const [what, steps, policy, request, status, attempts] of CASES) {
  test(`retries: ${what}`, async () => {
    const { shop, seen } = await scripted(steps, policy);
    const client = new RawClient(shop.port);
    assert.equal((await shop.ask({ ...request, client })).status, status);
    assert.equal(seen.length, attempts);
    assert.equal((await shop.ask({ client, path: '/next' })).body, 'later', 'the connection goes on');
    client.destroy();
  });
}

test('an attempt that takes too long is given up for another one', async () => {
  const { shop, seen } = await scripted([() => {}, names('good')], retries({ perTryTimeoutMs: 60 }));
  assert.equal((await shop.ask()).body, 'good');
  assert.equal(seen.length, 2);
  assert.equal(seen[0]!.stream.reset?.code, 'timeout');
});

test('the last attempt that takes too long is 504, and so is one that must not be repeated', async () => {
  const forever = () => {};
  const { shop, seen } = await scripted(
    [forever, forever, forever, forever],
    retries({ perTryTimeoutMs: 40 }),
  );
  const r = await shop.ask();
  assert.deepEqual([r.status, reasonOf(r.body), seen.length], [504, 'try_timeout', 3]);
  const post = await shop.ask({ method: 'POST' });
  assert.deepEqual([post.status, reasonOf(post.body), seen.length], [504, 'try_timeout', 4]);
});

test('a response that has begun is not ended by the time of an attempt', async () => {
  const slow = (s: TestStream) => {
    s.begin(200);
    s.data('a');
    setTimeout(() => {
      s.data('b');
      s.end();
    }, 120);
  };
  const { shop } = await scripted([slow], retries({ perTryTimeoutMs: 40 }));
  assert.equal((await shop.ask()).body, 'ab');
});

test('a lone instance is asked again after a pause; meanwhile its slot is free and the client may leave', async () => {
  const shop = await startShop();
  const seen: number[] = [];
  await shop.stock('a', [(s) => (seen.push(performance.now()) < 3 ? busy(s) : s.respond(200, {}, 'good'))], {
    containerConcurrency: 1,
  });
  shop.open({ a: 100 }, retries());
  assert.equal((await shop.ask()).body, 'good');
  assert.equal(seen.length, 3);
  assert.ok(seen[1]! - seen[0]! > 10 && seen[2]! - seen[1]! > 20, 'not at once');
  seen.length = 0;
  const client = new RawClient(shop.port).send(shopRequest());
  await eventually(() => seen.length === 1);
  client.destroy();
  await eventually(() => shop.gateway.counts('default/a')?.inFlight === 0);
  assert.equal(shop.gateway.counts('default/a')?.queued, 0);
});

test('retries end with their budget', async () => {
  const shop = await startShop();
  let attempts = 0;
  await shop.stock('a', [
    (s) => {
      attempts++;
      busy(s);
    },
  ]);
  shop.open({ a: 100 }, retries({ attempts: 1, budgetPercent: 10 }));
  const client = new RawClient(shop.port);
  for (let i = 0; i < 100; i++) await shop.ask({ client });
  // a tenth, and three for each second that began meanwhile
  assert.ok(attempts > 100 && attempts <= 125, String(attempts));
  client.destroy();
});

test('over HTTP/1.1 too: answers whole, streamed, chunked to HEAD, and connections that break', async () => {
  const shop = await startShop();
  const steps = [
    (s: Socket) => s.write('HTTP/1.1 503 x\r\nContent-Length: 4\r\n\r\nbusy'),
    (s: Socket) => s.write('HTTP/1.1 503 x\r\nContent-Length: 400\r\n\r\nbusy'),
    (s: Socket) => s.write('HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n'),
    (s: Socket) => s.destroy(),
  ];
  for (const step of steps) {
    for (const method of ['GET', 'HEAD']) {
      let n = 0;
      const servers = await Promise.all(
        [0, 1].map(async () => {
          const sockets = new Set<Socket>();
          const server = createServer((socket) => {
            sockets.add(socket);
            socket.on('error', () => {});
            socket.on('data', () => {
              if (n++ === 0) step(socket);
              else
                socket.write(
                  `HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${method === 'HEAD' ? '' : 'good'}`,
                );
            });
          });
          await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
          after(() => {
            for (const socket of sockets) socket.destroy();
            server.close();
          });
          return (server.address() as { port: number }).port;
        }),
      );
      await shop.stock('h', []);
      shop.gateway.setEndpoints(
        'default/h',
        servers.map((port) => ({
          id: `${port}`,
          address: { kind: 'http1' as const, host: '127.0.0.1', port },
        })),
      );
      shop.open({ h: 100 }, retries());
      const r = await shop.ask({ method });
      assert.equal(r.status, 200, `${method} ${step}`);
      assert.equal(r.body, method === 'HEAD' ? '' : 'good');
    }
  }
});
