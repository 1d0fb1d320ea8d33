/** Numbers of the instance protocol (runtimes/PROTOCOL.md). */

export const FRAME = {
  hello: 1,
  request: 2,
  requestBody: 3,
  response: 4,
  responseBody: 5,
  data: 6,
  end: 7,
  reset: 8,
  window: 9,
  ping: 10,
  pong: 11,
  call: 12,
  result: 13,
  event: 14,
  goaway: 15,
} as const;

export const FRAME_HEADER = 9;
export const MAX_FRAME = 1024 * 1024;
/** DATA bytes a stream may have under way in each direction before the receiver grants more. */
export const INITIAL_WINDOW = 262_144;
/** Largest DATA payload that is sent. */
export const MAX_DATA = 65_536;

/** Writes a frame header; returns the position after it. */
export function putHeader(out: Uint8Array, at: number, length: number, type: number, stream: number): number {
  out[at] = length & 255;
  out[at + 1] = (length >>> 8) & 255;
  out[at + 2] = (length >>> 16) & 255;
  out[at + 3] = length >>> 24;
  out[at + 4] = type;
  out[at + 5] = stream & 255;
  out[at + 6] = (stream >>> 8) & 255;
  out[at + 7] = (stream >>> 16) & 255;
  out[at + 8] = stream >>> 24;
  return at + FRAME_HEADER;
}

/** A little-endian u32. */
export function readU32(buf: Uint8Array, at: number): number {
  return (buf[at]! | (buf[at + 1]! << 8) | (buf[at + 2]! << 16) | (buf[at + 3]! << 24)) >>> 0;
}

/** A whole frame, for the rare ones. */
export function frame(type: number, stream: number, payload: Buffer | string): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const out = Buffer.allocUnsafe(FRAME_HEADER + body.length);
  putHeader(out, 0, body.length, type, stream);
  body.copy(out, FRAME_HEADER);
  return out;
}
