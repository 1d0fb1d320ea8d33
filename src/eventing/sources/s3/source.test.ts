import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { type MotoServer, motoServer } from '../../../../test/lib/brokers/moto.ts';
import { until } from '../../../../test/lib/brokers/server.ts';
import { fromJson } from '../../../cloudevents/json.ts';
import type { Json } from '../../../kinds/object.ts';
import { readFields } from '../../connectors/fields.ts';
import { openBucket, S3_FIELDS } from '../../connectors/s3.ts';
import { keyOf, s3Sink } from '../../sinks/s3.ts';
import { assertSame, samples, startSink } from '../../sinks/testing/round-trip.ts';
import { type HarnessOptions, startHarness } from '../testing/harness.ts';
import { Position } from './position.ts';
import { s3Source } from './source.ts';

let server: MotoServer | string;
before(async () => {
  server = await motoServer();
});
after(async () => {
  if (typeof server !== 'string') await server.stop();
});

let buckets = 0;

async function world(t: TestContext) {
  if (typeof server === 'string') return void t.skip(server);
  const name = `uploads-${++buckets}`;
  const access = { endpoint: server.endpoint, bucket: name, accessKeyId: 'key', secretAccessKey: 'secret' };
  const made = await fetch(`${server.endpoint}/${name}`, {
    method: 'PUT',
    headers: { authorization: 'AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request' },
  });
  assert.equal(made.status, 200);
  const bucket = openBucket(readFields(access, S3_FIELDS), Date.now);
  const put = (key: string, text: string) => bucket.put(key, Buffer.from(text), 'text/plain', {});
  const source = (config: Record<string, Json> = {}, options: HarnessOptions = {}) =>
    startHarness(t, s3Source, { ...access, pollMs: 1000, initialOffset: 'earliest', ...config }, options);
  return { bucket, put, source, name };
}

test('new and changed objects are found, each once, also by the next source', async (t) => {
  const w = await world(t);
  if (!w) return;
  const checkpoint = { value: null as Json };
  await w.put('in/a b.txt', 'one');
  await w.put('other/x.txt', 'no');
  await w.put('in/x.log', 'no');
  const source = await w.source({ prefix: 'in/', suffix: '.txt', content: true }, { checkpoint });
  await source.got(1);
  const [event] = source.taken;
  assert.deepEqual(
    [event?.type, event?.subject, event?.datacontenttype],
    ['dev.petrel.s3.object', 'in/a b.txt', 'text/plain'],
  );
  assert.equal(event?.source, `/apis/v1/namespaces/default/s3sources/test#${w.name}`);
  await w.put('in/a b.txt', 'two');
  await source.got(2);
  await source.stop();
  await w.put('in/b.txt', 'three');
  const next = await w.source({ prefix: 'in/', suffix: '.txt', content: true }, { checkpoint });
  await next.got(1);
  assert.deepEqual([...source.texts(), ...next.texts()], ['one', 'two', 'three']);
});

test('what is not delivered is not passed by; delivered objects can be deleted; large ones are described', async (t) => {
  const w = await world(t);
  if (!w) return;
  const checkpoint = { value: null as Json };
  for (const n of [0, 1, 2, 3, 4]) await w.put(`${n}`, `${n}`);
  await w.put('large', 'x'.repeat(2000));
  const config = { content: true, maxBytes: 1000, after: 'delete' };
  const stuck = await w.source(config, {
    checkpoint,
    sink: ({ subject }) => (subject === '3' ? Promise.reject(new Error('not now')) : undefined),
  });
  await stuck.got(5);
  await until(() => stuck.state().lag === 1, 'one waits');
  const description = JSON.parse(
    stuck.texts()[stuck.taken.findIndex(({ subject }) => subject === 'large')] ?? '',
  );
  assert.deepEqual([description.key, description.size], ['large', 2000]);
  await stuck.stop(0);
  const next = await w.source(config, { checkpoint });
  await next.got(1);
  assert.deepEqual(next.texts(), ['3']);
  await until(async () => {
    for await (const _ of w.bucket.list('')) return false;
    return true;
  }, 'all are gone');
});

test('a bucket that is not there is told, and found when it is', async (t) => {
  const w = await world(t);
  if (!w) return;
  const source = await w.source({ bucket: `later-${w.name}` });
  await until(() => source.state().reason === 'BucketNotFound', `missing: ${JSON.stringify(source.states)}`);
  assert.doesNotMatch(JSON.stringify(source.states), /secret"/);
  assert.deepEqual(
    s3Source.check({ endpoint: 'http://u:p@host/', bucket: 'b', accessKeyId: 'a' }).map(({ field }) => field),
    ['endpoint', 'secretAccessKey'],
  );
});

test('a position forgets what it knows by time, and never what is under way', () => {
  const object = (key: string, modifiedAt: number) => ({ key, etag: `e-${key}`, modifiedAt });
  const position = new Position(null, 0, 120_000);
  const [slow, fast] = [object('slow', 1_000_000), object('fast', 1_010_000)];
  for (const one of [slow, fast]) {
    assert.ok(position.wants(one));
    position.begin(one);
    assert.ok(!position.wants(one));
  }
  position.resolve(fast, false);
  position.listed(2_000_000);
  const again = new Position(position.save(), 0, 120_000);
  assert.ok(again.wants(slow));
  assert.ok(!again.wants(fast));
  assert.ok(again.wants({ ...fast, etag: 'changed' }));
  position.resolve(slow, true);
  position.listed(2_000_000);
  assert.deepEqual(position.save(), { since: 1_880_000, done: [] });
  assert.ok(!position.wants(slow));
  assert.ok(position.wants(object('late', 1_880_000)));
});

test('the sink keeps an object for each event, and the same for the same event', async (t) => {
  const w = await world(t);
  if (!w || typeof server === 'string') return;
  const config = {
    endpoint: server.endpoint,
    bucket: w.name,
    accessKeyId: 'key',
    secretAccessKey: 'secret',
    prefix: 'e/',
  };
  const sink = await startSink(t, s3Sink, config);
  for (const event of samples()) {
    await sink.send(event);
    await sink.send(event);
    assert.match(keyOf(event), /^com\.shop\.order\/\d{4}-\d\d-\d\d\/id-\d-[0-9a-f]{16}$/);
    const found = await w.bucket.get(`e/${keyOf(event)}`);
    assert.equal(found?.contentType, 'application/cloudevents+json');
    assertSame(fromJson(found?.data ?? Buffer.alloc(0)), event);
  }
  const keys: string[] = [];
  for await (const { key } of w.bucket.list('')) keys.push(key);
  assert.equal(keys.length, 3);
  const missing = await startSink(t, s3Sink, { ...config, bucket: 'nowhere' });
  await until(() => missing.state().reason === 'BucketNotFound', 'it is told');
});
