/** Answers. */
import type { Status } from '../../kinds/object.ts';
import type { KubeResponse } from '../../kube/transport.ts';
import type { ApiError } from './errors.ts';

export const JSON_TYPE = 'application/json';

async function* chunksOf(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

/** An answer of any type. */
export function bytes(
  code: number,
  body: Uint8Array,
  type: string,
  headers: Record<string, string> = {},
): KubeResponse {
  return {
    status: code,
    headers: { 'content-type': type, 'content-length': String(body.length), ...headers },
    body: chunksOf([body]),
  };
}

/** An answer whose body is JSON text. */
export const jsonText = (code: number, text: string, headers?: Record<string, string>): KubeResponse =>
  bytes(code, Buffer.from(text), JSON_TYPE, headers);

export const json = (code: number, value: unknown, headers?: Record<string, string>): KubeResponse =>
  jsonText(code, JSON.stringify(value), headers);

/** An answer in plain text. */
export const plain = (code: number, text: string): KubeResponse =>
  bytes(code, Buffer.from(text), 'text/plain; charset=utf-8');

/** The client's copy is still good. */
export const notModified = (headers: Record<string, string>): KubeResponse => ({
  status: 304,
  headers: { ...headers, 'content-length': '0' },
  body: chunksOf([]),
});

export const failure = (error: ApiError): KubeResponse => json(error.code, error.status, error.headers);

/** The answer to a deletion that is complete. */
export const success = (details: NonNullable<Status['details']>): Status => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Success',
  details,
});

/** Characters of JSON that are joined before they are handed on. */
const LIST_CHUNK = 128 * 1024;

/** A list from the stored texts, piece by piece: a large one never exists as a whole. */
export function jsonList(
  head: { kind: string; apiVersion: string; metadata: object },
  items: string[],
): KubeResponse {
  const start = `${JSON.stringify(head).slice(0, -1)},"items":[`;
  const end = ']}\n';
  let length = Buffer.byteLength(start) + end.length + Math.max(0, items.length - 1);
  for (const item of items) length += Buffer.byteLength(item);
  function* pieces(): Generator<Uint8Array> {
    let piece = start;
    for (const [i, item] of items.entries()) {
      piece += i === 0 ? item : `,${item}`;
      if (piece.length > LIST_CHUNK) {
        yield Buffer.from(piece);
        piece = '';
      }
    }
    yield Buffer.from(piece + end);
  }
  return {
    status: 200,
    headers: { 'content-type': JSON_TYPE, 'content-length': String(length) },
    body: chunksOf(pieces()),
  };
}
