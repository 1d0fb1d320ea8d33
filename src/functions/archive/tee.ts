/** One stream for two readers, as fast as the slower one. */
import { once } from 'node:events';
import { PassThrough } from 'node:stream';

export interface Tee {
  /** Must be read to its end: it is what drives both. */
  main: AsyncIterable<Uint8Array>;
  /** The same bytes; who leaves it early holds nobody up. Fails when the source does. */
  copy: AsyncIterable<Uint8Array>;
}

/** Splits a stream. */
export function tee(source: AsyncIterable<Uint8Array>): Tee {
  const copy = new PassThrough();
  copy.on('error', () => {});
  const main = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of source) {
        if (!copy.destroyed && !copy.write(chunk)) await roomIn(copy);
        yield chunk;
      }
      copy.end();
    } catch (error) {
      copy.destroy(error as Error);
      throw error;
    }
  };
  return { main: main(), copy };
}

/** Resolves when it takes more, or nothing any more. */
async function roomIn(copy: PassThrough): Promise<void> {
  const over = new AbortController();
  const { signal } = over;
  await Promise.race([once(copy, 'drain', { signal }), once(copy, 'close', { signal })]).catch(() => {});
  // The one that has not come must not listen on: there are as many waits as there are pieces.
  over.abort();
}
