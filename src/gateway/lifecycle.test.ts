/** Opening and closing: ports, time limits of clients, limits on connections, and going away gracefully. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, test } from 'node:test';
import { PetrelError } from '../base/errors.ts';
import { silentLogger } from '../base/log.ts';
import { startGateway } from './gateway.ts';
import { eventually, get, HOST, RawClient, startHarness } from './testing/harness.ts';
import { startMuxInstance, type TestStream } from './testing/mux-instance.ts';

const events = { demand: () => {}, stats: () => {}, endpointDown: () => {} };

for (const workers of [0, 1, 2]) {
  test(`a port in use is told as such (workers: ${workers})`, async () => {
    const first = await startGateway({ host: '127.0.0.1', port: 0, workers, events, log: silentLogger });
    after(() => first.close(0));
    const options = { host: '127.0.0.1', port: first.address.port, workers, events, log: silentLogger };
    await assert.rejects(
      startGateway(options),
      (error) => error instanceof PetrelError && error.code === 'PortInUse',
    );
  });
}

test('an address this machine does not have is told as such', async () => {
  const options = { host: '192.0.2.1', port: 0, workers: 0, events, log: silentLogger };
  await assert.rejects(
    startGateway(options),
    (error) => error instanceof PetrelError && error.code === 'InvalidArgument',
  );
});

test('several workers share one port', async () => {
  const h = await startHarness({ workers: 3 });
  const made = await startMuxInstance((s) => s.respond(200, {}, 'x'));
  after(async () => {
    await h.gateway.close(0);
    await made.close();
  });
  h.endpoints(made.path);
  const clients = Array.from({ length: 60 }, () => new RawClient(h.port));
  for (const client of clients) assert.equal((await client.send(get()).response()).body, 'x');
  assert.ok(made.connections.length > 1, 'more than one worker has connected to the instance');
  for (const client of clients) client.destroy();
});

test('a head that does not arrive in time is 408, an idle connection is closed without a word', async () => {
  const h = await startHarness({ limits: { headTimeoutMs: 50, keepAliveMs: 60 } });
  const made = await startMuxInstance((s) => s.respond(200, {}, 'x'));
  after(async () => {
    await h.gateway.close(0);
    await made.close();
  });
  h.endpoints(made.path);
  const slow = new RawClient(h.port);
  // Whatever comes before its time is over, it might still become a request.
  slow.send('GET / HTTP/1.1\r\nx-slow: ');
  const timer = setInterval(() => slow.send('x'), 10);
  const r = await slow.response();
  clearInterval(timer);
  assert.equal(r.status, 408);
  await slow.end();
  const silent = new RawClient(h.port);
  await silent.end();
  assert.equal(silent.text, '');
  const kept = new RawClient(h.port);
  await kept.send(get()).response();
  await kept.end();
  assert.equal(kept.text, '');
});

test('a slow head that is still coming does not get its time again with every byte', async () => {
  const h = await startHarness({ limits: { headTimeoutMs: 80 } });
  after(() => h.gateway.close(0));
  const clients = Array.from({ length: 20 }, () => new RawClient(h.port).send('G'));
  const timer = setInterval(() => {
    for (const client of clients) client.send('E');
  }, 5);
  for (const client of clients) assert.ok([408, 400].includes((await client.response()).status));
  clearInterval(timer);
});

test('connections over the limit are closed at once', async () => {
  const h = await startHarness({ limits: { maxConnections: 2 } });
  after(() => h.gateway.close(0));
  const kept = [new RawClient(h.port), new RawClient(h.port)];
  for (const client of kept) {
    assert.equal(
      (await client.send('GET /_petrel/healthz HTTP/1.1\r\nHost: x\r\n\r\n').response()).status,
      200,
    );
  }
  const third = new RawClient(h.port);
  await third.end();
  assert.equal(third.text, '');
  for (const client of kept) client.destroy();
});

test('a pipelining client that sends without end is held back', async () => {
  const h = await startHarness();
  const made = await startMuxInstance(() => {});
  after(async () => {
    await h.gateway.close(0);
    await made.close();
  });
  h.endpoints(made.path);
  const client = new RawClient(h.port);
  const flood = Buffer.from(get('/flood', `X: ${'y'.repeat(1000)}\r\n`).repeat(20_000));
  client.send(flood);
  let before = -1;
  await eventually(() => {
    const stalled = client.socket.bytesWritten === before;
    before = client.socket.bytesWritten;
    return stalled && client.socket.writableLength > 0;
  });
  await eventually(() => made.connections[0]?.streams.size === 1);
  client.destroy();
});

for (const workers of [0, 1]) {
  test(`close: idle connections end, requests in flight are answered and told to close (workers: ${workers})`, async () => {
    const h = await startHarness({ workers });
    let held: TestStream | undefined;
    const made = await startMuxInstance((s) => {
      if (s.target === '/hold') held = s;
      else s.respond(200, {}, 'x');
    });
    after(() => made.close());
    h.endpoints(made.path);
    const idle = new RawClient(h.port);
    await idle.send(get()).response();
    const busy = new RawClient(h.port).send(get('/hold'));
    await eventually(() => held !== undefined);
    const closed = h.gateway.close(10_000);
    await idle.end();
    const late = new RawClient(h.port);
    await late.end();
    held!.respond(200, {}, 'last');
    const r = await busy.response();
    assert.equal(r.body, 'last');
    assert.equal(r.headers.connection, 'close');
    await busy.end();
    busy.socket.end();
    await closed;
  });

  test(`close: what does not end within its grace is cut (workers: ${workers})`, async () => {
    const h = await startHarness({ workers });
    let resets = 0;
    let held = false;
    const made = await startMuxInstance((s) => {
      held = true;
      s.onReset = () => {
        resets++;
      };
    });
    after(() => made.close());
    h.endpoints(made.path);
    const client = new RawClient(h.port).send(get('/hold'));
    await eventually(() => held);
    await h.gateway.close(30);
    await client.end();
    assert.equal(client.text, '');
    assert.ok(resets <= 1);
  });
}

test('a client that closes its side while its answer is on the way is gone', async () => {
  const h = await startHarness();
  const codes: string[] = [];
  const made = await startMuxInstance((s) => {
    s.onReset = (code) => codes.push(code);
  });
  after(async () => {
    await h.gateway.close(0);
    await made.close();
  });
  h.endpoints(made.path);
  const client = new RawClient(h.port).send(get());
  await eventually(() => made.connections[0]?.streams.size === 1);
  client.socket.end();
  await client.end();
  await eventually(() => codes.length === 1);
  assert.equal(client.text, '');
});

test('a gateway without traffic holds no timer', async () => {
  const h = await startHarness();
  const made = await startMuxInstance((s) => s.respond(200, {}, 'x'));
  after(async () => {
    await h.gateway.close(0);
    await made.close();
  });
  h.endpoints(made.path);
  const client = new RawClient(h.port);
  await client.send(get()).response();
  client.destroy();
  const timers = () => process.getActiveResourcesInfo().filter((r) => r === 'Timeout').length;
  await eventually(() => timers() <= 1, 'the timers to end');
});

test('a plain server on the same port is noticed too', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  for (const workers of [0, 1, 2]) {
    await assert.rejects(
      startGateway({ host: '127.0.0.1', port, workers, events, log: silentLogger }),
      PetrelError,
    );
  }
  server.close();
  assert.ok(HOST);
});

test('the idle time of a connection counts from the end of the answer', async () => {
  const h = await startHarness({ limits: { keepAliveMs: 150 } });
  const made = await startMuxInstance((s) => {
    setTimeout(() => s.respond(200, {}, 'x'), s.target === '/slow' ? 250 : 0);
  });
  after(async () => {
    await h.gateway.close(0);
    await made.close();
  });
  h.endpoints(made.path);
  const client = new RawClient(h.port);
  for (let i = 0; i < 3; i++) {
    assert.equal((await client.send(get('/slow')).response()).status, 200);
    // a sweep has passed by the time the next turn comes
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(client.closed, false);
  }
  client.destroy();
});
