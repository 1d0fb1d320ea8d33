/** The engine with a real file, real sockets and a server in the place of gateway and functions. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import { createOutsidePolicy } from '../../base/outside.ts';
import { listenUnix } from '../../base/unix-server.ts';
import type { FunctionInvocation, FunctionSpec } from '../../kinds/function.ts';
import { answering } from '../answering.ts';
import { type Engine, openEngine } from './engine.ts';

const FAST: FunctionInvocation = { backoffSeconds: 0.01, jitter: 0 };

interface World {
  engine: Engine;
  /** Requests that functions got. */
  got: { url: string; headers: IncomingMessage['headers']; body: string }[];
  /** Answers of the functions; default 200 with the body reversed in a JSON object. */
  answer: (url: string, response: ServerResponse, count: number, body: string) => void;
  specs: Map<string, Partial<FunctionSpec>>;
  port: number;
  send(options: Sent): Promise<Reply>;
  status(id: string, query?: string): Promise<Told>;
  restart(): Promise<void>;
}
interface Told {
  status: string;
  reason: string;
  acceptedAt: string;
  nextAttemptAt: string;
  attempts: { status?: number }[];
  result: { status: number; body: string; truncated: boolean };
}
interface Sent {
  target?: string;
  path?: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
  socket?: 'accept' | 'public';
}
interface Reply {
  status: number;
  headers: IncomingMessage['headers'];
  body: string;
}

async function world(dir = mkdtempSync(join(tmpdir(), 'pi-'))): Promise<World> {
  const counts = new Map<string, number>();
  const backend = createServer((incoming, response) => {
    const parts: Buffer[] = [];
    incoming.on('data', (part) => parts.push(part));
    incoming.on('end', () => {
      const body = Buffer.concat(parts).toString();
      const url = incoming.url ?? '';
      const count = (counts.get(url) ?? 0) + 1;
      counts.set(url, count);
      self.got.push({ url, headers: incoming.headers, body });
      self.answer(url, response, count, body);
    });
  });
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
  const { port } = backend.address() as AddressInfo;
  const open = () =>
    openEngine({
      path: join(dir, 'invocations.db'),
      clock: systemClock,
      random: () => 0,
      log: silentLogger,
      spec: (target) => self.specs.get(target) as FunctionSpec | undefined,
      address: (target) => ({ host: '127.0.0.1', port, prefix: `/fn/${target}` }),
      secret: 'secret',
      outside: createOutsidePolicy(() => 0, ['127.0.0.1']),
    });
  const servers = await Promise.all([
    listenUnix(
      join(dir, 'accept'),
      answering((...args) => self.engine.accept(...args), silentLogger),
    ),
    listenUnix(
      join(dir, 'public'),
      answering((...args) => self.engine.status(...args), silentLogger),
    ),
  ]);
  const self: World = {
    engine: undefined as never,
    got: [],
    answer: (_, response, __, body) => response.end(JSON.stringify({ body })),
    specs: new Map(),
    port,
    send: ({ target = 'default/f', path = '/', method = 'POST', headers = {}, body, socket = 'accept' }) =>
      new Promise((resolve, reject) => {
        const outgoing = request(
          {
            socketPath: join(dir, socket),
            path,
            method,
            headers: { ...(socket === 'accept' ? { 'x-petrel-route': target } : {}), ...headers },
            agent: false,
          },
          (response) => {
            let text = '';
            response.setEncoding('utf8').on('data', (part) => {
              text += part;
            });
            response.on('end', () =>
              resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
            );
          },
        );
        outgoing.on('error', reject);
        outgoing.end(body);
      }),
    status: async (id, query = '?wait=20') =>
      JSON.parse(
        (await self.send({ socket: 'public', method: 'GET', path: `/.petrel/invocations/${id}${query}` }))
          .body,
      ),
    async restart() {
      await self.engine.drain(0);
      await self.engine.close();
      self.engine = open();
    },
  };
  self.engine = open();
  after(async () => {
    await self.engine.drain(0);
    await self.engine.close();
    await Promise.all(servers.map((server) => server.close()));
    backend.closeAllConnections();
    await new Promise((resolve) => backend.close(resolve));
    rmSync(dir, { recursive: true, force: true });
  });
  return self;
}

const idOf = (reply: Reply): string => {
  assert.equal(reply.status, 202, reply.body);
  const id = String(reply.headers['x-petrel-invocation-id']);
  assert.equal(reply.headers.location, `/.petrel/invocations/${id}`);
  return id;
};

