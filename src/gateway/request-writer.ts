/** The head that goes to an instance, byte by byte into a connection's outgoing buffer. */
import { CR, LF } from '../base/http1/chars.ts';
import type { Exchange } from './exchange.ts';
import { newRequestId } from './ids.ts';

const DASH = 45;
const ZERO = 48;
const ID = Buffer.from('x-request-id: ', 'latin1');
const TRACE = Buffer.from('traceparent: 00-', 'latin1');
const PREFIX = Buffer.from('x-forwarded-prefix: ', 'latin1');
/** Begins the count of hops where functions call each other; see `RequestBlock.hops`. */
const FIRST_HOP = Buffer.from('x-petrel-hops: 1\r\n', 'latin1');
/** What the generated lines can take beyond the variable parts. */
const SLACK = 192;

/** Upper bound of what `putRequestFields` and the request line need. */
export function requestSize(x: Exchange): number {
  return x.lineEnd - x.lineStart + x.block.out.length + x.prefix.length + SLACK;
}

/** Copies bytes; short runs in a loop, which is cheaper than a call out of JavaScript. */
export function putBytes(out: Buffer, at: number, from: Buffer, start: number, end: number): number {
  const n = end - start;
  if (n > 64) return at + from.copy(out, at, start, end);
  for (let i = start; i < end; i++) out[at++] = from[i]!;
  return at;
}

/** Writes ASCII text. */
export function putText(out: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) out[at++] = text.charCodeAt(i);
  return at;
}

/** The forwarded header lines, without an empty line at the end. */
export function putRequestFields(out: Buffer, pos: number, x: Exchange): number {
  const block = x.block;
  let at = pos;
  out.set(block.out, at);
  at += block.out.length;
  if (x.prefix !== '') {
    at = putBytes(out, at, PREFIX, 0, PREFIX.length);
    at = putText(out, at, x.prefix);
    out[at++] = CR;
    out[at++] = LF;
    if (block.hops === 0) at = putBytes(out, at, FIRST_HOP, 0, FIRST_HOP.length);
  }
  const id = x.requestId;
  if (block.requestId === '') {
    at = putBytes(out, at, ID, 0, ID.length);
    at = putText(out, at, id);
    out[at++] = CR;
    out[at++] = LF;
  }
  if (!block.hasTrace) {
    // a new trace, not sampled; a request id made here is random enough to be its id too
    const trace = block.requestId === '' ? id : newRequestId();
    at = putBytes(out, at, TRACE, 0, TRACE.length);
    at = putText(out, at, trace);
    out[at++] = DASH;
    for (let i = 16; i < 32; i++) out[at++] = trace.charCodeAt(i);
    out[at++] = DASH;
    out[at++] = ZERO;
    out[at++] = ZERO;
    out[at++] = CR;
    out[at++] = LF;
  }
  return at;
}
