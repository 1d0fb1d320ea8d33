import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { placeDebugTree } from './debug-tree.ts';

test('versions of a function come to lie at one path, others beside it', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'petrel-debug-tree-'));
  t.after(() => rmSync(root, { recursive: true }));
  const tree = (version: string) => {
    const path = join(root, version);
    mkdirSync(path);
    writeFileSync(join(path, 'index.js'), version, { mode: 0o755 });
    writeFileSync(join(path, `only-${version}`), '');
    return path;
  };
  const dir = join(root, 'debug');
  const first = await placeDebugTree(tree('one'), dir, 'default', 'shop');
  const second = await placeDebugTree(tree('two'), dir, 'default', 'shop');
  assert.equal(second, first);
  assert.deepEqual(readdirSync(second).sort(), ['index.js', 'only-two']);
  assert.equal(readFileSync(join(second, 'index.js'), 'utf8'), 'two');
  assert.equal(statSync(join(second, 'index.js')).mode & 0o777, 0o755);
  const other = await placeDebugTree(join(root, 'one'), dir, 'team', 'shop');
  assert.notEqual(other, first);
  assert.deepEqual(readdirSync(dir).sort(), ['default.shop', 'team.shop']);
});
