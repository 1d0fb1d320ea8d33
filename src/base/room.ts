/** Waiting for a stream whose reader is slower than what is written. */
import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Resolves when it takes more, or nothing any more. */
export async function roomIn(stream: Writable): Promise<void> {
  if (stream.destroyed) return;
  const over = new AbortController();
  const { signal } = over;
  await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })]).catch(() => {});
  // The one that has not come must not listen on: there are as many waits as there are pieces.
  over.abort();
}
