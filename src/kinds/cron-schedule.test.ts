import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSchedule } from './cron-schedule.ts';

const at = (text: string) => Date.parse(text);
const next = (schedule: string, after: string, count = 1): string[] => {
  const parsed = parseSchedule(schedule);
  const found: string[] = [];
  for (let time: number | undefined = at(after); found.length < count && time !== undefined; ) {
    time = parsed.next(time);
    if (time !== undefined) found.push(new Date(time).toISOString().replace('.000Z', ''));
  }
  return found;
};

const CASES: [schedule: string, after: string, times: string[]][] = [
  ['*/15 * * * *', '2026-01-01T00:01:00Z', ['2026-01-01T00:15:00', '2026-01-01T00:30:00']],
  ['30 * * * * *', '2026-01-01T00:00:10Z', ['2026-01-01T00:00:30', '2026-01-01T00:01:30']],
  [
    '*/20 0 12 * * ?',
    '2026-01-01T11:59:59Z',
    ['2026-01-01T12:00:00', '2026-01-01T12:00:20', '2026-01-01T12:00:40', '2026-01-02T12:00:00'],
  ],
  ['@every 90s', '2026-01-01T00:00:00Z', ['2026-01-01T00:01:30', '2026-01-01T00:03:00']],
  ['@daily', '2026-01-01T05:00:00Z', ['2026-01-02T00:00:00']],
  ['@hourly', '2026-01-01T05:00:00Z', ['2026-01-01T06:00:00']],
  ['CRON_TZ=Europe/Berlin 0 9 * * MON', '2026-01-01T00:00:00Z', ['2026-01-05T08:00:00']],
  ['TZ=Asia/Tokyo 0 9 * * *', '2026-01-01T00:00:00Z', ['2026-01-02T00:00:00']],
];
for (const [schedule, after, times] of CASES)
  test(`${schedule} after ${after}`, () => assert.deepEqual(next(schedule, after, times.length), times));

test('what is no schedule is refused in words', () => {
  for (const text of [
    '',
    'soon',
    '@every',
    '@every 10ms',
    '* * * *',
    '61 * * * * *',
    'CRON_TZ=Nowhere/City 0 9 * * *',
  ])
    assert.throws(() => parseSchedule(text), Error, text);
});
