import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type SimulatedClock, simulatedClock } from '../../../base/clock.ts';
import type { Json } from '../../../kinds/object.ts';
import { SourceWorld } from '../../testing/source-context.ts';
import type { Handed } from '../contract.ts';
import { type TimerConfig, timerSource } from './timer.ts';

const BEGIN = Date.parse('2026-01-01T00:00:30Z');
const MINUTE = 60_000;

/** A timer on a clock of its own. */
class World extends SourceWorld {
  declare readonly clock: SimulatedClock;

  constructor(now = BEGIN, saved?: Json) {
    super(simulatedClock(now), saved);
  }

  begin(config: TimerConfig) {
    return this.start(timerSource, config);
  }

  times() {
    return this.sent.map(({ time }) => time?.slice(11, 19));
  }
}

test('fires when it is due, with ids that are the same in every life', async () => {
  const world = new World();
  await world.begin({ schedule: '* * * * *', data: '{"a":1}', type: 'com.shop.report', subject: 's' });
  await world.clock.advance(2 * MINUTE);
  assert.deepEqual(world.times(), ['00:01:00', '00:02:00']);
  const [first] = world.sent;
  assert.equal(first?.type, 'com.shop.report');
  assert.equal(first?.subject, 's');
  assert.equal(first?.datacontenttype, 'application/json');
  assert.equal(first?.data?.toString(), '{"a":1}');
  assert.equal(first?.source, '/apis/petrel.dev/v1/namespaces/default/eventsources/mine');
  const again = new World();
  await again.begin({ schedule: '* * * * *', data: '{"a":1}', type: 'com.shop.report', subject: 's' });
  await again.clock.advance(2 * MINUTE);
  assert.deepEqual(
    again.sent.map(({ id }) => id),
    world.sent.map(({ id }) => id),
  );
  assert.notEqual(world.sent[0]?.id, world.sent[1]?.id);
});

test('seconds and zones', async () => {
  const world = new World(Date.parse('2026-01-01T07:59:58Z'));
  await world.begin({ schedule: '*/2 0 9 * * *', timeZone: 'Europe/Berlin' });
  await world.clock.advance(4000);
  assert.deepEqual(world.times(), ['08:00:00', '08:00:02']);
});

const MISSED: [missed: 'once' | 'all' | 'skip', sent: string[]][] = [
  ['once', ['03:00:00']],
  ['all', ['01:00:00', '02:00:00', '03:00:00']],
  ['skip', []],
];
for (const [missed, sent] of MISSED)
  test(`times missed while nothing ran: ${missed}`, async () => {
    const world = new World(Date.parse('2026-01-01T03:30:00Z'), {
      last: Date.parse('2026-01-01T00:30:00Z'),
      open: [],
    });
    await world.begin({ schedule: '0 * * * *', missed });
    await world.clock.advance(0);
    assert.deepEqual(world.times(), sent);
  });

test('a time that is too long ago is not made up for, and a new timer has missed nothing', async () => {
  const old = new World(BEGIN, { last: BEGIN - 10 * 86_400_000, open: [] });
  await old.begin({ schedule: '0 12 * * *', missedWithinSeconds: 3600 });
  await old.clock.advance(0);
  assert.deepEqual(old.times(), []);
  const fresh = new World();
  await fresh.begin({ schedule: '0 * * * *', missed: 'all' });
  await fresh.clock.advance(0);
  assert.deepEqual(fresh.times(), []);
});

test('a week of silence and a schedule by the second make no flood', async () => {
  const world = new World(BEGIN, { last: BEGIN - 7 * 86_400_000, open: [] });
  await world.begin({ schedule: '* * * * * *', missed: 'all', missedWithinSeconds: 3600 });
  await world.clock.advance(0);
  assert.equal(world.sent.length, 100);
});

test('what was not safe when the platform ended is sent again', async () => {
  const world = new World();
  world.handed = () => new Promise(() => {}); // the sink never answers
  await world.begin({ schedule: '* * * * *' });
  await world.clock.advance(MINUTE);
  assert.equal(world.sent.length, 1);
  const next = new World(BEGIN + 2 * MINUTE, world.saved);
  await next.begin({ schedule: '* * * * *', missed: 'skip' });
  await next.clock.advance(0);
  assert.deepEqual(
    next.sent.map(({ id }) => id),
    world.sent.map(({ id }) => id),
  );
  assert.deepEqual((next.saved as { open: number[] }).open, []);
});

const OVERLAP: [overlap: 'allow' | 'skip' | 'wait', before: number, after: number][] = [
  ['allow', 3, 3],
  ['skip', 1, 1],
  ['wait', 1, 3],
];
for (const [overlap, before, after] of OVERLAP)
  test(`a time that is due while the last event is on its way: ${overlap}`, async () => {
    const world = new World();
    const slow = Promise.withResolvers<Handed>();
    world.handed = () => slow.promise;
    await world.begin({ schedule: '* * * * *', overlap });
    await world.clock.advance(3 * MINUTE);
    assert.equal(world.sent.length, before);
    slow.resolve('delivered');
    await world.clock.advance(1000);
    assert.equal(world.sent.length, after);
  });

test('jitter comes on top', async () => {
  const world = new World();
  await world.begin({ schedule: '* * * * *', jitterSeconds: 10 });
  await world.clock.advance(34_000);
  assert.equal(world.sent.length, 0);
  await world.clock.advance(1500);
  assert.deepEqual(world.times(), ['00:01:00']);
});

test('a clock that jumps ahead fires once, one that is set back goes on from there', async () => {
  const ahead = new World();
  await ahead.begin({ schedule: '* * * * *' });
  ahead.clock.jump(60 * MINUTE);
  await ahead.clock.advance(MINUTE);
  assert.equal(ahead.sent.length, 1);
  const back = new World();
  await back.begin({ schedule: '0 * * * *' });
  await back.clock.advance(60 * MINUTE);
  assert.deepEqual(back.times(), ['01:00:00']);
  back.clock.jump(-3 * 60 * MINUTE);
  await back.clock.advance(60 * MINUTE);
  assert.equal(back.sent.length, 2);
  // a correction of a minute repeats nothing
  back.clock.jump(-MINUTE);
  await back.clock.advance(2 * MINUTE);
  assert.equal(back.sent.length, 2);
});

test('a stopped timer fires no more', async () => {
  const world = new World();
  await world.begin({ schedule: '* * * * *' });
  await world.stop();
  await world.clock.advance(5 * MINUTE);
  assert.equal(world.sent.length, 0);
  assert.equal(world.clock.pending(), 0);
});

test('bad configurations are refused by field', () => {
  const fields = (config: Record<string, Json>) => timerSource.check(config).map(({ field }) => field);
  assert.deepEqual(fields({ schedule: '* * * * *' }), []);
  assert.deepEqual(fields({}), ['schedule']);
  assert.deepEqual(fields({ schedule: 'soon' }), ['schedule']);
  assert.deepEqual(fields({ schedule: '* * * * *', timeZone: 'Nowhere/City' }), ['schedule']);
  assert.deepEqual(fields({ schedule: '@daily', overlap: 'x', missed: 'y', jitterSeconds: -1 }), [
    'jitterSeconds',
    'overlap',
    'missed',
  ]);
  assert.deepEqual(fields({ schedule: '@daily', data: 'a', dataBase64: 'YQ==' }), ['dataBase64']);
});
