/** Messages of `application/vnd.amazon.eventstream`. Pure. Source: Smithy, "Amazon Event Stream Specification". */
import { crc32 } from 'node:zlib';

export const EVENT_STREAM = 'application/vnd.amazon.eventstream';

const STRING = 7;

function field(name: string, value: string): Buffer {
  const bytes = Buffer.from(value);
  const head = Buffer.alloc(name.length + 4);
  head.writeUInt8(name.length, 0);
  head.write(name, 1, 'latin1');
  head.writeUInt8(STRING, name.length + 1);
  head.writeUInt16BE(bytes.length, name.length + 2);
  return Buffer.concat([head, bytes]);
}

/** An event; `type` is its name in the operation's model. */
export function eventMessage(type: string, contentType: string, payload: Buffer): Buffer {
  const headers = Buffer.concat([
    field(':message-type', 'event'),
    field(':event-type', type),
    field(':content-type', contentType),
  ]);
  const message = Buffer.alloc(12 + headers.length + payload.length + 4);
  message.writeUInt32BE(message.length, 0);
  message.writeUInt32BE(headers.length, 4);
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8);
  headers.copy(message, 12);
  payload.copy(message, 12 + headers.length);
  message.writeUInt32BE(crc32(message.subarray(0, -4)), message.length - 4);
  return message;
}
