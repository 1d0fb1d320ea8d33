import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { PetrelError } from '../../base/errors.ts';
import { programAt } from './program.ts';
import { chooseRuntime, findSource } from './source.ts';

const DIR = mkdtempSync(join(tmpdir(), 'petrel-program-'));
after(() => rmSync(DIR, { recursive: true }));
const SCRIPT = '#!/bin/sh\nexec true\n';
for (const [name, text] of Object.entries({
  'procfile/Procfile': 'worker: no\nweb:  gunicorn -b :$PORT app:app \n',
  'procfile/app.py': '',
  'worker/Procfile': 'worker: no\n',
  'worker/index.js': '',
  'next/package.json': '{"scripts":{"start":"next start"}}',
  'main/package.json': '{"main":"lib/a.js","scripts":{"start":"node lib/a.js"}}',
  'index/package.json': '{"scripts":{"start":"node index.js"}}',
  'index/index.js': '',
  'broken/package.json': '{',
  'script/run+': SCRIPT,
  'two/other': SCRIPT,
  'two/server': SCRIPT,
  'several/b': SCRIPT,
  'several/c': SCRIPT,
  'listens.sh': '#!/bin/sh\nexec nc -lk "$PORT"\n',
  'answers.sh': SCRIPT,
  'function/handler.sh': SCRIPT,
  'started/start.sh': SCRIPT,
  'py/tool.py': '#!/usr/bin/env python3\n',
  'text/server': 'no program',
  'plain/notes.txt': '',
  'lambda/bootstrap': SCRIPT,
})) {
  mkdirSync(dirname(join(DIR, name)), { recursive: true });
  writeFileSync(join(DIR, name), text);
  if (text.startsWith('#!') || name === 'text/server') chmodSync(join(DIR, name), 0o755);
}
mkdirSync(join(DIR, 'binary'));
copyFileSync('/bin/true', join(DIR, 'binary/anything'));
chmodSync(join(DIR, 'binary/anything'), 0o755);

const cases: [path: string, command: string | undefined][] = [
  ['procfile', 'gunicorn -b :$PORT app:app'],
  ['script', "./'run+'"],
  ['two', './server'],
  ['binary', './anything'],
  ['binary/anything', './anything'],
  ['two/other', './other'],
  ['listens.sh', './listens.sh'],
  ['started', './start.sh'],
];
for (const [path, command] of cases) {
  test(`${path} runs ${command}`, () => {
    assert.equal(programAt(join(DIR, path), statSync(join(DIR, path)), undefined)?.command, command);
  });
}

test('a package.json that says how it is started, and nothing to load, is a program by its own word', () => {
  const program = programAt(join(DIR, 'next'), statSync(join(DIR, 'next')), undefined);
  assert.deepEqual(program, { command: undefined, because: 'scripts.start in package.json' });
});

for (const path of [
  'worker',
  'main',
  'index',
  'broken',
  'several',
  'py',
  'py/tool.py',
  'text',
  'plain',
  'answers.sh',
  'function',
  'lambda',
]) {
  test(`${path} is no program`, () =>
    assert.equal(programAt(join(DIR, path), statSync(join(DIR, path)), undefined), undefined));
}

test('--command comes first; what speaks of sources makes it sources', () => {
  const path = join(DIR, 'procfile');
  assert.equal(findSource(path, { command: ' ruby app.rb ' }).program?.command, 'ruby app.rb');
  assert.equal(findSource(path, {}).program?.because, 'web in Procfile');
  assert.equal(findSource(path, { entry: 'app.py' }).program, undefined);
  assert.equal(findSource(path, { shape: 'handler' }).program, undefined);
  assert.equal(findSource(path, { runtime: 'python' }).program, undefined);
  assert.throws(
    () => findSource(path, { command: ' ' }),
    (error) => error instanceof PetrelError && error.code === 'InvalidArgument',
  );
});

test('a program needs no language; another runtime than the one that runs programs is refused', () => {
  const source = findSource(join(DIR, 'procfile'), { command: 'x', runtime: 'python' });
  assert.equal(chooseRuntime(source, undefined, []), 'node');
  assert.throws(
    () => chooseRuntime(source, 'python', []),
    (error) => error instanceof PetrelError && error.code === 'UnsupportedSource',
  );
});
