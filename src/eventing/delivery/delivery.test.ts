import assert from 'node:assert/strict';
import test from 'node:test';
import { newEvent } from '../../cloudevents/event.ts';
import { toHttp } from '../../cloudevents/http.ts';
import { decodeRecord } from '../../cloudevents/record.ts';
import type { SubscriptionSpec } from '../model.ts';
import {
  BASE,
  createWorld,
  type Reaction,
  streamSpec,
  trigger,
  type World,
  type WorldOptions,
} from '../testing/delivery-world.ts';

const BROKER = 'broker/ns/b';
const LONG = 86_400_000;

/** A world with a broker and these subscriptions, delivering. */
async function started(options: WorldOptions, ...specs: SubscriptionSpec[]): Promise<World> {
  const world = createWorld(options);
  world.delivery.setStream(BROKER, streamSpec(BROKER));
  for (const spec of specs) world.delivery.setSubscription(spec.key, spec);
  await world.delivery.complete();
  return world;
}

const position = (world: World, name: string) => world.disk.positions.get(`uid-${name}`);
const numbered = (count: number, over = {}) =>
  Array.from({ length: count }, (_, i) => ({ id: `e${i}`, ...over }));
/** Promises that a test keeps. */
function gate(): { open: (reaction: Reaction) => void; wait: Promise<Reaction> } {
  const { promise, resolve } = Promise.withResolvers<Reaction>();
  return { open: resolve, wait: promise };
}

test('each event goes to the subscriptions that it matches, and positions follow', async () => {
  const world = await started(
    {},
    trigger('all'),
    trigger('orders', { filters: [{ exact: { type: 'order' } }] }),
    trigger('legacy', { attributes: { type: 'order', source: '' } }),
  );
  const answers = await world.accept(BROKER, { id: 'a', type: 'order' }, { id: 'b', type: 'other' });
  assert.deepEqual(answers, [
    { accepted: true, offset: 0 },
    { accepted: true, offset: 1 },
  ]);
  await world.clock.advance(60_000);
  assert.deepEqual(world.ids('/all'), ['a', 'b']);
  assert.deepEqual(world.ids('/orders'), ['a']);
  assert.deepEqual(world.ids('/legacy'), ['a']);
  const [first] = world.received;
  assert.equal(first?.headers.prefer, 'reply');
  assert.equal(first?.headers['ce-id'], 'a');
  assert.equal(first?.headers['kn-namespace'], 'ns');
  await world.delivery.drain(1000);
  for (const name of ['all', 'orders', 'legacy']) assert.equal(position(world, name)?.low, 2);
  assert.equal(world.log.opened.get(BROKER)?.needed, 2);
});

test('idle, there is no timer', async () => {
  const world = await started({}, trigger('a', { filters: [{ exact: { type: 'nothing' } }] }), trigger('b'));
  await world.clock.advance(60_000);
  assert.equal(world.clock.pending(), 0);
  await world.accept(BROKER, ...numbered(10));
  await world.clock.advance(60_000);
  assert.equal(world.ids('/b').length, 10);
  assert.equal(world.clock.pending(), 0);
});

test('retries are at the times of upstream, then the event is dead with its original bytes', async () => {
  for (const [policy, times] of [
    ['exponential', [0, 200, 600, 1400]],
    ['linear', [0, 0, 200, 600]],
  ] as const) {
    const world = await started({ react: () => 503 }, trigger('a', { terms: { backoffPolicy: policy } }));
    const since = world.clock.now();
    await world.accept(BROKER, { id: 'x', data: { a: 1 } });
    await world.clock.advance(LONG);
    assert.deepEqual(
      world.received.map(({ at }) => at - since),
      times,
    );
    const [letter] = world.disk.dead.values();
    assert.equal(decodeRecord(letter!.record).data?.toString(), '{"a":1}');
    assert.equal(letter?.attempts, 4);
    assert.equal(letter?.status, 503);
    assert.match(letter!.reason, /given up after 4 attempts; it answered 503/);
    assert.equal(position(world, 'a')?.low, 1);
    assert.equal(world.clock.pending(), 0);
  }
});

