import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { framed, KedaClient, metricIn, metricsRequest, scaledObject } from '../../../test/lib/keda.ts';
import { silentLogger } from '../../base/log.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { type Keda, startKeda } from './index.ts';

/** Path-like names of what exists. */
const exists = new Set(['triggers/default/paid', 'eventsources/default/orders', 'pingsources/shop/nightly']);
let api: 'up' | 'down' = 'up';
const client = {
  async get({ plural }: { plural: string }, namespace: string, name: string) {
    if (api === 'down') throw new KubeError(503, 'ServiceUnavailable', 'away');
    if (!exists.has(`${plural}/${namespace}/${name}`)) throw new KubeError(404, 'NotFound', 'no such thing');
    return {};
  },
} as unknown as Pick<KubeClient, 'get'>;

let keda: Keda;
let scaler: KedaClient;
before(async () => {
  keda = await startKeda({ host: '127.0.0.1', port: 0, client, log: silentLogger });
  scaler = new KedaClient(keda.address);
});
after(async () => {
  scaler.close();
  await keda.stop();
});

const PAID = { trigger: 'paid', scalerAddress: 'petrel:9090' };
const report = (waiting: number, key = 'trigger/default/paid') => keda.report({ key, waiting });

test('what waits is the metric, the threshold its target', async () => {
  report(1234);
  const spec = await scaler.call('GetMetricSpec', scaledObject(PAID));
  assert.deepEqual([spec.http, spec.status], [200, '0']);
  assert.deepEqual(spec.messages.map(metricIn), [
    { name: 'petrel-trigger-default-paid', integer: 10, double: 10 },
  ]);
  const own = await scaler.call('GetMetricSpec', scaledObject({ ...PAID, lagThreshold: '500' }));
  assert.equal(metricIn(own.messages[0]!).double, 500);
  const values = await scaler.call('GetMetrics', metricsRequest(PAID, 's0-petrel-trigger-default-paid'));
  assert.deepEqual(values.messages.map(metricIn), [
    { name: 's0-petrel-trigger-default-paid', integer: 1234, double: 1234 },
  ]);
  report(0);
  const none = await scaler.call('GetMetrics', metricsRequest(PAID, 'm'));
  assert.deepEqual(none.messages.map(metricIn), [{ name: 'm', integer: 0, double: 0 }]);
});

test('active is what has more than the activation threshold waiting, by any name of it', async () => {
  const active = async (metadata: Record<string, string>) => {
    const { status, messages } = await scaler.call('IsActive', scaledObject(metadata));
    assert.equal(status, '0');
    assert.equal(messages.length, 1);
    return messages[0]?.[1] === 1;
  };
  assert.equal(await active(PAID), false);
  report(5);
  report(5, 'eventsource/default/orders');
  report(5, 'pingsource/shop/nightly');
  assert.equal(await active(PAID), true);
  assert.equal(await active({ subscription: 'trigger/default/paid' }), true);
  assert.equal(await active({ source: 'orders' }), true);
  assert.equal(await active({ source: 'EventSource/orders' }), true);
  assert.equal(await active({ subscription: 'pingsource/shop/nightly' }), true);
  assert.equal(await active({ ...PAID, activationLagThreshold: '5' }), false);
  assert.equal(await active({ ...PAID, activationLagThreshold: '4' }), true);
  report(0);
});

test('a stream says how it is, and every change at once; nothing in between', async () => {
  const one = scaler.active(PAID);
  const high = scaler.active({ ...PAID, activationLagThreshold: '100' });
  assert.equal(await one.next(), false);
  assert.equal(await high.next(), false);
  report(1);
  assert.equal(await one.next(), true);
  report(50);
  report(101);
  assert.equal(await high.next(), true);
  report(0);
  assert.equal(await one.next(), false, 'what changed nothing was not told');
  assert.equal(await high.next(), false);
  one.stream.close();
  await one.done;
  report(200);
  assert.equal(await high.next(), true, 'others go on when one has left');
  high.stream.close();
  await high.done;
  report(0);
});

test('a stream that nobody reads ends with what is so now', async () => {
  const { stream, done } = scaler.open('StreamIsActive', framed(scaledObject(PAID)));
  stream.pause();
  await new Promise((resolve) => stream.once('response', resolve));
  for (let i = 0; i < 20_001; i++) report((i + 1) % 2);
  let last: boolean | undefined;
  let count = 0;
  const until = Promise.withResolvers<void>();
  stream.on('data', (chunk: Buffer) => {
    // Prefix alone is false, prefix and two bytes are true: the last byte of either tells.
    last = chunk.at(-1) === 1;
    count += chunk.length;
    if (last) until.resolve();
  });
  stream.resume();
  await until.promise;
  assert.equal(last, true);
  assert.ok(count < 1000, `${count} bytes`);
  stream.close();
  await done;
  report(0);
});

