import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { type RedisServer, redisServer } from '../../../../test/lib/brokers/redis.ts';
import { until } from '../../../../test/lib/brokers/server.ts';
import { createClient } from '../../../clients/redis/index.ts';
import { withAttributes } from '../../../cloudevents/event.ts';
import type { Json } from '../../../kinds/object.ts';
import { redisSink } from '../../sinks/redis.ts';
import { roundTrip, samples, sendThrough, startSink } from '../../sinks/testing/round-trip.ts';
import { type HarnessOptions, startHarness } from '../testing/harness.ts';
import { redisSource } from './source.ts';

let server: RedisServer | string;
before(async () => {
  server = await redisServer('secret');
});
after(async () => {
  if (typeof server !== 'string') await server.stop();
});

let keys = 0;
/** The group of a source that names none. */
const GROUP = 'petrel.default.test';

async function world(t: TestContext) {
  if (typeof server === 'string') return void t.skip(server);
  const redis = createClient({
    url: server.url,
    password: 'secret',
    socket: { reconnectStrategy: 50 },
    RESP: 2,
  });
  redis.on('error', () => {});
  await redis.connect();
  t.after(() => redis.destroy());
  const key = `orders:${++keys}`;
  const address = `127.0.0.1:${server.port}`;
  const run = (...args: string[]) => redis.sendCommand<unknown>(args);
  const source = (config: Record<string, Json>, options: HarnessOptions = {}) =>
    startHarness(
      t,
      redisSource,
      { address, password: 'secret', initialOffset: 'earliest', ...config },
      options,
    );
  return { server, key, run, source };
}

const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

test('entries of a stream are acknowledged when they are delivered', async (t) => {
  const w = await world(t);
  if (!w) return;
  await w.run('XADD', w.key, '*', 'name', 'kim', 'n', '1');
  const source = await w.source({ stream: w.key, ordered: true });
  await source.got(1);
  const [event] = source.taken;
  assert.equal(event?.type, 'dev.petrel.redis.entry');
  assert.equal(event?.datacontenttype, 'application/json');
  assert.match(event?.id ?? '', /^\d+-\d+$/);
  assert.deepEqual(JSON.parse(source.texts()[0] ?? ''), { name: 'kim', n: '1' });
  for (const i of range(0, 100)) await w.run('XADD', w.key, '*', 'n', `${i}`);
  await source.got(101);
  assert.deepEqual(
    source.texts().slice(1),
    range(0, 100).map((i) => `{"n":"${i}"}`),
  );
  await source.stop();
  assert.deepEqual(await w.run('XPENDING', w.key, GROUP), [0, null, null, null]);
});

test('one field can be the data, and an event in an entry is that event', async (t) => {
  const w = await world(t);
  if (!w) return;
  await w.run('XADD', w.key, '*', 'body', 'hello', 'Trace-Id', 't1');
  await w.run(
    'XADD',
    w.key,
    '*',
    ...['ce_specversion', '1.0', 'ce_id', '7', 'ce_source', '/s', 'ce_type', 'x', 'data', 'd'],
  );
  const source = await w.source({ stream: w.key, dataField: 'body' });
  await source.got(2);
  assert.deepEqual(source.texts(), ['hello', 'd']);
  assert.equal(source.taken[0]?.extensions.redisfieldtraceid, 't1');
  assert.deepEqual([source.taken[1]?.id, source.taken[1]?.type], ['7', 'x']);
});

test('what a source had taken is delivered by the next one, and what another consumer has left is taken over', async (t) => {
  const w = await world(t);
  if (!w) return;
  for (const i of range(0, 20)) await w.run('XADD', w.key, '*', 'n', `${i}`);
  const stuck = await w.source({ stream: w.key }, { sink: () => Promise.reject(new Error('not now')) });
  await until(() => stuck.state().lag === 20, 'all wait');
  await stuck.stop(0);
  assert.equal(stuck.taken.length, 0);
  // Another consumer of the group that is never heard of again.
  await w.run('XADD', w.key, '*', 'n', '20');
  await w.run('XREADGROUP', 'GROUP', GROUP, 'gone', 'COUNT', '1', 'STREAMS', w.key, '>');
  const next = await w.source({ stream: w.key, claimIdleMs: 1000 });
  await next.got(21);
  assert.equal(next.taken.length, 21);
  await until(() => next.state().lag === 0, 'nothing waits');
});

test('an entry that takes long stays this source’s, though others look for what is left', async (t) => {
  const w = await world(t);
  if (!w) return;
  let open = false;
  const first = await w.source(
    { stream: w.key, claimIdleMs: 1000 },
    {
      sink: () => (open ? undefined : Promise.reject(new Error('not now'))),
    },
  );
  await w.run('XADD', w.key, '*', 'n', '1');
  await until(() => first.state().lag === 1, 'it is tried');
  const second = await w.source(
    { stream: w.key, group: GROUP, consumer: 'second', claimIdleMs: 1000 },
    { name: 'second' },
  );
  await second.ready();
  const from = Date.now();
  await until(() => Date.now() - from > 2500, 'the second has looked several times');
  open = true;
  await first.got(1);
  assert.equal(second.taken.length, 0);
});