test('what is of no use is not tried again', async () => {
  const world = await started({ react: () => 400 }, trigger('a'));
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(LONG);
  assert.equal(world.received.length, 1);
  assert.equal(world.disk.dead.size, 1);
});

test('a late retry waits in the state: the position moves on, and a crash does not forget it', async () => {
  let down = true;
  const react = () => (down ? 500 : 202);
  const terms = { retry: 5, backoffDelayMs: 60_000 };
  const world = await started({ react }, trigger('a', { terms }));
  await world.accept(BROKER, ...numbered(3));
  await world.clock.advance(10_000);
  assert.equal(world.disk.parked.size, 3);
  assert.deepEqual(position(world, 'a')?.low, 3);
  assert.equal([...world.disk.parked.values()][0]?.attempts, 1);
  // The second attempt fails, too; its time is from then on.
  await world.clock.advance(60_000);
  assert.equal(world.received.length, 6);
  world.faults.crashed = true;
  down = false;
  const next = await started({ react, disk: world.disk, clock: world.clock }, trigger('a', { terms }));
  await world.clock.advance(119_000 - 10_000);
  assert.equal(next.received.length, 0);
  await world.clock.advance(20_000);
  assert.deepEqual(next.ids('/a').sort(), ['e0', 'e1', 'e2']);
  assert.equal(next.disk.parked.size, 0);
  assert.equal(next.disk.dead.size, 0);
});

test('the dead letter sink gets the event with the reason, by the same terms, and nobody asks it for a reply', async () => {
  let refused = 2;
  const react: WorldOptions['react'] = ({ path }) => {
    if (path === '/dls') return refused-- > 0 ? 503 : 202;
    return { status: 500, body: 'oh no' };
  };
  const world = await started(
    { react },
    trigger('a', { terms: { retry: 2, deadLetter: { url: 'http://sink/dls' } } }),
  );
  await world.accept(BROKER, { id: 'x', data: 'text', datacontenttype: 'text/plain' });
  await world.clock.advance(LONG);
  assert.equal(world.ids('/a').length, 3);
  const letters = world.received.filter(({ path }) => path === '/dls');
  assert.deepEqual(
    letters.map(({ at }) => at - letters[0]!.at),
    [0, 200, 600],
  );
  const { headers, events } = letters[2]!;
  assert.equal(headers['ce-knativeerrordest'], 'http://sink/a');
  assert.equal(headers['ce-knativeerrorcode'], '500');
  assert.equal(Buffer.from(headers['ce-knativeerrordata']!, 'base64').toString(), 'oh no');
  assert.equal(headers.prefer, undefined);
  assert.equal(headers['kn-namespace'], 'ns');
  assert.equal(events[0]?.data?.toString(), 'text');
  assert.equal(world.disk.dead.size, 0);
  assert.equal(world.states.get('trigger/ns/a')?.at(-1)?.dead, 1);
});

test('when its sink does not take it either, a dead letter is kept', async () => {
  const world = await started(
    { react: ({ path }) => (path === '/dls' ? { failure: 'connect', message: 'ECONNREFUSED' } : 500) },
    trigger('a', { terms: { retry: 1, backoffDelayMs: 10_000, deadLetter: { url: 'http://sink/dls' } } }),
  );
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(LONG);
  const [letter] = world.disk.dead.values();
  assert.equal(letter?.status, 500);
  assert.match(letter!.reason, /it answered 500; its dead letter sink: .*ECONNREFUSED/);
  assert.equal(world.disk.parked.size, 0);
  assert.equal(world.clock.pending(), 0);
});

test('answers that are events go to the reply target; a loop of replies comes to its end as a dead letter', async () => {
  const reply = toHttp(newEvent({ id: 'r', type: 't', source: '/loop' }, 0, () => 'r'));
  const world = await started(
    { react: () => ({ status: 200, headers: reply.headers }) },
    trigger('a', { reply: { url: `${BASE}/${BROKER}` } }),
  );
  await world.accept(BROKER, { id: 'first' });
  await world.clock.advance(LONG);
  // 255 at first, one less with each reply: the last reply is refused.
  assert.equal(world.received.length, 255);
  const [letter] = world.disk.dead.values();
  assert.match(letter!.reason, /the reply was not taken: .*knativebrokerttl/);
  for (const { headers } of world.received) assert.equal(headers['ce-knativebrokerttl'], undefined);
});