test('errors are statuses of gRPC', async () => {
  const cases: [method: string, message: Buffer, status: string, says: RegExp][] = [
    ['IsActive', scaledObject({ trigger: 'nobody' }), '5', /no trigger\/default\/nobody/],
    ['StreamIsActive', scaledObject({ source: 'kafkasource/x' }), '5', /no kafkasource\/default\/x/],
    ['IsActive', scaledObject(PAID, 'other'), '5', /no trigger\/other\/paid/],
    ['IsActive', scaledObject({}), '3', /one of subscription/],
    ['IsActive', scaledObject({ trigger: 'a', source: 'b' }), '3', /one of subscription/],
    ['IsActive', scaledObject({ subscription: 'broker/default/x' }), '3', /subscription: "broker/],
    ['IsActive', scaledObject({ subscription: 'trigger/paid' }), '3', /is no name/],
    ['IsActive', scaledObject({ trigger: '../secrets' }), '3', /is no name/],
    ['GetMetricSpec', scaledObject({ ...PAID, lagThreshold: '0' }), '3', /lagThreshold: "0"/],
    ['GetMetricSpec', scaledObject({ ...PAID, lagThreshold: '1e3' }), '3', /lagThreshold/],
    ['StreamIsActive', scaledObject({ ...PAID, activationLagThreshold: '-1' }), '3', /activationLag/],
    ['IsActive', Buffer.from([0x0a, 0x7f]), '3', /EOF/],
    ['StreamMetricSpec', scaledObject(PAID), '12', /StreamMetricSpec/],
    ['constructor', scaledObject(PAID), '12', /constructor/],
    ['IsActive', Buffer.alloc(70_000), '8', /16384/],
  ];
  for (const [method, message, status, says] of cases) {
    const answer = await scaler.call(method, message);
    assert.deepEqual([answer.http, answer.status], [200, status], `${method}: ${answer.message}`);
    assert.match(answer.message, says);
    assert.equal(answer.messages.length, 0);
  }
});

test('bodies that are no one message are refused, and what is no gRPC', async () => {
  const message = scaledObject(PAID);
  const statusOf = async (body: Buffer) => (await scaler.open('IsActive', body).done).status;
  assert.equal(await statusOf(Buffer.alloc(0)), '13');
  assert.equal(await statusOf(framed(message).subarray(0, 20)), '13');
  assert.equal(await statusOf(Buffer.concat([framed(message), framed(message)])), '13');
  assert.equal(await statusOf(framed(message, 1)), '12');
  const json = await scaler.open('IsActive', framed(message), { 'content-type': 'application/json' }).done;
  assert.equal(json.http, 415);
});

test('an API that is away is UNAVAILABLE', async () => {
  api = 'down';
  try {
    assert.equal((await scaler.call('IsActive', scaledObject(PAID))).status, '14');
  } finally {
    api = 'up';
  }
});

test('streams are bounded, and questions are answered beside them', async () => {
  // A connection whose client resets more than 1000 streams at once is ended: that is not what is asked here.
  const several = [0, 1, 2, 3].map(() => new KedaClient(keda.address));
  after(() => {
    for (const each of several) each.close();
  });
  const streams = Array.from({ length: 1000 }, (_, i) => several[i % 4]!.active(PAID));
  await Promise.all(streams.map(({ next }) => next()));
  const over = await scaler.call('StreamIsActive', scaledObject(PAID));
  assert.equal(over.status, '8');
  assert.equal((await scaler.call('IsActive', scaledObject(PAID))).status, '0');
  for (const { stream } of streams) stream.close();
  await Promise.all(streams.map(({ done }) => done));
  // The other side hears of the ends a moment later.
  let first: boolean | undefined;
  while (first === undefined) {
    const again = scaler.active(PAID);
    first = await Promise.race([again.next(), again.done.then(() => undefined)]);
    again.stream.close();
    if (first === undefined) await pause(10);
  }
  assert.equal(first, false);
});

test('its end ends streams with UNAVAILABLE, and connections that say nothing', async () => {
  const other = await startKeda({ host: '127.0.0.1', port: 0, client, log: silentLogger });
  const own = new KedaClient(other.address);
  const silent = connect(other.address.port, '127.0.0.1');
  silent.resume().on('error', () => {});
  const gone = new Promise((resolve) => silent.on('close', resolve));
  const { next, done } = own.active(PAID);
  assert.equal(await next(), false);
  await other.stop();
  assert.equal((await done).status, '14');
  await gone;
  own.close();
});
