import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import { validate } from '../../cloudevents/event.ts';
import { checkFields, readFields } from './fields.ts';
import { Intake } from './intake.ts';
import { LowWater } from './low-water.ts';
import { about, attributeText } from './messages.ts';
import { persist, reasonOf, saying } from './persist.ts';

test('the mark stands below the first unresolved message, whatever order they end in', () => {
  let seed = 7;
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed / 2_147_483_648;
  };
  const water = new LowWater(100n);
  const open = new Map<bigint, () => boolean>();
  let next = 100n;
  for (let step = 0; step < 30_000; step++) {
    if (open.size === 0 || random() < 0.5) {
      next += random() < 0.1 ? 3n : 1n; // logs have gaps
      const done = water.begin(next);
      assert.ok(done);
      open.set(next, done);
    } else {
      const keys = [...open.keys()];
      const key = keys[Math.floor(random() * Math.min(keys.length, 50))] ?? 0n;
      const before = water.mark;
      const moved = open.get(key)?.();
      open.delete(key);
      assert.equal(moved, water.mark !== before);
    }
    const lowest = open.keys().next().value;
    if (lowest !== undefined && water.moved) assert.equal(water.mark, lowest);
    if (open.size === 0 && water.moved) assert.equal(water.mark, next + 1n);
  }
  assert.equal(water.begin(next), undefined, 'what was begun is not begun again');
});

test('an intake runs as many as it may, those of one key one after the other, and tells what waits', async () => {
  const clock = simulatedClock();
  const lags: number[] = [];
  const intake = new Intake({ clock, concurrency: 3, lag: (n) => lags.push(n) });
  const order: string[] = [];
  const ends = new Map<string, () => void>();
  const take = (key: string | undefined, name: string) =>
    intake.take(key, () => {
      order.push(name);
      return new Promise((resolve) => ends.set(name, resolve));
    });
  for (const name of ['a1', 'a2', 'b1', 'c1', 'd1']) take(name[0], name);
  assert.deepEqual(order, ['a1', 'b1', 'c1']);
  assert.equal(lags[0], 1);
  let room = false;
  void intake.room(5).then(() => {
    room = true;
  });
  await clock.advance(1000);
  assert.equal(lags.at(-1), 5);
  assert.equal(room, false);
  ends.get('a1')?.();
  await clock.advance(0);
  assert.equal(room, true);
  assert.deepEqual(order, ['a1', 'b1', 'c1', 'd1']);
  ends.get('b1')?.();
  await clock.advance(0);
  assert.deepEqual(order, ['a1', 'b1', 'c1', 'd1', 'a2']);
  let held = false;
  void intake.hold(60_000).then(() => {
    held = true;
  });
  take(undefined, 'e1');
  for (const name of ['c1', 'd1']) ends.get(name)?.();
  await clock.advance(0);
  assert.equal(held, false);
  ends.get('a2')?.();
  await clock.advance(0);
  assert.equal(held, true);
  assert.ok(!order.includes('e1'), 'nothing begins while it is held');
  intake.release();
  await clock.advance(0);
  assert.ok(order.includes('e1'));
  ends.get('e1')?.();
  await clock.advance(1000);
  assert.equal(lags.at(-1), 0);
  assert.equal(clock.pending(), 0, 'an intake with nothing in it has no timer');
});

test('what fails is tried again, ever later; what was up for a while, at once', async () => {
  const clock = simulatedClock();
  const began: number[] = [];
  const start = clock.monotonic();
  const stopping = new AbortController();
  const states: string[] = [];
  let up = false;
  const running = persist(
    {
      clock,
      random: () => 0,
      log: silentLogger,
      signal: stopping.signal,
      report: ({ reason }) => states.push(reason),
      what: 'it',
    },
    async (tell) => {
      began.push(clock.monotonic() - start);
      if (up) {
        tell();
        await new Promise<void>((resolve) => clock.after(10_000, resolve));
      }
      throw Object.assign(new Error('no'), { code: 'ECONNREFUSED' });
    },
  );
  await clock.advance(3000);
  assert.deepEqual(began, [0, 200, 600, 1400, 3000]);
  up = true;
  await clock.advance(3200);
  assert.equal(began.at(-1), 6200);
  await clock.advance(10_200);
  assert.equal(began.at(-1), 16_400);
  assert.deepEqual([...new Set(states)], ['Connecting', 'Unreachable', 'Connected']);
  stopping.abort();
  await clock.advance(20_000);
  await running;
});

test('an error says what it was caused by, and what it comes to', () => {
  const inner = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  assert.equal(reasonOf(new AggregateError([new Error('x', { cause: inner })], 'all failed')), 'Unreachable');
  assert.equal(saying(new AggregateError([inner], 'all failed')), 'all failed: connect ECONNREFUSED');
  assert.equal(reasonOf(new Error('WRONGPASS invalid username-password pair')), 'Unauthorized');
  assert.equal(reasonOf(new Error('socket hang up')), 'ConnectionLost');
});

test('a configuration is read with its defaults, and refused by the path of the field', () => {
  const fields = {
    servers: { is: 'texts', required: true, what: 'where' },
    count: { is: 'count', min: 1, max: 9, default: 3, what: 'how many' },
    inner: { is: 'group', what: 'more', fields: { name: { is: 'text', required: true, what: 'a name' } } },
  } as const;
  assert.deepEqual(readFields({ servers: 'a, b' }, fields), {
    servers: ['a', 'b'],
    count: 3,
    inner: undefined,
  });
  assert.deepEqual(checkFields({ servers: ['a'], inner: { name: 'n' } }, fields), []);
  assert.deepEqual(
    checkFields({ servers: '', count: 10, inner: { nam: 'x' } }, fields).map(
      ({ field, reason }) => `${field} ${reason}`,
    ),
    [
      'servers FieldValueInvalid',
      'count FieldValueInvalid',
      'inner.nam FieldValueForbidden',
      'inner.name FieldValueRequired',
    ],
  );
});

test('the event about a message keeps all rules, whatever the message is called', () => {
  const event = about({
    id: 'a\u0000b',
    type: 'x\ny',
    origin: { namespace: 'n', name: 's', plural: 'sources', of: 'a b/ü\ud800' },
    subject: 'tab\there \ud800 \uffff é 😀',
    contentType: 'nonsense',
    extensions: { key: attributeText(Buffer.from([0xff, 0x00])), none: undefined, empty: '' },
    data: Buffer.from('x'),
  });
  validate(event);
  assert.equal(event.id, 'a%00b');
  assert.equal(event.subject, 'tab%09here %EF%BF%BD %EF%BF%BF é 😀');
  assert.equal(event.source, '/apis/v1/namespaces/n/sources/s#a%20b%2F%C3%BC%EF%BF%BD');
  assert.deepEqual(event.extensions, { key: '/wA=' });
  assert.equal(event.datacontenttype, undefined);
});
