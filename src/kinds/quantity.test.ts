import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDivided, formatMillis, formatQuantity, parseCpuMillis, parseQuantity } from './quantity.ts';

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

test('amounts are printed in their canonical form', () => {
  const table: [number, boolean, string][] = [
    [0, true, '0'],
    [1000, false, '1k'],
    [1500, false, '1500'],
    [1000, true, '1k'],
    [1024, true, '1Ki'],
    [1536 * 1024 * 1024, true, '1536Mi'],
    [2 ** 30, true, '1Gi'],
    [128_000_000, true, '125000Ki'],
  ];
  for (const [amount, binary, text] of table) assert.equal(formatQuantity(amount, binary), text);
  assert.equal(formatMillis(1500), '1500m');
  assert.equal(formatMillis(2000), '2');
});
