import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { waits } from './waits.ts';

const never = new Promise<never>(() => {});

test('a wait ends with its work, with a stop, or with the loss of the connection', async () => {
  const stopping = new AbortController();
  const wait = waits(stopping.signal, never);
  assert.equal(await wait(Promise.resolve(1)), 1);
  await assert.rejects(wait(Promise.reject(new Error('no'))), /no/);
  const waiting = [wait(never), wait(never)];
  stopping.abort();
  assert.deepEqual(await Promise.all([...waiting, wait(never)]), [undefined, undefined, undefined]);

  const lost = Promise.withResolvers<never>();
  const other = waits(new AbortController().signal, lost.promise);
  const pending = other(never);
  lost.reject(new Error('lost'));
  await assert.rejects(pending, /lost/);
  await assert.rejects(other(never), /lost/);
});

test('a wait that is over is forgotten', async () => {
  const wait = waits(new AbortController().signal, never);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const used = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = used();
  for (let i = 0; i < 100_000; i++) await wait(Promise.resolve(i));
  // A race would have kept 25 MB.
  assert.ok(used() - before < 5_000_000, `${used() - before} bytes are kept`);
});