test('where any answer will do, one that is no event is dropped', async () => {
  const react = () => ({ status: 200, body: 'done' });
  const subscriber = { url: 'http://sink/a', anyAnswer: true as const };
  const world = await started({ react }, trigger('a', { subscriber }), trigger('strict'));
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(LONG);
  assert.equal(world.ids('/a').length, 1);
  assert.equal(world.ids('/strict').length, 4);
});

test('answers of a subscriber that is listened to go on as they are, or as the data of an event; none is lost', async () => {
  let failures = 1;
  const react = ({ path }: { path: string }) => {
    if (path === '/out') return failures-- > 0 ? 503 : 202;
    return { status: 200, headers: ['content-type', 'application/json'], body: '{"ok":true}' };
  };
  const answers = { to: { url: 'http://sink/out' }, source: '/asked' };
  const subscriber = { url: 'http://sink/a', anyAnswer: true as const, answers };
  const world = await started({ react }, trigger('a', { subscriber }));
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(LONG);
  assert.deepEqual(
    world.received.map(({ path }) => path),
    ['/a', '/out', '/out'],
    'who has answered is not asked again',
  );
  const [event] = world.received.at(-1)!.events;
  assert.deepEqual(
    [event?.id, event?.source, event?.type, event?.datacontenttype, event?.data?.toString()],
    ['x', '/asked', 'dev.petrel.source.answer', 'application/json', '{"ok":true}'],
  );
});

test('an address that cannot be asked is one that does not answer', async () => {
  const dls = { url: 'http://sink/dls' };
  const world = await started(
    {},
    trigger('a', { subscriber: { url: 'bad://uri' }, terms: { deadLetter: dls } }),
  );
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(1000);
  assert.deepEqual(world.ids('/dls'), []);
  await world.clock.advance(1000);
  assert.deepEqual(world.ids('/dls'), ['x']);
  assert.equal(world.received[0]?.headers['ce-knativeerrordest'], 'bad://uri');
});

/** A subscriber that answers with an event after so many failures, and a reply target that fails as often as it is told to. */
function answering(failures: { subscriber: number; reply: number }): WorldOptions['react'] {
  const answer = toHttp(newEvent({ id: 'r', type: 't', source: '/s' }, 0, () => 'r'));
  return ({ path }) => {
    if (path === '/reply') return failures.reply-- > 0 ? 507 : 202;
    if (path === '/dls') return 202;
    return failures.subscriber-- > 0 ? 500 : { status: 200, headers: answer.headers };
  };
}
const TO_REPLY = { reply: { url: 'http://other/reply' } };

test('a reply that is not taken has attempts of its own, and nobody else is asked again', async () => {
  const world = await started(
    { react: answering({ subscriber: 2, reply: 2 }) },
    trigger('a', { ...TO_REPLY, terms: { retry: 2 } }),
  );
  const since = world.clock.now();
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(LONG);
  assert.deepEqual(
    world.received.map(({ path, at }) => `${path} ${at - since}`),
    ['/a 0', '/a 200', '/a 600', '/reply 600', '/reply 800', '/reply 1200'],
  );
  assert.equal(world.disk.dead.size, 0);
  assert.equal(position(world, 'a')?.low, 1);
});

test('a reply that nobody takes makes a dead letter of the event, with its address', async () => {
  const terms = { retry: 1, backoffDelayMs: 60_000, deadLetter: { url: 'http://sink/dls' } };
  const world = await started(
    { react: answering({ subscriber: 1, reply: 9 }) },
    trigger('a', { ...TO_REPLY, terms }),
  );
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(LONG);
  assert.deepEqual(
    world.received.map(({ path }) => path),
    ['/a', '/a', '/reply', '/reply', '/dls'],
  );
  const letter = world.received.at(-1)!;
  assert.equal(letter.events[0]?.id, 'x');
  assert.equal(letter.headers['ce-knativeerrordest'], 'http://other/reply');
  assert.equal(letter.headers['ce-knativeerrorcode'], '507');
  assert.equal(world.disk.parked.size, 0);
});

