/** A gateway, the engine's thread and files: an event that was taken is delivered, whatever ends in between. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import { startGateway } from '../../gateway/gateway.ts';
import { EVENTS_PREFIX } from '../addresses.ts';
import type { EngineReports, StreamSpec, SubscriptionSpec } from '../model.ts';
import { EngineHost } from './host.ts';

const BROKER: StreamSpec = {
  key: 'broker/default/orders',
  uid: 'b1',
  maxAgeMs: 3_600_000,
  maxBytes: 1e9,
  hardMaxBytes: 2e9,
  dedupMs: 60_000,
  maxEventBytes: 1024 * 1024,
  ttl: true,
  reportTypes: true,
};

async function start() {
  const dir = mkdtempSync(join(tmpdir(), 'petrel-events-'));
  const received: { id: string; type: string; body: string }[] = [];
  const here = { received, status: 200, reply: {} as Record<string, string> };
  const sink = createServer((incoming, response) => {
    let body = '';
    incoming.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    incoming.on('end', () => {
      const { 'ce-id': id, 'ce-type': type } = incoming.headers;
      if (here.status < 300) received.push({ id: String(id), type: String(type), body });
      response.writeHead(here.status, type === 'asked' ? here.reply : {}).end();
    });
  });
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve));
  const events = { demand() {}, stats() {}, endpointDown() {} };
  const gateway = await startGateway({ host: '127.0.0.1', port: 0, workers: 1, events, log: silentLogger });
  const { port } = gateway.address;
  const socket = join(dir, 'e.sock');
  gateway.setServer?.('events', { address: { kind: 'mux', path: socket }, prefixes: [EVENTS_PREFIX] });
  const seen: string[] = [];
  const reports: EngineReports = {
    source() {},
    subscription() {},
    lag() {},
    seenType: (stream, type, source) => void seen.push(`${stream} ${type} ${source}`),
  };
  const trigger: SubscriptionSpec = {
    key: 'trigger/default/t',
    uid: 't1',
    stream: BROKER.key,
    filters: [{ prefix: { type: 'a' } }],
    subscriber: { url: `http://127.0.0.1:${(sink.address() as AddressInfo).port}/` },
    reply: { url: `http://127.0.0.1:${port}/events/${BROKER.key}` },
    terms: {
      retry: 50,
      backoffPolicy: 'linear',
      backoffDelayMs: 20,
      jitter: 0,
      timeoutMs: 5000,
      retryAfterMaxMs: 0,
    },
    concurrency: 100,
    paused: false,
    start: 'latest',
  };
  const startEngine = async () => {
    const host = new EngineHost({
      options: {
        dir: join(dir, 'events'),
        socket,
        base: `http://127.0.0.1:${port}/events`,
        gateway: { host: '127.0.0.1', port },
      },
      reports,
      clock: systemClock,
      log: silentLogger,
    });
    host.setStream(BROKER.key, BROKER);
    host.setSubscription(trigger.key, trigger);
    host.complete();
    await host.ready;
    return host;
  };
  const post = (id: string, type: string) =>
    new Promise<number>((resolve, reject) => {
      const headers = { 'ce-specversion': '1.0', 'ce-id': id, 'ce-type': type, 'ce-source': '/test' };
      const asked = request(
        { port, method: 'POST', path: `/events/${BROKER.key}`, headers, agent: false },
        (response) => response.resume().on('end', () => resolve(response.statusCode ?? 0)),
      );
      asked.on('error', reject);
      asked.end(`data of ${id}`);
    });
  after(async () => {
    await gateway.close(0);
    sink.close().closeAllConnections();
    rmSync(dir, { recursive: true, force: true });
  });
  const until = async (done: () => boolean) => {
    while (!done()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return Object.assign(here, { startEngine, post, until, seen });
}

test('what was taken is delivered to who wants it, and answers come back into the stream', async () => {
  const here = await start();
  const engine = await here.startEngine();
  here.reply = { 'ce-specversion': '1.0', 'ce-id': 'r', 'ce-type': 'answer', 'ce-source': '/sink' };
  assert.equal(await here.post('1', 'asked'), 202);
  assert.equal(await here.post('2', 'other'), 202);
  await here.until(() => here.received.length >= 2);
  assert.deepEqual(here.received, [
    { id: '1', type: 'asked', body: 'data of 1' },
    { id: 'r', type: 'answer', body: '' },
  ]);
  const streams = await engine.ask('streams', {});
  assert.equal(streams[BROKER.key]?.accepted, 3);
  await here.until(() => here.seen.length === 3);
  assert.ok(here.seen.includes(`${BROKER.key} answer /sink`));
  await engine.stop(1000);
});

test('what was taken and not delivered is delivered after the next start', async () => {
  const here = await start();
  here.status = 503;
  const first = await here.startEngine();
  const ids = Array.from({ length: 50 }, (_, i) => `e${i}`);
  assert.deepEqual(new Set(await Promise.all(ids.map((id) => here.post(id, 'a')))), new Set([202]));
  await first.stop(0);
  assert.equal(await here.post('x', 'a'), 503, 'nobody takes it now');
  here.status = 200;
  const second = await here.startEngine();
  await here.until(() => new Set(here.received.map(({ id }) => id)).size === ids.length);
  await second.stop(1000);
});

test('a thread that dies loses nothing that was taken', async () => {
  const here = await start();
  const engine = await here.startEngine();
  const taken: string[] = [];
  let sent = 0;
  let over = false;
  const producers = Array.from({ length: 20 }, async () => {
    while (!over) {
      const id = `d${sent++}`;
      if ((await here.post(id, 'a')) === 202) taken.push(id);
    }
  });
  for (let kills = 1; kills <= 3; kills++) {
    const before = taken.length;
    await here.until(() => taken.length > before + 100);
    await engine.thread?.terminate();
  }
  const before = taken.length;
  await here.until(() => taken.length > before + 100);
  over = true;
  await Promise.all(producers);
  const received = () => new Set(here.received.map(({ id }) => id));
  await here.until(() => received().isSupersetOf(new Set(taken)));
  assert.ok(taken.length > 400);
  await engine.stop(1000);
});
