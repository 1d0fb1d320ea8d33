/** The engine in this thread, and the handle of one in a thread of its own; what is on disk is simulated. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import { makeEvent } from '../../cloudevents/event.ts';
import { encodeRecord } from '../../cloudevents/record.ts';
import type { EngineReports, SourceSpec, StreamSpec } from '../model.ts';
import {
  type MemoryDelivery,
  memoryDelivery,
  memoryLog,
  memoryState,
  parts,
} from '../testing/memory-parts.ts';
import { startEngine } from './engine.ts';
import { EngineHost } from './host.ts';

const PARTS = new URL('../testing/memory-parts.ts', import.meta.url).href;

const stream = (key: string): StreamSpec => ({
  key,
  uid: 'u',
  maxAgeMs: 1000,
  maxBytes: 1000,
  hardMaxBytes: 1000,
  dedupMs: 0,
  maxEventBytes: 1000,
  ttl: false,
  reportTypes: false,
});

const source = (key: string, type: string): SourceSpec => ({
  key,
  uid: 'u',
  type,
  config: {},
  sink: { url: 'http://sink/' },
  extensions: {},
  terms: {
    retry: 0,
    backoffPolicy: 'linear',
    backoffDelayMs: 0,
    jitter: 0,
    timeoutMs: 0,
    retryAfterMaxMs: 0,
  },
  paused: false,
});

function options() {
  const dir = mkdtempSync(join(tmpdir(), 'petrel-engine-'));
  after(() => rmSync(dir, { recursive: true, force: true }));
  return {
    dir: join(dir, 'events'),
    socket: join(dir, 'e.sock'),
    base: 'http://127.0.0.1:1/events',
    gateway: { host: '127.0.0.1', port: 1 },
  };
}

const EVENT = makeEvent('1', '/s', 't', undefined, undefined, undefined, undefined, {}, Buffer.from('x'));

const quiet: EngineReports = { source() {}, subscription() {}, lag() {}, seenType() {} };

test('the parts are put together, and what belongs to nobody goes when all is set', async () => {
  const state = memoryState();
  let delivery!: MemoryDelivery;
  const settings = options();
  // left by a platform that was killed
  writeFileSync(settings.socket, '');
  const engine = await startEngine({
    options: settings,
    reports: quiet,
    parts: {
      ...parts,
      openLog: async () => memoryLog(['testsource/default/old']),
      openState: async () => state,
      createDelivery: (given) => {
        delivery = memoryDelivery(given);
        return delivery;
      },
    },
    clock: systemClock,
    random: Math.random,
    uuid: () => 'id',
    callMain: async () => null,
    log: silentLogger,
  });
  engine.setStream('broker/a/b', stream('broker/a/b'));
  engine.setSource('testsource/default/old', source('testsource/default/old', 'none'));
  assert.ok(delivery.streams.has('testsource/default/old'), 'what it kept is still to be delivered');
  assert.equal(delivery.completed, false);
  engine.complete();
  while (state.swept.length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(delivery.completed);
  assert.deepEqual([...state.swept[0]!], ['testsource/default/old@u']);
  assert.equal((await engine.ask('streams', {}))['broker/a/b']?.events, 0);
  await assert.rejects(engine.ask('dead', { limit: 1 }), { code: 'NotFound' });
  await engine.stop(100);
  assert.ok(!existsSync(settings.socket));
});

test('an engine that dies is started again and told everything', async () => {
  const deaths: string[] = [];
  const log = { ...silentLogger, error: (message: string) => void deaths.push(message) };
  const told: string[] = [];
  const lags: string[] = [];
  const host = new EngineHost({
    options: options(),
    reports: {
      ...quiet,
      source: (key, { reason }) => void told.push(`${key} ${reason}`),
      lag: ({ key, waiting }) => void lags.push(`${key} ${waiting}`),
    },
    clock: systemClock,
    log,
    parts: PARTS,
  });
  after(() => host.stop(0));
  host.setStream('broker/a/b', stream('broker/a/b'));
  host.setStream('broker/a/gone', stream('broker/a/gone'));
  host.setStream('broker/a/gone', null);
  host.setSource('x/a/unknown', source('x/a/unknown', 'none'));
  host.complete();
  await host.ready;
  assert.deepEqual(Object.keys(await host.ask('streams', {})), ['broker/a/b']);
  while (told.length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(told, ['x/a/unknown UnknownType']);
  await assert.rejects(host.ask('dead', { limit: 1 }), { code: 'NotFound', name: 'PetrelError' });

  host.setSource('x/a/crash', source('x/a/crash', 'crash'));
  while (!deaths.some((line) => line.includes('is started again')))
    await new Promise((resolve) => setImmediate(resolve));
  host.setSource('x/a/crash', null);
  for (let alive = false; !alive; ) {
    alive = await host.ask('streams', {}).then(
      (streams) => 'broker/a/b' in streams,
      (error) => {
        assert.equal(error.code, 'NotReady');
        return new Promise<false>((resolve) => setImmediate(() => resolve(false)));
      },
    );
  }
  assert.deepEqual(lags.slice(0, 2), ['x/a/crash 5', 'x/a/crash 0'], 'what waited may not wait any more');
  assert.ok(told.length >= 2, 'the source was set anew');
  await host.stop(1000);
  await assert.rejects(host.ask('streams', {}), { code: 'NotReady' });
});

test('events of sources outside come in, and modules inside ask the thread that holds them', async () => {
  const told: string[] = [];
  const host = new EngineHost({
    options: options(),
    reports: { ...quiet, source: (key, { message }) => void told.push(`${key} ${message}`) },
    clock: systemClock,
    log: silentLogger,
    parts: PARTS,
  });
  after(() => host.stop(0));
  host.serve('double', async (n) => 2 * Number(n));
  host.setSink('sink/a/s', { key: 'sink/a/s', uid: 'u', type: 'asking', config: {} });
  while (told.length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(told, ['sink/a/s 42']);

  const key = 'apiserversource/a/s';
  const early = host.bring(key, encodeRecord(EVENT));
  host.setStream('broker/a/b', stream('broker/a/b'));
  host.setSource(key, { ...source(key, 'brought'), sink: { url: 'http://127.0.0.1:1/events/broker/a/b' } });
  host.complete();
  assert.equal(await early, 'accepted', 'it waited for its source');
  assert.equal(await host.bring(key, encodeRecord(EVENT)), 'accepted');
  assert.equal((await host.ask('streams', {}))['broker/a/b']?.events, 2);
  assert.equal(await host.checkpoint(key), undefined);
  await host.saveCheckpoint(key, { revision: 7 });
  assert.deepEqual(await host.checkpoint(key), { revision: 7 });
});

test('an engine that cannot start says why', async () => {
  const settings = options();
  const host = new EngineHost({
    options: { ...settings, socket: join(settings.dir, 'missing', 'x'.repeat(200)) },
    reports: quiet,
    clock: systemClock,
    log: silentLogger,
    parts: PARTS,
  });
  await assert.rejects(host.ready, { name: 'PetrelError' });
  await host.stop(0);
});
