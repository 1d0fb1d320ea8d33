import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FunctionSpec } from '../../kinds/function.ts';
import { matches, type SourceView, wantsBuild } from './when.ts';

const view = (files: Record<string, string>): SourceView => ({
  names: new Set(Object.keys(files)),
  read: async (name) => files[name] ?? '',
});
const NODE = ['package.json#dependencies', '!node_modules'];

const cases: [string, string[], Record<string, string>, boolean][] = [
  ['a file that is there', ['go.mod'], { 'go.mod': '' }, true],
  ['a file that is not', ['go.mod'], { 'main.go': '' }, false],
  ['one of several', ['a', 'b'], { b: '' }, true],
  ['a key of JSON', NODE, { 'package.json': '{"dependencies":{"a":"1"}}' }, true],
  ['a key with nothing in it', NODE, { 'package.json': '{"dependencies":{}}' }, false],
  ['a key that is not there', NODE, { 'package.json': '{"type":"module"}' }, false],
  ['JSON that is none', NODE, { 'package.json': '{' }, false],
  ['what must not be there', NODE, { 'package.json': '{"dependencies":{"a":"1"}}', node_modules: '' }, false],
  ['only what must not be there', ['!vendor'], {}, true],
  ['a key of TOML', ['p.toml#dependencies'], { 'p.toml': '[project]\ndependencies = ["a"]\n' }, true],
  ['a table of TOML', ['p.toml#dependencies'], { 'p.toml': '[tool.poetry.dependencies]\na = "1"\n' }, true],
  ['a word in a text', ['p.toml#dependencies'], { 'p.toml': 'x = "has dependencies"\n' }, false],
  ['a component', ['*.wasm#component'], { 'x.wasm': '\0asm\r\0\x01\0…' }, true],
  [
    'a module',
    ['*.wasm#component'],
    { 'x.wasm': '\0asm\x01\0\0\0…', 'x.wasm.txt': '\0asm\r\0\x01\0' },
    false,
  ],
];
for (const [name, when, files, expected] of cases) {
  test(`when: ${name}`, async () => assert.equal(await matches(when, view(files)), expected));
}

test('the Function has the last word, and where nothing can be built the source is not looked at', async () => {
  const spec = (build?: FunctionSpec['build']): FunctionSpec => ({
    runtime: 'r',
    package: { digest: 'sha256:' },
    ...(build ? { build } : {}),
  });
  const untouched = () => Promise.reject(new Error('the source was looked at'));
  const runtime = { command: ['x'], when: ['never-there'] };
  assert.equal(await wantsBuild(spec(), undefined, untouched), false);
  assert.equal(await wantsBuild(spec({ mode: 'never' }), { command: ['x'] }, untouched), false);
  assert.equal(await wantsBuild(spec({ mode: 'always' }), runtime, untouched), true);
  assert.equal(await wantsBuild(spec({ command: 'make' }), undefined, untouched), true);
  assert.equal(await wantsBuild(spec(), { command: ['x'] }, untouched), true);
});
