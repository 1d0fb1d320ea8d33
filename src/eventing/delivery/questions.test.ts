import assert from 'node:assert/strict';
import test from 'node:test';
import { newEvent } from '../../cloudevents/event.ts';
import type { DeliveryTerms } from '../model.ts';
import {
  createWorld,
  streamSpec,
  TERMS,
  trigger,
  type World,
  type WorldOptions,
} from '../testing/delivery-world.ts';
import { headOf } from './questions.ts';

const BROKER = 'broker/ns/b';

async function started(
  options: WorldOptions,
  ...names: (string | ReturnType<typeof trigger>)[]
): Promise<World> {
  const world = createWorld(options);
  world.delivery.setStream(BROKER, streamSpec(BROKER));
  for (const one of names) {
    const spec = typeof one === 'string' ? trigger(one) : one;
    world.delivery.setSubscription(spec.key, spec);
  }
  await world.delivery.complete();
  await world.clock.advance(0);
  return world;
}

const steps = (path: { steps: { subscription: string; what: string }[] } | undefined, name: string) =>
  path?.steps.filter(({ subscription }) => subscription === `trigger/ns/${name}`).map(({ what }) => what);

test('the path of an event: accepted, matched, retried, delivered, replied, dead, with times', async () => {
  let first = true;
  const world = await started(
    {
      react: ({ path }) => {
        if (path === '/dead') return { status: 400, body: 'no' };
        if (path !== '/a' || !first) return 202;
        first = false;
        return 503;
      },
    },
    'a',
    'dead',
    trigger('other', { filters: [{ exact: { type: 'x' } }] }),
  );
  const at = world.clock.now();
  await world.accept(BROKER, { id: 'e', data: { n: 1 } }, { id: 'f' });
  await world.clock.advance(10_000);
  const { history } = world.delivery.answers;
  const [path, ...rest] = await history({ id: 'e', limit: 5 });
  assert.deepEqual(rest, []);
  assert.equal(path?.acceptedAt, at);
  assert.equal(path?.event.attributes.id, 'e');
  assert.equal(path?.event.data, '{"n":1}');
  assert.deepEqual(steps(path, 'a'), ['matched', 'retried', 'delivered']);
  assert.deepEqual(steps(path, 'dead'), ['matched', 'dead']);
  assert.deepEqual(steps(path, 'other'), ['filtered']);
  const delivered = path?.steps.find(({ what }) => what === 'delivered');
  assert.deepEqual(delivered, {
    at: at + 200,
    subscription: 'trigger/ns/a',
    what: 'delivered',
    status: 202,
    attempt: 2,
  });
  assert.deepEqual(
    (await history({ limit: 1 })).map(({ offset }) => offset),
    [1],
  );
  assert.deepEqual(await history({ limit: 5, type: 'none' }), []);
  assert.deepEqual(await history({ limit: 5, since: at + 1 }), []);
  await assert.rejects(history({ stream: 'broker/ns/none', limit: 1 }), { code: 'NotFound' });
});

test('of a path only what lasts is known after a restart', async () => {
  const world = await started({ react: ({ path }) => (path === '/dead' ? 400 : 202) }, 'a', 'dead');
  await world.accept(BROKER, { id: 'e' });
  await world.clock.advance(10_000);
  await world.delivery.drain(0);
  const next = await started({ disk: world.disk, clock: world.clock }, 'a', 'dead');
  const [path] = await next.delivery.answers.history({ limit: 1 });
  assert.deepEqual(steps(path, 'a'), ['matched', 'delivered']);
  assert.deepEqual(steps(path, 'dead'), ['matched', 'dead']);
});

test('a path says nothing of subscriptions that began after the event, even after a restart', async () => {
  const world = await started({}, 'a');
  await world.accept(BROKER, { id: 'e' });
  world.delivery.setSubscription('trigger/ns/late', trigger('late'));
  await world.clock.advance(1000);
  await world.delivery.drain(0);
  const next = await started({ disk: world.disk, clock: world.clock }, 'a', 'late');
  await next.accept(BROKER, { id: 'f' });
  await next.clock.advance(100);
  const [e, f] = await next.delivery.answers.history({ limit: 2 });
  assert.deepEqual([steps(e, 'late'), steps(f, 'late')], [[], ['matched', 'delivered']]);
});

