import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { PetrelError } from '../../base/errors.ts';
import type { Runtime } from '../../kinds/function.ts';
import { chooseRuntime, findSource } from './source.ts';

const DIR = mkdtempSync(join(tmpdir(), 'petrel-source-'));
after(() => rmSync(DIR, { recursive: true }));
for (const [name, text] of Object.entries({
  'hello.ts': '',
  'my.app.mjs': '',
  'Bad_Name.py': '',
  'notes.txt': '',
  'shop/package.json': '{}',
  'shop/index.js': '',
  'shop/tool.py': '',
  'flask/app.py': '',
  'mixed/a.js': '',
  'mixed/b.py': '',
  'helped/main.py': '',
  'helped/release.sh': '',
  'scripts/hello.sh': '',
  'empty/readme.md': '',
  'maven/pom.xml': '',
  'laravel/composer.json': '',
  'laravel/package.json': '{}',
  'laravel/index.php': '',
  'both/composer.json': '',
  'both/package.json': '{}',
})) {
  mkdirSync(join(DIR, name, '..'), { recursive: true });
  writeFileSync(join(DIR, name), text);
}

const runtime = (name: string, extensions: string[], markers: string[] = []): Runtime => ({
  apiVersion: 'petrel.dev/v1',
  kind: 'Runtime',
  metadata: { name },
  spec: { language: name, extensions, command: [], markers },
});
const RUNTIMES = [
  runtime('node', ['.ts', '.mts', '.js', '.mjs', '.cjs'], ['package.json']),
  runtime('python', ['.py']),
  runtime('java', ['.java'], ['pom.xml']),
  runtime('php', ['.php'], ['composer.json']),
  runtime('exec', ['.sh']),
];
const code = (expected: string) => (error: unknown) =>
  error instanceof PetrelError && error.code === expected;

test('a file is named after itself and is its own entry', () => {
  assert.deepEqual(findSource(join(DIR, 'hello.ts'), {}), {
    path: join(DIR, 'hello.ts'),
    directory: false,
    entry: 'hello.ts',
    name: 'hello',
  });
});

test('a folder is named after itself and leaves the entry to the runtime', () => {
  const source = findSource(`${DIR}/shop/`, {});
  assert.equal(source.name, 'shop');
  assert.equal(source.entry, undefined);
  assert.equal(findSource(`${DIR}/shop`, { name: 'store', entry: 'index.js' }).entry, 'index.js');
});

test('a name that is no host name is refused with one that would do', () => {
  assert.throws(
    () => findSource(join(DIR, 'Bad_Name.py'), {}),
    (error) =>
      error instanceof PetrelError && error.code === 'InvalidName' && error.fix.endsWith('--name bad-name'),
  );
  for (const name of ['my.app', 'UPPER', '-x', '1st', 'x'.repeat(58), '']) {
    assert.throws(() => findSource(join(DIR, 'hello.ts'), { name }), code('InvalidName'), name);
  }
  assert.equal(findSource(join(DIR, 'hello.ts'), { name: 'x'.repeat(57) }).name.length, 57);
});

test('what is not there is told', () => {
  assert.throws(() => findSource(join(DIR, 'nope.ts'), {}), code('FileNotFound'));
  assert.throws(() => findSource(join(DIR, 'hello.ts/x'), {}), code('FileNotFound'));
  assert.throws(() => findSource(join(DIR, 'shop'), { entry: 'nope.js' }), code('FileNotFound'));
  assert.throws(() => findSource('/dev/null', { name: 'x' }), code('UnsupportedSource'));
});

const chosen: [string, string | undefined, string][] = [
  ['hello.ts', undefined, 'node'],
  ['shop', undefined, 'node'],
  ['flask', undefined, 'python'],
  ['mixed', 'python', 'python'],
  ['helped', undefined, 'python'],
  ['scripts', undefined, 'exec'],
  ['notes.txt', 'python', 'python'],
];
for (const [path, asked, expected] of chosen) {
  test(`${path}${asked ? ` --runtime ${asked}` : ''} → ${expected}`, () => {
    assert.equal(chooseRuntime(findSource(join(DIR, path), { name: 'x' }), asked, RUNTIMES), expected);
  });
}

const refused: [string, string | undefined, string, RegExp][] = [
  ['notes.txt', undefined, 'UnsupportedSource', /known file extensions are \.ts/],
  ['mixed', undefined, 'UnsupportedSource', /node and python/],
  ['empty', undefined, 'UnsupportedSource', /known file extensions/],
  ['hello.ts', 'ruby', 'RuntimeUnavailable', /exec, java, node, php, python/],
  ['hello.ts', 'python', 'UnsupportedSource', /python loads \.py/],
];
for (const [path, asked, expected, why] of refused) {
  test(`${path}${asked ? ` --runtime ${asked}` : ''} is refused: ${expected}`, () => {
    assert.throws(
      () => chooseRuntime(findSource(join(DIR, path), { name: 'x' }), asked, RUNTIMES),
      (error) => error instanceof PetrelError && error.code === expected && why.test(error.why),
    );
  });
}

test('a runtime that is nearly there is named', () => {
  for (const [asked, fix] of [
    ['nodejs', /did you mean node\?/],
    ['pyhton', /did you mean python\?/],
    ['cobol', /use one of these/],
  ] as const)
    assert.throws(
      () => chooseRuntime(findSource(join(DIR, 'hello.ts'), {}), asked, RUNTIMES),
      (error) => error instanceof PetrelError && fix.test(error.fix),
      asked,
    );
});

test('a folder is of the runtime whose marker is in it, and of several the one whose sources are there', () => {
  const chosen = (folder: string) => chooseRuntime(findSource(join(DIR, folder), {}), undefined, RUNTIMES);
  assert.equal(chosen('maven'), 'java');
  assert.equal(chosen('laravel'), 'php');
  assert.throws(() => chosen('both'), code('UnsupportedSource'));
});
