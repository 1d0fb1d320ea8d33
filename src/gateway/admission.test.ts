/** Queues, slots, demand, time-outs and statistics, with one worker and with several. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { WorkerLink } from './links.ts';
import { eventually, get, type Harness, KEY, RawClient, startHarness } from './testing/harness.ts';
import { startMuxInstance, type TestStream } from './testing/mux-instance.ts';

const reasonOf = (body: string) => (JSON.parse(body) as { reason: string }).reason;

async function setUp(workers = 0): Promise<Harness> {
  const h = await startHarness({ workers });
  after(() => h.gateway.close(0));
  return h;
}

async function instance(handler: (s: TestStream) => void) {
  const made = await startMuxInstance(handler);
  after(() => made.close());
  return made;
}

/** Nothing in flight or queued as far as the shared counts know. */
async function idle(h: Harness): Promise<void> {
  await h.gateway.drained(KEY, 'none', 1);
  h.stats.length = 0;
}

for (const workers of [0, 2]) {
  test(`a request waits for the first endpoint; demand is told once (workers: ${workers})`, async () => {
    const h = await setUp(workers);
    const made = await instance((s) => s.respond(200, {}, 'up'));
    const client = new RawClient(h.port).send(get());
    await eventually(() => h.demands.length === 1);
    assert.deepEqual(h.demands, [{ key: KEY, queued: 1, inFlight: 0 }]);
    h.endpoints(made.path);
    assert.equal((await client.response()).body, 'up');
    client.destroy();
  });

  test(`containerConcurrency holds exactly over all workers (workers: ${workers})`, async () => {
    const h = await setUp(workers);
    h.revision({ containerConcurrency: 2, queueDepth: 1000 });
    const now = [0, 0, 0];
    const most = [0, 0, 0];
    const make = (i: number) =>
      instance((s) => {
        now[i]!++;
        most[i] = Math.max(most[i]!, now[i]!);
        setImmediate(() => {
          now[i]!--;
          s.respond(200, {}, 'x');
        });
      });
    const made = await Promise.all([make(0), make(1), make(2)]);
    h.endpoints(...made.map((m) => m.path));
    const clients = Array.from({ length: 40 }, () => new RawClient(h.port));
    await Promise.all(
      clients.map(async (client) => {
        for (let k = 0; k < 25; k++) assert.equal((await client.send(get()).response()).status, 200);
        client.destroy();
      }),
    );
    assert.ok(
      most.every((n) => n <= 2),
      String(most),
    );
    assert.equal(most[0], 2);
  });

  test(`nobody starves when all slots are held by another worker's requests (workers: ${workers})`, async () => {
    const h = await setUp(workers);
    h.revision({ containerConcurrency: 1, queueDepth: 1000 });
    const made = await instance((s) => setImmediate(() => s.respond(200, {}, 'x')));
    h.endpoints(made.path);
    const answered = new Array<number>(16).fill(0);
    const clients = answered.map(() => new RawClient(h.port));
    let stop = false;
    const runs = clients.map(async (client, i) => {
      while (!stop) {
        await client.send(get()).response();
        answered[i]!++;
      }
      client.destroy();
    });
    await eventually(() => answered.every((n) => n >= 5), 'every client to get its share');
    stop = true;
    await Promise.all(runs);
  });
}

test('requests that run are told as demand from the surge on, and again when they have doubled', async () => {
  const h = await setUp();
  h.revision({ surge: 4 });
  const open: TestStream[] = [];
  const made = await instance((s) => void open.push(s));
  h.endpoints(made.path);
  const clients: RawClient[] = [];
  for (let i = 1; i <= 16; i++) {
    clients.push(new RawClient(h.port).send(get()));
    await eventually(() => open.length === i);
  }
  assert.deepEqual(h.demands[0], { key: KEY, queued: 0, inFlight: 4 });
  assert.ok(h.demands.some((d) => d.inFlight >= 8));
  // Each second the surge counts anew, which a slow machine may see.
  assert.ok(h.demands.length < 8, `${h.demands.length} times`);
  for (const s of open) s.respond(200, {}, 'x');
  for (const client of clients) assert.equal((await client.response()).status, 200);
  for (const client of clients) client.destroy();
});