test('a crash while a reply waits repeats the delivery', async () => {
  const react = answering({ subscriber: 0, reply: 1 });
  const spec = trigger('a', { ...TO_REPLY, terms: { backoffDelayMs: 60_000 } });
  const world = await started({ react }, spec);
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(1000);
  world.faults.crashed = true;
  const next = await started({ react, disk: world.disk, clock: world.clock }, spec);
  await next.clock.advance(1000);
  assert.deepEqual(next.ids('/reply'), ['r']);
});

test('of a batch, replies that are not taken repeat all of it', async () => {
  const world = await started(
    { react: answering({ subscriber: 0, reply: 1 }) },
    trigger('a', { ...TO_REPLY, batch: { size: 2, waitMs: 10 } }),
  );
  await world.accept(BROKER, ...numbered(2));
  await world.clock.advance(10_000);
  assert.deepEqual(
    world.received.map(({ path, events }) => `${path} ${events.length}`),
    ['/a 2', '/reply 1', '/a 2', '/reply 1'],
  );
});

test('a subscription without a subscriber passes the event itself on', async () => {
  const world = await started(
    {},
    trigger('a', { subscriber: undefined, reply: { url: 'http://other/next' } }),
  );
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(1000);
  assert.deepEqual(world.ids('/next'), ['x']);
});

test('events of one order go one after the other, whatever fails; others pass them', async () => {
  let failing = true;
  const world = await started(
    { react: ({ events }) => (failing && events[0]?.subject === 'slow' ? 503 : 202) },
    trigger('a', { orderedBy: 'subject', terms: { retry: 10, backoffDelayMs: 10_000 } }),
  );
  await world.accept(
    BROKER,
    { id: 's1', subject: 'slow' },
    { id: 'q1', subject: 'quick' },
    { id: 's2', subject: 'slow' },
    { id: 'q2', subject: 'quick' },
    { id: 's3', subject: 'slow' },
    { id: 'none' },
  );
  await world.clock.advance(15_000);
  assert.deepEqual(world.ids('/a'), ['s1', 'q1', 'q2', 'none', 's1']);
  assert.equal(world.disk.parked.size, 0);
  assert.equal(position(world, 'a')?.low, 0);
  failing = false;
  await world.clock.advance(LONG);
  assert.deepEqual(world.ids('/a').slice(5), ['s1', 's2', 's3']);
  assert.equal(position(world, 'a')?.low, 6);
});

test('all in one order: the next begins when the one before is over', async () => {
  let busy = 0;
  let most = 0;
  const world = await started(
    {
      react: async () => {
        most = Math.max(most, ++busy);
        await new Promise((resolve) => setImmediate(resolve));
        busy--;
        return 202;
      },
    },
    trigger('a', { orderedBy: '' }),
  );
  await world.accept(BROKER, ...numbered(50));
  await world.clock.advance(10_000);
  assert.deepEqual(
    world.ids('/a'),
    numbered(50).map(({ id }) => id),
  );
  assert.equal(most, 1);
});

test('batches have up to their size, wait for more, and only what failed is tried again', async () => {
  const failed = new Set(['e2', 'e6']);
  const world = await started(
    {
      react: ({ events }) => {
        const bad = events.filter(({ id }) => failed.delete(id)).map(({ id }) => ({ itemIdentifier: id }));
        return bad.length === 0 ? 202 : { status: 200, body: JSON.stringify({ batchItemFailures: bad }) };
      },
    },
    trigger('a', { batch: { size: 4, waitMs: 500 } }),
  );
  const since = world.clock.now();
  await world.accept(BROKER, ...numbered(7));
  await world.clock.advance(LONG);
  assert.deepEqual(
    world.received.map(({ at, events }) => [at - since, events.map(({ id }) => id).join()]),
    [
      [0, 'e0,e1,e2,e3'],
      // The one that failed is enough for the next to be full.
      [200, 'e4,e5,e6,e2'],
      [900, 'e6'],
    ],
  );
  assert.equal(position(world, 'a')?.low, 7);
});