test('a request is accepted, carried out as it came, and its result told by id', async () => {
  const w = await world();
  const id = idOf(
    await w.send({
      path: '/orders?x=1',
      method: 'PUT',
      headers: {
        'content-type': 'text/plain',
        'x-tag': 'a',
        prefer: 'respond-async',
        authorization: 'Bearer k',
      },
      body: 'hello',
    }),
  );
  const status = await w.status(id);
  assert.deepEqual(
    { ...status, acceptedAt: 0, finishedAt: 0, attempts: 0, result: 0 },
    {
      id,
      namespace: 'default',
      function: 'f',
      status: 'succeeded',
      acceptedAt: 0,
      finishedAt: 0,
      attempts: 0,
      result: 0,
    },
  );
  assert.deepEqual(status.result.body, '{"body":"hello"}');
  assert.equal(status.attempts[0]?.status, 200);
  const [got] = w.got;
  assert.equal(got?.url, '/fn/default/f/orders?x=1');
  assert.deepEqual(
    [
      'content-type',
      'x-tag',
      'authorization',
      'prefer',
      'x-petrel-route',
      'x-petrel-invocation-id',
      'x-petrel-invocation-attempt',
      'x-petrel-invocation-depth',
      'content-length',
    ].map((name) => got?.headers[name]),
    ['text/plain', 'a', 'Bearer k', undefined, undefined, id, '1', '0', '5'],
  );
  const raw = await w.send({ socket: 'public', method: 'GET', path: `/.petrel/invocations/${id}/result` });
  assert.equal(raw.body, '{"body":"hello"}');
  assert.equal(raw.headers['x-content-type-options'], 'nosniff');
});

test('passing failures are tried again; others are final; both stay as dead letters that can be redriven', async () => {
  const w = await world();
  w.specs.set('default/f', { invocation: { ...FAST, maxAttempts: 3 } });
  w.answer = (url, response, count) => {
    if (url.endsWith('/once')) response.statusCode = count === 1 ? 503 : 200;
    else if (url.endsWith('/never')) response.statusCode = 500;
    else if (url.endsWith('/wrong')) response.statusCode = count === 1 ? 422 : 200;
    else return response.destroy();
    response.end(`count ${count}`);
  };
  const [once = '', never = '', wrong = '', cut = ''] = await Promise.all(
    ['/once', '/never', '/wrong', '/cut'].map(async (path) => idOf(await w.send({ path, body: path }))),
  );
  const statuses = async (id: string) => {
    const { status, attempts } = await w.status(id);
    return [status, attempts.map((attempt) => attempt.status)];
  };
  assert.deepEqual(await statuses(once), ['succeeded', [503, 200]]);
  assert.deepEqual(await statuses(never), ['dead', [500, 500, 500]]);
  assert.deepEqual(await statuses(wrong), ['failed', [422]]);
  assert.deepEqual(await statuses(cut), ['dead', [undefined, undefined, undefined]]);
  const letters = w.engine.store.list({ states: ['failed', 'dead'], limit: 10 });
  assert.deepEqual(letters.map(({ id }) => id).sort(), [never, wrong, cut].sort());
  const seq = letters.find(({ id }) => id === wrong)?.seq ?? 0;
  assert.equal(Buffer.from(w.engine.store.request(seq)?.body ?? []).toString(), '/wrong');
  assert.equal(await w.engine.dispatcher.redrive(wrong), true);
  assert.deepEqual(await statuses(wrong), ['succeeded', [422, 200]]);
  assert.equal(await w.engine.dispatcher.redrive(wrong), false);
});

test('Retry-After is waited for, and what would be too old then is given up at once', async () => {
  const w = await world();
  w.specs.set('default/f', { invocation: { ...FAST, maxAgeSeconds: 60 } });
  w.answer = (_, response) => response.writeHead(429, { 'retry-after': '61' }).end();
  const { status, reason, attempts } = await w.status(idOf(await w.send({})));
  assert.deepEqual([status, attempts.length], ['dead', 1]);
  assert.match(reason, /later than 60 s/);
  w.answer = (_, response) => response.writeHead(429, { 'retry-after': '30' }).end();
  const id = idOf(await w.send({}));
  for (;;) {
    const now = await w.status(id, '');
    // The attempt is written down a moment before it is over.
    if (now.attempts.length === 0 || now.status === 'running') continue;
    const wait = Date.parse(now.nextAttemptAt) - Date.parse(now.acceptedAt);
    assert.ok(wait >= 30_000 && wait < 45_000, `${wait}`);
    break;
  }
});

