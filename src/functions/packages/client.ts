/** The other end of the platform socket: what the command uses to upload packages and to ask for anything else. */

import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout } from 'node:timers/promises';
import { PetrelError } from '../../base/errors.ts';
import { Agent, request as httpRequest } from '../../base/http.ts';
import type { Digest } from '../../kinds/function.ts';
import { errorFromBody, OFFSET_HEADER } from './server.ts';
import type { StoredPackage } from './store.ts';

/** An archive that knows its digest and can be read, from any byte on. `pack.ts` makes them. */
export interface UploadSource {
  digest: Digest;
  bytes: number;
  stream(from?: number): AsyncIterable<Uint8Array>;
}

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

interface Body {
  bytes: number;
  headers?: Record<string, string>;
  stream(): AsyncIterable<Uint8Array>;
}

/** One exchange on the platform socket, whatever the answer is. Throws `PlatformNotRunning`, or the connection's own error. */
function exchange(
  socketPath: string,
  method: string,
  path: string,
  body?: Body | Uint8Array,
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  // Kept alive until the answer is read: a server that closes first turns the empty write that ends a body into a broken pipe.
  const agent = new Agent({ keepAlive: true });
  const request = httpRequest({ socketPath, method, path, agent }, async (response) => {
    try {
      const parts: Buffer[] = [];
      for await (const part of response) parts.push(part as Buffer);
      const { statusCode: status = 0, headers } = response;
      resolve({ status, headers, text: Buffer.concat(parts).toString('utf8') });
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
  if (body === undefined || body instanceof Uint8Array) {
    // One write with the head: an early answer cannot break it.
    if (body !== undefined) request.setHeader('content-length', body.length);
    request.end(body);
  } else {
    request.setHeader('content-length', body.bytes);
    for (const [name, value] of Object.entries(body.headers ?? {})) request.setHeader(name, value);
    // An early answer (too large, already there) ends the upload; it is the answer that counts, not the broken pipe.
    pipeline(Readable.from(body.stream(), { objectMode: false }), request).catch(() => {});
  }
  return promise.finally(() => agent.destroy());
}

function answered<T>({ status, text }: Answer): T | undefined {
  if (status >= 300) throw errorFromBody(JSON.parse(text));
  return text === '' ? undefined : (JSON.parse(text) as T);
}

/** One exchange on the platform socket; the answer's JSON. Throws the `PetrelError` that the platform answered with. */
export async function askPlatform<T>(
  socketPath: string,
  method: string,
  path: string,
  body?: Body | Uint8Array,
): Promise<T | undefined> {
  return answered<T>(await exchange(socketPath, method, path, body));
}

/** An upload whose connection broke goes on where it ended, for as long as a platform may take to start again, ms. */
const GO_ON_MS = 20_000;
const GO_ON_EVERY_MS = 250;
const BROKEN = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED']);

/** Whether the connection, not the upload, is what failed. */
function isBroken(error: unknown): boolean {
  if (error instanceof PetrelError) return error.code === 'PlatformNotRunning' || error.code === 'Conflict';
  return BROKEN.has((error as NodeJS.ErrnoException).code ?? '');
}

/** A package up to this size is sent without asking first, in one write with its head, bytes. */
const AT_ONCE = 64 * 1024;

async function wholeOf(source: UploadSource): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source.stream()) parts.push(part);
  return Buffer.concat(parts);
}

/** Uploads a package unless the platform has it, or the rest of one whose upload broke off. */
export async function uploadPackage(socketPath: string, source: UploadSource): Promise<StoredPackage> {
  const { digest, bytes } = source;
  const path = `/packages/${digest}`;
  let until: number | undefined;
  if (bytes <= AT_ONCE) {
    try {
      const stored = await askPlatform<StoredPackage>(socketPath, 'PUT', path, await wholeOf(source));
      return stored ?? { digest, bytes, created: true };
    } catch (error) {
      if (!isBroken(error) || (error instanceof PetrelError && error.code === 'PlatformNotRunning'))
        throw error;
    }
  }
  for (;;) {
    try {
      // Asked first: an upload that is cut off because its package is there already can end in a broken pipe on this side.
      const head = await exchange(socketPath, 'HEAD', path);
      if (head.status < 300) return { digest, bytes, created: false };
      const begun = Number(head.headers[OFFSET_HEADER] ?? 0);
      const offset = begun < bytes ? begun : 0;
      until ??= performance.now() + GO_ON_MS;
      const range: Record<string, string> =
        offset === 0 ? {} : { 'content-range': `bytes ${offset}-${bytes - 1}/${bytes}` };
      const stored = await askPlatform<StoredPackage>(socketPath, 'PUT', path, {
        bytes: bytes - offset,
        headers: range,
        stream: () => source.stream(offset),
      });
      return stored ?? { digest, bytes, created: true };
    } catch (error) {
      if (until === undefined || performance.now() > until || !isBroken(error)) throw error;
      await setTimeout(GO_ON_EVERY_MS);
    }
  }
}
