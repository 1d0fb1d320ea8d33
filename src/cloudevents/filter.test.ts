import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AttributeValue, type CloudEvent, makeEvent } from './event.ts';
import { compileFilters, type FilterSpec } from './filter.ts';
import { filterProblems, legacyFilterProblems, MAX_FILTER_DEPTH } from './filter-problems.ts';

const eventOf = (extensions: Record<string, AttributeValue> = {}, subject?: string): CloudEvent =>
  makeEvent(
    'id-1',
    '/shop/eu',
    'com.shop.order.created',
    subject,
    undefined,
    'text/plain; charset=utf-8',
    '/s',
    extensions,
    undefined,
  );
const EVENT = eventOf({ region: 'eu', n: 5, yes: true, empty: '' });

const passes = (...filters: FilterSpec[]) => compileFilters({ filters }).matches(EVENT);

test('each dialect, alone and in others', () => {
  const cases: [FilterSpec, boolean][] = [
    [{ exact: { type: 'com.shop.order.created' } }, true],
    [{ exact: { type: 'com.shop.order' } }, false],
    [{ exact: { type: 'com.shop.order.created', region: 'eu' } }, true],
    [{ exact: { type: 'com.shop.order.created', region: 'us' } }, false],
    [{ exact: { n: '5', yes: 'true' } }, true],
    [{ exact: { missing: 'x' } }, false],
    [{ exact: { subject: 'x' } }, false],
    [{ exact: { constructor: 'x' } as never }, false],
    [{ exact: { datamediatype: 'text/plain', schemaurl: '/s' } }, true],
    [{ prefix: { type: 'com.shop.' } }, true],
    [{ prefix: { type: 'shop' } }, false],
    [{ prefix: { type: 'com.', source: '/shop' } }, true],
    [{ prefix: { n: '5' } }, true],
    [{ prefix: { missing: 'x' } }, false],
    [{ suffix: { type: '.created' } }, true],
    [{ suffix: { type: '.create', source: 'eu' } }, false],
    [{ suffix: { yes: 'ue' } }, true],
    [{ all: [{ prefix: { type: 'com.' } }, { suffix: { source: '/eu' } }] }, true],
    [{ all: [{ prefix: { type: 'com.' } }, { suffix: { source: '/us' } }] }, false],
    [{ any: [{ prefix: { type: 'org.' } }, { suffix: { source: '/eu' } }] }, true],
    [{ any: [{ prefix: { type: 'org.' } }, { suffix: { source: '/us' } }] }, false],
    [{ not: { exact: { region: 'us' } } }, true],
    [{ not: { exact: { region: 'eu' } } }, false],
    [{ not: { exact: { missing: 'x' } } }, true],
    [{ not: { all: [{ exact: { region: 'eu' } }, { not: { exact: { n: '5' } } }] } }, true],
    [{ cesql: "region = 'eu' AND n > 4" }, true],
    [{ cesql: "region = 'us' OR missing = 'x'" }, false],
    [{ cesql: 'n' }, false],
    [{ cesql: 'missing' }, false],
    [{ not: { cesql: "missing = 'x'" } }, true],
  ];
  for (const [filter, expected] of cases) assert.equal(passes(filter), expected, JSON.stringify(filter));
});

test('readers of one name are shared, and see each event as it is', () => {
  const first = compileFilters({ filters: [{ exact: { region: 'eu' } }] });
  const second = compileFilters({ filters: [{ cesql: "region = 'eu'" }] });
  for (const region of ['eu', 'us', undefined, 'eu']) {
    const event = eventOf(region === undefined ? {} : { region });
    for (const { matches } of [first, second, first]) assert.equal(matches(event), region === 'eu');
  }
  assert.equal(compileFilters({ filters: [{ cesql: 'EXISTS constructor' }] }).matches(EVENT), false);
});

test('several filters must all hold, and none is passed by everything', () => {
  assert.equal(passes(), true);
  assert.equal(passes({ prefix: { type: 'com' } }, { exact: { region: 'eu' } }, { cesql: 'yes' }), true);
  assert.equal(passes({ prefix: { type: 'com' } }, { exact: { region: 'us' } }, { cesql: 'yes' }), false);
  assert.equal(compileFilters({}).matches(EVENT), true);
});

test('a filter that says nothing is skipped, as upstream does', () => {
  for (const nothing of [
    {},
    { exact: {} },
    { exact: { type: '' } },
    { prefix: { type: '', source: '/nowhere' } },
    { all: [] },
    { all: [{}] },
    { any: [{ exact: {} }] },
    { not: {} },
    { cesql: '' },
  ] as FilterSpec[]) {
    assert.equal(passes(nothing), true, JSON.stringify(nothing));
    assert.equal(passes({ any: [nothing, { exact: { region: 'us' } }] }), false, JSON.stringify(nothing));
  }
});

test('legacy attributes: exact values, and empty ones that only ask for some', () => {
  const legacy = (attributes: Record<string, string>) => compileFilters({ attributes }).matches(EVENT);
  assert.equal(legacy({}), true);
  assert.equal(legacy({ type: 'com.shop.order.created', n: '5' }), true);
  assert.equal(legacy({ type: '', region: '', yes: '' }), true);
  assert.equal(legacy({ missing: '' }), false);
  assert.equal(legacy({ empty: '' }), false);
  assert.equal(legacy({ subject: '' }), false);
  assert.equal(compileFilters({ attributes: { subject: '' } }).matches(eventOf({}, 's')), true);
  assert.equal(
    compileFilters({ filters: [{ exact: { region: 'eu' } }], attributes: { type: 'other' } }).matches(EVENT),
    true,
    'filters override',
  );
});