test('demand is told again when the queue has doubled', async () => {
  const h = await setUp();
  const clients: RawClient[] = [];
  for (let i = 1; i <= 8; i++) {
    clients.push(new RawClient(h.port).send(get()));
    await eventually(() => h.demands.length >= 1 + Math.floor(Math.log2(i)), `demand at ${i}`);
  }
  assert.deepEqual(
    h.demands.map((d) => d.queued),
    [1, 2, 4, 8],
  );
  for (const client of clients) client.destroy();
});

test('a full queue is 503 with Retry-After, in order, and others still get served', async () => {
  const h = await setUp();
  h.revision({ queueDepth: 2 });
  const waiting = [new RawClient(h.port).send(get('/1')), new RawClient(h.port).send(get('/2'))];
  await eventually(() => h.demands.at(-1)?.queued === 2);
  const refused = await new RawClient(h.port).send(get('/3')).response();
  assert.equal(refused.status, 503);
  assert.equal(refused.headers['retry-after'], '1');
  assert.equal(reasonOf(refused.body), 'queue_full');
  const order: string[] = [];
  const made = await instance((s) => {
    order.push(s.target);
    s.respond(200, {}, '');
  });
  h.endpoints(made.path);
  for (const client of waiting) assert.equal((await client.response()).status, 200);
  assert.deepEqual(order, ['/1', '/2']);
});

test('a client that goes away while it waits leaves the queue', async () => {
  const h = await setUp();
  h.revision({ queueDepth: 1 });
  const gone = new RawClient(h.port).send(get('/gone'));
  await eventually(() => h.demands.length === 1);
  gone.destroy();
  const seen: string[] = [];
  // the place in the queue is free again, and demand is raised again
  const client = new RawClient(h.port);
  await eventually(() => h.demands.length === 1);
  for (;;) {
    client.send(get('/kept'));
    await eventually(() => h.demands.length === 2 || client.text !== '');
    if (client.text === '') break;
    await client.response();
  }
  const made = await instance((s) => {
    seen.push(s.target);
    s.respond(200, {}, '');
  });
  h.endpoints(made.path);
  assert.equal((await client.response()).status, 200);
  assert.deepEqual(seen, ['/kept']);
});

test('failRevision ends what waits with its own words; the next request raises demand again', async () => {
  const h = await setUp();
  const client = new RawClient(h.port).send(get());
  await eventually(() => h.demands.length === 1);
  h.gateway.failRevision(KEY, {
    status: 500,
    component: 'function',
    reason: 'load_error',
    message: 'SyntaxError: hello.ts:3',
  });
  const r = await client.response();
  assert.equal(r.status, 500);
  const body = JSON.parse(r.body) as Record<string, string>;
  assert.deepEqual(
    [body.component, body.reason, body.message],
    ['function', 'load_error', 'SyntaxError: hello.ts:3'],
  );
  client.send(get());
  await eventually(() => h.demands.length === 2);
  client.destroy();
});

test('failRevision from within demand answers the request that raised it', async () => {
  const h = await setUp();
  h.onDemand = () =>
    h.gateway.failRevision(KEY, { status: 500, component: 'function', reason: 'load_error', message: 'no' });
  const client = new RawClient(h.port);
  for (let i = 0; i < 3; i++)
    assert.equal(reasonOf((await client.send(get()).response()).body), 'load_error');
  client.destroy();
});

