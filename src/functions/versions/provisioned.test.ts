import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSchedule, scheduledBounds } from '../../kinds/scaling/schedule.ts';
import { provisionedAnnotations } from './provisioned.ts';

const MINUTE = 60_000;
const noon = Date.UTC(2026, 10, 20, 12, 0);
const at = (hour: number, minute = 0) => noon + ((hour - 12) * 60 + minute) * MINUTE;

test('nothing provisioned is nothing said', () => {
  assert.deepEqual(provisionedAnnotations(undefined), {});
  assert.deepEqual(provisionedAnnotations({ target: 0, windows: [] }), {});
});

test('the highest target of the open windows wins, and the one of all times is the least', () => {
  const annotations = provisionedAnnotations({
    target: 2,
    windows: [
      { name: 'lunch', cron: '0 12 * * *', durationSeconds: 3600, target: 9 },
      { name: 'day', cron: '0 8 * * *', durationSeconds: 36_000, target: 4 },
      { name: 'small', cron: '0 20 * * *', durationSeconds: 3600, target: 1 },
    ],
  });
  assert.equal(annotations['autoscaling.petrel.dev/min-scale'], '2');
  const windows = parseSchedule(annotations['autoscaling.petrel.dev/schedule'] ?? '');
  const least = (now: number) => scheduledBounds(windows, now).min;
  assert.deepEqual(
    [least(at(7)), least(at(9)), least(at(12, 30)), least(at(14)), least(at(20, 30))],
    [undefined, 4, 9, 4, 2],
  );
});

test('a time zone moves the window', () => {
  const annotations = provisionedAnnotations({
    windows: [{ name: 'day', cron: '0 8 * * *', timeZone: 'Asia/Tokyo', durationSeconds: 3600, target: 3 }],
  });
  const windows = parseSchedule(annotations['autoscaling.petrel.dev/schedule'] ?? '');
  assert.equal(scheduledBounds(windows, Date.UTC(2026, 10, 20, 23, 30)).min, 3);
});
