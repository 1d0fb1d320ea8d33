/** Events on the real platform: a Broker, Triggers and a function; taken durably, delivered, answered; and all of it again after kill -9. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { EventPath, SubscriptionState } from '../../src/eventing/model.ts';
import type { UntypedObject } from '../../src/kinds/object.ts';
import { BROKERS, KSERVICES, NAMESPACES, PODS, TRIGGERS } from '../../src/kube/refs.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;

/** What left the platform: id → how often. */
const left = new Map<string, number>();
const outside = createServer((request, response) => {
  request.resume().on('end', () => {
    const id = String(request.headers['ce-id']);
    left.set(id, (left.get(id) ?? 0) + 1);
    response.end();
  });
});

const object = (kind: string, name: string, spec: UntypedObject['spec']): UntypedObject => ({
  apiVersion: 'eventing.knative.dev/v1',
  kind,
  metadata: { namespace: 'default', name },
  spec,
});

before(async () => {
  await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve));
  platform = await petrel.up();
  scratch.write({
    'check.mjs': `export default { async fetch(request) {
      const id = request.headers.get('ce-id');
      if (id === 'silent') return new Response(null, { status: 204 });
      const headers = { 'ce-specversion': '1.0', 'ce-type': 'order.checked', 'ce-source': '/check', 'ce-id': 'checked-' + id };
      return new Response(await request.text(), { headers });
    } };`,
    'slow.mjs': `export default { async fetch() {
      await new Promise((resolve) => setTimeout(resolve, 500));
      return new Response(null, { status: 204 });
    } };`,
  });
  await petrel.deploy(scratch.path('check.mjs'));
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
  outside.close().closeAllConnections();
});

const send = (id: string, type = 'order.created', path = '/events/broker/default/shop') =>
  call(platform.gateway, path, {
    method: 'POST',
    headers: { 'ce-specversion': '1.0', 'ce-id': id, 'ce-type': type, 'ce-source': '/test' },
    body: `order ${id}`,
  });

const ready = (name: string, resource: typeof BROKERS) =>
  eventually(`${name} is ready`, async () => {
    const api = await petrel.api();
    try {
      const { status } = (await api.get(resource, 'default', name)) as UntypedObject & {
        status?: { conditions?: { type: string; status: string }[] };
      };
      return status?.conditions?.some(({ type, status: now }) => type === 'Ready' && now === 'True');
    } finally {
      api.close();
    }
  });

test('what nobody uses is not there', async () => {
  assert.equal(existsSync(join(petrel.home, 'run/events.sock')), false);
  assert.equal(existsSync(join(petrel.home, 'events')), false);
  assert.equal((await send('early')).status, 404);
});

test('a namespace that asks for a broker gets one, before anything else of eventing is there', async () => {
  const api = await petrel.api();
  try {
    const labels = { 'eventing.knative.dev/injection': 'enabled' };
    await api.create(NAMESPACES, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'injected', labels },
    } as UntypedObject);
    await eventually('it takes events', async () => {
      const { status } = await send('n', 't', '/events/broker/injected/default');
      return status === 202;
    });
  } finally {
    api.close();
  }
});

test('an event calls the function whose trigger wants it, and its answer goes on', async () => {
  const api = await petrel.api();
  await api.create(BROKERS, object('Broker', 'shop', {}));
  const service = { apiVersion: 'serving.knative.dev/v1', kind: 'Service', name: 'check' };
  const created = { exact: { type: 'order.created' } };
  await api.create(
    TRIGGERS,
    object('Trigger', 'check', { broker: 'shop', filters: [created], subscriber: { ref: service } }),
  );
  const { port } = outside.address() as AddressInfo;
  const checked = { cesql: "type LIKE '%.checked' AND source = '/check'" };
  await api.create(
    TRIGGERS,
    object('Trigger', 'out', {
      broker: 'shop',
      filters: [checked],
      subscriber: { uri: `http://127.0.0.1:${port}/` },
    }),
  );
  api.close();
  await ready('shop', BROKERS);
  await ready('check', TRIGGERS);
  await ready('out', TRIGGERS);

  assert.equal((await send('1')).status, 202);
  await eventually('the answer has left', async () => left.get('checked-1'));
  assert.equal((await send('2', 'order.cancelled')).status, 202);
  assert.equal((await send('silent')).status, 202);
  assert.equal((await send('3')).status, 202);
  await eventually('the next answer has left', async () => left.get('checked-3'));
  assert.deepEqual([...left.keys()].sort(), ['checked-1', 'checked-3']);
});

