import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { simulatedClock } from '../../../base/clock.ts';
import type { Json } from '../../../kinds/object.ts';
import { SourceWorld } from '../../testing/source-context.ts';
import { httpSource } from './http.ts';
import { at, unseen } from './poll.ts';

let answer: (request: IncomingMessage, response: ServerResponse) => void = () => {};
const server = createServer((request, response) => answer(request, response));
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/list`;
after(() => server.close());

const says = (value: unknown) => {
  answer = (_, response) => response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
};
/** Lets the next poll come and go. */
const polled = async (world: SourceWorld, clock = world.clock as ReturnType<typeof simulatedClock>) => {
  const before = asked;
  await clock.advance(60_000);
  while (asked === before) await new Promise((resolve) => setTimeout(resolve, 5));
  await settled();
};
let asked = 0;
server.on('request', () => asked++);
const settled = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 2));
};

test('new items are told once, through restarts', async () => {
  says({ orders: [{ id: 1 }, { id: 2 }] });
  const config = { url, items: '/orders', id: '/id', headers: { authorization: 'Bearer t' } };
  const world = new SourceWorld(simulatedClock());
  await world.start(httpSource, config);
  await world.until(() => world.saved !== undefined);
  assert.deepEqual(
    world.sent.map(({ id, type, data }) => `${id} ${type} ${data}`),
    ['1 dev.petrel.http.item {"id":1}', '2 dev.petrel.http.item {"id":2}'],
  );
  says({ orders: [{ id: 2 }, { id: 3 }, { id: 3 }] });
  await polled(world);
  assert.deepEqual(
    world.sent.slice(2).map(({ id }) => id),
    ['3'],
  );
  await world.stop();
  const next = new SourceWorld(simulatedClock(), world.saved);
  says({ orders: [{ id: 3 }, { id: 4 }] });
  await next.start(httpSource, config);
  await next.until(() => next.sent.length > 0);
  await settled();
  assert.deepEqual(
    next.sent.map(({ id }) => id),
    ['4'],
  );
  await next.stop();
});

test('a body is told when it has changed, and validators are sent', async () => {
  const seen: (string | undefined)[] = [];
  let version = 1;
  answer = (request, response) => {
    seen.push(request.headers['if-none-match']);
    if (request.headers['if-none-match'] === `"${version}"`) return void response.writeHead(304).end();
    response.setHeader('etag', `"${version}"`).end(version < 3 ? 'same' : 'other');
  };
  const world = new SourceWorld(simulatedClock());
  await world.start(httpSource, { url, type: 'com.shop.prices' });
  await world.until(() => world.saved !== undefined);
  await polled(world);
  version = 2;
  await polled(world);
  version = 3;
  await polled(world);
  assert.deepEqual(seen, [undefined, '"1"', '"1"', '"2"']);
  assert.deepEqual(
    world.sent.map(({ type, data }) => `${type} ${data}`),
    ['com.shop.prices same', 'com.shop.prices other'],
  );
  await world.stop();
});

test('what is there at the first look can be left out', async () => {
  says([{ a: 1 }]);
  const world = new SourceWorld(simulatedClock());
  await world.start(httpSource, { url, items: '', initial: false });
  await world.until(() => world.saved !== undefined);
  says([{ a: 1 }, { a: 2 }]);
  await polled(world);
  assert.deepEqual(
    world.sent.map(({ data }) => String(data)),
    ['{"a":2}'],
  );
  await world.stop();
});

test('an item that was not handed over is told again', async () => {
  says([1, 2]);
  const world = new SourceWorld(simulatedClock());
  world.handed = async ({ data }) => {
    if (String(data) === '2') throw new Error('stopping');
    return 'delivered';
  };
  await world.start(httpSource, { url, items: '' });
  await world.until(() => world.reports.length > 0);
  assert.equal(world.saved, undefined);
  world.handed = async () => 'delivered';
  await polled(world);
  assert.deepEqual(
    world.sent.map(({ data }) => String(data)),
    ['1', '2', '1', '2'],
  );
  await world.stop();
});

test('failures are reported, and it recovers', async () => {
  const clock = simulatedClock();
  const world = new SourceWorld(clock);
  answer = (_, response) => response.writeHead(500).end();
  await world.start(httpSource, { url, items: '/x' });
  await world.until(() => world.reports.length > 0);
  for (const garbage of ['{', '{"x":1}']) {
    answer = (_, response) => response.end(garbage);
    await polled(world);
  }
  assert.deepEqual(world.reports, ['false Unreachable']);
  says({ x: [] });
  await polled(world);
  assert.equal(world.reports.at(-1), 'true Polling');
  await world.stop();
});

test('JSON Pointers, and a memory that is bounded', () => {
  assert.deepEqual(at({ 'a/b': [{ 'c~': 1 }] }, '/a~1b/0/c~0'), 1);
  assert.equal(at({ a: 1 }, '/constructor'), undefined);
  assert.equal(at([1], '/-'), undefined);
  const seen = Array.from({ length: 6000 }, (_, i) => `old${i}`);
  const { fresh, seen: kept } = unseen(
    [
      { id: 'old0', value: 0 },
      { id: 'new', value: 1 },
    ],
    seen,
  );
  assert.deepEqual(
    fresh.map(({ id }) => id),
    ['new'],
  );
  assert.equal(kept.length, 5000);
  assert.ok(kept.includes('old0') && kept.includes('new'));
});

test('bad configurations are refused by field', () => {
  const fields = (config: Record<string, Json>) => httpSource.check(config).map(({ field }) => field);
  assert.deepEqual(fields({ url }), []);
  assert.deepEqual(fields({}), ['url']);
  assert.deepEqual(fields({ url: 'file:///etc/passwd' }), ['url']);
  assert.deepEqual(fields({ url, intervalSeconds: 0, timeoutSeconds: 'x', items: 'a', id: 'b' }), [
    'intervalSeconds',
    'timeoutSeconds',
    'items',
    'id',
  ]);
  assert.deepEqual(fields({ url, id: '/a', headers: { 'a b': 'x' } }), ['items', 'headers']);
});
