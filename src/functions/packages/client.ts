/** The other end of the platform socket: what the command uses to upload packages and to ask for anything else. */

import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PetrelError } from '../../base/errors.ts';
import { Agent, request as httpRequest } from '../../base/http.ts';
import type { Digest } from '../../kinds/function.ts';
import { errorFromBody } from './server.ts';
import type { StoredPackage } from './store.ts';

/** An archive that knows its digest and can be read. `pack.ts` makes them. */
export interface UploadSource {
  digest: Digest;
  bytes: number;
  stream(): AsyncIterable<Uint8Array>;
}

/** One exchange on the platform socket; the answer's JSON, for HEAD whether it is there. Throws the `PetrelError` that the platform answered with. */
export async function askPlatform<T>(
  socketPath: string,
  method: string,
  path: string,
  body?: { bytes: number; stream(): AsyncIterable<Uint8Array> },
): Promise<T | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
  // Kept alive until the answer is read: a server that closes first turns the empty write that ends a body into a broken pipe.
  const agent = new Agent({ keepAlive: true });
  const request = httpRequest({ socketPath, method, path, agent }, async (response) => {
    try {
      const parts: Buffer[] = [];
      for await (const part of response) parts.push(part as Buffer);
      const text = Buffer.concat(parts).toString('utf8');
      const status = response.statusCode ?? 0;
      if (method === 'HEAD' && (status < 300 || status === 404)) resolve((status < 300) as T);
      else if (status < 300) resolve(text === '' ? undefined : (JSON.parse(text) as T));
      else reject(errorFromBody(JSON.parse(text)));
    } catch (error) {
      reject(error);
    }
  });
  request.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ECONNREFUSED') return reject(error);
    reject(
      new PetrelError('PlatformNotRunning', 'No platform is running on this home.', {
        why: `Nothing answers at ${socketPath}.`,
        fix: 'Start it with: petrel up --detach.',
        cause: error,
      }),
    );
  });
  if (body === undefined) {
    request.end();
  } else {
    request.setHeader('content-length', body.bytes);
    // An early answer (too large, already there) ends the upload; it is the answer that counts, not the broken pipe.
    pipeline(Readable.from(body.stream(), { objectMode: false }), request).catch(() => {});
  }
  return promise.finally(() => agent.destroy());
}

/** Uploads a package unless the platform has it. */
export async function uploadPackage(socketPath: string, source: UploadSource): Promise<StoredPackage> {
  const path = `/packages/${source.digest}`;
  // Asked first: an upload that is cut off because its package is there already can end in a broken pipe on this side.
  if (await askPlatform<boolean>(socketPath, 'HEAD', path))
    return { digest: source.digest, bytes: source.bytes, created: false };
  const stored = await askPlatform<StoredPackage>(socketPath, 'PUT', path, source);
  return stored ?? { digest: source.digest, bytes: source.bytes, created: true };
}
