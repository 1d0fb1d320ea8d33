import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync, writev } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Journal, openJournal, type WriteParts } from './journal.ts';

const SEGMENT = 64 * 1024;

function directory(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'pj-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

interface Opened {
  journal: Journal;
  left: string[];
  numbers: number[];
  failures: unknown[];
}

async function open(
  dir: string,
  { id = 7, after = 0, write }: { id?: number; after?: number; write?: WriteParts } = {},
): Promise<Opened> {
  const failures: unknown[] = [];
  const { journal, left } = openJournal({
    path: join(dir, 'j'),
    id,
    after,
    segmentBytes: SEGMENT,
    failed: (error) => failures.push(error),
    ...(write ? { write } : {}),
  });
  await journal.ready;
  return {
    journal,
    left: left.map(({ record }) => record.toString()),
    numbers: left.map(({ number }) => number),
    failures,
  };
}

/** Appends all at once; their numbers when they are on disk. */
async function append(journal: Journal, ...texts: string[]): Promise<number[]> {
  const taken = texts.map((text) => journal.append(Buffer.from(text)));
  await Promise.all(taken.map((one) => one?.written));
  return taken.map((one) => one?.number ?? -1);
}

test('what was written is left for the next opening, in order, but for what is in the file', async (t) => {
  const dir = directory(t);
  const first = await open(dir);
  assert.deepEqual(first.left, []);
  const [one = 0, two = 0] = await append(first.journal, 'one', 'two', 'three');
  await append(first.journal, 'four');
  await first.journal.close();
  assert.deepEqual(readdirSync(dir).sort(), ['j-a', 'j-b']);
  assert.equal(statSync(join(dir, 'j-a')).mode & 0o777, 0o600);
  assert.deepEqual((await open(dir)).left, ['one', 'two', 'three', 'four']);
  const again = await open(dir, { after: two });
  assert.deepEqual(again.left, ['three', 'four']);
  assert.equal(again.numbers[0], one + 2);
  // What another journal left behind is not taken for its own.
  assert.deepEqual((await open(dir, { id: 8 })).left, []);
});

test('what is left is not written over before it is released, and never follows what comes later', async (t) => {
  const dir = directory(t);
  const first = await open(dir);
  const numbers = await append(first.journal, 'aaaa', 'bbbb', 'cccc');
  await first.journal.close();
  const second = await open(dir);
  assert.deepEqual(second.left, ['aaaa', 'bbbb', 'cccc']);
  // It goes to the other file until then.
  await append(second.journal, 'dddd');
  await second.journal.close();
  const third = await open(dir, { after: numbers.at(-1) as number });
  assert.deepEqual(third.left, ['dddd']);
  third.journal.release(third.numbers[0] as number);
  await append(third.journal, 'eeee');
  await third.journal.close();
  // Behind `eeee`, or `dddd`, stands what the first turn wrote there: of the same length, and intact.
  assert.deepEqual((await open(dir, { after: third.numbers[0] as number })).left, ['eeee']);
});

test('the files are used in turn; without room nothing is taken until something is released', async (t) => {
  const dir = directory(t);
  const { journal } = await open(dir);
  const text = 'x'.repeat(1000);
  let last = 0;
  const fill = async () => {
    let taken = 0;
    for (;;) {
      const one = journal.append(Buffer.from(text));
      if (one === undefined) return taken;
      last = one.number;
      taken++;
      await one.written;
    }
  };
  const all = await fill();
  assert.equal(all, 2 * Math.floor(SEGMENT / 1016));
  // The other file's last one is still needed.
  journal.release(last - all / 2 - 1);
  assert.equal(journal.append(Buffer.from(text)), undefined);
  journal.release(last);
  const before = last;
  assert.equal(await fill(), all);
  assert.equal(statSync(join(dir, 'j-a')).size, SEGMENT);
  await journal.close();
  const { left, numbers } = await open(dir, { after: before });
  assert.equal(left.length, all);
  assert.deepEqual(
    numbers,
    Array.from({ length: all }, (_, i) => before + 1 + i),
  );
  assert.equal(journal.append(Buffer.from('late')), undefined);
});

test('a torn end is left out, whatever stands behind it', async (t) => {
  const dir = directory(t);
  const { journal } = await open(dir);
  await append(journal, 'whole', 'torn', 'behind');
  await journal.close();
  const path = join(dir, 'j-a');
  const bytes = readFileSync(path);
  const at = bytes.indexOf('torn');
  for (const place of [at, at - 16, at - 12, at - 8]) {
    const torn = Buffer.from(bytes);
    torn[place] = (torn[place] as number) ^ 1;
    writeFileSync(path, torn);
    assert.deepEqual((await open(dir)).left, ['whole'], `byte ${place - at}`);
  }
});

test('too large or empty: not taken', async (t) => {
  const { journal } = await open(directory(t));
  assert.equal(journal.append(Buffer.alloc(300 * 1024)), undefined);
  assert.equal(journal.append(Buffer.alloc(0)), undefined);
  await journal.close();
});

test('a write that fails refuses what was not written, and the journal is used no more', async (t) => {
  const dir = directory(t);
  let broken = false;
  const { journal, failures } = await open(dir, {
    write: (fd, parts, position, done) =>
      broken ? done(new Error('EIO'), 0) : writev(fd, parts, position, done),
  });
  await append(journal, 'kept');
  broken = true;
  const [one, two] = [journal.append(Buffer.from('lost')), journal.append(Buffer.from('too'))];
  await assert.rejects(Promise.resolve(one?.written), /EIO/);
  await assert.rejects(Promise.resolve(two?.written), /EIO/);
  assert.equal(failures.length, 1);
  assert.equal(journal.append(Buffer.from('later')), undefined);
  await journal.close();
  assert.deepEqual((await open(dir)).left, ['kept']);
});

test('files that cannot be made: nothing is taken, and that is told', async (t) => {
  const { journal, left, failures } = await open(join(directory(t), 'not', 'there'));
  assert.deepEqual([left, failures.length], [[], 1]);
  assert.equal(journal.append(Buffer.from('one')), undefined);
  await journal.close();
});
