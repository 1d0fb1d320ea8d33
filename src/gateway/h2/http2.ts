/** `node:http2` without the cost of building its namespace (see `src/base/http.ts`), and what both sides agree on. */
import type * as Http2 from 'node:http2';

const http2: typeof Http2 = process.getBuiltinModule('node:http2');

export const { connect, performServerHandshake } = http2;

/** Error codes of RFC 9113 §7 that are used here. */
export const CODE = {
  noError: 0,
  protocol: 1,
  internal: 2,
  refused: 7,
  cancel: 8,
  calm: 11,
} as const;

/** The flag of the last frame of a message. */
export const END_STREAM = 1;
/** The id that announces a GOAWAY to come without refusing anything yet (RFC 9113 §6.8). */
export const LAST_POSSIBLE_ID = 0x7fffffff;

/** Names of the codes, for messages. */
const NAMES: Record<number, string> = {
  0: 'NO_ERROR',
  1: 'PROTOCOL_ERROR',
  2: 'INTERNAL_ERROR',
  3: 'FLOW_CONTROL_ERROR',
  5: 'STREAM_CLOSED',
  6: 'FRAME_SIZE_ERROR',
  7: 'REFUSED_STREAM',
  8: 'CANCEL',
  9: 'COMPRESSION_ERROR',
  11: 'ENHANCE_YOUR_CALM',
  12: 'INADEQUATE_SECURITY',
  13: 'HTTP_1_1_REQUIRED',
};

export function codeName(code: number): string {
  return NAMES[code] ?? String(code);
}

/** The part of a stream that writes and that both sides drive alike. */
export function closeStream(stream: Http2.Http2Stream, code: number): void {
  if (!stream.closed && !stream.destroyed) stream.close(code);
}
