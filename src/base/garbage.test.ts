import assert from 'node:assert/strict';
import { PerformanceObserver } from 'node:perf_hooks';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { passedThrough } from './garbage.ts';

const PIECE = 64 * 1024;

/** Collections while so many MiB pass through buffers. */
async function collections(mebibytes: number, told: (bytes: number) => void): Promise<number> {
  let count = 0;
  const observer = new PerformanceObserver((list) => {
    count += list.getEntries().length;
  });
  observer.observe({ entryTypes: ['gc'] });
  for (let i = 0; i < mebibytes * 16; i++) {
    Buffer.allocUnsafeSlow(PIECE).fill(i);
    told(PIECE);
  }
  await sleep(50);
  observer.disconnect();
  return count;
}

test('buffers that bytes have passed through are collected every few megabytes, which V8 would not do', async () => {
  const told = await collections(256, passedThrough);
  const alone = await collections(256, () => {});
  assert.ok(told >= 32, `${told}`);
  assert.ok(alone < told / 2, `${alone} and ${told}`);
});