test('what is no event is refused', async () => {
  const plain = await call(platform.gateway, '/events/broker/default/shop', { method: 'POST', body: 'x' });
  assert.equal(plain.status, 400);
  assert.equal((JSON.parse(plain.body) as { reason: string }).reason, 'not_an_event');
  assert.equal((await send('x', 't', '/events/broker/default/none')).status, 404);
  assert.equal((await call(platform.gateway, '/events/broker/default/shop')).status, 405);
});

test('what became of events can be asked', async () => {
  const ask = async <T>(question: string, input: object): Promise<T> => {
    const { request } = await import('node:http');
    const body = JSON.stringify({ question, input });
    return new Promise((resolve, reject) => {
      const asked = request(
        { socketPath: join(petrel.home, 'run/platform.sock'), method: 'POST', path: '/events/ask' },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (part: string) => {
            text += part;
          });
          response.on('end', () => resolve((JSON.parse(text) as { answer: T }).answer));
        },
      );
      asked.on('error', reject);
      asked.end(body);
    });
  };
  const states = await ask<Record<string, SubscriptionState>>('subscriptions', {});
  assert.equal(states['trigger/default/check']?.delivered, 3);
  const [path] = await ask<EventPath[]>('history', { stream: 'broker/default/shop', id: '1', limit: 10 });
  assert.equal(path?.event.data, 'order 1');
  assert.ok(path.steps.some(({ what, subscription }) => what === 'delivered' && /check/.test(subscription)));
});

test('a function scales by what waits for it', async () => {
  await petrel.deploy(scratch.path('slow.mjs'));
  const api = await petrel.api();
  try {
    const own = 'autoscaling.petrel.dev/metric-';
    const annotations = { [`${own}source`]: 'queue-lag', [`${own}target`]: '10' };
    await api.patch(KSERVICES, 'default', 'slow', 'merge', { metadata: { annotations } });
    const trigger = object('Trigger', 'slow', {
      broker: 'shop',
      filters: [{ exact: { type: 'order.slow' } }],
      subscriber: { ref: { apiVersion: 'serving.knative.dev/v1', kind: 'Service', name: 'slow' } },
    });
    // one at a time: by requests alone, one instance would do
    trigger.metadata.annotations = { 'eventing.petrel.dev/concurrency': '1' };
    await api.create(TRIGGERS, trigger);
    await ready('slow', TRIGGERS);
    for (let i = 0; i < 60; i++) assert.equal((await send(`slow${i}`, 'order.slow')).status, 202);
    const labelSelector = 'serving.knative.dev/service=slow';
    await eventually('there are several', async () => {
      const { items } = await api.list(PODS, { namespace: 'default', labelSelector });
      return items.length >= 3;
    });
    await api.delete(TRIGGERS, 'default', 'slow');
  } finally {
    api.close();
  }
});

test('kill -9 loses nothing that was taken', async () => {
  const ids = Array.from({ length: 300 }, (_, i) => `k${i}`);
  const statuses = await Promise.all(ids.map(async (id) => (await send(id)).status));
  process.kill(platform.pid, 'SIGKILL');
  assert.deepEqual(new Set(statuses), new Set([202]));
  platform = await eventually('the platform is back', () =>
    petrel
      .json<Status>(['up', '--detach', '--gateway', platform.gateway, '--api', ':0'])
      .catch(() => undefined),
  );
  await eventually('all answers have left', async () => ids.every((id) => left.has(`checked-${id}`)));
  assert.equal((await send('after')).status, 202);
  await eventually('new ones do', async () => left.has('checked-after'));
});
