import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Logger } from '../../base/log.ts';
import { createPreparations, preparedDir } from './prepare.ts';

test('a runtime is prepared once before its first instance; a failure is told and holds nobody up', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'petrel-prepare-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const runtimesDir = join(dir, 'runtimes');
  const cacheDir = join(dir, 'cache');
  const runtime = (name: string, script?: string) => {
    mkdirSync(join(runtimesDir, name), { recursive: true });
    if (script !== undefined) writeFileSync(join(runtimesDir, name, 'prepare.cjs'), script);
  };
  runtime('good', "require('node:fs').appendFileSync(process.env.PETREL_OUTPUT + '/runs', 'x');");
  runtime('bad', "console.error('no compiler'); process.exit(1);");
  runtime('plain');
  const warnings: string[] = [];
  const log = {
    warn: (_: string, fields: object) => warnings.push(JSON.stringify(fields)),
  } as unknown as Logger;
  const prepare = createPreparations({
    runtimesDir,
    cacheDir,
    node: process.execPath,
    path: process.env.PATH ?? '',
    log,
  });

  const first = prepare('petrel.dev/runtime/good');
  assert.equal(prepare('petrel.dev/runtime/good'), first, 'the second instance waits for the same');
  await first;
  assert.equal(readFileSync(join(preparedDir(cacheDir, 'good'), 'runs'), 'utf8'), 'x');
  assert.equal(prepare('petrel.dev/runtime/good'), undefined);

  await prepare('petrel.dev/runtime/bad');
  assert.match(String(warnings), /no compiler/);
  assert.equal(prepare('petrel.dev/runtime/bad'), undefined);

  for (const image of ['petrel.dev/runtime/plain', 'petrel.dev/runtime/../../etc', 'docker.io/x', undefined])
    assert.equal(prepare(image), undefined);
  assert.ok(!existsSync(preparedDir(cacheDir, 'plain')));
});
