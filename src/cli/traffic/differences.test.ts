import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileChanges, settingChanges } from './differences.ts';

test('settings are compared leaf by leaf; a variable that comes first does not change the others', () => {
  const from = { spec: { env: [{ name: 'B', value: '1' }], timeoutSeconds: 300, args: ['a', 'b'] } };
  const to = {
    spec: {
      env: [
        { name: 'A', value: '0' },
        { name: 'B', value: '1' },
      ],
      args: ['a'],
    },
  };
  assert.deepEqual(settingChanges(from, to), [
    { path: 'spec.args[1]', from: 'b' },
    { path: 'spec.env[A].name', to: 'A' },
    { path: 'spec.env[A].value', to: '0' },
    { path: 'spec.timeoutSeconds', from: 300 },
  ]);
  assert.deepEqual(settingChanges(from, structuredClone(from)), []);
  assert.deepEqual(settingChanges({ 'a.dev/b': '1' }, { 'a.dev/b': '2' }), [
    { path: '[a.dev/b]', from: '1', to: '2' },
  ]);
});

test('files are added, removed or changed; links by where they lead', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'petrel-diff-'));
  t.after(() => rmSync(root, { recursive: true }));
  const [from, to] = [join(root, 'from'), join(root, 'to')];
  for (const dir of [from, to]) {
    mkdirSync(join(dir, 'lib'), { recursive: true });
    writeFileSync(join(dir, 'lib/same.js'), 'same');
    writeFileSync(join(dir, 'main.js'), dir);
  }
  writeFileSync(join(from, 'old.js'), '');
  writeFileSync(join(to, 'lib/new.js'), '');
  symlinkSync('main.js', join(from, 'link'));
  symlinkSync('lib/new.js', join(to, 'link'));
  assert.deepEqual(fileChanges(from, to), [
    { path: 'lib/new.js', change: 'added' },
    { path: 'link', change: 'changed' },
    { path: 'main.js', change: 'changed' },
    { path: 'old.js', change: 'removed' },
  ]);
});
