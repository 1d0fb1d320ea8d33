/** Room behind the entries of a segment that grows slowly. */
import assert from 'node:assert/strict';
import { cpSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Files, systemFiles } from './files.ts';
import { frameBytes } from './frame.ts';
import { all, directory, filesOf, MIB, opened, spec } from './testing/log.ts';

const SEGMENT = '0000000000000000.log';
const record = (i: number, bytes = 1000) => Buffer.from(`${i}`.padEnd(bytes, '.'));
const numbers = (entries: { record: Buffer }[]) => entries.map((one) => Number.parseInt(`${one.record}`, 10));

test('a file that grows slowly has room before it is needed; after a kill, and at its end, it has none', async (t) => {
  const dir = directory(t);
  const { log } = await opened(t, dir);
  const stream = await log.open(spec());
  const path = join(filesOf(dir), SEGMENT);
  const frame = frameBytes(1000, false);
  let count = 0;
  const append = async (record: Buffer) => {
    await stream.append(record, 1);
    count++;
  };
  for (let i = 0; i < 60; i++) await append(record(i));
  assert.equal(statSync(path).size, 60 * frame, 'a few events are not worth it');
  while (statSync(path).size < MIB) await append(record(count));
  assert.ok(stream.bytes < MIB / 4, `${stream.bytes}`);
  assert.equal(stream.bytes, count * frame);

  const killed = directory(t);
  cpSync(dir, killed, { recursive: true });
  const { log: other, said } = await opened(t, killed);
  const after = await other.open(spec());
  assert.deepEqual(said, [], 'nothing was lost');
  assert.equal(statSync(join(filesOf(killed), SEGMENT)).size, count * frame);
  await after.append(record(count), 1);
  assert.deepEqual(
    numbers(await all(after)),
    Array.from({ length: count + 1 }, (_, i) => i),
  );

  await log.close();
  assert.equal(statSync(path).size, count * frame);
});

test('zeros never come after what is written where they go', async (t) => {
  const dir = directory(t);
  const filling = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<boolean>();
  const files: Files = {
    ...systemFiles,
    async write(fd, parts, position) {
      if (parts.length === 1 && parts[0]?.length === MIB && parts[0]?.every((byte) => byte === 0)) {
        begun.resolve(true);
        await filling.promise;
      }
      await systemFiles.write(fd, parts, position);
    },
  };
  const { log } = await opened(t, dir, { files });
  const stream = await log.open(spec());
  let count = 0;
  const appended = () => stream.append(record(count++), 1).then(() => false);
  while (!(await Promise.race([begun.promise, appended()])));
  // This one goes where the zeros are on their way to.
  let done = false;
  const next = stream.append(record(count++), 1).then(() => {
    done = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(done, false);
  filling.resolve();
  await next;
  await stream.append(record(count++), 1);
  await log.close();
  const { log: again } = await opened(t, dir);
  assert.deepEqual(
    numbers(await all(await again.open(spec()))),
    Array.from({ length: count }, (_, i) => i),
  );
});

test('a disk that has no room for zeros has room for events', async (t) => {
  const dir = directory(t);
  let asked = 0;
  const files: Files = {
    ...systemFiles,
    async write(fd, parts, position) {
      if (parts[0]?.length === MIB && parts[0]?.every((byte) => byte === 0)) {
        asked++;
        throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
      }
      await systemFiles.write(fd, parts, position);
    },
  };
  const { log, said } = await opened(t, dir, { files });
  const stream = await log.open(spec());
  for (let i = 0; i < 200; i++) await stream.append(record(i), 1);
  assert.equal(asked, 1);
  assert.equal((await all(stream)).length, 200);
  assert.deepEqual(said, []);
});
