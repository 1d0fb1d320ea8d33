import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { ownTests } from './own-tests.ts';

const CASES: readonly [name: string, files: Record<string, string>, command: string | undefined][] = [
  ['npm', { 'package.json': '{"scripts":{"test":"node --test"}}' }, 'npm --silent test'],
  ['pnpm', { 'package.json': '{"scripts":{"test":"x"}}', 'pnpm-lock.yaml': '' }, 'pnpm test'],
  [
    'npm’s placeholder',
    { 'package.json': '{"scripts":{"test":"echo \\"Error: no test specified\\" && exit 1"}}' },
    undefined,
  ],
  ['node', { 'lib/a.test.ts': '', 'package.json': '{}' }, 'node --test'],
  ['go', { 'go.mod': 'module x', 'main_test.go': '' }, 'go test ./...'],
  ['go without tests', { 'go.mod': 'module x', 'main.go': '' }, undefined],
  ['cargo', { 'Cargo.toml': '' }, 'cargo test --quiet'],
  ['maven', { 'pom.xml': '', 'src/test/java/A.java': '' }, 'mvn -q -B test'],
  ['maven’s wrapper', { 'pom.xml': '', mvnw: '', 'src/a': '' }, 'sh ./mvnw -q -B test'],
  ['gradle', { 'build.gradle.kts': '' }, 'gradle -q test'],
  ['pytest by its settings', { 'pyproject.toml': '[tool.pytest.ini_options]\n' }, 'python3 -m pytest -q'],
  ['unittest', { 'main.py': '', 'test_main.py': '' }, 'python3 -m unittest -q'],
  ['rspec', { Gemfile: '', 'spec/a_spec.rb': '' }, 'bundle exec rspec'],
  ['prove', { 't/a.t': '' }, 'prove -r -l t'],
  ['others’ tests', { 'node_modules/x/a.test.js': '', 'index.js': '' }, undefined],
];

for (const [name, files, command] of CASES)
  test(`the tests of a project: ${name}`, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'petrel-own-tests-'));
    t.after(() => rmSync(folder, { recursive: true }));
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    assert.equal(ownTests(folder)?.argv.join(' '), command);
  });
