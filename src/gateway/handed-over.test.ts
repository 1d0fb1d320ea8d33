/** What is no route's goes to a server of the platform: by path on any host, or by a host of its own, as it came. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { HOST, KEY, RawClient, startHarness } from './testing/harness.ts';
import { startMuxInstance, type TestStream } from './testing/mux-instance.ts';

const HOSTS = /^(?:bus|[a-z0-9-]+-channel)\.svc$/;

async function startServer(answer: string) {
  const seen: TestStream[] = [];
  const server = await startMuxInstance((stream) => {
    seen.push(stream);
    if (stream.ended) stream.respond(202, {}, answer);
    else stream.onEnd = () => stream.respond(202, {}, `${answer} ${stream.body}`);
  });
  after(() => server.close());
  return { seen, server, address: { kind: 'mux', path: server.path } as const };
}

async function ask(port: number, host: string, target: string, body?: string) {
  const client = new RawClient(port);
  const length = body === undefined ? '' : `Content-Length: ${body.length}\r\n`;
  client.send(
    `${body === undefined ? 'GET' : 'POST'} ${target} HTTP/1.1\r\nHost: ${host}\r\n${length}\r\n${body ?? ''}`,
  );
  const answer = await client.response();
  client.destroy();
  return answer;
}

for (const workers of [0, 1]) {
  test(`a server is asked for what no route has (${workers} workers)`, async () => {
    const events = await startServer('taken');
    const hello = await startServer('hello');
    const { gateway, port } = await startHarness({ workers });
    after(() => gateway.close(0));
    gateway.setEndpoints(KEY, [{ id: 'a', address: hello.address }]);

    assert.equal(
      (await ask(port, 'anywhere.example', '/events/broker/a/b')).status,
      404,
      'nothing is registered',
    );
    gateway.setServer('events', { address: events.address, prefixes: ['/events/'], hosts: HOSTS });
    const posted = await ask(port, 'Anywhere.example:80', '/events/broker/a/b?x=%20', 'an event');
    assert.deepEqual([posted.status, posted.body], [202, 'taken an event']);
    assert.equal(events.seen[0]?.target, '/events/broker/a/b?x=%20');
    assert.equal(events.seen[0]?.headers.host, 'Anywhere.example:80');
    assert.equal((await ask(port, 'bus.svc', '/a/b')).status, 202);
    assert.equal((await ask(port, 'x-channel.svc:8080', '/')).status, 202);
    assert.equal(events.seen[2]?.target, '/');

    // what routes have stays theirs
    assert.equal((await ask(port, HOST, '/events/broker/a/b')).body, 'hello');
    assert.equal((await ask(port, 'bus.svc', '/fn/default/hello/x')).body, 'hello');
    assert.equal((await ask(port, 'anywhere.example', '/events')).status, 404);
    assert.equal((await ask(port, 'other.svc', '/a/b')).status, 404);

    if (workers > 0) {
      await gateway.restart();
      assert.equal((await ask(port, 'bus.svc', '/')).status, 202, 'a new worker knows it too');
    }
    gateway.setServer('events', null);
    assert.equal((await ask(port, 'bus.svc', '/events/broker/a/b')).status, 404);
    assert.equal(events.seen.length, workers > 0 ? 4 : 3);
  });
}

test('a server that is gone is told as such, and found again when it is back', async () => {
  const first = await startServer('first');
  const { gateway, port } = await startHarness();
  after(() => gateway.close(0));
  gateway.setServer('events', { address: first.address, prefixes: ['/events/'] });
  assert.equal((await ask(port, 'any', '/events/x')).body, 'first');
  await first.server.close();
  const gone = await ask(port, 'any', '/events/x');
  assert.deepEqual([gone.status, gone.headers['retry-after']], [503, '1']);
  const second = await startServer('second');
  gateway.setServer('events', { address: second.address, prefixes: ['/events/'] });
  assert.equal((await ask(port, 'any', '/events/x')).body, 'second');
});