test('time-outs: whole request, start of the response, idleness, each with its reason', async () => {
  const h = await setUp();
  const resets: string[] = [];
  const made = await instance((s) => {
    s.onReset = (code) => resets.push(code);
    if (s.target === '/drip') {
      s.begin(200);
      const timer = setInterval(() => s.data('x'), 5);
      s.connection.socket.on('close', () => clearInterval(timer));
    }
    if (s.target === '/once') {
      s.begin(200);
      s.data('x');
    }
  });
  const queued = new RawClient(h.port);
  h.revision({ timeoutMs: 50 });
  const waited = await queued.send(get()).response();
  assert.equal(waited.status, 504);
  assert.equal(reasonOf(waited.body), 'timeout');
  h.endpoints(made.path);
  const client = new RawClient(h.port);
  assert.equal(reasonOf((await client.send(get()).response()).body), 'timeout');
  h.revision({ timeoutMs: 10_000, responseStartTimeoutMs: 40 });
  assert.equal(reasonOf((await client.send(get()).response()).body), 'response_start_timeout');
  h.revision({ timeoutMs: 10_000, idleTimeoutMs: 40 });
  assert.equal(reasonOf((await client.send(get()).response()).body), 'idle_timeout');
  await eventually(() => resets.length === 3);
  assert.deepEqual(resets, ['timeout', 'timeout', 'timeout']);
  // once begun, it is ended where it stands
  const once = new RawClient(h.port).send(get('/once'));
  await once.head();
  await once.end();
  assert.match(once.text, /^1\r\nx\r\nf\r\nrequest timeout\r\n0\r\n\r\n$/);
  // bytes keep it alive until the whole time is over
  h.revision({ timeoutMs: 300, idleTimeoutMs: 100 });
  const drip = new RawClient(h.port).send(get('/drip'));
  await drip.head();
  await drip.end();
  assert.ok(drip.text.length > 30, 'it was not cut for being idle');
});