test('what every passing event must have is found, the type first', () => {
  const anchor = (...filters: FilterSpec[]) => {
    const { anchor: found, anchorDecides } = compileFilters({ filters });
    return found && `${found.attribute}=${found.values.join('|')}${anchorDecides ? '!' : ''}`;
  };
  assert.equal(anchor({ exact: { type: 'a' } }), 'type=a!');
  assert.equal(anchor({ exact: { region: 'eu', source: '/s', type: 'a' } }), 'type=a');
  assert.equal(anchor({ prefix: { subject: 'x' } }, { exact: { source: '/s' } }), 'source=/s');
  assert.equal(anchor({ all: [{ cesql: "source = '/s' AND type = 'a'" }, { not: {} }] }), 'type=a');
  assert.equal(anchor({ any: [{ exact: { type: 'a' } }, { exact: { type: 'b' } }] }), 'type=a|b!');
  assert.equal(anchor({ any: [{ exact: { type: 'a', n: '5' } }, { cesql: "type = 'a'" }] }), 'type=a');
  assert.equal(anchor({ any: [{ exact: { type: 'a' } }, { exact: { source: 'b' } }] }), undefined);
  assert.equal(anchor({ any: [{ exact: { type: 'a' } }, { prefix: { type: 'b' } }] }), undefined);
  assert.equal(anchor({ not: { exact: { type: 'a' } } }), undefined);
  assert.equal(anchor({ exact: { datamediatype: 'text/plain' } }), undefined);
  assert.equal(anchor(), undefined);
});

test('problems are told in upstream words, with the path of the filter', () => {
  const problems = (...filters: unknown[]) =>
    filterProblems(filters, 'spec.filters').map(
      ({ message, paths, details }) => `${message}: ${paths.join(', ')}${details ? `\n${details}` : ''}`,
    );
  const name = 'Attribute name must start with a letter and can only contain lowercase alphanumeric';
  assert.deepEqual(problems({ exact: { '0invalid': 'x' } }, {}), [
    `invalid key name "0invalid": spec.filters[0].exact[0invalid]\n${name}`,
  ]);
  assert.deepEqual(problems({}, { prefix: { invALID: 'x', ok: 'y' } }), [
    `invalid key name "invALID": spec.filters[1].prefix[invALID]\n${name}`,
  ]);
  assert.deepEqual(problems({ suffix: { 'a-b': 'x' } }).length, 1);
  assert.deepEqual(problems({ exact: { type: 'x' }, suffix: { type: 'y' } }), [
    'multiple dialects found, filters can have only one dialect set: ',
  ]);
  assert.deepEqual(problems({ not: {}, cesql: 'true' }).length, 1);
  assert.deepEqual(problems({ exact: { type: 'x' }, prefix: {}, all: [], cesql: '' }), []);
  assert.deepEqual(problems({ all: [{ any: [{}, { not: { exact: { X: 'y' } } }] }] }), [
    `invalid key name "X": spec.filters[0].all[0].any[1].not.exact[X]\n${name}`,
  ]);
  assert.deepEqual(problems({ cesql: 'this is wrong' }), [
    'invalid value: this is wrong: spec.filters[0].cesql\nparse error: line 1, column 6: an operator or the end is expected, not "is"\nthis is wrong\n     ^',
  ]);
  assert.deepEqual(problems({ cesql: "type = 'a'" }, null, { exact: null }), []);
  assert.deepEqual(filterProblems(undefined, 'x'), []);
});

test('what is of the wrong type is refused by its path, and nothing is too deep', () => {
  const paths = (filters: unknown) => filterProblems(filters, 'f').flatMap((problem) => problem.paths);
  assert.deepEqual(paths('x'), ['f']);
  assert.deepEqual(
    paths(['x', { exact: ['x'] }, { all: {} }, { cesql: 5 }, { exact: { a: 5 } }, { not: 'x' }]),
    ['f[0]', 'f[1].exact', 'f[2].all', 'f[3].cesql', 'f[4].exact[a]', 'f[5].not'],
  );
  let deep: FilterSpec = { exact: { type: 'x' } };
  for (let level = 1; level < MAX_FILTER_DEPTH; level++) deep = { not: deep };
  assert.deepEqual(paths([deep]), []);
  assert.match(filterProblems([{ not: deep }], 'f')[0]?.message ?? '', /nested more than/);
});

test('problems of the legacy filter', () => {
  const paths = (filter: unknown) =>
    legacyFilterProblems(filter, 'spec.filter').flatMap((problem) => problem.paths);
  assert.deepEqual(paths({ attributes: { type: '', '0x': 'y' } }), ['spec.filter.attributes[0x]']);
  assert.deepEqual(paths(undefined), []);
  assert.deepEqual(paths({ attributes: null }), []);
  assert.deepEqual(paths({ attributes: 'x' }), ['spec.filter.attributes']);
});
