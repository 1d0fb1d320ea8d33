import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StreamTable } from './stream-table.ts';

test('it holds what a Map would, whatever stays open for how long', () => {
  const table = new StreamTable<string>();
  const map = new Map<number, string>();
  let seed = 1;
  const random = (n: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % n;
  };
  let id = 0;
  for (let step = 0; step < 50_000; step++) {
    // bursts of up to a few thousand open streams, some of which never end
    const opening = random(100) < (Math.floor(step / 5000) % 2 === 0 ? 70 : 30);
    if (opening) {
      id++;
      table.set(id, `v${id}`);
      map.set(id, `v${id}`);
    } else {
      const one = id - random(200);
      if (one % 97 !== 0) assert.equal(table.delete(one), map.delete(one));
    }
    const asked = Math.max(1, id - random(300));
    assert.equal(table.get(asked), map.get(asked));
    assert.equal(table.size, map.size);
  }
  assert.deepEqual(table.values().sort(), [...map.values()].sort());
  assert.equal(table.get(0), undefined);
  assert.equal(table.delete(0), false);
  table.set(2 ** 32 - 1, 'last');
  assert.equal(table.get(2 ** 32 - 1), 'last');
  assert.equal(table.delete(2 ** 32 - 1), true);
  table.clear();
  assert.deepEqual([table.size, table.values()], [0, []]);
});
