import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import { makeEvent } from '../../cloudevents/event.ts';
import type { DeliveryTerms, SourceSpec } from '../model.ts';
import { memoryDelivery, memoryState } from '../testing/memory-parts.ts';
import type { Handed, SourceContext, SourceModule } from './contract.ts';
import type { SourceState } from './reports.ts';
import { Sources } from './run.ts';

const BASE = 'http://127.0.0.1:8080/events';
const KEY = 'testsource/default/s';
const TERMS: DeliveryTerms = {
  retry: 1,
  backoffPolicy: 'linear',
  backoffDelayMs: 1,
  jitter: 0,
  timeoutMs: 0,
  retryAfterMaxMs: 0,
};

const spec = (change: Partial<SourceSpec> = {}): SourceSpec => ({
  key: KEY,
  uid: 'u1',
  type: 'test',
  config: {},
  sink: { url: `${BASE}/broker/default/b` },
  extensions: {},
  terms: TERMS,
  paused: false,
  ...change,
});

const STREAM = {
  uid: 'b',
  maxAgeMs: 0,
  maxBytes: 0,
  hardMaxBytes: 0,
  dedupMs: 0,
  maxEventBytes: 1000,
  ttl: true,
  reportTypes: false,
};

const event = (id = '1') =>
  makeEvent(id, '/s', 't', undefined, undefined, undefined, undefined, {}, undefined);

function start(durable: SourceModule['durable'] = 'own', onDisk: string[] = []) {
  const clock = simulatedClock();
  const delivery = memoryDelivery({ local: () => undefined });
  const state = memoryState();
  const life: string[] = [];
  const told: [string, SourceState][] = [];
  const lags: unknown[] = [];
  const here = {
    clock,
    delivery,
    state,
    life,
    told,
    lags,
    contexts: [] as SourceContext<unknown>[],
    context: undefined as unknown as SourceContext<unknown>,
    failures: 0,
    problems: [] as string[],
    stopping: async () => {},
  };
  const module: SourceModule = {
    type: 'test',
    durable,
    check: () =>
      here.problems.map((message) => ({ field: 'config.x', reason: 'FieldValueInvalid', message })),
    async start(context) {
      if (here.failures-- > 0) throw new Error('not yet');
      life.push('start');
      here.context = context;
      here.contexts.push(context);
      return {
        async stop() {
          await here.stopping();
          life.push('stop');
        },
        request: async ({ path }) => ({ status: 200, body: path }),
      };
    },
  };
  const sources = new Sources({
    modules: { test: async () => module },
    dir: '/nowhere',
    state,
    acceptor: delivery.acceptor,
    courier: delivery.courier,
    base: BASE,
    isStream: (key) => delivery.streams.has(key),
    onDisk: (key) => onDisk.includes(key),
    setStream: delivery.setStream,
    setSubscription: delivery.setSubscription,
    setDirect: delivery.setDirect,
    reports: { source: (key, how) => void told.push([key, how]), lag: (lag) => void lags.push(lag) },
    clock,
    random: () => 0.5,
    uuid: () => 'uuid',
    log: silentLogger,
  });
  return Object.assign(here, { sources, settle: () => clock.advance(0) });
}

test('a source begins when everything has been set, and ends with its spec', async () => {
  const { sources, life, settle, context: _, ...here } = start();
  sources.set(KEY, spec());
  await settle();
  assert.deepEqual(life, []);
  sources.begin();
  await settle();
  assert.deepEqual(life, ['start']);
  sources.set(KEY, spec());
  sources.set(KEY, spec({ sink: { url: 'http://elsewhere/' }, extensions: { a: 'b' } }));
  await settle();
  assert.deepEqual(life, ['start'], 'where events go is no reason to begin anew');
  sources.set(KEY, spec({ config: { topic: 'x' } }));
  await settle();
  assert.deepEqual(life, ['start', 'stop', 'start']);
  sources.set(KEY, spec({ config: { topic: 'x' }, paused: true }));
  await settle();
  await here.clock.advance(1000);
  assert.equal(life.length, 4);
  assert.equal(here.told.at(-1)?.[1].reason, 'Paused');
  sources.set(KEY, null);
  await sources.stop(0);
  assert.equal(life.length, 4);
});

