import assert from 'node:assert/strict';
import { test } from 'node:test';
import { humanDuration, since } from './human.ts';

const S = 1000;
const M = 60 * S;
const H = 60 * M;
const D = 24 * H;
const cases: [number, string][] = [
  [-5 * S, '<invalid>'],
  [-1 * S, '0s'],
  [0, '0s'],
  [119 * S, '119s'],
  [120 * S, '2m'],
  [9 * M + 59 * S, '9m59s'],
  [10 * M + 5 * S, '10m'],
  [179 * M, '179m'],
  [3 * H + 5 * M, '3h5m'],
  [8 * H + 5 * M, '8h'],
  [47 * H, '47h'],
  [48 * H, '2d'],
  [50 * H, '2d2h'],
  [8 * D + H, '8d'],
  [729 * D, '729d'],
  [2 * 365 * D, '2y'],
  [2 * 365 * D + 3 * D, '2y3d'],
  [9 * 365 * D + 3 * D, '9y'],
];
for (const [ms, text] of cases) {
  test(`${ms} ms is ${text}`, () => assert.equal(humanDuration(ms), text));
}

test('ages', () => {
  assert.equal(since(undefined, 0), '<unknown>');
  assert.equal(since('1970-01-01T00:00:10Z', 15_000), '5s');
  assert.equal(since('no time', 0), '<invalid>');
});
