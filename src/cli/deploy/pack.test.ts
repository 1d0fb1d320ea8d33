import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { packSource } from './pack.ts';
import type { Source } from './source.ts';

function project(t: TestContext, files: Record<string, string>): Source {
  const path = mkdtempSync(join(tmpdir(), 'petrel-pack-source-'));
  t.after(() => rmSync(path, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return { path, directory: true, entry: undefined, name: 'x' };
}

async function packed(source: Source) {
  const { digest, files, dispose } = await packSource(source);
  await dispose();
  return { digest, files };
}

test('what tools have made of a source is no part of it: its digest stays when they run', async (t) => {
  const source = project(t, { 'Cargo.toml': '', 'src/lib.rs': '', 'tools/x.py': '' });
  const before = await packed(source);
  for (const made of ['target/debug/x', '.petrel/requests/home.json', 'tools/__pycache__/x.pyc']) {
    mkdirSync(dirname(join(source.path, made)), { recursive: true });
    writeFileSync(join(source.path, made), 'made');
  }
  assert.deepEqual(await packed(source), before);
  writeFileSync(join(source.path, '.petrelignore'), '!target/\n');
  assert.equal((await packed(source)).files, before.files + 1);
});

test('a folder of that name that no tool makes, and what a program is started from', async (t) => {
  const files = { 'target/data.txt': '', 'main.py': '' };
  assert.equal((await packed(project(t, files))).files, 2);
  const program = { command: 'java -jar target/app.jar', because: '--command' };
  const java = { ...project(t, { 'pom.xml': '', 'target/app.jar': '' }), program };
  assert.equal((await packed(java)).files, 3); // and the Procfile
});