test('the same key is the same invocation', async () => {
  const w = await world();
  const headers = { 'idempotency-key': 'order-1' };
  const id = idOf(await w.send({ headers }));
  const again = await w.send({ headers });
  assert.equal(idOf(again), id);
  assert.equal(again.headers['x-petrel-duplicate'], 'true');
  assert.notEqual(idOf(await w.send({ headers, target: 'default/g' })), id);
  const other = idOf(await w.send({ headers: { 'x-petrel-dedup-key': 'order-2' } }));
  assert.notEqual(other, id);
  await Promise.all([w.status(id), w.status(other)]);
  assert.equal(w.got.filter(({ url }) => url.startsWith('/fn/default/f')).length, 2);
});

test('a batch is one invocation for each element', async () => {
  const w = await world();
  const mode = { 'x-petrel-invoke-mode': 'batch' };
  const array = await w.send({
    headers: { ...mode, 'content-type': 'application/json' },
    body: '[{"n":1},"two"]',
  });
  const lines = await w.send({
    headers: { ...mode, 'content-type': 'application/x-ndjson' },
    body: '{"n": 3}\n\n4\n',
  });
  const ids = [array, lines].flatMap(
    ({ body }) => (JSON.parse(body) as { invocations: { id: string }[] }).invocations,
  );
  assert.equal(ids.length, 4);
  for (const { id } of ids) assert.equal((await w.status(id)).status, 'succeeded');
  assert.deepEqual(w.got.map(({ body }) => body).sort(), ['"two"', '4', '{"n": 3}', '{"n":1}']);
  assert.deepEqual(
    new Set(w.got.map(({ headers }) => headers['content-type'])),
    new Set(['application/json']),
  );
  for (const body of ['{}', '[1', '[]'])
    assert.equal((await w.send({ headers: mode, body })).status, 400, body);
});

test('destinations: the outcome goes to a function, to an address, and a chain that leads back ends', async () => {
  const w = await world();
  w.specs.set('default/f', {
    invocation: {
      ...FAST,
      maxAttempts: 1,
      onSuccess: { function: 'g' },
      onFailure: { url: `http://127.0.0.1:${w.port}/hook` },
    },
  });
  w.answer = (_, response, __, body) => {
    response.statusCode = body === 'bad' ? 500 : 200;
    response.end('done');
  };
  const [good, bad] = [idOf(await w.send({ body: 'good' })), idOf(await w.send({ body: 'bad' }))];
  await Promise.all([w.status(good), w.status(bad)]);
  const told = async (url: string) => {
    for (;;) {
      const found = w.got.find((one) => one.url.startsWith(url));
      if (found)
        return {
          ...(JSON.parse(found.body) as Record<'id' | 'state' | 'request' | 'response', unknown>),
          depth: found.headers['x-petrel-invocation-depth'],
        };
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const success = await told('/fn/default/g');
  assert.deepEqual([success.id, success.state, success.depth], [good, 'succeeded', '1']);
  assert.deepEqual(success.request, { method: 'POST', path: '/', body: 'good' });
  assert.equal((success.response as { status: number; body: string }).body, 'done');
  const failure = await told('/hook');
  assert.deepEqual(
    [failure.id, failure.state, (failure.response as { status: number }).status],
    [bad, 'dead', 500],
  );

  w.specs.set('default/loop', { invocation: { onSuccess: { function: 'loop' } } });
  const before = idOf(await w.send({ target: 'default/loop' }));
  await w.status(before);
  const looped = () => w.got.filter(({ url }) => url.startsWith('/fn/default/loop')).length;
  while (looped() < 9) await new Promise((resolve) => setTimeout(resolve, 5));
  while (w.engine.store.queued().size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(looped(), 9);
  assert.equal((await w.send({ headers: { 'x-petrel-invocation-depth': '8' } })).status, 508);
});

test('cancelling: one that waits and one that runs', async () => {
  const w = await world();
  const hang = Promise.withResolvers<void>();
  let closed = false;
  w.answer = (_, response) => {
    response.on('close', () => {
      closed = true;
    });
    hang.resolve();
  };
  const id = idOf(await w.send({}));
  await hang.promise;
  assert.equal((await w.status(id, '')).status, 'running');
  const path = `/.petrel/invocations/${id}`;
  const cancelled = await w.send({ socket: 'public', method: 'DELETE', path });
  assert.equal(JSON.parse(cancelled.body).status, 'cancelled');
  while (!closed) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal((await w.send({ socket: 'public', method: 'DELETE', path })).status, 409);
  assert.equal((await w.status('0'.repeat(32))).reason, 'not_found');
});

test('a slow function holds up nobody else, and gets no more than its share', async () => {
  const w = await world();
  w.specs.set('default/slow', { concurrency: 2, scale: { max: 2 } });
  const held: ServerResponse[] = [];
  w.answer = (url, response) =>
    void (url.startsWith('/fn/default/slow') ? held.push(response) : response.end('ok'));
  for (let i = 0; i < 100; i++) idOf(await w.send({ target: 'default/slow' }));
  const quick = idOf(await w.send({ target: 'default/quick' }));
  assert.equal((await w.status(quick)).status, 'succeeded');
  assert.equal(held.length, 4);
  w.answer = (_, response) => void response.end('ok');
  for (const response of held) response.end('ok');
  while (w.engine.dispatcher.queued('default/slow') > 0)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(w.got.filter(({ url }) => url.startsWith('/fn/default/slow')).length, 100);
});

test('what was accepted outlives a restart: waiting, running, and more than memory holds', async () => {
  const w = await world();
  w.specs.set('default/f', { concurrency: 1, scale: { max: 1 } });
  const first = Promise.withResolvers<void>();
  w.answer = () => first.resolve();
  const ids: string[] = [];
  for (let i = 0; i < 600; i += 100) {
    const headers = { 'x-petrel-invoke-mode': 'batch' };
    const body = JSON.stringify(Array.from({ length: 100 }, (_, k) => i + k));
    const reply = await w.send({ headers, body });
    ids.push(
      ...(JSON.parse(reply.body) as { invocations: { id: string }[] }).invocations.map(({ id }) => id),
    );
  }
  await first.promise;
  w.answer = (_, response) => void response.end('ok');
  await w.restart();
  for (const id of ids) assert.equal((await w.status(id)).status, 'succeeded');
  assert.deepEqual(
    w.got.slice(1).map(({ body }) => Number(body)),
    ids.map((_, i) => i),
  );
});

test('a full disk: refused with 507, nothing half accepted; accepted again when there is room', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pi-'));
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir]).status !== 0)
    return t.skip('needs the right to mount a small file system');
  after(() => spawnSync('umount', ['-l', dir]));
  const w = await world(dir);
  const accepted: string[] = [];
  let refused: Reply | undefined;
  for (let i = 0; i < 100 && refused === undefined; i++) {
    const reply = await w.send({ body: Buffer.alloc(50_000, 'x') });
    if (reply.status === 202) accepted.push(idOf(reply));
    else refused = reply;
  }
  assert.deepEqual([refused?.status, JSON.parse(refused?.body ?? '{}').reason], [507, 'disk_full']);
  spawnSync('mount', ['-o', 'remount,size=32m', dir]);
  assert.equal((await w.status(idOf(await w.send({ body: 'again' })))).status, 'succeeded');
  // An outcome that could not be written was kept in mind, and written when there was room.
  for (const id of accepted) assert.equal((await w.status(id)).status, 'succeeded');
  assert.equal(w.engine.store.list({ limit: 1000 }).length, accepted.length + 1);
});

