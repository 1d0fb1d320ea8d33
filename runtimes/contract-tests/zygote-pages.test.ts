import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';

type Range = [from: number, length: number];
const { writable, writtenSinceFork, pagesOf, rangesOf } = createRequire(import.meta.url)(
  '../node/zygote/pages.cjs',
) as {
  writable(): { from: number; pages: number }[];
  writtenSinceFork(memory: { from: number; pages: number }[]): Range[];
  pagesOf(ranges: Range[]): number[];
  rangesOf(pages: number[]): Range[];
};
const MIB = 2 ** 20;
const bytes = (ranges: Range[]) => ranges.reduce((sum, [, length]) => sum + length, 0);

test('pages next to each other are one range, and ranges are pages again', () => {
  const ranges: Range[] = [
    [4096, 8192],
    [20480, 4096],
  ];
  assert.deepEqual(pagesOf(ranges), [4096, 8192, 20480]);
  assert.deepEqual(rangesOf(pagesOf(ranges)), ranges);
  assert.deepEqual(rangesOf([]), []);
});

test('memory that has been written to is told, and memory that has not is not', {
  skip: process.platform !== 'linux' && 'there is no /proc',
}, () => {
  const untouched = Buffer.allocUnsafeSlow(64 * MIB);
  const memory = writable();
  const before = bytes(writtenSinceFork(memory));
  for (let at = 0; at < 16 * MIB; at += 4096) untouched[at] = 1;
  const grown = bytes(writtenSinceFork(memory)) - before;
  assert.ok(grown >= 16 * MIB && grown < 32 * MIB, `${grown} bytes`);
});
