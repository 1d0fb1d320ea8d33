import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Json } from '../../../kinds/object.ts';
import { SourceWorld } from '../../testing/source-context.ts';
import { type FilesConfig, filesSource } from './files.ts';

const root = mkdtempSync(join(tmpdir(), 'petrel-files-'));
after(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
async function watched(config: FilesConfig = {}, world = new SourceWorld()) {
  const dir = join(root, `d${count++}`);
  mkdirSync(dir);
  await world.start(filesSource, { quietMs: 0, ...config }, { dir });
  return { world, dir };
}

test('a file that was there, and one that comes, are told once and moved', async () => {
  const dir = join(root, 'before');
  mkdirSync(dir);
  writeFileSync(join(dir, 'a.json'), '{"a":1}');
  const world = new SourceWorld();
  await world.start(filesSource, { quietMs: 0 }, { dir });
  await world.until(() => world.sent.length === 1);
  writeFileSync(join(root, 'b.csv'), '1;2');
  renameSync(join(root, 'b.csv'), join(dir, 'b.csv'));
  await world.until(() => world.sent.length === 2);
  assert.deepEqual(
    world.sent.map(({ subject, datacontenttype, data }) => `${subject} ${datacontenttype} ${data}`),
    ['a.json application/json {"a":1}', 'b.csv text/csv 1;2'],
  );
  await world.stop();
  assert.deepEqual(readdirSync(dir), ['.taken', 'done']);
  assert.deepEqual(
    readdirSync(join(dir, 'done'))
      .map((name) => name.slice(9))
      .sort(),
    ['a.json', 'b.csv'],
  );
});

test('a file of the same name is another event', async () => {
  const { world, dir } = await watched({ after: 'delete' });
  for (const text of ['one', 'two']) {
    writeFileSync(join(root, 'x'), text);
    renameSync(join(root, 'x'), join(dir, 'same.txt'));
    await world.until(() => world.sent.some(({ data }) => String(data) === text));
  }
  assert.equal(new Set(world.sent.map(({ id }) => id)).size, 2);
  await world.stop();
  assert.deepEqual(readdirSync(dir, { recursive: true }).sort(), ['.taken', 'done']);
});

test('what is still being written waits until it is quiet', async () => {
  const { world, dir } = await watched({ quietMs: 150 });
  const path = join(dir, 'slow.txt');
  for (let i = 0; i < 5; i++) {
    writeFileSync(path, 'part;', { flag: 'a' });
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
  await world.until(() => world.sent.length > 0);
  assert.equal(String(world.sent[0]?.data), 'part;'.repeat(5));
  assert.equal(world.sent.length, 1);
  await world.stop();
});

test('links, folders, unfinished names and other suffixes are left alone; one that is too large is told of', async () => {
  const dir = join(root, 'odd');
  mkdirSync(join(dir, 'folder.csv'), { recursive: true });
  writeFileSync(join(root, 'secret'), 'secret');
  symlinkSync(join(root, 'secret'), join(dir, 'link.csv'));
  for (const name of ['.hidden.csv', 'x.csv.part', 'x.csv~', 'x.txt']) writeFileSync(join(dir, name), 'x');
  writeFileSync(join(dir, 'large.csv'), '');
  truncateSync(join(dir, 'large.csv'), 2 ** 21);
  writeFileSync(join(dir, 'small.csv'), 'x');
  const world = new SourceWorld();
  await world.start(filesSource, { quietMs: 0, suffix: '.csv' }, { dir });
  await world.until(() => world.sent.length > 0 && world.reports.length > 0);
  assert.deepEqual(
    world.sent.map(({ subject }) => subject),
    ['small.csv'],
  );
  assert.equal(world.reports[0], 'false UnusableFile');
  await world.stop();
  assert.equal(world.sent.length, 1);
});

test('a file that was not handed over stays, and is told again with the same id', async () => {
  const world = new SourceWorld();
  world.handed = async () => {
    throw new Error('stopping');
  };
  const { dir } = await watched({}, world);
  writeFileSync(join(dir, 'a.txt'), 'a');
  await world.until(() => world.sent.length > 0);
  await world.stop();
  assert.equal(readdirSync(join(dir, '.taken')).length, 1);
  const next = new SourceWorld();
  await next.start(filesSource, { quietMs: 0 }, { dir });
  await next.until(() => next.sent.length > 0);
  assert.equal(next.sent[0]?.id, world.sent[0]?.id);
  await next.stop();
});

test('bad configurations are refused by field', () => {
  const fields = (config: Record<string, Json>) => filesSource.check(config).map(({ field }) => field);
  assert.deepEqual(fields({}), []);
  assert.deepEqual(fields({ suffix: '../x', after: 'keep', quietMs: -1 }), ['suffix', 'after', 'quietMs']);
});