test('a batch in one order takes what stands behind with it', async () => {
  const world = await started({}, trigger('a', { orderedBy: 'subject', batch: { size: 3, waitMs: 100 } }));
  await world.accept(BROKER, ...numbered(5, { subject: 's' }));
  await world.clock.advance(1000);
  assert.deepEqual(
    world.received.map(({ events }) => events.map(({ id }) => id).join()),
    ['e0,e1,e2', 'e3,e4'],
  );
});

test('a batch that can get no larger, since there is no room for more, does not wait', async () => {
  const world = await started({}, trigger('a', { batch: { size: 1000, waitMs: 3_600_000 } }));
  const data = 'x'.repeat(10_000);
  for (let i = 0; i < 3; i++)
    await world.accept(BROKER, ...numbered(100).map(({ id }) => ({ id: `${i}-${id}`, data })));
  await world.clock.advance(1000);
  const sizes = world.received.map(({ events }) => events.length);
  assert.ok(sizes.length >= 2 && Math.min(...sizes) > 50, String(sizes));
  await world.clock.advance(3_600_000);
  assert.equal(new Set(world.ids('/a')).size, 300);
});

test('what cannot be read is a dead letter, at the head and behind it', async () => {
  for (const paused of [false, true]) {
    const world = await started({}, trigger('a', { paused }));
    const stream = world.log.opened.get(BROKER)!;
    await world.accept(BROKER, { id: 'before' });
    await stream.append(Buffer.of(0x0f, 1, 2, 3), world.clock.now());
    await world.accept(BROKER, { id: 'after' });
    await world.clock.advance(100);
    world.delivery.setSubscription('trigger/ns/a', trigger('a'));
    await world.clock.advance(10_000);
    assert.deepEqual(world.ids('/a'), ['before', 'after']);
    const [letter, ...rest] = world.disk.dead.values();
    assert.deepEqual([letter?.offset, [...letter!.record], rest.length], [1, [0x0f, 1, 2, 3], 0]);
    assert.match(letter!.reason, /cannot be read/);
    assert.equal(position(world, 'a')?.low, 3);
  }
});

test('a broker that is the dead letter sink of its own trigger does not go round for ever', async () => {
  const world = await started(
    { react: () => 400 },
    trigger('a', { terms: { deadLetter: { url: `${BASE}/${BROKER}` } } }),
  );
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(LONG);
  assert.equal(world.received.length, 255);
  assert.equal(world.disk.dead.size, 1);
});

test('a sink that hangs holds up nobody else, and what waits for it is bounded', async () => {
  const hanging = gate();
  const world = await started(
    { react: ({ path }) => (path === '/hangs' ? hanging.wait : 202) },
    trigger('hangs', { concurrency: 5 }),
    trigger('fine'),
  );
  for (let i = 0; i < 30; i++)
    await world.accept(BROKER, ...numbered(100).map(({ id }) => ({ id: `${i}-${id}` })));
  await world.clock.advance(1000);
  assert.equal(world.ids('/fine').length, 3000);
  assert.equal(world.ids('/hangs').length, 5);
  const { waiting } = (await world.delivery.answers.subscriptions({}))['trigger/ns/hangs']!;
  assert.equal(waiting, 3000);
  assert.equal(world.log.opened.get(BROKER)?.needed, 0);
  hanging.open(202);
  await world.clock.advance(60_000);
  assert.equal(new Set(world.ids('/hangs')).size, 3000);
  assert.equal(world.ids('/hangs').length, 3000);
  assert.equal(position(world, 'hangs')?.low, 3000);
});

