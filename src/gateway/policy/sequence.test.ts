/** Percentages come out exactly, interleaved, from any point of the sequence on, and over several workers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { smoothOrder, WeightedTargets } from './sequence.ts';

const SPLITS = [[100], [50, 50], [90, 10], [70, 29, 1], [33, 33, 34], [99, 1], [1, 1, 1, 97], [0.5, 99.5]];

for (const weights of SPLITS) {
  test(`order of ${weights}`, () => {
    const order = smoothOrder(weights);
    const sum = weights.reduce((a, b) => a + b, 0);
    weights.forEach((weight, i) => {
      const share = order.filter((t) => t === i).length / order.length;
      assert.ok(Math.abs(share - weight / sum) < 1e-9, `target ${i}: ${share}`);
    });
    // no prefix from any start is off by more than the number of targets
    for (let start = 0; start < order.length; start += 7) {
      const seen = weights.map(() => 0);
      for (let k = 1; k <= order.length; k++) {
        seen[order[(start + k - 1) % order.length]!]!++;
        weights.forEach((weight, i) => {
          const off = Math.abs(seen[i]! - (k * weight) / sum);
          assert.ok(off <= weights.length, `start ${start}, ${k} requests, target ${i} off by ${off}`);
        });
      }
    }
  });
}

test('workers that share the turns are exact together', () => {
  const turns = new Int32Array(new SharedArrayBuffer(4));
  const targets = [
    { revision: 'a', percent: 90 },
    { revision: 'none', percent: 0 },
    { revision: 'b', percent: 10 },
  ];
  const workers = [1, 2, 3].map(() => new WeightedTargets(targets, turns));
  const counts: Record<string, number> = {};
  // very unequal shares, as few connections make them
  for (let i = 0; i < 100; i++) {
    const key = workers[i % 10 === 0 ? 1 : i % 7 === 0 ? 2 : 0]!.next()!;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  assert.deepEqual(counts, { a: 90, b: 10 });
});

test('no target, and one', () => {
  assert.equal(new WeightedTargets([]).next(), null);
  assert.equal(new WeightedTargets([{ revision: 'a', percent: 0 }]).next(), null);
  assert.equal(new WeightedTargets([{ revision: 'a', percent: 100 }]).next(), 'a');
});
