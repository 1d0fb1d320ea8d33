/** One stream for two readers, as fast as the slower one. */
import { PassThrough } from 'node:stream';
import { roomIn } from '../../base/room.ts';

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