test('sources that name no group each read all of a stream', async (t) => {
  const w = await world(t);
  if (!w) return;
  for (const i of range(0, 3)) await w.run('XADD', w.key, '*', 'n', `${i}`);
  for (const name of ['one', 'other']) await (await w.source({ stream: w.key }, { name })).got(3);
});

test('items of a list are never nowhere: kept until they are delivered, and delivered by the next source', async (t) => {
  const w = await world(t);
  if (!w) return;
  await w.run('LPUSH', w.key, ...range(0, 10).map(String));
  const stuck = await w.source(
    { list: w.key, prefetch: 4 },
    { sink: () => Promise.reject(new Error('not now')) },
  );
  await until(() => stuck.state().lag === 10, 'all wait');
  assert.equal(await w.run('LLEN', `${w.key}:petrel:test`), 4);
  await stuck.stop(0);
  const next = await w.source({ list: w.key, ordered: true });
  await next.got(10);
  assert.deepEqual(next.texts(), range(0, 10).map(String));
  await w.run('LPUSH', w.key, '{"specversion":"1.0","id":"7","source":"/s","type":"x","data":1}', '{"n":1}');
  await next.got(12);
  assert.deepEqual(
    next.taken.slice(10).map(({ type }) => type),
    ['x', 'dev.petrel.redis.item'],
  );
  await until(async () => (await w.run('LLEN', `${w.key}:petrel:test`)) === 0, 'all are gone');
});

test('kill -9 of the server in mid-stream loses nothing; a wrong password is told', async (t) => {
  const w = await world(t);
  if (!w) return;
  const wrong = await w.source({ stream: 'x', password: 'wrong-password' }, { name: 'wrong' });
  await until(() => wrong.state().reason === 'Unauthorized', 'it is refused');
  assert.doesNotMatch(JSON.stringify(wrong.states), /wrong-password/);
  await wrong.stop();
  const source = await w.source({ stream: w.key });
  const items = await w.source({ list: `${w.key}:list` }, { name: 'items' });
  await Promise.all(range(0, 500).map((i) => w.run('XADD', w.key, '*', 'n', `${i}`)));
  await Promise.all(range(0, 500).map((i) => w.run('LPUSH', `${w.key}:list`, `${i}`)));
  await source.got(50);
  await w.server.kill();
  await until(() => !source.state().ready && !items.state().ready, 'both tell');
  await w.server.start();
  await Promise.all([source.ready(), items.ready()]);
  await w.run('XADD', w.key, '*', 'n', '500');
  await w.run('LPUSH', `${w.key}:list`, '500');
  await source.got(501);
  await until(() => new Set(items.texts()).size === 501, 'all items came');
  t.diagnostic(
    `duplicates: ${source.taken.length - 501} of the stream, ${items.taken.length - 501} of the list`,
  );
});

test('what KEDA says means the same here; a wrong configuration is refused by field', () => {
  const { fromKeda = () => ({}), check } = redisSource;
  assert.deepEqual(
    fromKeda({ address: 'r:6379', listName: 'jobs', listLength: '5', databaseIndex: '2' }, { password: 'p' }),
    {
      address: 'r:6379',
      password: 'p',
      database: 2,
      list: 'jobs',
    },
  );
  const stream = fromKeda(
    { host: 'r', port: '6379', stream: 's', consumerGroup: 'g', pendingEntriesCount: '5', enableTLS: 'true' },
    {},
  );
  assert.deepEqual(stream, { address: 'r:6379', tls: { enabled: true }, stream: 's', group: 'g' });
  assert.deepEqual(check(stream), []);
  assert.throws(() => fromKeda({ stream: 's' }, {}), /no address/);
  assert.deepEqual(
    check({ address: 'r', stream: 's', list: 'l' }).map(({ field }) => field),
    ['address', 'stream'],
  );
});

test('what the sink sends is the same event here; what it has confirmed survives kill -9 of the server', async (t) => {
  const w = await world(t);
  if (!w) return;
  const config = { address: `127.0.0.1:${w.server.port}`, password: 'secret' };
  const [event] = samples();
  for (const [kind, key] of [
    ['stream', w.key],
    ['list', `${w.key}:list`],
  ] as const) {
    const place = { [kind]: key };
    const source = await w.source(place, { name: kind });
    const sink = await startSink(t, redisSink, { ...config, ...place });
    await roundTrip(sink, source);
    const confirmed = await sendThrough(sink, w.server, (id) => withAttributes(event!, { id }));
    await until(
      () => [...confirmed].every((id) => source.taken.some((one) => one.id === id)),
      'all confirmed ones are there',
    );
  }
});

test('TLS: a certificate that is trusted, and one that is not', async (t) => {
  const w = await world(t);
  if (!w) return;
  await w.run('XADD', w.key, '*', 'n', '1');
  const config = { address: `127.0.0.1:${w.server.tlsPort}`, stream: w.key };
  const source = await w.source({ ...config, tls: { caCerts: w.server.ca } });
  await source.got(1);
  const wary = await w.source({ ...config, tls: {} }, { name: 'wary' });
  await until(() => wary.state().reason === 'Unauthorized', 'it is not trusted');
});