test('paused, everything is kept and nothing delivered; resumed, all of it comes', async () => {
  const world = await started({}, trigger('a', { paused: true }));
  await world.accept(BROKER, ...numbered(200));
  await world.clock.advance(LONG);
  assert.equal(world.received.length, 0);
  assert.equal(world.clock.pending(), 0);
  world.delivery.setSubscription('trigger/ns/a', trigger('a'));
  await world.clock.advance(1000);
  assert.equal(world.ids('/a').length, 200);
  world.delivery.setSubscription('trigger/ns/a', trigger('a', { paused: true }));
  await world.accept(BROKER, { id: 'later' });
  await world.clock.advance(LONG);
  assert.equal(world.ids('/a').length, 200);
  world.delivery.setSubscription('trigger/ns/a', trigger('a'));
  await world.clock.advance(1000);
  assert.equal(world.ids('/a').at(-1), 'later');
});

test('a subscription begins where it says, once: later starts go on', async () => {
  const world = await started({});
  await world.accept(BROKER, { id: 'a' });
  await world.clock.advance(5000);
  await world.accept(BROKER, { id: 'b' });
  const noon = world.clock.now();
  await world.clock.advance(5000);
  await world.accept(BROKER, { id: 'c' });
  const specs = [trigger('new'), trigger('old', { start: 'earliest' }), trigger('noon', { start: noon })];
  for (const spec of specs) world.delivery.setSubscription(spec.key, spec);
  await world.clock.advance(100);
  await world.accept(BROKER, { id: 'd' });
  await world.clock.advance(10_000);
  assert.deepEqual(world.ids('/new'), ['d']);
  assert.deepEqual(world.ids('/old'), ['a', 'b', 'c', 'd']);
  assert.deepEqual(world.ids('/noon'), ['b', 'c', 'd']);
  await world.delivery.drain(1000);
  const next = createWorld({ disk: world.disk, clock: world.clock });
  next.delivery.setStream(BROKER, streamSpec(BROKER));
  await next.clock.advance(10);
  // Accepted before the controllers have set anything: it is nobody's fault.
  await next.accept(BROKER, { id: 'e' });
  for (const spec of specs) next.delivery.setSubscription(spec.key, spec);
  await next.delivery.complete();
  await next.clock.advance(1000);
  for (const path of ['/new', '/old', '/noon']) assert.deepEqual(next.ids(path), ['e']);
});

test('a crash before a new subscription has moved loses nothing of what came since', async () => {
  const world = await started({}, trigger('a', { paused: true }));
  await world.clock.advance(10);
  await world.accept(BROKER, { id: 'x' });
  world.faults.crashed = true;
  const next = await started({ disk: world.disk, clock: world.clock }, trigger('a'));
  await next.clock.advance(1000);
  assert.deepEqual(next.ids('/a'), ['x']);
});

test('draining lets what is under way end, begins nothing, and writes positions', async () => {
  const slow = gate();
  const world = await started({ react: () => slow.wait }, trigger('a', { concurrency: 2 }));
  await world.accept(BROKER, ...numbered(4));
  await world.clock.advance(10);
  const drained = world.delivery.drain(5000);
  slow.open(202);
  await drained;
  assert.equal(world.received.length, 2);
  assert.deepEqual(position(world, 'a')?.low, 2);
  assert.equal(world.clock.pending(), 0);
});

test('draining has an end when a sink has none', async () => {
  const world = await started({ react: () => new Promise(() => {}) }, trigger('a'));
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(10);
  const drained = world.delivery.drain(3000);
  await world.clock.advance(3000);
  await drained;
  assert.equal(position(world, 'a')?.low, 0);
});

test('a full disk: deaths and late retries wait until they can be written', async () => {
  const world = await started({ react: () => 400 }, trigger('a'));
  await world.accept(BROKER, { id: 'x' });
  world.faults.full = true;
  await world.clock.advance(10_000);
  assert.equal(world.disk.dead.size, 0);
  assert.equal(world.received.length, 1);
  const [refused] = await world.accept(BROKER, { id: 'y' });
  assert.ok(refused?.accepted === false && refused.status === 507);
  world.faults.full = false;
  await world.clock.advance(10_000);
  assert.equal(world.disk.dead.size, 1);
  assert.equal(world.received.length, 1);
  const { streams } = world.delivery.answers;
  assert.deepEqual((await streams({}))[BROKER]?.refused, 1);
});