test('dead letters are listed, delivered again, and thrown away', async () => {
  let down = true;
  const world = await started(
    { react: () => (down ? { status: 400, body: 'no such order' } : 202) },
    'a',
    'b',
  );
  await world.accept(BROKER, { id: 'x' }, { id: 'y' });
  await world.clock.advance(1000);
  const { dead, redrive, purge } = world.delivery.answers;
  const all = await dead({ limit: 10 });
  assert.equal(all.length, 4);
  assert.equal(all[0]?.status, 400);
  assert.match(all[0]!.reason, /no such order/);
  assert.deepEqual(all[0]?.event.attributes.source, '/s');
  const ofA = await dead({ subscription: 'trigger/ns/a', limit: 10 });
  assert.deepEqual(
    ofA.map(({ event }) => event.attributes.id),
    ['x', 'y'],
  );
  assert.deepEqual((await dead({ limit: 10, after: ofA[0]!.id })).length, 3);
  assert.deepEqual(await dead({ namespace: 'other', limit: 10 }), []);
  down = false;
  const before = world.received.length;
  assert.equal(await redrive({ ids: [ofA[0]!.id] }), 1);
  await world.clock.advance(1000);
  assert.deepEqual(
    world.received.slice(before).map(({ path, events }) => path + events[0]?.id),
    ['/ax'],
  );
  assert.equal(await redrive({ subscription: 'trigger/ns/a' }), 1);
  assert.equal(await purge({ namespace: 'ns' }), 2);
  await world.clock.advance(1000);
  assert.equal(world.disk.dead.size, 0);
  assert.equal(world.disk.parked.size, 0);
  assert.equal(world.received.length, before + 2);
});

test('what is delivered again and fails again is dead again, and a crash in between loses nothing', async () => {
  const world = await started({ react: () => 400 }, 'a');
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(1000);
  assert.equal(await world.delivery.answers.redrive({}), 1);
  await world.clock.advance(1000);
  assert.equal(world.disk.dead.size, 1);
  world.delivery.setSubscription('trigger/ns/a', trigger('a', { paused: true }));
  assert.equal(await world.delivery.answers.redrive({}), 1);
  world.faults.crashed = true;
  const next = await started({ disk: world.disk, clock: world.clock }, 'a');
  await next.clock.advance(1000);
  assert.deepEqual(next.ids('/a'), ['x']);
});

test('dead letters of a subscription that is gone stay', async () => {
  const world = await started({ react: () => 400 }, 'a');
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(1000);
  world.delivery.setSubscription('trigger/ns/a', null);
  assert.equal(await world.delivery.answers.redrive({}), 0);
  assert.equal((await world.delivery.answers.dead({ limit: 1 })).length, 1);
});

test('stored events are delivered once more, to one subscription or all, whatever the position says', async () => {
  const world = await started({}, 'a', trigger('b', { filters: [{ exact: { type: 'x' } }] }));
  for (let i = 0; i < 300; i++) await world.accept(BROKER, { id: `e${i}`, type: i % 3 === 0 ? 'x' : 't' });
  await world.clock.advance(5000);
  const noon = world.clock.now();
  await world.accept(BROKER, { id: 'late', type: 'x' });
  await world.clock.advance(5000);
  const before = { a: world.ids('/a').length, b: world.ids('/b').length };
  assert.deepEqual(before, { a: 301, b: 101 });
  const { replay } = world.delivery.answers;
  assert.equal(await replay({ stream: BROKER, since: noon }), 2);
  assert.equal(await replay({ stream: BROKER, subscription: 'trigger/ns/b', until: noon }), 100);
  assert.equal(await replay({ stream: BROKER, subscription: 'trigger/ns/a', id: 'e7' }), 1);
  await assert.rejects(replay({ stream: BROKER, subscription: 'trigger/ns/none' }), { code: 'NotFound' });
  await world.clock.advance(60_000);
  assert.deepEqual(world.ids('/a').slice(before.a), ['late', 'e7']);
  assert.equal(world.ids('/b').length, before.b + 101);
  await world.delivery.drain(0);
  assert.equal(world.disk.positions.get('uid-a')?.low, 301);
});

