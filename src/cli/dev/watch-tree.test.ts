import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { watchTree } from './watch-tree.ts';

function setUp(t: TestContext, path = '.') {
  const root = mkdtempSync(join(tmpdir(), 'petrel-watch-'));
  writeFileSync(join(root, 'index.ts'), '1');
  mkdirSync(join(root, 'lib'));
  mkdirSync(join(root, 'node_modules'));
  const told: string[] = [];
  let waiting: (() => void) | undefined;
  const watching = watchTree(join(root, path), systemClock, (paths) => {
    told.push(...paths);
    waiting?.();
  });
  t.after(() => {
    watching.close();
    rmSync(root, { recursive: true });
  });
  /** Resolves when that path was told of. */
  const toldOf = async (wanted: string) => {
    while (!told.includes(wanted))
      await new Promise<void>((resolve) => {
        waiting = resolve;
      });
  };
  return { root, told, toldOf };
}

test('changes in a folder, and in folders that are made later', async (t) => {
  const { root, told, toldOf } = setUp(t);
  writeFileSync(join(root, 'index.ts'), '2');
  await toldOf('index.ts');
  mkdirSync(join(root, 'lib/deep'));
  await toldOf('lib/deep');
  writeFileSync(join(root, 'lib/deep/a.ts'), '');
  await toldOf('lib/deep/a.ts');
  writeFileSync(join(root, 'node_modules/x.js'), '');
  rmSync(join(root, 'lib'), { recursive: true });
  await toldOf('lib');
  assert.ok(!told.some((path) => path.includes('node_modules')), told.join(' '));
});

test('a single file, also when an editor puts another in its place', async (t) => {
  const { root, told, toldOf } = setUp(t, 'index.ts');
  writeFileSync(join(root, 'other.ts'), '');
  writeFileSync(join(root, '.index.ts.swp'), '2');
  renameSync(join(root, '.index.ts.swp'), join(root, 'index.ts'));
  await toldOf('index.ts');
  assert.deepEqual([...new Set(told)], ['index.ts']);
});
