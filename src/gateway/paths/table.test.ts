/** The table of paths by itself: who comes first, what templates take, and that a thousand of them cost little. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PathRoute } from '../contract.ts';
import { HostPaths, type PathItem } from './host-paths.ts';
import { comparable, rawLength, written } from './normal.ts';
import { itemPath } from './paths.ts';

type Spec = [type: PathRoute['path']['type'], value: string, order?: number];

function table(...specs: Spec[]) {
  const paths = new HostPaths<PathItem>();
  const items = specs.map(([type, value, order = 0]): PathItem => {
    const item = { id: value, order, path: itemPath({ type, value }) };
    paths.add(item);
    return item;
  });
  return { paths, items, find: (path: string) => paths.find(path, () => true) };
}

test('exact before template before prefix, the longest prefix first, then the lowest order', () => {
  const { find } = table(
    ['prefix', '/', 0],
    ['prefix', '/a', 1],
    ['prefix', '/a/b', 9],
    ['template', '/a/{x}', 5],
    ['template', '/a/{y:[a-z]+}', 4],
    ['exact', '/a/b', 8],
  );
  assert.equal(find('/a/b')?.item.id, '/a/b');
  assert.equal(find('/a/b')?.item.path.type, 'exact');
  assert.deepEqual({ ...find('/a/c')?.parts }, { y: 'c' }, 'the lower order of two templates');
  assert.deepEqual({ ...find('/a/1')?.parts }, { x: '1' }, 'whose pattern does not fit is passed over');
  assert.equal(find('/a/b/c')?.item.id, '/a/b');
  assert.equal(find('/a/x/y')?.item.id, '/a');
  assert.equal(find('/ab')?.item.id, '/', 'prefixes are whole segments');
});

test('a prefix that ends with a slash is about what is below it', () => {
  const { find } = table(['prefix', '/a/']);
  assert.equal(find('/a'), null);
  assert.equal(find('/a/')?.length, 3);
  assert.equal(find('/a/b')?.length, 3);
});

test('what is taken back is not found any more, and what shares its way is', () => {
  const { paths, items, find } = table(
    ['template', '/u/{id}/x'],
    ['template', '/u/{id}'],
    ['prefix', '/p'],
    ['prefix', '/q'],
    ['exact', '/e'],
    ['template', '/r/{id:[0-9]+}'],
  );
  for (const [i, gone, stays] of [
    [0, '/u/1/x', '/u/1'],
    [2, '/p/1', '/q/1'],
    [4, '/e', '/r/5'],
  ] as const) {
    assert.ok(find(gone));
    paths.delete(items[i]!);
    assert.equal(find(gone), null);
    assert.ok(find(stays));
  }
  for (const i of [1, 3, 5]) paths.delete(items[i]!);
  assert.equal(paths.empty, true);
});

test('templates take whole segments, parts of them, and what patterns allow', () => {
  const cases: [string, string, Record<string, string> | null][] = [
    ['/u/{id}', '/u/7', { id: '7' }],
    ['/u/{id}', '/u/', null],
    ['/u/{id}', '/u/7/8', null],
    ['/{a}/{b}/', '/x/y/', { a: 'x', b: 'y' }],
    ['/{a}/{b}/', '/x/y', null],
    ['/f/{name}.json', '/f/a.b.json', { name: 'a.b' }],
    ['/f/{a}-{b:[0-9]{2}}', '/f/x-42', { a: 'x', b: '42' }],
    ['/f/{a}-{b:[0-9]{2}}', '/f/x-421', null],
    ['/all/{rest:.*}', '/all/a/b/c', { rest: 'a/b/c' }],
    ['/grüße/{wer}', '/gr%C3%BC%C3%9Fe/du', { wer: 'du' }],
    ['/u/{id:a|b}', '/u/b', { id: 'b' }],
  ];
  for (const [template, path, parts] of cases) {
    const found = table(['template', template]).find(comparable(path)!);
    assert.deepEqual(found === null ? null : { ...found.parts }, parts, `${template} ${path}`);
  }
});

test('templates that are none, and patterns that could take for ever, are refused', () => {
  for (const value of ['/{', '/{}', '/{a}/{a}', 'x/{a}', '/{a:(}', '/{a:(x)\\2}', '/{a:(?=x)}', '/{1}']) {
    assert.throws(() => itemPath({ type: 'template', value }), { code: 'InvalidArgument' }, value);
  }
});

test('a path is compared as what it means, whichever way it is written', () => {
  assert.equal(comparable('/%61dmin'), '/admin');
  assert.equal(comparable('/a%2Fb'), '/a%2Fb', 'an escaped slash separates nothing');
  assert.equal(comparable('/a%2'), '/a%2');
  assert.equal(comparable('/a%zz%41'), '/a%zzA');
  assert.equal(comparable('/%2561'), '/%61', 'once');
  for (const dots of ['/a/../b', '/./a', '/a/%2e%2E/b', '/..']) assert.equal(comparable(dots), null, dots);
  assert.equal(comparable('/a/...'), '/a/...');
  assert.equal(comparable('/.well-known/x'), '/.well-known/x');
  assert.equal(rawLength('/%61dmin/x', '/admin'.length), '/%61dmin'.length);
  assert.equal(written('/grü'), '/gr\u00c3\u00bc');
});

test('a thousand templates and prefixes are not asked one by one', () => {
  const specs: Spec[] = [];
  for (let i = 0; i < 500; i++) specs.push(['template', `/{tenant}/f${i}/{id}`], ['prefix', `/p${i}`]);
  const { paths } = table(...specs);
  let asked = 0;
  const found = paths.find('/acme/f321/9', () => {
    asked++;
    return true;
  });
  assert.equal(found?.item.id, '/{tenant}/f321/{id}');
  assert.equal(asked, 1);
});