test('an event goes straight to a stream of ours', async () => {
  const here = start();
  here.delivery.setStream('broker/default/b', { key: 'broker/default/b', ...STREAM });
  here.sources.set(KEY, spec({ extensions: { origin: 'here' } }));
  here.sources.begin();
  await here.settle();
  assert.equal(await here.context.emit(event()), 'accepted');
  assert.deepEqual(here.delivery.accepted.get('broker/default/b')?.[0]?.extensions, { origin: 'here' });
  assert.deepEqual([...here.delivery.streams.keys()], ['broker/default/b'], 'it needs none of its own');
  await here.sources.stop(0);
});

test('what cannot be asked for again is kept in a stream of its own before it goes elsewhere', async () => {
  const here = start('own');
  const sink = { url: 'http://elsewhere/' };
  here.sources.set(KEY, spec({ sink }));
  here.sources.begin();
  await here.settle();
  assert.equal(await here.context.emit(event()), 'accepted');
  assert.equal(here.delivery.accepted.get(KEY)?.length, 1);
  const subscription = here.delivery.subscriptions.get(KEY);
  assert.deepEqual(
    [subscription?.stream, subscription?.subscriber, subscription?.start],
    [KEY, sink, 'earliest'],
  );
  assert.deepEqual(here.delivery.delivered, []);
  here.sources.set(KEY, null);
  assert.equal(here.delivery.streams.size + here.delivery.subscriptions.size, 0);
  await here.sources.stop(0);
});

test('what an earlier life kept is delivered although nothing new comes', async () => {
  const here = start('own', [KEY]);
  here.sources.set(KEY, spec());
  assert.ok(here.delivery.subscriptions.has(KEY));
  await here.sources.stop(0);
});

test('what can be asked for again is delivered by the courier', async () => {
  const here = start('upstream');
  here.sources.set(KEY, spec());
  here.sources.begin();
  await here.settle();
  assert.equal(await here.context.emit(event()), 'delivered');
  assert.equal(here.delivery.delivered.length, 1);
  assert.equal(here.delivery.streams.size, 0);
  here.sources.set(KEY, spec({ sink: { url: 'http://elsewhere/' } }));
  assert.equal(here.delivery.direct.get(KEY), 'http://elsewhere/');
  here.sources.set(KEY, null);
  assert.equal(here.delivery.direct.size, 0);
  await here.sources.stop(0);
});

test('an event that finds no room waits until there is some', async () => {
  const here = start('own');
  let full = true;
  const { accept } = here.delivery.acceptor;
  here.delivery.acceptor.accept = async (key, one) =>
    full ? { accepted: false, status: 507, reason: 'disk_full', message: 'no room' } : accept(key, one);
  here.sources.set(KEY, spec());
  here.sources.begin();
  await here.settle();
  here.context.report({ ready: true, reason: 'Running', message: '' });
  await here.clock.advance(1000);
  let handed: Handed | undefined;
  void here.context.emit(event()).then((how) => {
    handed = how;
  });
  await here.settle();
  assert.equal(handed, undefined);
  assert.deepEqual([here.told.at(-1)?.[1].ready, here.told.at(-1)?.[1].reason], [false, 'NotKept']);
  full = false;
  await here.clock.advance(1000);
  assert.equal(handed, 'accepted');
  await here.clock.advance(1000);
  assert.equal(here.told.at(-1)?.[1].reason, 'Running', 'it goes on as it went before');
  await here.sources.stop(0);
});

