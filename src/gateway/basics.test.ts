import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { get, HOST, RawClient, startHarness } from './testing/harness.ts';
import { startMuxInstance } from './testing/mux-instance.ts';

for (const workers of [0, 1]) {
  test(`a request reaches a multiplexed instance and comes back (workers: ${workers})`, async () => {
    const instance = await startMuxInstance((s) =>
      s.respond(200, { 'x-target': s.target, 'x-head': s.head.replaceAll('\r\n', '|') }, 'hello'),
    );
    const h = await startHarness({ workers });
    after(async () => {
      await h.gateway.close(0);
      await instance.close();
    });
    h.endpoints(instance.path);
    const client = new RawClient(h.port);
    for (let i = 0; i < 3; i++) {
      const r = await client.send(get('/a?b=c')).response();
      assert.equal(r.status, 200);
      assert.equal(r.body, 'hello');
      assert.equal(r.headers['x-target'], '/a?b=c');
      assert.match(r.headers['x-request-id']!, /^[0-9a-f]{32}$/);
      assert.match(r.headers['x-head']!, /^GET \/a\?b=c\|host: hello.default.localhost\|/);
      assert.ok(r.headers.date);
    }
    client.destroy();
  });
}

test('a request reaches a plain HTTP/1.1 server and comes back', async () => {
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (c: Buffer) => chunks.push(c));
    req.on('end', () => {
      res.setHeader('x-seen', JSON.stringify(req.headers));
      res.end(`${req.method} ${req.url} ${Buffer.concat(chunks).toString()}`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const h = await startHarness();
  after(async () => {
    await h.gateway.close(0);
    server.close();
    server.closeAllConnections();
  });
  h.endpoints({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  const client = new RawClient(h.port);
  assert.equal((await client.send(get('/x')).response()).body, 'GET /x ');
  const post = `POST /y HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n`;
  assert.equal((await client.send(post).response()).body, 'POST /y abcde');
  const fixed = `POST /y HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 4\r\n\r\nabcd`;
  assert.equal((await client.send(fixed).response()).body, 'POST /y abcd');
  client.destroy();
});
