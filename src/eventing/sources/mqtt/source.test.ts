import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { type MosquittoServer, mosquittoServer } from '../../../../test/lib/brokers/mosquitto.ts';
import { until } from '../../../../test/lib/brokers/server.ts';
import { systemClock } from '../../../base/clock.ts';
import * as client from '../../../clients/mqtt/index.ts';
import type { Json } from '../../../kinds/object.ts';
import { readFields } from '../../connectors/fields.ts';
import { connectMqtt, MQTT_FIELDS } from '../../connectors/mqtt.ts';
import { mqttSink } from '../../sinks/mqtt.ts';
import { roundTrip, startSink } from '../../sinks/testing/round-trip.ts';
import { type HarnessOptions, startHarness } from '../testing/harness.ts';
import { mqttSource } from './source.ts';

let server: MosquittoServer | string;
before(async () => {
  server = await mosquittoServer({ user: 'alice', password: 'secret' });
});
after(async () => {
  if (typeof server !== 'string') await server.stop();
});

let topics = 0;

async function world(t: TestContext) {
  if (typeof server === 'string') return void t.skip(server);
  const topic = `sensors/${++topics}`;
  const access = { address: `127.0.0.1:${server.port}`, username: 'alice', password: 'secret' };
  const source = (config: Record<string, Json> = {}, options: HarnessOptions = {}) =>
    startHarness(
      t,
      mqttSource,
      { ...access, topics: [`${topic}/#`], clientId: `test-${topics}`, ...config },
      options,
    );
  const send = async (
    texts: string[],
    {
      qos = 1,
      version = '5',
      properties,
    }: { qos?: 0 | 1 | 2; version?: string; properties?: client.IPublishPacket['properties'] } = {},
  ) => {
    const mqtt = await connectMqtt(client, readFields({ ...access, version }, MQTT_FIELDS), {
      clientId: `sender-${Math.random()}`,
      sessionSeconds: 0,
      clock: systemClock,
    });
    await Promise.all(
      texts.map((text) =>
        mqtt.publish({ topic: `${topic}/t`, payload: text, qos, retain: false, properties }),
      ),
    );
    mqtt.close();
  };
  return { server, topic, source, send };
}

const numbered = (from: number, count: number) => Array.from({ length: count }, (_, i) => `${from + i}`);

for (const version of ['5', '3.1.1'])
  for (const qos of [0, 1, 2] as const)
    test(`messages come in order, each once (version ${version}, QoS ${qos})`, async (t) => {
      const w = await world(t);
      if (!w) return;
      const source = await w.source({ version, qos });
      await source.ready();
      await w.send(numbered(0, 200), { qos, version });
      await source.got(200);
      assert.deepEqual(source.texts(), numbered(0, 200));
      assert.deepEqual(
        [source.taken[0]?.type, source.taken[0]?.subject],
        ['dev.petrel.mqtt.message', `${w.topic}/t`],
      );
    });

test('an event in a message is that event; properties of others become attributes', async (t) => {
  const w = await world(t);
  if (!w) return;
  const source = await w.source();
  await source.ready();
  const userProperties = { specversion: '1.0', id: '7', source: '/s', type: 'measured' };
  await w.send(['21'], { properties: { contentType: 'text/plain', userProperties } });
  await w.send(['22'], {
    properties: { contentType: 'application/json', userProperties: { 'Sensor-Id': 'a' } },
  });
  await source.got(2);
  const [event, plain] = source.taken;
  assert.deepEqual([event?.id, event?.type, event?.datacontenttype], ['7', 'measured', 'text/plain']);
  assert.deepEqual(
    [plain?.datacontenttype, plain?.extensions.mqttpropertysensorid],
    ['application/json', 'a'],
  );
});

test('what is not on disk is not acknowledged: the next source of that session gets it', async (t) => {
  const w = await world(t);
  if (!w) return;
  for (const qos of [1, 2] as const) {
    const config = { qos, clientId: `again-${qos}`, prefetch: 3 };
    const stuck = await w.source(config, { sink: () => Promise.reject(new Error('not now')) });
    await stuck.ready();
    await w.send(numbered(0, 10), { qos });
    await until(() => stuck.most() === 3, 'as many as may be are under way');
    await stuck.stop(0);
    await w.send(numbered(10, 5), { qos }); // while nobody is connected
    const next = await w.source(config);
    await next.got(15);
    assert.deepEqual(new Set(next.texts()), new Set(numbered(0, 15)));
    assert.equal(next.texts().length, 15);
    await next.stop();
  }
});

test('members of a group share the messages', async (t) => {
  const w = await world(t);
  if (!w) return;
  const members = await Promise.all(
    ['a', 'b'].map((id) => w.source({ group: 'g', clientId: `share-${id}` }, { name: id })),
  );
  await Promise.all(members.map((member) => member.ready()));
  await w.send(numbered(0, 100));
  await until(() => members.reduce((sum, { taken }) => sum + taken.length, 0) === 100, 'all have come');
  assert.ok(members.every(({ taken }) => taken.length > 0));
});

test('kill -9 of the broker in mid-stream loses nothing that it had written; a wrong password is told', async (t) => {
  const w = await world(t);
  if (!w) return;
  const wrong = await w.source({ password: 'wrong-password', clientId: 'wrong' }, { name: 'wrong' });
  await until(
    () => wrong.state().reason === 'Unauthorized',
    `it is refused: ${JSON.stringify(wrong.states)}`,
  );
  assert.doesNotMatch(JSON.stringify(wrong.states), /wrong-password/);
  await wrong.stop();
  const source = await w.source();
  await source.ready();
  await w.send(numbered(0, 200));
  await source.got(50);
  await w.server.kill();
  await until(() => !source.state().ready, 'it is told');
  await w.server.start();
  await source.ready();
  await w.send(numbered(200, 50));
  // Mosquitto acknowledges before it writes: what it had not sent to us is its loss, what it had is not.
  await until(
    () => new Set(source.texts().filter((text) => Number(text) >= 200)).size === 50,
    'the new ones come',
  );
});

test('what the sink sends is the same event here', async (t) => {
  const w = await world(t);
  if (!w) return;
  const address = `127.0.0.1:${w.server.port}`;
  const source = await w.source({ qos: 2 });
  for (const [mode, qos] of [
    ['binary', 1],
    ['structured', 2],
  ] as const) {
    const access = { address, username: 'alice', password: 'secret', clientId: `sink-${mode}` };
    await roundTrip(
      await startSink(t, mqttSink, { ...access, topic: `${w.topic}/sink`, contentMode: mode, qos }),
      source,
    );
    source.taken.length = 0;
  }
  const wrong = await startSink(t, mqttSink, { address, username: 'alice', password: 'wrong', topic: 'x' });
  await until(() => wrong.state().reason === 'Unauthorized', 'it is refused');
});

test('TLS: a certificate that is trusted, and one that is not', async (t) => {
  const w = await world(t);
  if (!w) return;
  const address = `127.0.0.1:${w.server.tlsPort}`;
  const source = await w.source({ address, tls: { caCerts: w.server.ca } });
  await source.ready();
  await w.send(['secret']);
  await source.got(1);
  const wary = await w.source({ address, tls: {}, clientId: 'wary' }, { name: 'wary' });
  await until(() => wary.state().reason === 'Unauthorized', 'it is not trusted');
});
