import assert from 'node:assert/strict';
import test from 'node:test';
import { serviceScale, shareOut } from './service-scale.ts';

test('shares are whole, have the sum, and follow the weights', () => {
  const table: [number, Record<string, number>, number, Record<string, number>][] = [
    [3, { a: 100 }, 0, { a: 3 }],
    [3, { a: 50, b: 50 }, 0, { a: 2, b: 1 }],
    [10, { a: 90, b: 10 }, 0, { a: 9, b: 1 }],
    [2, { a: 90, b: 10 }, 0, { a: 2, b: 0 }],
    [2, { a: 90, b: 10 }, 1, { a: 1, b: 1 }],
    [10, { a: 97, b: 2, c: 1 }, 1, { a: 8, b: 1, c: 1 }],
    [1, { a: 50, b: 50 }, 1, { a: 1, b: 1 }],
    [5, { a: 100, b: 0 }, 0, { a: 5 }],
    [0, { a: 60, b: 40 }, 0, { a: 0, b: 0 }],
    [4, {}, 0, {}],
  ];
  for (const [total, weights, least, expected] of table) {
    const parts = shareOut(total, new Map(Object.entries(weights)), least);
    assert.deepEqual(Object.fromEntries(parts), expected, JSON.stringify([total, weights, least]));
  }
});

test('a Service bounds the sum, and overrides what its revisions say by the same names', () => {
  const scale = serviceScale({
    'autoscaling.petrel.dev/min-scale': '2',
    'autoscaling.petrel.dev/max-scale': 'many',
    'autoscaling.petrel.dev/target': '20',
    'autoscaling.petrel.dev/metric-source': 'prometheus',
    'autoscaling.petrel.dev/schedule': '[]',
    'serving.knative.dev/creator': 'me',
  });
  assert.deepEqual(scale, {
    min: 2,
    max: undefined,
    overrides: {
      'autoscaling.knative.dev/target': '20',
      'autoscaling.petrel.dev/metric-source': 'prometheus',
    },
  });
});

test('the bounds may be in Knative’s own group, too; ours come first, and nothing else of it counts', () => {
  const scale = serviceScale({
    'autoscaling.knative.dev/min-scale': '1',
    'autoscaling.knative.dev/max-scale': '4',
    'autoscaling.petrel.dev/max-scale': '9',
    'autoscaling.knative.dev/target': '20',
  });
  assert.deepEqual(scale, { min: 1, max: 9, overrides: {} });
  assert.equal(serviceScale({ 'autoscaling.knative.dev/minScale': '3' }).min, 3, 'in the other spelling');
});
