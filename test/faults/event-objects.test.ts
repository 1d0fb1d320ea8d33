/** Objects of eventing that go and come back while events wait, sinks that hang by the thousand, and brokers that lead to each other. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createClient } from '../../src/clients/redis/index.ts';
import type { UntypedObject } from '../../src/kinds/object.ts';
import { BROKERS, SECRETS, TRIGGERS } from '../../src/kube/refs.ts';
import { redisServer } from '../lib/brokers/redis.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const MIB = 1024 * 1024;
const HANGING = 1000;

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;
let api: Awaited<ReturnType<Petrel['api']>>;
let base = '';
/** Ids as they came, by path. */
const came = new Map<string, string[]>();
/** Paths that answer 503. */
const closed = new Set<string>();
const hanging = new Set<ServerResponse>();
const sink = createServer((incoming, response) => {
  const path = incoming.url ?? '';
  incoming.resume().on('end', () => {
    if (path === '/hang') {
      hanging.add(response);
      response.on('close', () => hanging.delete(response));
      return;
    }
    if (!closed.has(path)) came.set(path, [...(came.get(path) ?? []), String(incoming.headers['ce-id'])]);
    response.writeHead(closed.has(path) ? 503 : 202).end();
  });
});

before(async () => {
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(sink.address() as AddressInfo).port}`;
  platform = await petrel.up();
  api = await petrel.api();
});
after(async () => {
  api.close();
  await petrel.stop();
  sink.close().closeAllConnections();
  scratch.dispose();
});

const send = async (broker: string, id: string) => {
  const headers = { 'ce-specversion': '1.0', 'ce-id': id, 'ce-source': '/faults', 'ce-type': 't' };
  return (await call(platform.gateway, `/events/broker/default/${broker}`, { headers, body: 'x' })).status;
};
const broker = (name: string) =>
  api.create(BROKERS, {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Broker',
    metadata: { namespace: 'default', name },
    spec: {},
  } as UntypedObject);
const trigger = (name: string, of: string, uri: string, spec: object = {}) =>
  api.create(TRIGGERS, {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Trigger',
    metadata: { namespace: 'default', name },
    spec: { broker: of, subscriber: { uri }, ...spec },
  } as UntypedObject);
const PATIENT = { delivery: { retry: 1000, backoffPolicy: 'linear', backoffDelay: 'PT0.1S' } };

interface Row {
  name: string;
  ready: string;
  message: string;
  waiting: number | null;
}
const rowOf = async (kind: 'trigger' | 'source', name: string) => {
  const row = (await petrel.json<Row[]>([kind, 'list'])).find((one) => one.name === name);
  assert.ok(row, `no ${kind} ${name}`);
  return row;
};
const isReady = (kind: 'trigger' | 'source', ...names: string[]) =>
  eventually(`${names} are ready`, async () => {
    const rows = await petrel.json<Row[]>([kind, 'list']);
    return names.every((name) => rows.some((row) => row.name === name && row.ready === 'True'));
  });
const counted = async (sample: string) =>
  Number(
    (await petrel.metrics())
      .split('\n')
      .find((line) => line.startsWith(`${sample} `))
      ?.split(' ')
      .at(-1) ?? 0,
  );

test('a broker that is deleted takes what waits along, and one of its name begins anew', async () => {
  assert.equal(await petrel.metrics(), '# EOF\n', 'without eventing there is nothing to count');
  closed.add('/shop');
  await broker('shop');
  await trigger('shop', 'shop', `${base}/shop`, PATIENT);
  await isReady('trigger', 'shop');
  for (let i = 0; i < 20; i++) assert.equal(await send('shop', `old${i}`), 202);
  assert.equal(await counted('petrel_event_waiting{subscription="trigger/default/shop"}'), 20);
  const files = () => readdirSync(join(petrel.home, 'events'), { recursive: true }).map(String);
  const kept = () => files().some((path) => path.includes('broker~default~shop'));
  assert.equal(kept(), true);

  await api.delete(BROKERS, 'default', 'shop');
  await eventually('nobody takes events', async () => (await send('shop', 'lost')) === 404);
  await eventually('its files are gone', async () => !kept());
  const row = await eventually('its trigger says so', async () => {
    const now = await rowOf('trigger', 'shop');
    return now.ready !== 'True' && now;
  });
  assert.match(row.message, /shop/);
  assert.ok((await counted('petrel_events_refused_total{stream="",reason="no_address"}')) > 0);

  closed.delete('/shop');
  await broker('shop');
  await isReady('trigger', 'shop');
  assert.equal(await send('shop', 'new'), 202);
  await eventually('the new one comes', async () => came.get('/shop')?.includes('new'));
  assert.deepEqual(came.get('/shop'), ['new']);
});

test('a source that is deleted and made again under its name begins anew', async () => {
  const data = { key: Buffer.from('quiet').toString('base64') };
  const metadata = { namespace: 'default', name: 'signing' };
  await api.create(SECRETS, { apiVersion: 'v1', kind: 'Secret', metadata, data } as unknown as UntypedObject);
  closed.add('/hook');
  const create = async () => {
    await petrel.json([
      ...['source', 'create', 'hook', '--kind', 'webhook', '--to', `${base}/hook`],
      ...['--set', 'provider=github', '--set', 'secret=secret/signing:key'],
    ]);
    await isReady('source', 'hook');
  };
  const post = async (id: string) => {
    const body = '{}';
    const signature = createHmac('sha256', 'quiet').update(body).digest('hex');
    const headers = {
      ...{ 'content-type': 'application/json', 'x-github-event': 'push', 'x-github-delivery': id },
      'x-hub-signature-256': `sha256=${signature}`,
    };
    return (await call(platform.gateway, '/events/source/default/hook', { headers, body })).status;
  };
  await create();
  await eventually('it takes requests', async () => (await post('old')) < 300);
  await eventually(
    'it waits',
    async () => (await counted('petrel_event_waiting{subscription="eventsource/default/hook"}')) > 0,
  );
  await petrel.json(['source', 'delete', 'hook']);
  await eventually('nobody takes requests', async () => (await post('none')) === 404);
  closed.delete('/hook');
  await create();
  await eventually('it takes requests again', async () => (await post('new')) < 300);
  await eventually('the new one comes', async () => came.get('/hook')?.includes('new'));
  assert.equal(came.get('/hook')?.includes('old'), false);
});

test('credentials that expire are told of, and the source goes on where it was when there are new ones', async (t) => {
  const redis = await redisServer('first');
  if (typeof redis === 'string') return t.skip(redis);
  t.after(() => redis.stop());
  const db = createClient({ url: redis.url, RESP: 2, password: 'first' });
  db.on('error', () => {});
  await db.connect();
  t.after(() => db.destroy());
  const secret = (password: string) => ({ data: { password: Buffer.from(password).toString('base64') } });
  const metadata = { namespace: 'default', name: 'redis' };
  const object = { apiVersion: 'v1', kind: 'Secret', metadata, ...secret('first') };
  await api.create(SECRETS, object as unknown as UntypedObject);
  await petrel.json([
    ...['source', 'create', 'orders', '--kind', 'redis', '--to', `${base}/redis`],
    ...[
      '--set',
      `address=127.0.0.1:${redis.port}`,
      '--set',
      'stream=orders',
      '--set',
      'initialOffset=earliest',
    ],
    ...['--set', 'password=secret/redis:password'],
  ]);
  const add = (n: number) => db.sendCommand(['XADD', 'orders', '*', 'n', String(n)]);
  await isReady('source', 'orders');
  await add(1);
  await eventually('it comes', async () => came.get('/redis')?.length === 1);

  await db.sendCommand(['CONFIG', 'SET', 'requirepass', 'second']);
  await db.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']);
  await add(2);
  const row = await eventually('the source says so', async () => {
    const now = await rowOf('source', 'orders');
    return now.ready === 'False' && now;
  });
  assert.match(row.message, /WRONGPASS|password|refused|Unauthorized/i);
  assert.doesNotMatch(row.message, /first/);
  assert.equal(await counted('petrel_event_source_ready{source="eventsource/default/orders"}'), 0);

  await api.patch(SECRETS, 'default', 'redis', 'merge', secret('second'));
  await eventually('what waited comes', async () => came.get('/redis')?.length === 2);
  await isReady('source', 'orders');
  assert.equal(await counted('petrel_event_source_ready{source="eventsource/default/orders"}'), 1);
});

test('two brokers that lead to each other: an event goes round until its time to live ends', async () => {
  await broker('ping');
  await broker('pong');
  const at = (name: string) => `http://${platform.gateway}/events/broker/default/${name}`;
  await trigger('to-pong', 'ping', at('pong'), { delivery: { retry: 0 } });
  await trigger('to-ping', 'pong', at('ping'), { delivery: { retry: 0 } });
  await isReady('trigger', 'to-ping', 'to-pong');
  assert.equal(await send('ping', 'round'), 202);
  await eventually('it ends', async () => {
    const text = await petrel.metrics();
    return /petrel_events_refused_total\{stream="broker\/default\/p[io]ng",reason="loop"\} 1\n/.test(text);
  });
  const rounds =
    (await counted('petrel_events_accepted_total{stream="broker/default/ping"}')) +
    (await counted('petrel_events_accepted_total{stream="broker/default/pong"}'));
  assert.ok(rounds > 2 && rounds <= 256, `${rounds} rounds`);
  const letters = await petrel.json<{ reason: string }[]>(['dlq', 'list']);
  assert.ok(letters.some(({ reason }) => /loop|knativebrokerttl/.test(reason)));
});

