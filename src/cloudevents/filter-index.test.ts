import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeded } from '../../test/lib/random.ts';
import { type CloudEvent, makeEvent } from './event.ts';
import { compileFilters, type FilterSpec, type Wanted } from './filter.ts';
import { createFilterIndex } from './filter-index.ts';

const eventOf = (type: string, source: string, extensions = {}): CloudEvent =>
  makeEvent('1', source, type, undefined, undefined, undefined, undefined, extensions, undefined);

test('a filter is found by its id until it is taken away or replaced', () => {
  const index = createFilterIndex<string>();
  const event = eventOf('a', '/s', { n: 5 });
  const found = () => index.match(event).toSorted();
  assert.deepEqual(found(), []);
  index.set('all', {});
  index.set('type', { filters: [{ exact: { type: 'a' } }] });
  index.set('either', { filters: [{ any: [{ exact: { type: 'a' } }, { exact: { type: 'b' } }] }] });
  index.set('number', { attributes: { n: '5' } });
  index.set('other', { filters: [{ exact: { type: 'b' } }] });
  assert.deepEqual(found(), ['all', 'either', 'number', 'type']);
  assert.deepEqual(index.match(eventOf('b', '/s')).toSorted(), ['all', 'either', 'other']);
  assert.equal(index.size, 5);
  index.set('type', { filters: [{ exact: { type: 'b' } }] });
  assert.equal(index.delete('either'), true);
  assert.equal(index.delete('either'), false);
  assert.equal(index.size, 4);
  assert.deepEqual(found(), ['all', 'number']);
  assert.throws(() => index.set('number', { filters: [{ cesql: 'wrong wrong' }] }));
  assert.deepEqual(found(), ['all', 'number'], 'a refused change changes nothing');
  for (const id of ['all', 'type', 'number', 'other']) index.delete(id);
  assert.deepEqual(found(), []);
  assert.equal(index.size, 0);
});

test('the index finds exactly what each filter by itself passes, through any changes', () => {
  const random = seeded(21);
  const of = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const types = ['a', 'b', 'c.x', 'c.y'];
  const sources = ['/1', '/2'];
  const arbitrary = (depth: number): FilterSpec => {
    const deeper = () => Array.from({ length: 1 + random() * 3 }, () => arbitrary(depth - 1));
    return of<() => FilterSpec>([
      () => ({ exact: { type: of(types) } }),
      () => ({ exact: { source: of(sources) } }),
      () => ({ exact: { n: of(['1', '2']), type: of(types) } }),
      () => ({ exact: { n: of(['1', '2']) } }),
      () => ({ prefix: { type: of(['c', 'a', 'c.x']) } }),
      () => ({ suffix: { source: of(sources) } }),
      () => ({ cesql: `type = '${of(types)}' ${of(['AND', 'OR'])} n = ${of([1, 2])}` }),
      () => ({ cesql: `source = '${of(sources)}' AND type LIKE 'c%'` }),
      () => (depth > 0 ? { all: deeper() } : {}),
      () => (depth > 0 ? { any: deeper() } : {}),
      () => (depth > 0 ? { not: arbitrary(depth - 1) } : {}),
    ])();
  };
  const index = createFilterIndex<number>();
  const wanted = new Map<number, Wanted>();
  let passed = 0;
  for (let round = 0; round < 2_000; round++) {
    const id = Math.floor(random() * 60);
    if (random() < 0.3) {
      assert.equal(index.delete(id), wanted.delete(id));
    } else {
      const filters = Array.from({ length: random() * 3 }, () => arbitrary(2));
      const spec =
        random() < 0.8 ? { filters } : { attributes: { type: of([...types, '']), n: of(['1', '']) } };
      index.set(id, spec);
      wanted.set(id, spec);
    }
    const event = eventOf(of(types), of(sources), random() < 0.7 ? { n: of([1, '1', 2]) } : {});
    const expected = [...wanted]
      .filter(([, spec]) => compileFilters(spec).matches(event))
      .map(([one]) => one);
    assert.deepEqual(index.match(event).toSorted(), expected.toSorted(), JSON.stringify(event));
    passed += expected.length;
  }
  assert.equal(index.size, wanted.size);
  assert.ok(passed > 10_000);
});