test('percentages are exact over a hundred requests, and interleaved', async () => {
  const h = await setUp();
  const keys = ['default/a', 'default/b', 'default/c'];
  for (const key of keys) {
    h.gateway.setRevision(key, {
      key,
      containerConcurrency: 0,
      timeoutMs: 5000,
      maxRequestBytes: 0,
      queueDepth: 10,
    });
    h.gateway.setEndpoints(key, [
      { id: key, address: { kind: 'mux', path: (await instance((s) => s.respond(200, {}, key))).path } },
    ]);
  }
  const percents = [70, 29, 1];
  h.gateway.setRoute('default', 'split', {
    namespace: 'default',
    name: 'split',
    hosts: ['split.test'],
    targets: keys.map((revision, i) => ({ revision, percent: percents[i]! })),
  });
  const client = new RawClient(h.port);
  const counts: Record<string, number> = {};
  let longest = 0;
  let run = 0;
  for (let i = 0; i < 100; i++) {
    const { body } = await client.send('GET / HTTP/1.1\r\nHost: split.test\r\n\r\n').response();
    counts[body] = (counts[body] ?? 0) + 1;
    run = body === 'default/a' ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  assert.deepEqual(counts, { 'default/a': 70, 'default/b': 29, 'default/c': 1 });
  assert.ok(longest <= 4);
  client.destroy();
});

test('least loaded of two: a slow instance gets fewer requests', async () => {
  const h = await setUp();
  const held: TestStream[] = [];
  const slow = await instance((s) => held.push(s));
  let fast = 0;
  const quick = await instance((s) => {
    fast++;
    s.respond(200, {}, '');
  });
  h.endpoints(slow.path, quick.path);
  const clients: RawClient[] = [];
  while (held.length === 0) {
    clients.push(new RawClient(h.port).send(get()));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const before = fast;
  const client = new RawClient(h.port);
  for (let i = 0; i < 50; i++) await client.send(get()).response();
  assert.equal(fast - before, 50);
  for (const c of clients) c.destroy();
  client.destroy();
});

test('an endpoint left out gets nothing new, ends what it has, and is drained then', async () => {
  const h = await setUp();
  let held: TestStream | undefined;
  const one = await instance((s) => {
    held = s;
  });
  const two = await instance((s) => s.respond(200, {}, 'two'));
  h.endpoints(one.path);
  const first = new RawClient(h.port).send(get());
  await eventually(() => held !== undefined);
  h.gateway.setEndpoints(KEY, [{ id: 'new', address: { kind: 'mux', path: two.path } }]);
  let drained = false;
  const waiting = h.gateway.drained(KEY, 'pod-0', 10_000).then(() => {
    drained = true;
  });
  const client = new RawClient(h.port);
  for (let i = 0; i < 5; i++) assert.equal((await client.send(get()).response()).body, 'two');
  assert.equal(drained, false);
  held!.respond(200, {}, 'one');
  assert.equal((await first.response()).body, 'one');
  await waiting;
  await eventually(() => one.connections[0]!.socket.destroyed, 'its connection to close');
  await h.gateway.drained(KEY, 'never-existed', 10_000);
  client.destroy();
  first.destroy();
});

test('drained gives up after its time', async () => {
  const h = await setUp();
  const made = await instance(() => {});
  h.endpoints(made.path);
  const client = new RawClient(h.port).send(get());
  await eventually(() => made.connections[0]?.streams.size === 1);
  h.gateway.setEndpoints(KEY, []);
  await h.gateway.drained(KEY, 'pod-0', 20);
  client.destroy();
  await h.gateway.drained(KEY, 'pod-0', 10_000);
});

for (const workers of [0, 2]) {
  test(`changes hold for the very next request (workers: ${workers})`, async () => {
    const h = await setUp(workers);
    const made = await instance((s) => s.respond(200, {}, 'x'));
    h.endpoints(made.path);
    const client = new RawClient(h.port);
    for (let i = 0; i < 30; i++) {
      const name = `f${i}`;
      h.gateway.setRoute('default', name, {
        namespace: 'default',
        name,
        hosts: [`${name}.test`],
        targets: [{ revision: KEY, percent: 100 }],
      });
      assert.equal(
        (await client.send(`GET / HTTP/1.1\r\nHost: ${name}.test\r\n\r\n`).response()).status,
        200,
      );
      h.gateway.setRoute('default', name, null);
      assert.equal(
        (await client.send(`GET / HTTP/1.1\r\nHost: ${name}.test\r\n\r\n`).response()).status,
        404,
      );
    }
    client.destroy();
  });

  test(`statistics are exact and stop with the traffic (workers: ${workers})`, async () => {
    const h = await setUp(workers);
    const made = await instance((s) => setTimeout(() => s.respond(200, {}, 'x'), 300));
    h.endpoints(made.path);
    const clients = Array.from({ length: 4 }, () => new RawClient(h.port).send(get()));
    for (const client of clients) await client.response();
    await eventually(() => h.stats.length >= 1);
    const [first] = h.stats[0]!;
    assert.equal(first!.key, KEY);
    assert.equal(
      h.stats.flat().reduce((sum, s) => sum + s.requestCount, 0),
      4,
    );
    // 4 requests of 0.3 s within 1 s
    assert.ok(
      first!.averageConcurrency > 1 && first!.averageConcurrency < 2.2,
      String(first!.averageConcurrency),
    );
    assert.equal(first!.inFlight, 0);
    const reports = h.stats.length;
    await new Promise((resolve) => setTimeout(resolve, 2200));
    assert.ok(h.stats.length <= reports + 1, 'an idle gateway reports nothing');
    for (const client of clients) client.destroy();
  });
}

test('a removed revision: waiting requests fail, requests in flight end', async () => {
  const h = await setUp();
  let held: TestStream | undefined;
  const made = await instance((s) => {
    held = s;
  });
  h.revision({ containerConcurrency: 1 });
  h.endpoints(made.path);
  const flying = new RawClient(h.port).send(get());
  await eventually(() => held !== undefined);
  const waiting = new RawClient(h.port).send(get());
  await eventually(() => h.demands.length === 1);
  h.gateway.setRevision(KEY, null);
  assert.equal(reasonOf((await waiting.response()).body), 'not_ready');
  held!.respond(200, {}, 'ended');
  assert.equal((await flying.response()).body, 'ended');
  assert.equal(reasonOf((await flying.send(get()).response()).body), 'not_ready');
  await idle(h);
  flying.destroy();
  waiting.destroy();
});

test('an abort storm leaves no slot taken and no place in the queue', async () => {
  for (const workers of [0, 2]) {
    const h = await setUp(workers);
    h.revision({ containerConcurrency: 3, queueDepth: 20 });
    const made = await instance((s) => {
      const n = Number(s.target.slice(1));
      if (n % 3 === 0) s.respond(200, {}, 'x');
      else if (n % 3 === 1) setTimeout(() => s.respond(200, {}, 'x'), n % 7);
      else {
        s.begin(200);
        s.data('x');
      }
    });
    h.endpoints(made.path);
    for (let round = 0; round < 10; round++) {
      const clients = Array.from({ length: 30 }, (_, i) =>
        new RawClient(h.port).send(get(`/${round * 30 + i}`)),
      );
      await new Promise((resolve) => setTimeout(resolve, round));
      for (const client of clients) client.destroy();
    }
    // with every slot free again, as many requests as there are slots are in flight at once
    const late: TestStream[] = [];
    const other = await instance((s) => (s.target === '/final' ? late.push(s) : s.respond(200, {}, 'x')));
    h.gateway.setEndpoints(KEY, [
      { id: 'pod-0', address: { kind: 'mux', path: made.path } },
      { id: 'late', address: { kind: 'mux', path: other.path } },
    ]);
    h.gateway.setEndpoints(KEY, [{ id: 'late', address: { kind: 'mux', path: other.path } }]);
    await h.gateway.drained(KEY, 'pod-0', 5000);
    const clients = Array.from({ length: 3 }, () => new RawClient(h.port).send(get('/final')));
    await eventually(() => late.length === 3, 'three in flight');
    for (const s of late) s.respond(200, {}, 'done');
    for (const client of clients) {
      assert.equal((await client.response()).body, 'done');
      client.destroy();
    }
    await eventually(
      () => h.gateway.counts(KEY)?.inFlight === 0 && h.gateway.counts(KEY)?.queued === 0,
      'counts at zero',
    );
  }
});

test('a worker that dies is replaced, its counts are taken back, and state is there again', async () => {
  const h = await setUp(2);
  h.revision({ containerConcurrency: 1, queueDepth: 50 });
  const held: TestStream[] = [];
  const made = await instance((s) => {
    if (s.target === '/hold') held.push(s);
    else s.respond(200, {}, 'ok');
  });
  h.endpoints(made.path);
  const clients = Array.from({ length: 12 }, () => new RawClient(h.port).send(get('/hold')));
  await eventually(() => held.length === 1);
  await eventually(() => h.gateway.counts(KEY)?.queued === 11);
  const dead = h.gateway.links[0] as WorkerLink;
  await dead.thread.terminate();
  await eventually(() => h.gateway.links[0] !== null && h.gateway.links[0] !== dead, 'a new worker');
  await eventually(() => h.gateway.counts(KEY)!.inFlight <= 1);
  for (const client of clients) client.destroy();
  await eventually(
    () => h.gateway.counts(KEY)!.queued === 0 && h.gateway.counts(KEY)!.inFlight === 0,
    'all counts at zero',
  );
  const later = Array.from({ length: 20 }, () => new RawClient(h.port));
  for (const client of later) {
    const r = await client.send(get('/')).response();
    assert.equal(r.body, 'ok');
    client.destroy();
  }
});