test('what is over is forgotten: results after a day, dead letters after a week, keys after a day', async () => {
  const w = await world();
  w.answer = (url, response) => {
    response.statusCode = url.endsWith('/wrong') ? 400 : 200;
    response.end();
  };
  const headers = { 'idempotency-key': 'k' };
  const [good, wrong] = [idOf(await w.send({ headers })), idOf(await w.send({ path: '/wrong' }))];
  await Promise.all([w.status(good), w.status(wrong)]);
  const day = 24 * 3_600_000;
  const after = async (ms: number) =>
    (await w.engine.store.run({ do: 'collect', now: Date.now() + ms })).removed;
  assert.equal(await after(day - 60_000), 0);
  assert.equal(await after(day + 60_000), 1);
  assert.deepEqual([w.engine.store.get(good), w.engine.store.get(wrong)?.state], [undefined, 'failed']);
  const next = idOf(await w.send({ headers }));
  assert.notEqual(next, good);
  await w.status(next);
  assert.equal(await after(7 * day - 60_000), 1);
  assert.equal(w.engine.store.get(wrong)?.state, 'failed');
  assert.equal(await after(7 * day + 60_000), 1);
  assert.equal(w.engine.store.request(2), undefined);
});

test('too large, too many, no route', async () => {
  const w = await world();
  assert.equal((await w.send({ body: Buffer.alloc(6 * 1024 * 1024 + 1) })).status, 413);
  const exact = idOf(await w.send({ body: Buffer.alloc(6 * 1024 * 1024, 'a') }));
  const { result } = await w.status(exact);
  assert.equal(result.truncated, true);
  assert.equal(result.body.length, 256 * 1024);
  assert.equal((await w.send({ target: '' })).status, 400);
  assert.equal((await w.send({ headers: { 'idempotency-key': 'x'.repeat(300) } })).status, 400);
});
