/** State over HTTP, on the embedded drivers and on a real Redis: the same requests, the same answers. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { postgresqlServer } from '../../../test/lib/brokers/postgresql.ts';
import { simulatedClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import type { FunctionState } from '../../kinds/function.ts';
import { openPlace } from '../s3/place.ts';
import { KEYS, startS3 } from '../testing/s3.ts';
import { openBlobs } from './blob-rows.ts';
import { bucketContents, type Contents, diskContents } from './contents.ts';
import { serveState } from './server.ts';
import { redisServer } from './testing/redis.ts';
import { tokenFor } from './token.ts';
import type { KeyedState } from './types.ts';

const SECRET = 's'.repeat(64);

interface World {
  ask(method: string, path: string, options?: Options): Promise<Reply>;
  clock: ReturnType<typeof simulatedClock>;
  dir: string;
  restart(): Promise<void>;
}
interface Options {
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  function?: string;
  keyspace?: string;
  namespace?: string;
  token?: string;
}
interface Reply {
  status: number;
  headers: Headers;
  body: string;
  bytes: Buffer;
}

const TERMS: Record<string, FunctionState | undefined> = {
  'default/f': { maxKeys: 5, maxValueBytes: 100 },
  'default/g': { keyspace: 'f' },
  'other/f': {},
  'default/brief': { defaultTtlSeconds: 60 },
};

type Open = (clock: World['clock']) => Promise<KeyedState>;
type Keep = (dir: string) => Promise<Contents>;

async function world(
  openKeyed?: Open,
  keep: Keep = (dir) => diskContents(join(dir, 'blobs')),
): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'ps-'));
  const clock = simulatedClock(Date.now());
  const open = async (port: number) => {
    const contents = await keep(dir);
    const { blobs, keyed: embedded } = await openBlobs({ dir, contents, clock, log: silentLogger });
    const keyed = openKeyed ? await openKeyed(clock) : embedded;
    const terms = ({ namespace, function: name }: { namespace: string; function: string }) =>
      TERMS[`${namespace}/${name}`];
    const server = await serveState({ keyed, blobs, secret: SECRET, clock, log: silentLogger, terms }, port);
    return {
      server,
      async close() {
        await server.close();
        await keyed.close();
        await blobs.close();
      },
    };
  };
  let running = await open(0);
  after(async () => {
    await running.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return {
    clock,
    dir,
    async restart() {
      const { port } = running.server;
      await running.close();
      running = await open(port);
      assert.equal(running.server.port, port);
    },
    async ask(method, path, options = {}) {
      const { namespace = 'default', function: name = 'f', keyspace = 'f' } = options;
      const token = options.token ?? tokenFor(SECRET, { namespace, function: name, keyspace });
      const response = await fetch(`http://127.0.0.1:${running.server.port}/v1${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...options.headers },
        ...(options.body === undefined ? {} : { body: options.body }),
      });
      const bytes = Buffer.from(await response.arrayBuffer());
      return { status: response.status, headers: response.headers, body: bytes.toString(), bytes };
    },
  };
}

const redis = await redisServer();
if (typeof redis !== 'string') after(() => redis.stop());

const s3 = await startS3({ after: (end: () => void) => after(() => end()) }, 'blobs');
let places = 0;
const inBucket: Keep = (dir) => {
  const place = openPlace({
    endpoint: s3.endpoint,
    bucket: s3.bucket,
    prefix: `${places++}/`,
    region: 'eu-central-1',
    credentials: KEYS,
    what: 'store of blobs',
    setting: 'PETREL_STATE_BLOBS',
  });
  return bucketContents(place, join(dir, 'incoming'), Date.now);
};

const DRIVERS: [name: string, open: Open | undefined, keep?: Keep][] = [
  ['embedded', undefined],
  ['blobs in a bucket', undefined, inBucket],
];

const postgresql = await postgresqlServer();
if (typeof postgresql === 'string') test('postgresql', { skip: postgresql }, () => {});
else {
  after(() => postgresql.stop());
  const [{ openPostgresql }, { Client }] = await Promise.all([
    import('./postgresql/driver.ts'),
    import('../../clients/postgresql/index.ts'),
  ]);
  const { user, password, port, database } = postgresql;
  const at = (name: string) => `postgresql://${user}:${password}@127.0.0.1:${port}/${name}`;
  let databases = 0;
  DRIVERS.push([
    'postgresql',
    async (clock) => {
      const name = `state${databases++}`;
      const client = new Client({ connectionString: at(database) });
      await client.connect();
      await client.query(`CREATE DATABASE ${name}`);
      await client.end();
      return openPostgresql(at(name), clock);
    },
  ]);
  test('a lost connection is made anew, and a server that is not there is told of', async () => {
    const state = await openPostgresql(at(database), simulatedClock(Date.now()));
    const write = { type: 't', condition: {}, maxKeys: 5 };
    await state.put('s', 'k', { ...write, value: Buffer.from('1') });
    const client = new Client({ connectionString: at(database) });
    await client.connect();
    await client.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'petrel'",
    );
    await client.end();
    // The first may still find the old connection.
    const value = await state.get('s', 'k').catch(() => state.get('s', 'k'));
    assert.equal(String(value?.value), '1');
    await state.close();
    const nowhere = `postgresql://${user}:${password}@127.0.0.1:1/${database}`;
    await assert.rejects(openPostgresql(nowhere, simulatedClock()), { code: 'NotReady' });
  });
}
if (typeof redis === 'string') test('redis', { skip: redis }, () => {});
else {
  const { openRedis } = await import('./redis/driver.ts');
  let database = 0;
  DRIVERS.push(['redis', (clock) => openRedis(`${redis.url}/${database++}`, clock)]);
}

for (const [driver, open, keep] of DRIVERS) {
  describe(driver, () => {
    test('set, get, delete; types and versions', async () => {
      const w = await world(open, keep);
      assert.equal((await w.ask('GET', '/kv/a')).status, 404);
      const made = await w.ask('PUT', '/kv/a', {
        body: '{"n":1}',
        headers: { 'content-type': 'application/json' },
      });
      assert.equal(made.status, 201);
      const got = await w.ask('GET', '/kv/a');
      assert.deepEqual(
        [got.status, got.body, got.headers.get('content-type'), got.headers.get('etag')],
        [200, '{"n":1}', 'application/json', made.headers.get('etag')],
      );
      const etag = String(made.headers.get('etag'));
      assert.equal((await w.ask('GET', '/kv/a', { headers: { 'if-none-match': etag } })).status, 304);
      const changed = await w.ask('PUT', '/kv/a', { body: new Uint8Array([0, 255]) });
      assert.equal(changed.status, 204);
      assert.notEqual(changed.headers.get('etag'), etag);
      const binary = await w.ask('GET', '/kv/a');
      assert.deepEqual([...binary.bytes], [0, 255]);
      assert.equal((await w.ask('HEAD', '/kv/a')).headers.get('content-length'), '2');
      assert.equal((await w.ask('DELETE', '/kv/a')).status, 204);
      assert.equal((await w.ask('DELETE', '/kv/a')).status, 404);
      assert.equal((await w.ask('GET', '/kv/a')).status, 404);
    });

    test('compare and set: a version, anything, nothing', async () => {
      const w = await world(open, keep);
      const absent = { 'if-none-match': '*' };
      assert.equal((await w.ask('PUT', '/kv/a', { body: '1', headers: { 'if-match': '*' } })).status, 412);
      const first = await w.ask('PUT', '/kv/a', { body: '1', headers: absent });
      assert.equal(first.status, 201);
      assert.equal((await w.ask('PUT', '/kv/a', { body: '2', headers: absent })).status, 412);
      const match = { 'if-match': String(first.headers.get('etag')) };
      assert.equal((await w.ask('PUT', '/kv/a', { body: '2', headers: match })).status, 204);
      assert.equal((await w.ask('PUT', '/kv/a', { body: '3', headers: match })).status, 412);
      assert.equal((await w.ask('DELETE', '/kv/a', { headers: match })).status, 412);
      assert.equal((await w.ask('GET', '/kv/a')).body, '2');
      // A version never comes back, not even after a deletion.
      await w.ask('DELETE', '/kv/a');
      await w.ask('PUT', '/kv/a', { body: '1' });
      assert.equal((await w.ask('PUT', '/kv/a', { body: '4', headers: match })).status, 412);
      assert.equal((await w.ask('PUT', '/kv/a', { body: '4', headers: { 'if-match': 'x' } })).status, 400);
      // One of many wins.
      await w.ask('DELETE', '/kv/a');
      const all = await Promise.all(
        Array.from({ length: 20 }, (_, i) => w.ask('PUT', '/kv/a', { body: `${i}`, headers: absent })),
      );
      assert.equal(all.filter(({ status }) => status === 201).length, 1);
    });

    test('counters: no increment is lost; what is no number says so', async () => {
      const w = await world(open, keep);
      const sums = await Promise.all(
        Array.from({ length: 50 }, async () => Number((await w.ask('POST', '/kv/n?increment=2')).body)),
      );
      assert.deepEqual(
        sums.sort((a, b) => a - b),
        Array.from({ length: 50 }, (_, i) => 2 * i + 2),
      );
      assert.equal((await w.ask('POST', '/kv/n?increment=-101')).body, '-1');
      assert.equal((await w.ask('GET', '/kv/n')).body, '-1');
      await w.ask('PUT', '/kv/t', { body: 'text' });
      assert.equal((await w.ask('POST', '/kv/t')).status, 409);
      await w.ask('PUT', '/kv/big', { body: '9223372036854775807' });
      assert.equal((await w.ask('POST', '/kv/big')).status, 409);
      assert.equal((await w.ask('POST', '/kv/n?increment=1.5')).status, 400);
    });

    test('what has a time to live is gone after it, and makes room', async () => {
      const w = await world(open, keep);
      await w.ask('PUT', '/kv/a?ttl=10', { body: '1' });
      const got = await w.ask('GET', '/kv/a');
      assert.equal(Date.parse(String(got.headers.get('x-petrel-expires'))), w.clock.now() + 10_000);
      await w.ask('POST', '/kv/n?ttl=10');
      for (const key of 'bcd') await w.ask('PUT', `/kv/${key}?ttl=10`, { body: '1' });
      assert.equal((await w.ask('PUT', '/kv/e', { body: '1' })).status, 507);
      await w.clock.advance(10_000);
      assert.equal((await w.ask('GET', '/kv/a')).status, 404);
      assert.equal((await w.ask('PUT', '/kv/a', { body: '1', headers: { 'if-match': '*' } })).status, 412);
      assert.equal((await w.ask('POST', '/kv/n')).body, '1');
      assert.deepEqual(
        JSON.parse((await w.ask('GET', '/kv?limit=9')).body).items.map(({ key }: { key: string }) => key),
        ['n'],
      );
      for (const key of 'bcde')
        assert.equal((await w.ask('PUT', `/kv/${key}`, { body: '1' })).status, 201, key);
      const brief = { function: 'brief', keyspace: 'brief' };
      await w.ask('PUT', '/kv/x', { ...brief, body: '1' });
      await w.ask('PUT', '/kv/y?ttl=0', { ...brief, body: '1' });
      await w.clock.advance(61_000);
      assert.equal((await w.ask('GET', '/kv/x', brief)).status, 404);
      assert.equal((await w.ask('GET', '/kv/y', brief)).status, 200);
    });

    test('listing by prefix, in pages', async () => {
      const w = await world(open, keep);
      const g = { function: 'g', keyspace: 'f' };
      const keys = ['user/1', 'user/2', 'user/3', 'usher', 'über/1', 'a b?c'];
      for (const key of keys) await w.ask('PUT', `/kv/${encodeURIComponent(key)}`, { ...g, body: key });
      type Page = { items: { key: string; body?: string }[]; after?: string };
      const page = async (query: string) => JSON.parse((await w.ask('GET', `/kv?${query}`, g)).body) as Page;
      const first = await page('prefix=user/&limit=2&values=true');
      assert.deepEqual(
        first.items.map(({ key, body }) => [key, body]),
        [
          ['user/1', 'user/1'],
          ['user/2', 'user/2'],
        ],
      );
      const second = await page(`prefix=user/&limit=2&after=${encodeURIComponent(first.after ?? '')}`);
      assert.deepEqual([second.items.map(({ key }) => key), second.after], [['user/3'], undefined]);
      assert.deepEqual(
        (await page('')).items.map(({ key }) => key),
        ['a b?c', 'user/1', 'user/2', 'user/3', 'usher', 'über/1'],
      );
      assert.equal((await w.ask('GET', `/kv/${encodeURIComponent('a b?c')}`, g)).body, 'a b?c');
    });

    test('who may: keyspaces are shared by name within a namespace, and by nobody else', async () => {
      const w = await world(open, keep);
      await w.ask('PUT', '/kv/a', { body: 'mine' });
      assert.equal((await w.ask('GET', '/kv/a', { function: 'g' })).body, 'mine');
      assert.equal((await w.ask('GET', '/kv/a', { namespace: 'other' })).status, 404);
      const right = tokenFor(SECRET, { namespace: 'default', function: 'f', keyspace: 'f' });
      for (const token of [
        right.replace('default', 'other'),
        `${right}x`,
        'a.b.c.d',
        tokenFor('other', { namespace: 'default', function: 'f', keyspace: 'f' }),
      ])
        assert.equal((await w.ask('GET', '/kv/a', { token })).status, 403, token);
      assert.equal((await w.ask('GET', '/kv/a', { headers: { authorization: '' } })).status, 401);
      assert.equal((await w.ask('GET', '/kv/a', { function: 'none' })).status, 403);
    });

    test('bounds: values, keys, nonsense', async () => {
      const w = await world(open, keep);
      assert.equal((await w.ask('PUT', '/kv/a', { body: 'x'.repeat(101) })).status, 413);
      assert.equal((await w.ask('PUT', `/kv/${'k'.repeat(513)}`, { body: 'x' })).status, 400);
      assert.equal((await w.ask('PUT', '/kv/%00', { body: 'x' })).status, 400);
      assert.equal((await w.ask('PUT', '/kv/a?ttl=-1', { body: 'x' })).status, 400);
      assert.equal((await w.ask('PATCH', '/kv/a')).status, 405);
      assert.equal((await w.ask('GET', '/other')).status, 404);
      assert.equal((await w.ask('GET', '/kv?limit=0')).status, 400);
      for (let i = 0; i < 5; i++) await w.ask('PUT', `/kv/${i}`, { body: 'x' });
      assert.equal((await w.ask('PUT', '/kv/more', { body: 'x' })).status, 507);
      assert.equal((await w.ask('PUT', '/kv/0', { body: 'y' })).status, 204);
      await w.ask('DELETE', '/kv/0');
      assert.equal((await w.ask('PUT', '/kv/more', { body: 'x' })).status, 201);
    });
  });
}

test('embedded state outlives a restart, and the port stays', async () => {
  const w = await world();
  await w.ask('PUT', '/kv/a', { body: '1' });
  await w.restart();
  assert.equal((await w.ask('GET', '/kv/a')).body, '1');
});

test('blobs: streamed in, read in ranges, replaced while somebody reads, listed, deleted', async () => {
  const w = await world();
  const bytes = Buffer.alloc(5_000_000, 'abcdefghij');
  const made = await w.ask('PUT', '/blobs/films/one', {
    body: bytes,
    headers: { 'content-type': 'video/mp4' },
  });
  assert.deepEqual([made.status, JSON.parse(made.body)], [201, { bytes: 5_000_000 }]);
  const whole = await w.ask('GET', '/blobs/films/one');
  assert.equal(whole.bytes.equals(bytes), true);
  assert.equal(whole.headers.get('content-type'), 'video/mp4');
  const range = async (value: string) => {
    const { status, body, headers } = await w.ask('GET', '/blobs/films/one', { headers: { range: value } });
    return [status, status === 206 ? body : body.length > 100, headers.get('content-range')];
  };
  assert.deepEqual(await range('bytes=3-7'), [206, 'defgh', 'bytes 3-7/5000000']);
  assert.deepEqual(await range('bytes=-3'), [206, 'hij', 'bytes 4999997-4999999/5000000']);
  assert.deepEqual(await range('bytes=4999999-'), [206, 'j', 'bytes 4999999-4999999/5000000']);
  assert.deepEqual((await range('bytes=5000000-'))[0], 416);
  assert.deepEqual((await range('bytes=1-2,4-5'))[0], 200);
  const etag = String(made.headers.get('etag'));
  const stale = await w.ask('PUT', '/blobs/films/one', { body: 'x', headers: { 'if-match': '"0"' } });
  assert.equal(stale.status, 412);
  const replaced = await w.ask('PUT', '/blobs/films/one', { body: 'new', headers: { 'if-match': etag } });
  assert.equal(replaced.status, 200);
  assert.equal((await w.ask('GET', '/blobs/films/one')).body, 'new');
  await w.ask('PUT', '/blobs/films/empty', { body: '' });
  assert.equal((await w.ask('GET', '/blobs/films/empty')).status, 200);
  await w.ask('PUT', '/blobs/other?ttl=5', { body: 'brief' });
  const { items } = JSON.parse((await w.ask('GET', '/blobs?prefix=films/')).body) as {
    items: { key: string; bytes: number }[];
  };
  assert.deepEqual(
    items.map(({ key, bytes }) => [key, bytes]),
    [
      ['films/empty', 0],
      ['films/one', 3],
    ],
  );
  assert.equal((await w.ask('DELETE', '/blobs/films/one')).status, 204);
  assert.equal((await w.ask('GET', '/blobs/films/one')).status, 404);
  await w.clock.advance(5000);
  assert.equal((await w.ask('GET', '/blobs/other')).status, 404);
  // A key of the same name is something else.
  assert.equal((await w.ask('GET', '/kv/films/empty')).status, 404);
  // Nothing is left of what was replaced, deleted or half written.
  writeFileSync(join(w.dir, 'blobs/leftover'), 'x');
  await w.restart();
  await w.clock.advance(120_000);
  while (readdirSync(join(w.dir, 'blobs')).length > 1) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal((await w.ask('HEAD', '/blobs/films/empty')).status, 200);
});
