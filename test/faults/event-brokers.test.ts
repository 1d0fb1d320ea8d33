/**
 * Sources on real brokers under the whole platform, which is killed (-9) again and again while messages come, as are the brokers: whatever a broker has
 * confirmed to its producer arrives. And back: what the platform has taken for a sink is in its broker.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Producer } from '../../src/clients/kafka/index.ts';
import { connect, jetstream, jetstreamManager } from '../../src/clients/nats/index.ts';
import { createClient } from '../../src/clients/redis/index.ts';
import type { UntypedObject } from '../../src/kinds/object.ts';
import { EVENT_SOURCES } from '../../src/kube/refs.ts';
import { kafkaServer } from '../lib/brokers/kafka.ts';
import { natsServer } from '../lib/brokers/nats.ts';
import { redisServer } from '../lib/brokers/redis.ts';
import { call, eventually, Petrel, Scratch } from '../lib/platform.ts';

const KILLS = Number(process.env.PETREL_FAULT_KILLS ?? 3);
const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
/** How often each text came, by the kind of source. */
const came: Record<string, Map<string, number>> = { kafka: new Map(), nats: new Map(), redis: new Map() };
const outside = createServer((incoming, response) => {
  const parts: Buffer[] = [];
  incoming.on('data', (part: Buffer) => parts.push(part));
  incoming.on('end', () => {
    const texts = came[(incoming.url ?? '').slice(1)];
    const text = Buffer.concat(parts).toString();
    texts?.set(text, (texts.get(text) ?? 0) + 1);
    response.writeHead(text === 'poison' ? 500 : 202).end();
  });
});
before(async () => {
  await petrel.up();
});
after(async () => {
  await petrel.stop();
  outside.closeAllConnections();
  await new Promise((resolve) => outside.close(resolve));
  scratch.dispose();
});

const object = (kind: string, name: string, spec: UntypedObject['spec']): UntypedObject => ({
  apiVersion: 'petrel.dev/v1',
  kind,
  metadata: { namespace: 'default', name },
  spec,
});

