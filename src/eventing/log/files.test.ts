import assert from 'node:assert/strict';
import { constants, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Files, systemFiles } from './files.ts';
import { directory, MIB, opened, spec } from './testing/log.ts';

test('what is written through an open file is flushed when it returns', async (t) => {
  const path = join(directory(t), 'f');
  const created = await systemFiles.open(path, true);
  const again = await systemFiles.open(path, false);
  for (const fd of [created, again]) {
    const [, flags = '0'] = /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')) ?? [];
    assert.equal(Number.parseInt(flags, 8) & constants.O_DSYNC, constants.O_DSYNC);
  }
  await systemFiles.write(created, [Buffer.from('ab'), Buffer.from('cd')], 0);
  await systemFiles.write(again, [Buffer.from('XY')], 1);
  assert.equal(readFileSync(path, 'utf8'), 'aXYd');
  await systemFiles.truncate(created, 2);
  const buffer = Buffer.alloc(10);
  assert.equal(await systemFiles.read(again, buffer, 0), 2);
  await systemFiles.close(created);
  await systemFiles.close(again);
  await assert.rejects(systemFiles.open(path, true), { code: 'EEXIST' });
});

test('what is not there is nothing, and a small file is replaced as a whole', async (t) => {
  const dir = directory(t);
  assert.equal(await systemFiles.load(join(dir, 'none')), undefined);
  assert.deepEqual(await systemFiles.list(join(dir, 'none')), []);
  await systemFiles.remove(join(dir, 'none'));
  const path = join(dir, 'small');
  await systemFiles.save(path, Buffer.from('one'));
  // Left by a crash in the middle.
  writeFileSync(`${path}.new`, 'half');
  await systemFiles.save(path, Buffer.from('two'));
  assert.equal((await systemFiles.load(path))?.toString(), 'two');
  assert.deepEqual(await systemFiles.list(dir), ['small']);
});

test('the name of a file is on disk before anything in it is acknowledged', async (t) => {
  const steps: string[] = [];
  const note = (step: string) => steps.push(step);
  const files: Files = {
    ...systemFiles,
    async rename(from, to) {
      await systemFiles.rename(from, to);
      if (to.endsWith('.log')) note('named');
    },
    async syncDirectory(path) {
      await systemFiles.syncDirectory(path);
      note('synced');
    },
    async write(fd, parts, position) {
      await systemFiles.write(fd, parts, position);
      if (parts[0]!.length > 1000) note('written');
    },
  };
  const { log } = await opened(t, directory(t), { files });
  const stream = await log.open(spec({ maxBytes: MIB }));
  // Whose it is, that it is there, and so on up.
  assert.deepEqual(steps, ['synced', 'synced', 'synced', 'synced']);
  for (let i = 0; i < 3; i++) {
    await stream.append(Buffer.alloc(200_000), 1);
    note('acknowledged');
  }
  const round = ['named', 'synced', 'written', 'acknowledged'];
  assert.deepEqual(steps.slice(4), [...round, ...round, ...round]);
});
