/** HTTP/2 instances that lie, die and refuse: clients of either protocol see a failure, never half of an answer as whole. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { h2Client, startH2Instance } from '../testing/h2.ts';
import { eventually, get, KEY, RawClient, startHarness } from '../testing/harness.ts';

async function setUp(handler: Parameters<typeof startH2Instance>[0]) {
  const h = await startHarness();
  const instance = await startH2Instance(handler);
  const c = h2Client(h.port);
  after(async () => {
    c.close();
    await h.gateway.close(0);
    await instance.close();
  });
  h.endpoints(instance.address);
  return { h, c, instance };
}

const reasonOf = (body: string) => (JSON.parse(body) as { reason: string }).reason;

for (const [what, body] of [
  ['shorter', 'half'],
  ['longer', 'twice as much as was said'],
] as const) {
  test(`a body ${what} than its Content-Length is cut off`, async () => {
    const { h, c } = await setUp((stream) => {
      stream.respond({ ':status': 200, 'content-length': '10' });
      stream.end(body);
    });
    const r = await c.fetch('/');
    assert.ok(r.code !== 0 || r.status === 502, JSON.stringify(r));
    const raw = new RawClient(h.port).send(get());
    const one = await raw.response().catch(() => null);
    assert.ok(one === null || one.status === 502);
    raw.destroy();
    await eventually(() => h.gateway.counts(KEY)?.inFlight === 0);
  });
}

test('an instance that dies before, and in the middle of, its answer', async () => {
  const { h, c, instance } = await setUp((stream, headers) => {
    if (headers[':path'] === '/before') {
      stream.session?.socket?.destroy();
      return;
    }
    stream.respond({ ':status': 200 });
    stream.write('half');
    setTimeout(() => {
      for (const session of instance.sessions) session.destroy();
    }, 30);
  });
  const before = await c.fetch('/before');
  assert.equal(before.status, 502);
  assert.equal(reasonOf(before.body), 'upstream_reset');
  const middle = await c.fetch('/middle');
  assert.equal(middle.status, 200);
  assert.notEqual(middle.code, 0);
  const raw = new RawClient(h.port).send(get('/middle'));
  await assert.rejects(raw.response());
  raw.destroy();
  await eventually(() => h.gateway.counts(KEY)?.inFlight === 0);
});

test('an instance that refuses every stream is asked twice, not for ever', async () => {
  let asked = 0;
  const { c } = await setUp((stream) => {
    asked++;
    stream.close(7);
  });
  const r = await c.fetch('/', {}, 'body');
  assert.equal(r.status, 502);
  assert.equal(asked, 2);
});

test('a stream reset in the middle of a request body ends the request', async () => {
  const { h, c } = await setUp((stream) => {
    stream.once('data', () => stream.close(2));
  });
  const stream = c.request({ ':method': 'POST' }, { endStream: false });
  let status = 0;
  stream.on('response', (headers) => {
    status = Number(headers[':status']);
  });
  stream.write('x'.repeat(100_000));
  await eventually(() => status === 502);
  await eventually(() => h.gateway.counts(KEY)?.inFlight === 0);
  await eventually(() => stream.closed, 'the rest of the request to be refused');
});

test('an answer before the end of the request reaches the client, and the instance is not kept waiting', async () => {
  let code = -1;
  const { c } = await setUp((stream) => {
    stream.on('close', () => {
      code = stream.rstCode ?? 0;
    });
    stream.respond({ ':status': 413 });
    stream.end('too much');
  });
  const stream = c.request({ ':method': 'POST' }, { endStream: false });
  let body = '';
  stream.on('data', (chunk: Buffer) => {
    body += chunk.toString();
  });
  stream.write('begin');
  await eventually(() => body === 'too much');
  await eventually(() => stream.closed && code >= 0);
});

test('an instance whose connection ends while it is doubted is used again', async () => {
  const { h, c } = await setUp((stream, headers) => {
    if (headers[':path'] === '/hang') {
      const { session } = stream;
      stream.on('close', () => session?.destroy());
      return;
    }
    stream.respond({ ':status': 200 });
    stream.end('ok');
  });
  h.revision({ timeoutMs: 60 });
  for (let i = 0; i < 5; i++) {
    assert.equal((await c.fetch('/hang')).status, 504);
    assert.equal((await c.fetch('/')).body, 'ok');
  }
});
