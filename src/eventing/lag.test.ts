import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lagByRoute } from './lag.ts';

test('what waits for a route is the sum of all that is delivered to it', () => {
  const published: [string, number][] = [];
  const report = lagByRoute((route, waiting) => void published.push([route, waiting]));
  const told = (key: string, route: string | undefined, waiting: number) => {
    published.length = 0;
    report({ key, ...(route === undefined ? {} : { route }), waiting });
    return published;
  };
  assert.deepEqual(told('trigger/a/x', 'a/f', 3), [['a/f', 3]]);
  assert.deepEqual(told('trigger/a/y', 'a/f', 4), [['a/f', 7]]);
  assert.deepEqual(told('trigger/a/z', undefined, 9), []);
  assert.deepEqual(
    told('trigger/a/x', 'a/g', 5),
    [
      ['a/f', 4],
      ['a/g', 5],
    ],
    'it goes elsewhere now',
  );
  assert.deepEqual(told('trigger/a/y', 'a/f', 0), [['a/f', 0]]);
  assert.deepEqual(told('trigger/a/x', undefined, 5), [['a/g', 0]]);
});