test('the platform not being there is no attempt', async () => {
  let up = false;
  const world = await started(
    { react: () => (up ? 202 : { failure: 'connect', message: 'ECONNREFUSED' }) },
    trigger('a', { terms: { retry: 0 }, subscriber: { url: 'http://fn.ns.svc.cluster.local/x' } }),
  );
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(30_000);
  up = true;
  await world.clock.advance(5000);
  assert.equal(world.disk.dead.size, 0);
  assert.equal(position(world, 'a')?.low, 1);
});

test('an answer of an address of ours comes without HTTP', async () => {
  const seen: string[] = [];
  const world = await started(
    {
      local: (key) =>
        key === 'transform/ns/x'
          ? async (event) => {
              seen.push(event.id);
              return { accepted: true, reply: { ...event, id: `${event.id}-x` } };
            }
          : undefined,
    },
    trigger('a', { subscriber: { url: `${BASE}/transform/ns/x` }, reply: { url: 'http://other/next' } }),
    trigger('b', { subscriber: { url: 'http://c-kn-channel.ns.svc.cluster.local/' } }),
  );
  world.delivery.setStream('channel/ns/c', streamSpec('channel/ns/c'));
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(1000);
  assert.deepEqual(seen, ['x']);
  assert.deepEqual(world.ids('/next'), ['x-x']);
  assert.equal(world.received.length, 1);
  assert.equal((await world.delivery.answers.streams({}))['channel/ns/c']?.accepted, 1);
});

test('what is refused at the door: nothing there, too large, gone round too often', async () => {
  const world = await started({});
  world.delivery.setStream(BROKER, streamSpec(BROKER, { maxEventBytes: 200 }));
  const status = async (key: string, fields: object) => {
    const [answer] = await world.accept(key, fields);
    return answer?.accepted === false ? answer.status : answer;
  };
  assert.equal(await status('broker/ns/none', {}), 404);
  assert.equal(await status(BROKER, { data: 'x'.repeat(200) }), 413);
  assert.equal(await status(BROKER, { extensions: { knativebrokerttl: 0 } }), 400);
  assert.equal(await status(BROKER, { extensions: { knativebrokerttl: 'soon' } }), 400);
  assert.deepEqual(await status(BROKER, { extensions: { knativebrokerttl: '3' } }), {
    accepted: true,
    offset: 0,
  });
});

test('an event that comes again is accepted and not delivered again', async () => {
  const world = await started({}, trigger('a'));
  world.delivery.setStream(BROKER, streamSpec(BROKER, { dedupMs: 1000, reportTypes: true }));
  await world.accept(BROKER, { id: 'x' });
  assert.deepEqual(await world.accept(BROKER, { id: 'x' }), [{ accepted: true, offset: 0, duplicate: true }]);
  await world.clock.advance(1000);
  assert.deepEqual(world.ids('/a'), ['x']);
  assert.deepEqual(world.types, ['broker/ns/b t /s']);
});

test('a trace goes on with the delivery, and nothing that could break a head', async () => {
  const world = await started({}, trigger('a'));
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  await world.accept(
    BROKER,
    { id: 'x', extensions: { traceparent, tracestate: 'a=b' } },
    { id: 'y', extensions: { traceparent: 'x y' } },
  );
  await world.clock.advance(100);
  assert.equal(world.received[0]?.headers.traceparent, traceparent);
  assert.equal(world.received[0]?.headers.tracestate, 'a=b');
  assert.equal(world.received[1]?.headers.traceparent, undefined);
});

test('a subscription that goes takes what waited for it along; one of its name begins anew', async () => {
  const world = await started({ react: () => 500 }, trigger('a', { terms: { backoffDelayMs: 60_000 } }));
  await world.accept(BROKER, { id: 'x' });
  await world.clock.advance(1000);
  assert.equal(world.disk.parked.size, 1);
  world.delivery.setSubscription('trigger/ns/a', null);
  await world.clock.advance(1000);
  assert.equal(world.disk.parked.size, 0);
  assert.equal(world.disk.positions.size, 0);
  assert.equal(world.log.opened.get(BROKER)?.needed, Number.MAX_SAFE_INTEGER);
  world.delivery.setSubscription('trigger/ns/a', { ...trigger('a'), uid: 'another' });
  await world.clock.advance(LONG);
  assert.equal(world.received.length, 1);
});

