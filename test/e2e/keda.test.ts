/** KEDA is told the moment events begin to wait for a trigger, and what waits, also after kill -9. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { UntypedObject } from '../../src/kinds/object.ts';
import { BROKERS, TRIGGERS } from '../../src/kube/refs.ts';
import { KedaClient, metricIn, metricsRequest, scaledObject } from '../lib/keda.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;
let scaler: KedaClient;

const up = async () => {
  platform = await petrel.json<Status>(['up', '--detach', '--gateway', ':0', '--api', ':0'], {
    env: { PETREL_KEDA: ':0' },
  });
  const address = [...petrel.log().matchAll(/"address":"127\.0\.0\.1:(\d+)"/g)].at(-1);
  assert.ok(address, 'the address stands in the log');
  scaler = new KedaClient({ host: '127.0.0.1', port: Number(address[1]) });
};

before(up);
after(async () => {
  scaler?.close();
  await petrel.stop();
  scratch.dispose();
});

const METADATA = { trigger: 'work' };
const object = (
  kind: string,
  name: string,
  spec: UntypedObject['spec'],
  annotations = {},
): UntypedObject => ({
  apiVersion: 'eventing.knative.dev/v1',
  kind,
  metadata: { namespace: 'default', name, annotations },
  spec,
});
const waiting = async () => {
  const { messages } = await scaler.call('GetMetrics', metricsRequest(METADATA, 'm'));
  return messages[0] && metricIn(messages[0]).double;
};
const send = async (id: string) => {
  const { status } = await call(platform.gateway, '/events/broker/default/default', {
    method: 'POST',
    headers: { 'ce-specversion': '1.0', 'ce-id': id, 'ce-type': 't', 'ce-source': '/test' },
  });
  assert.equal(status, 202);
};

test('before anything of eventing is there, there is nothing to scale by', async () => {
  assert.equal((await scaler.call('IsActive', scaledObject(METADATA))).status, '5');
});

test('what begins to wait for a trigger is told at once, and still known after a kill', async () => {
  const api = await petrel.api();
  try {
    await api.create(BROKERS, object('Broker', 'default', {}));
    const spec = { broker: 'default', subscriber: { uri: 'http://127.0.0.1:1/' } };
    const paused = { 'eventing.petrel.dev/paused': 'true' };
    await api.create(TRIGGERS, object('Trigger', 'work', spec, paused));
    await eventually('the trigger is ready', async () => {
      const { status } = (await api.get(TRIGGERS, 'default', 'work')) as UntypedObject & {
        status?: { conditions?: { type: string; status: string }[] };
      };
      return status?.conditions?.some(({ type, status: now }) => type === 'Ready' && now === 'True');
    });
  } finally {
    api.close();
  }
  const stream = scaler.active(METADATA);
  assert.equal(await stream.next(), false);
  await send('1');
  assert.equal(await stream.next(), true);
  await send('2');
  await send('3');
  await eventually('all three are counted', async () => (await waiting()) === 3);

  process.kill(platform.pid, 'SIGKILL');
  await stream.done.catch(() => {});
  scaler.close();
  await up();
  const again = scaler.active(METADATA);
  while (!(await again.next()));
  assert.equal(await waiting(), 3);
});
