import assert from 'node:assert/strict';
import { readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemFiles } from './files.ts';
import { Handles } from './handles.ts';
import { directory } from './testing/log.ts';

/** Which of a directory's files this process has open. */
const openIn = (dir: string) =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(dir);
    } catch {
      return false;
    }
  }).length;

async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !what(); i++) await new Promise((resolve) => setTimeout(resolve, 2));
  assert.ok(what());
}

test('a file stays open while it is used, however many are, and only some when none is', async (t) => {
  const dir = directory(t);
  const paths = Array.from({ length: 400 }, (_, i) => join(dir, `${i}`));
  for (const path of paths) writeFileSync(path, path);
  const handles = new Handles(systemFiles, 10);
  const read = (path: string, wait: Promise<void>) =>
    handles.use(path, async (fd) => {
      await wait;
      const buffer = Buffer.alloc(path.length);
      await systemFiles.read(fd, buffer, 0);
      return buffer.toString();
    });
  const gate = Promise.withResolvers<void>();
  const all = Promise.all([...paths, ...paths].map((path) => read(path, gate.promise)));
  // Used at once: many, and no more than that; the others wait for them.
  await until(() => openIn(dir) === 202);
  gate.resolve();
  assert.deepEqual(await all, [...paths, ...paths]);
  await until(() => openIn(dir) === 10);
  assert.equal(await read(paths[0]!, Promise.resolve()), paths[0]);
  handles.forget(paths[0]!);
  await until(() => openIn(dir) <= 9);
  await assert.rejects(read(join(dir, 'none'), Promise.resolve()), { code: 'ENOENT' });
  await handles.close();
  await until(() => openIn(dir) === 0);
});
