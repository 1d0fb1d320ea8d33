import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDivided, parseCpuMillis, parseQuantity } from './quantity.ts';

test('quantities', () => {
  const cases: [string, number][] = [
    ['1', 1],
    ['100m', 0.1],
    ['.5', 0.5],
    ['1.5Gi', 1.5 * 2 ** 30],
    ['64Mi', 2 ** 26],
    ['1k', 1000],
    ['1e3', 1000],
    ['12E2', 1200],
    ['2E', 2e18],
    ['-1', -1],
  ];
  for (const [text, expected] of cases) assert.equal(parseQuantity(text), expected, text);
  for (const text of ['', 'x', '1x', '1 Mi', 'Mi', '1mi', '--1'])
    assert.ok(Number.isNaN(parseQuantity(text)), text);
});

test('cpu in thousandths rounds up, division too', () => {
  assert.equal(parseCpuMillis('0.1'), 100);
  assert.equal(parseCpuMillis('1n'), 1);
  assert.equal(parseCpuMillis('250m'), 250);
  assert.equal(formatDivided(1.5), '2');
  assert.equal(formatDivided(2 ** 26, '1Mi'), '64');
});
