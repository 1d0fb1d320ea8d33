/** Running bytes through a zlib transform with back-pressure, as an async iterable. */
import { Readable, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** The output of `transform` fed by `source`. Errors of either end the iteration; leaving it early stops both. */
export async function* pump(source: AsyncIterable<Uint8Array>, transform: Transform): AsyncGenerator<Buffer> {
  const done = pipeline(Readable.from(source, { objectMode: false }), transform);
  done.catch(() => {});
  try {
    for await (const part of transform) yield part as Buffer;
    await done;
  } finally {
    transform.destroy();
  }
}
