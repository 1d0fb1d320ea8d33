/** Instances for one request: each gets exactly one in its life, whatever becomes of it and however many workers there are. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { eventually, get, type Harness, KEY, RawClient, startHarness } from './testing/harness.ts';
import { type MuxInstance, startMuxInstance, type TestStream } from './testing/mux-instance.ts';

async function instance(handler: (s: TestStream) => void): Promise<MuxInstance> {
  const made = await startMuxInstance(handler);
  after(() => made.close());
  return made;
}

async function setUp(workers = 0): Promise<Harness> {
  const h = await startHarness({ workers });
  after(() => h.gateway.close(0));
  h.revision({ onceOnly: true, containerConcurrency: 1 });
  return h;
}

for (const workers of [0, 3]) {
  test(`each of many instances gets one request (workers: ${workers})`, async () => {
    const h = await setUp(workers);
    const counts = new Array<number>(12).fill(0);
    const made = await Promise.all(
      counts.map((_, i) =>
        instance((s) => {
          counts[i]!++;
          s.respond(200, {}, String(i));
        }),
      ),
    );
    h.endpoints(...made.map(({ path }) => path));
    const clients = Array.from({ length: 20 }, () => new RawClient(h.port).send(get()));
    await eventually(() => counts.every((n) => n > 0), 'all are used');
    await eventually(() => h.downs.length === 12, 'all are told of');
    assert.deepEqual(new Set(h.downs.map(({ reason }) => reason)), new Set(['used']));
    // somebody pushes what he has not yet heard of
    h.endpoints(...made.map(({ path }) => path));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(counts, new Array(12).fill(1));
    h.gateway.setEndpoints(KEY, []);
    await h.gateway.drained(KEY, 'pod-0', 5000);
    const fresh = await Promise.all(
      Array.from({ length: 8 }, () => instance((s) => s.respond(200, {}, 'new'))),
    );
    h.gateway.setEndpoints(
      KEY,
      fresh.map(({ path }, i) => ({ id: `fresh-${i}`, address: { kind: 'mux', path } })),
    );
    for (const client of clients) assert.equal((await client.response()).status, 200);
    for (const client of clients) client.destroy();
  });
}

test('a request that fails, or whose client leaves, has used its instance up; one that was not sent has not', async () => {
  const h = await setUp();
  const seen: TestStream[] = [];
  const made = await Promise.all([0, 1].map(() => instance((s) => seen.push(s))));
  h.endpoints({ kind: 'mux', path: '/nowhere/i.sock' });
  const client = new RawClient(h.port).send(get());
  await eventually(() => h.downs.length === 1, 'no connection');
  assert.match(h.downs[0]!.reason, /^connect/);
  h.gateway.setEndpoints(KEY, [{ id: 'a', address: { kind: 'mux', path: made[0]!.path } }]);
  await eventually(() => seen.length === 1);
  client.destroy();
  await eventually(() => h.downs.some(({ id, reason }) => id === 'a' && reason === 'used'));
  h.gateway.setEndpoints(KEY, [{ id: 'b', address: { kind: 'mux', path: made[1]!.path } }]);
  const other = new RawClient(h.port).send(get());
  await eventually(() => seen.length === 2);
  seen[1]!.sendReset('error', 'oops');
  assert.equal((await other.response()).status, 502);
  await eventually(() => h.downs.some(({ id, reason }) => id === 'b' && reason === 'used'));
  other.destroy();
  const third = await instance((s) => s.connection.socket.destroy());
  h.gateway.setEndpoints(KEY, [{ id: 'c', address: { kind: 'mux', path: third.path } }]);
  const last = new RawClient(h.port);
  assert.equal((await last.send(get()).response()).status, 502);
  await eventually(() => h.downs.some(({ id, reason }) => id === 'c' && reason === 'used'));
  last.destroy();
});
