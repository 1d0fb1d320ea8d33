/** Request ids and trace context. Random bytes are drawn in bulk: one system call serves hundreds of requests. */
import { randomFillSync } from 'node:crypto';

const POOL = Buffer.alloc(16 * 512);
let next = POOL.length;

/** 32 hexadecimal digits; also valid as a W3C trace id. */
export function newRequestId(): string {
  if (next === POOL.length) {
    randomFillSync(POOL);
    next = 0;
  }
  const start = next;
  next = start + 16;
  return POOL.toString('hex', start, next);
}

/** An inbound request id is honoured when it is 1–192 printable ASCII characters. */
export function validRequestId(value: string): boolean {
  return value.length > 0 && value.length <= 192 && /^[\x21-\x7e]+$/.test(value);
}

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Whether a traceparent can be passed on (W3C Trace Context §3.2; later versions may append fields). */
export function validTraceparent(value: string): boolean {
  return (
    TRACEPARENT.test(value) ||
    (!value.startsWith('00') && TRACEPARENT.test(value.slice(0, 55)) && value[55] === '-')
  );
}