test('a stream that goes takes its events along; subscriptions of another one of its name get all of it', async () => {
  const world = await started({}, trigger('a'));
  await world.accept(BROKER, ...numbered(5));
  await world.clock.advance(1000);
  world.delivery.setStream(BROKER, null);
  await world.clock.advance(1000);
  assert.equal(world.disk.streams.size, 0);
  const [refused] = await world.accept(BROKER, { id: 'none' });
  assert.ok(refused?.accepted === false && refused.status === 404);
  world.delivery.setStream(BROKER, streamSpec(BROKER, { uid: 'another' }));
  const [again] = await world.accept(BROKER, { id: 'again' });
  assert.deepEqual(again, { accepted: true, offset: 0 });
  await world.clock.advance(1000);
  assert.equal(world.ids('/a').at(-1), 'again');
});

test('streams and positions that belong to nobody are taken away when all is set', async () => {
  const world = await started({}, trigger('a'));
  world.delivery.setStream('channel/ns/c', streamSpec('channel/ns/c'));
  await world.clock.advance(1000);
  await world.delivery.drain(0);
  const next = await started({ disk: world.disk });
  assert.deepEqual([...next.disk.streams.keys()], [BROKER]);
  assert.equal(next.disk.positions.size, 0);
});

test('lag is told at once when it rises, the rest once a second', async () => {
  const hold = gate();
  const target = { url: 'http://sink/a', route: 'ns/fn' };
  const world = await started({ react: () => hold.wait }, trigger('a', { subscriber: target }));
  await world.accept(BROKER, { id: 'x' });
  assert.deepEqual(world.lags, [{ key: 'trigger/ns/a', route: 'ns/fn', waiting: 1 }]);
  await world.accept(BROKER, ...numbered(4));
  assert.equal(world.lags.length, 1);
  await world.clock.advance(1000);
  assert.deepEqual(
    world.lags.map(({ waiting }) => waiting),
    [1, 5],
  );
  hold.open(202);
  await world.clock.advance(5000);
  assert.deepEqual(
    world.lags.map(({ waiting }) => waiting),
    [1, 5, 0],
  );
  assert.equal(world.states.get('trigger/ns/a')?.at(-1)?.delivered, 5);
  assert.ok(world.states.get('trigger/ns/a')!.length <= 3);
});

test('a filter that cannot be used keeps everything until it is corrected', async () => {
  const world = await started({}, trigger('a', { filters: [{ cesql: 'type = = x' }] }));
  await world.accept(BROKER, ...numbered(3));
  await world.clock.advance(1000);
  assert.equal(world.received.length, 0);
  assert.match(
    (await world.delivery.answers.subscriptions({}))['trigger/ns/a']!.lastError!.message,
    /filter/,
  );
  world.delivery.setSubscription('trigger/ns/a', trigger('a', { filters: [{ cesql: "type = 't'" }] }));
  await world.clock.advance(1000);
  assert.deepEqual(world.ids('/a'), ['e0', 'e1', 'e2']);
});

test('a changed filter holds for what comes from then on', async () => {
  const world = await started({}, trigger('a', { filters: [{ exact: { type: 'x' } }] }));
  await world.accept(BROKER, { id: '1', type: 'x' }, { id: '2', type: 'y' });
  await world.clock.advance(100);
  world.delivery.setSubscription('trigger/ns/a', trigger('a', { filters: [{ exact: { type: 'y' } }] }));
  await world.accept(BROKER, { id: '3', type: 'x' }, { id: '4', type: 'y' });
  await world.clock.advance(100);
  assert.deepEqual(world.ids('/a'), ['1', '4']);
  const state = (await world.delivery.answers.subscriptions({}))['trigger/ns/a'];
  assert.equal(state?.filteredOut, 2);
});