test('a module that cannot begin is tried again, and a wrong one is not', async () => {
  const here = start();
  here.failures = 2;
  here.sources.set(KEY, spec());
  here.sources.begin();
  await here.settle();
  assert.deepEqual(
    here.told.map(([key, { reason, message }]) => [key, reason, message]),
    [[KEY, 'StartFailed', 'not yet']],
  );
  await here.clock.advance(10_000);
  assert.deepEqual(here.life, ['start']);

  here.problems = ['Invalid value: must not be'];
  here.sources.set(KEY, spec({ config: { x: 1 } }));
  await here.clock.advance(10_000);
  assert.deepEqual(here.told.at(-1)?.[1], {
    ready: false,
    reason: 'InvalidConfiguration',
    message: 'config.x: Invalid value: must not be',
  });
  here.sources.set(KEY, spec({ type: 'other' }));
  await here.clock.advance(10_000);
  assert.equal(here.told.at(-1)?.[1].reason, 'UnknownType');
  await here.sources.stop(0);
});

test('a source that stops may bring what it has to its end, for a while', async () => {
  const here = start('upstream');
  const go = Promise.withResolvers<'delivered'>();
  here.delivery.courier.deliver = (_key, _target, _terms, _event, signal) =>
    Promise.race([
      go.promise,
      new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    ]);
  here.sources.set(KEY, spec());
  here.sources.begin();
  await here.settle();
  let outcome = '';
  const handed = here.context.emit(event()).then(
    () => {
      outcome = 'delivered';
    },
    () => {
      outcome = 'stopped';
    },
  );
  here.stopping = () => handed;
  const stopped = here.sources.stop(5000);
  await here.settle();
  assert.ok(here.context.signal.aborted);
  assert.equal(outcome, '');
  await here.clock.advance(5000);
  await stopped;
  assert.equal(outcome, 'stopped');
  await assert.rejects(here.context.emit(event()));
});

test('checkpoints belong to the object, not to its name', async () => {
  const here = start();
  here.sources.set(KEY, spec());
  here.sources.begin();
  await here.settle();
  await here.context.saveCheckpoint({ at: 7 });
  assert.deepEqual(here.context.checkpoint(), { at: 7 });
  here.sources.set(KEY, spec({ uid: 'u2' }));
  await here.settle();
  assert.equal(here.contexts.length, 2);
  assert.equal(here.context.checkpoint(), undefined);
  await here.sources.stop(0);
});

test('how it goes is told at most once a second, and lag at once when it appears', async () => {
  const here = start();
  here.sources.set(KEY, spec({ sink: { url: 'http://f/', route: 'default/f' } }));
  here.sources.begin();
  await here.settle();
  const state = (lag: number) => ({ ready: true, reason: 'Running', message: '', lag });
  here.context.report(state(0));
  here.context.report(state(0));
  here.context.report(state(5));
  for (let lag = 6; lag < 50; lag++) here.context.report(state(lag));
  assert.deepEqual(
    here.told.map(([, { lag }]) => lag),
    [0, 5],
  );
  await here.clock.advance(1000);
  assert.deepEqual(
    here.told.map(([, { lag }]) => lag),
    [0, 5, 49],
  );
  assert.deepEqual(here.lags.at(-1), { key: KEY, route: 'default/f', waiting: 49 });
  await here.sources.stop(0);
  assert.deepEqual(
    here.lags.at(-1),
    { key: KEY, route: 'default/f', waiting: 0 },
    'nothing waits for who is gone',
  );
});

test('requests find their source', async () => {
  const here = start();
  here.sources.set(KEY, spec());
  assert.equal(here.sources.requests('default', 's'), undefined, 'it has not begun');
  here.sources.begin();
  await here.settle();
  const take = here.sources.requests('default', 's');
  const asked = { method: 'POST', path: '/x', headers: [], body: Buffer.alloc(0) };
  assert.deepEqual(await take?.(asked), { status: 200, body: '/x' });
  assert.equal(here.sources.requests('other', 's'), undefined);
  await here.sources.stop(0);
});