test('kill -9 of the platform and of the brokers: everything that was confirmed arrives', async (t) => {
  const [kafka, nats, redis] = await Promise.all([kafkaServer(), natsServer(), redisServer()]);
  for (const server of [kafka, nats, redis]) if (typeof server !== 'string') t.after(() => server.stop());
  if (typeof kafka === 'string') return t.skip(kafka);
  if (typeof nats === 'string') return t.skip(nats);
  if (typeof redis === 'string') return t.skip(redis);

  const producer = new Producer({
    clientId: 'test',
    bootstrapBrokers: [kafka.bootstrap],
    retries: 100,
    retryDelay: 100,
    autocreateTopics: true,
  });
  const nc = await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  await (await jetstreamManager(nc)).streams.add({ name: 'ORDERS', subjects: ['orders'] });
  const js = jetstream(nc);
  const db = createClient({ url: redis.url, RESP: 2, socket: { reconnectStrategy: 50 } });
  db.on('error', () => {});
  await db.connect();
  t.after(async () => {
    await Promise.allSettled([producer.close(true), nc.close()]);
    db.destroy();
  });
  const send: Record<string, (text: string) => Promise<unknown>> = {
    kafka: (text) =>
      producer.send({
        messages: [{ topic: 'orders', key: Buffer.from(`k${text.length}`), value: Buffer.from(text) }],
      }),
    nats: (text) => js.publish('orders', text),
    redis: (text) => db.sendCommand(['XADD', 'orders', '*', 'body', text]),
  };
  await send.kafka?.('first');

  await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve));
  const { port } = outside.address() as AddressInfo;
  let platform = await petrel.status();
  const configs = {
    kafka: { bootstrapServers: kafka.bootstrap, topics: 'orders', initialOffset: 'earliest' },
    nats: { servers: [nats.url], stream: 'ORDERS', initialOffset: 'earliest' },
    redis: {
      address: `127.0.0.1:${redis.port}`,
      stream: 'orders',
      dataField: 'body',
      initialOffset: 'earliest',
    },
  };
  const api = await petrel.api();
  for (const [type, config] of Object.entries(configs))
    await api.create(
      EVENT_SOURCES,
      object('EventSource', type, {
        type,
        config,
        sink: { uri: `http://127.0.0.1:${port}/${type}` },
        delivery: { retry: 2, backoffPolicy: 'linear', backoffDelay: 'PT0.1S' },
      }),
    );
  api.close();
  await eventually('the first has come', async () => came.kafka?.has('first'));

  const confirmed: Record<string, Set<string>> = { kafka: new Set(), nats: new Set(), redis: new Set() };
  let sending = true;
  const producers = Object.entries(send).map(async ([type, one]) => {
    for (let i = 0; sending; i++) {
      const text = `${type}-${i}`;
      await one(text).then(
        () => confirmed[type]?.add(text),
        () => pause(20),
      );
      if (i % 10 === 0) await pause(10);
    }
  });
  const servers = [kafka, nats, redis];
  for (let kill = 0; kill < KILLS; kill++) {
    await pause(600);
    const server = servers[kill % servers.length];
    process.kill(platform.pid, 'SIGKILL');
    await server?.kill();
    [platform] = await Promise.all([petrel.up(), server?.start()]);
  }
  for (const one of Object.values(send)) await one('poison');
  sending = false;
  await Promise.all(producers);
  for (const [type, texts] of Object.entries(confirmed)) {
    await eventually(
      `all of ${type} have come`,
      async () => {
        const missing = [...texts].filter((text) => !came[type]?.has(text));
        if (missing.length > 0)
          throw new Error(`${missing.length} of ${texts.size} are missing, first ${missing[0]}`);
        return true;
      },
      60_000,
    );
    const sum = [...(came[type]?.values() ?? [])].reduce((a, b) => a + b, 0);
    t.diagnostic(`${type}: ${texts.size} confirmed, ${sum - (came[type]?.size ?? 0)} came again`);
    assert.ok(texts.size > 50, `${type}: only ${texts.size} were sent`);
  }
  // What nobody takes is in the dead letters, with what it was.
  await eventually(
    'the poison is put aside',
    async () => {
      const letters = await petrel.json<{ subscription: string; event: { data?: string } }[]>([
        'dlq',
        'list',
      ]);
      return letters.filter(({ event }) => event.data === 'poison').length >= 3;
    },
    60_000,
  );
});

test('what the platform takes for a sink is in its broker', async (t) => {
  const redis = await redisServer();
  if (typeof redis === 'string') return t.skip(redis);
  t.after(() => redis.stop());
  const { gateway } = await petrel.status();
  const file = scratch.path('sink.yaml');
  scratch.write({
    'sink.yaml': JSON.stringify(
      object('EventSink', 'out', {
        type: 'redis',
        config: { address: `127.0.0.1:${redis.port}`, stream: 'out' },
      }),
    ),
  });
  await petrel.deploy(file);
  const send = (id: string) =>
    call(gateway, '/events/sink/default/out', {
      method: 'POST',
      headers: { 'ce-specversion': '1.0', 'ce-id': id, 'ce-type': 'order', 'ce-source': '/test' },
      body: `order ${id}`,
    });
  await eventually('the sink takes one', async () => (await send('1')).status < 300);
  const db = createClient({ url: redis.url });
  db.on('error', () => {});
  await db.connect();
  t.after(() => db.destroy());
  const [entry] = (await db.xRange('out', '-', '+')) ?? [];
  assert.deepEqual([entry?.message.ce_id, entry?.message.data], ['1', 'order 1']);
  await redis.kill();
  const refused = await send('2');
  assert.ok(refused.status >= 500, `${refused.status} ${refused.body}`);
});