test(`${HANGING} sinks that hang cost the others nothing, and a bounded amount of memory`, async (t) => {
  await broker('many');
  await trigger('good', 'many', `${base}/good`);
  const spec = { delivery: { retry: 0, timeout: 'PT30S' } };
  for (let i = 0; i < HANGING; i += 50)
    await Promise.all(
      Array.from({ length: 50 }, (_, k) => trigger(`hang${i + k}`, 'many', `${base}/hang`, spec)),
    );
  await isReady('trigger', 'good', `hang${HANGING - 1}`);
  const resident = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${platform.pid}/status`, 'utf8'))?.[1]) * 1024;
  const at = resident();
  const ids = Array.from({ length: 100 }, (_, i) => `e${i}`);
  for (const id of ids) assert.equal(await send('many', id), 202);
  await eventually('the good one has all', async () => ids.every((id) => came.get('/good')?.includes(id)));
  const more = Math.round((resident() - at) / MIB);
  t.diagnostic(`${hanging.size} requests hang, ${more} MiB more than ${Math.round(at / MIB)}`);
  assert.ok(hanging.size >= HANGING && hanging.size <= 4096, `${hanging.size} at once`);
  assert.ok(more < 200, `${more} MiB more`);
  assert.ok((await counted('petrel_event_waiting{subscription="trigger/default/hang0"}')) > 0);
});
