import assert from 'node:assert/strict';
import type { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { tee } from './tee.ts';

const PIECES = 100;

async function* pieces(): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < PIECES; i++) yield Buffer.alloc(64 * 1024, i);
}

test('both readers get everything, and waiting for the slower one leaves nothing behind', async () => {
  const { main, copy } = tee(pieces());
  let most = 0;
  const slow = (async () => {
    let bytes = 0;
    for await (const piece of copy) {
      bytes += piece.length;
      most = Math.max(most, (copy as PassThrough).listenerCount('close'));
      await new Promise((resolve) => setImmediate(resolve));
    }
    return bytes;
  })();
  let bytes = 0;
  for await (const piece of main) bytes += piece.length;
  assert.equal(bytes, PIECES * 64 * 1024);
  assert.equal(await slow, bytes);
  assert.ok(most <= 5, `${most} listeners`);
});

test('a reader who leaves early holds nobody up', async () => {
  const { main, copy } = tee(pieces());
  const left = (async () => {
    for await (const _ of copy) break;
  })();
  let count = 0;
  for await (const _ of main) count++;
  await left;
  assert.equal(count, PIECES);
});
