/** The frames of runtimes/PROTOCOL.md, as far as a control connection uses them. */

export const FRAME = { hello: 1, ping: 10, pong: 11, call: 12, result: 13, event: 14 } as const;

const HEADER = 9;
const MAX_PAYLOAD = 1024 * 1024;

/** One frame on stream 0, the only stream of a control connection. */
export function encodeFrame(type: number, payload: Uint8Array | string): Buffer {
  const length = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length;
  if (length > MAX_PAYLOAD)
    throw new RangeError(`a frame carries at most ${MAX_PAYLOAD} bytes, not ${length}`);
  const frame = Buffer.allocUnsafe(HEADER + length);
  frame.writeUInt32LE(length, 0);
  frame[4] = type;
  frame.writeUInt32LE(0, 5);
  if (typeof payload === 'string') frame.write(payload, HEADER);
  else frame.set(payload, HEADER);
  return frame;
}

/** Cuts a byte stream into frames. Throws when the peer announces more than the protocol allows. */
export function createFrameReader(onFrame: (type: number, payload: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    let buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (buffer.length >= HEADER) {
      const length = buffer.readUInt32LE(0);
      if (length > MAX_PAYLOAD)
        throw new RangeError(`a frame of ${length} bytes is longer than the protocol allows`);
      if (buffer.length < HEADER + length) break;
      onFrame(buffer[4] as number, buffer.subarray(HEADER, HEADER + length));
      buffer = buffer.subarray(HEADER + length);
    }
    rest = buffer;
  };
}