test('counts of streams and subscriptions', async () => {
  const world = await started({}, 'a');
  const at = world.clock.now();
  await world.accept(BROKER, { id: 'x' }, { id: 'y', extensions: { knativebrokerttl: 0 } });
  await world.clock.advance(1000);
  const { streams, subscriptions } = world.delivery.answers;
  assert.equal(world.delivery.refused(BROKER, 'not_an_event'), true);
  assert.equal(world.delivery.refused('broker/ns/none', 'not_an_event'), false);
  const { [BROKER]: stream } = await streams({ namespace: 'ns' });
  assert.deepEqual(
    { ...stream, bytes: 0 },
    { events: 1, bytes: 0, oldest: at, accepted: 1, refused: 2, refusals: { loop: 1, not_an_event: 1 } },
  );
  assert.deepEqual(await streams({ namespace: 'other' }), {});
  assert.equal((await subscriptions({}))['trigger/ns/a']?.delivered, 1);
  assert.deepEqual(await subscriptions({ namespace: 'other' }), {});
});

test('data is shown as text where it is text, and only so much of it', () => {
  const shown = (data: Buffer) => headOf(newEvent({ type: 't', source: '/', data }, 0, () => '1'));
  assert.equal(shown(Buffer.from('grün')).data, 'grün');
  assert.deepEqual([shown(Buffer.of(0xff, 0)).data, shown(Buffer.of(0xff, 0)).base64], ['/wA=', true]);
  const long = shown(Buffer.from(`a${'ü'.repeat(60_000)}`));
  assert.equal(long.base64, undefined);
  assert.equal(long.bytes, 120_001);
  assert.ok(long.data!.endsWith('ü') && Buffer.byteLength(long.data!) <= 65_536);
});

const deliver = (world: World, terms: Partial<DeliveryTerms>, signal = new AbortController().signal) => {
  const event = newEvent({ id: 'k', type: 't', source: '/kafka' }, world.clock.now(), () => 'k');
  return world.delivery.courier.deliver(
    'kafkasource/ns/k',
    { url: 'http://sink/k' },
    { ...TERMS, ...terms },
    event,
    signal,
  );
};

test('for a source that keeps its events: delivered after retries, or dead by the same rules', async () => {
  let failures = 2;
  const world = await started({ react: () => (failures-- > 0 ? 503 : 202) });
  const done = deliver(world, { retry: 2, backoffDelayMs: 60_000 });
  await world.clock.advance(200_000);
  assert.equal(await done, 'delivered');
  assert.deepEqual(world.ids('/k'), ['k', 'k', 'k']);
  assert.equal(world.disk.parked.size, 0);

  failures = 99;
  const dead = deliver(world, { retry: 1 });
  await world.clock.advance(1000);
  assert.equal(await dead, 'dead');
  const [letter] = await world.delivery.answers.dead({ limit: 1 });
  assert.equal(letter?.subscription, 'kafkasource/ns/k');
  failures = 0;
  assert.equal(await world.delivery.answers.redrive({ subscription: 'kafkasource/ns/k' }), 1);
  await world.clock.advance(1000);
  assert.equal(world.disk.dead.size + world.disk.parked.size, 0);
});

test('for a source with a dead letter sink, the event goes there', async () => {
  const world = await started({ react: ({ path }) => (path === '/dls' ? 202 : 500) });
  const dead = deliver(world, { retry: 1, deadLetter: { url: 'http://sink/dls' } });
  await world.clock.advance(1000);
  assert.equal(await dead, 'dead');
  assert.equal(world.received.at(-1)?.headers['ce-knativeerrorcode'], '500');
  assert.equal(world.disk.dead.size, 0);
});

test('a source that stops in the middle of an attempt does not hear that it succeeded', async () => {
  const world = await started({ react: () => new Promise(() => {}) });
  const abort = new AbortController();
  const sent = deliver(world, {}, abort.signal);
  await world.clock.advance(10);
  abort.abort();
  await assert.rejects(sent, { name: 'AbortError' });
});

test('a source that stops is not kept waiting', async () => {
  const world = await started({ react: () => 503 });
  const abort = new AbortController();
  const sent = deliver(world, { backoffDelayMs: 60_000 }, abort.signal);
  await world.clock.advance(1000);
  abort.abort();
  await assert.rejects(sent, { name: 'AbortError' });
  assert.equal(world.clock.pending(), 0);
});
