/** Requests to stores elsewhere: bodies that stream from files, answers that stream, TLS where the URL says so. */
import { createReadStream } from 'node:fs';
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type * as Https from 'node:https';
import { pipeline } from 'node:stream/promises';
import { request as httpRequest } from './http.ts';

export interface Outgoing {
  method: string;
  url: URL;
  headers?: Record<string, string>;
  /** A part of a file, or what is there whole. */
  body?: { path: string; start: number; bytes: number } | string | Buffer;
  /** Ends it, with its answer. */
  signal?: AbortSignal;
}

export interface Incoming {
  status: number;
  headers: IncomingHttpHeaders;
  stream: IncomingMessage;
}

/** A store that says nothing for so long is not there, ms. */
const SILENT_MS = 60_000;

/** Sends a request; resolves with the head of the answer, whatever its status. */
export function send({ method, url, headers = {}, body, signal }: Outgoing): Promise<Incoming> {
  const { promise, resolve, reject } = Promise.withResolvers<Incoming>();
  const whole = typeof body === 'string' || Buffer.isBuffer(body) ? body : undefined;
  const length = typeof body === 'object' && 'path' in body ? body.bytes : Buffer.byteLength(whole ?? '');
  const request: ClientRequest = requester(url)(
    url,
    {
      method,
      signal,
      headers: { ...headers, ...(method === 'GET' || method === 'HEAD' ? {} : { 'content-length': length }) },
    },
    (stream) => resolve({ status: stream.statusCode ?? 0, headers: stream.headers, stream }),
  );
  request.setTimeout(SILENT_MS, () => request.destroy(new Error(`${url.host} does not answer`)));
  request.on('error', reject);
  if (typeof body === 'object' && 'path' in body && body.bytes > 0) {
    const { path, start, bytes } = body;
    // An early refusal ends the upload; it is the answer that counts.
    pipeline(createReadStream(path, { start, end: start + bytes - 1 }), request).catch(() => {});
  } else request.end(whole);
  return promise;
}

function requester({ protocol }: URL): typeof httpRequest {
  if (protocol === 'http:') return httpRequest;
  // Not imported: most platforms never speak to anybody.
  return (process.getBuiltinModule('node:https') as typeof Https).request as typeof httpRequest;
}

/** The whole body, up to `max` bytes of it. */
export async function textOf(stream: AsyncIterable<Uint8Array>, max = 1024 * 1024): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of stream) {
    bytes += part.byteLength;
    if (bytes <= max) parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
