import assert from 'node:assert/strict';
import test from 'node:test';
import { lastDue, nextDue, parseCron } from './cron.ts';
import { parseSchedule, scheduledBounds } from './schedule.ts';

const at = (text: string) => Date.parse(text);
const iso = (time: number | undefined) => (time === undefined ? undefined : new Date(time).toISOString());

test('cron: the next time that is due, in a time zone, over both changes of the clock', () => {
  const table: [string, string, string, string | undefined][] = [
    ['* * * * *', 'UTC', '2026-03-01T10:00:00Z', '2026-03-01T10:01:00.000Z'],
    ['*/15 9-17 * * mon-fri', 'UTC', '2026-03-06T17:45:00Z', '2026-03-09T09:00:00.000Z'],
    ['0 8 * * 1', 'Europe/Berlin', '2026-03-27T00:00:00Z', '2026-03-30T06:00:00.000Z'],
    ['0 8 * * 1', 'Europe/Berlin', '2026-03-20T00:00:00Z', '2026-03-23T07:00:00.000Z'],
    // Berlin skips 02:00–03:00 on 2026-03-29, and has them twice on 2026-10-25.
    ['30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', '2026-03-29T01:30:00.000Z'],
    ['30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', '2026-10-25T00:30:00.000Z'],
    ['30 2 * * *', 'Europe/Berlin', '2026-10-25T00:30:00Z', '2026-10-26T01:30:00.000Z'],
    ['0 0 1 * *', 'America/New_York', '2026-01-15T00:00:00Z', '2026-02-01T05:00:00.000Z'],
    ['0 0 * * *', 'Asia/Kolkata', '2026-01-15T00:00:00Z', '2026-01-15T18:30:00.000Z'],
    ['0 12 13 * fri', 'UTC', '2026-03-07T00:00:00Z', '2026-03-13T12:00:00.000Z'],
    ['0 12 1 * fri', 'UTC', '2026-03-14T00:00:00Z', '2026-03-20T12:00:00.000Z'],
    ['0 0 29 feb *', 'UTC', '2026-03-01T00:00:00Z', '2028-02-29T00:00:00.000Z'],
    ['0 0 30 2 *', 'UTC', '2026-03-01T00:00:00Z', undefined],
    ['0 0 * * 7', 'UTC', '2026-03-02T00:00:00Z', '2026-03-08T00:00:00.000Z'],
  ];
  for (const [expression, zone, after, expected] of table) {
    assert.equal(
      iso(nextDue(parseCron(expression, zone), at(after))),
      expected && iso(at(expected)),
      expression,
    );
  }
});

test('cron: the last time that was due, unless too long ago', () => {
  const cron = parseCron('0 8 * * mon-fri', 'Europe/Berlin');
  assert.equal(iso(lastDue(cron, at('2026-03-30T05:59:59Z'), 4 * 86_400_000)), '2026-03-27T07:00:00.000Z');
  assert.equal(iso(lastDue(cron, at('2026-03-30T06:00:00Z'), 60_000)), '2026-03-30T06:00:00.000Z');
  assert.equal(lastDue(cron, at('2026-03-30T05:59:59Z'), 86_400_000), undefined);
});

test('cron: what is no expression is refused', () => {
  const wrong = [
    '',
    '* * * *',
    '60 * * * *',
    '* 24 * * *',
    '* * 0 * *',
    '* * * 13 *',
    '* * * * 8',
    '5-1 * * * *',
    '*/0 * * * *',
    'a * * * *',
    '1-2-3 * * * *',
  ];
  for (const expression of wrong) assert.throws(() => parseCron(expression), Error, expression);
  assert.throws(() => parseCron('* * * * *', 'Mars/Olympus'), /time zone/);
});

test('windows: what holds now and until when; the last of those that overlap decides', () => {
  const windows = parseSchedule(
    JSON.stringify([
      { schedule: '0 8 * * *', duration: '10h', minScale: 2, maxScale: 20 },
      { schedule: '0 12 * * *', duration: '1h', minScale: 5 },
    ]),
  );
  const table: [string, number | undefined, number | undefined, string][] = [
    ['2026-01-01T07:59:00Z', undefined, undefined, '2026-01-01T08:00:00.000Z'],
    ['2026-01-01T08:00:00Z', 2, 20, '2026-01-01T12:00:00.000Z'],
    ['2026-01-01T12:30:00Z', 5, 20, '2026-01-01T13:00:00.000Z'],
    ['2026-01-01T13:00:00Z', 2, 20, '2026-01-01T18:00:00.000Z'],
    ['2026-01-01T18:00:00Z', undefined, undefined, '2026-01-02T08:00:00.000Z'],
  ];
  for (const [now, min, max, until] of table) {
    const bounds = scheduledBounds(windows, at(now));
    assert.deepEqual([bounds.min, bounds.max, iso(bounds.until)], [min, max, until], now);
  }
  assert.deepEqual(scheduledBounds([], 0), { min: undefined, max: undefined, until: undefined });
});

test('windows that make no sense are refused with the reason', () => {
  const table: [string, RegExp][] = [
    ['{', /not JSON/],
    ['{}', /list/],
    ['[1]', /\[0\]: must be an object/],
    ['[{"schedule":"* * * * *","duration":"1h"}]', /minScale, maxScale or both/],
    ['[{"schedule":"* * * * *","duration":"1s","minScale":1}]', /duration/],
    ['[{"schedule":"* * * *","duration":"1h","minScale":1}]', /4 fields/],
    ['[{"schedule":"* * * * *","duration":"1h","minScale":3,"maxScale":2}]', /larger/],
    ['[{"schedule":"* * * * *","duration":"1h","minScale":-1}]', /whole number/],
    ['[{"schedule":"* * * * *","duration":"1h","min":1}]', /unknown field "min"/],
  ];
  for (const [text, message] of table) assert.throws(() => parseSchedule(text), message, text);
});
