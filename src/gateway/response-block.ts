/** From an instance's header fields to what the client gets: filtered, checked, and remembered while they repeat. */
import { CR, LF, LOWER, SP } from '../base/http1/chars.ts';
import {
  FIELD,
  FieldTable,
  HOP_BY_HOP,
  isGrpc,
  listTokens,
  parseContentLength,
  parseFields,
} from '../base/http1/fields.ts';

/** A response's header block, ready for the client. Depends on the received bytes only. */
export interface ResponseBlock {
  raw: Buffer;
  /** Lines for the client, without content-length, connection, x-request-id and the empty line. */
  out: Buffer;
  /** -1 when absent. */
  contentLength: number;
  chunked: boolean;
  hasDate: boolean;
  /** An event stream or gRPC: it lasts as long as there is something to tell. */
  endless: boolean;
  /** `Connection: close` (only HTTP/1.1 instances say so). */
  close: boolean;
  keepAlive: boolean;
  /** Seconds of `Keep-Alive: timeout=`; 0 when absent. */
  keepAliveSeconds: number;
  /** Value of Upgrade, for 101. */
  upgrade: string;
  /** Why the block cannot be used; `''` when it can. */
  error: string;
}

/** Instances may send more fields than clients: they are known programs. */
const FIELDS = new FieldTable(256);

function copyField(buf: Buffer, k: number, out: Uint8Array, pos: number): number {
  let at = pos;
  const nameEnd = FIELDS.nameEnd[k]!;
  const valueEnd = FIELDS.valueEnd[k]!;
  for (let i = FIELDS.nameStart[k]!; i < nameEnd; i++) out[at++] = LOWER[buf[i]!]!;
  out[at++] = 58;
  out[at++] = SP;
  for (let i = FIELDS.valueStart[k]!; i < valueEnd; i++) out[at++] = buf[i]!;
  out[at++] = CR;
  out[at++] = LF;
  return at;
}

/** A block that says nothing but its bytes. */
const blockOf = (raw: Buffer, out: Buffer): ResponseBlock => ({
  raw,
  out,
  contentLength: -1,
  chunked: false,
  hasDate: false,
  endless: false,
  close: false,
  keepAlive: false,
  keepAliveSeconds: 0,
  upgrade: '',
  error: '',
});

/**
 * Reads the block at `start`…`end`. `open`: it has no empty line (the instance protocol). Returns null when it is
 * not complete; a block that breaks the rules comes back with `error`.
 */
export function readResponseBlock(
  buf: Buffer,
  start: number,
  end: number,
  open: boolean,
): ResponseBlock | null {
  const result = parseFields(buf, start, end, FIELDS, open);
  if (result === 0 && !(open && start === end)) return null;
  const raw = Buffer.from(buf.subarray(start, result > 0 ? result : start));
  const block = blockOf(raw, Buffer.allocUnsafe(0));
  if (result < 0) {
    block.error = 'the response has malformed headers';
    return block;
  }
  let named: Set<string> | null = null;
  for (let k = 0; k < FIELDS.count; k++) {
    switch (FIELDS.id[k]) {
      case FIELD.connection:
        for (const token of listTokens(FIELDS.value(buf, k))) {
          if (token === 'close') block.close = true;
          else if (token === 'keep-alive') block.keepAlive = true;
          else if (token !== 'upgrade') {
            named ??= new Set();
            named.add(token);
          }
        }
        break;
      case FIELD.contentLength: {
        const n = parseContentLength(buf, FIELDS.valueStart[k]!, FIELDS.valueEnd[k]!);
        if (n < 0 || block.contentLength >= 0) block.error = 'the response has an ambiguous Content-Length';
        block.contentLength = n;
        break;
      }
      case FIELD.transferEncoding:
        if (block.chunked || FIELDS.value(buf, k).toLowerCase() !== 'chunked') {
          block.error = 'the response has an unknown Transfer-Encoding';
        }
        block.chunked = true;
        break;
      case FIELD.keepAlive:
        block.keepAliveSeconds = Number(/timeout=(\d{1,6})/i.exec(FIELDS.value(buf, k))?.[1] ?? 0);
        break;
      case FIELD.upgrade:
        block.upgrade = FIELDS.value(buf, k);
        break;
      case FIELD.contentType: {
        const type = FIELDS.value(buf, k);
        block.endless = /^text\/event-stream(?:$|[; ])/i.test(type) || isGrpc(type);
        break;
      }
      case FIELD.date:
        block.hasDate = true;
        break;
      default:
    }
  }
  if (block.chunked && block.contentLength >= 0) {
    block.error = 'the response has both Content-Length and Transfer-Encoding';
  }
  const out = Buffer.allocUnsafe(end - start + 2 * FIELDS.count);
  let at = 0;
  for (let k = 0; k < FIELDS.count; k++) {
    const id = FIELDS.id[k]!;
    if (HOP_BY_HOP.has(id) || id === FIELD.contentLength || id === FIELD.xRequestId) continue;
    if (named?.has(FIELDS.name(buf, k))) continue;
    at = copyField(buf, k, out, at);
  }
  block.out = out.subarray(0, at);
  return block;
}

/** A block for answers that the gateway makes itself. */
export function ownBlock(lines: string): ResponseBlock {
  const out = Buffer.from(lines, 'latin1');
  return blockOf(out, out);
}

/** Whether `block` was made from exactly the bytes at `start`…`end`. */
export function sameBlock(
  block: ResponseBlock | null,
  buf: Buffer,
  start: number,
  end: number,
): block is ResponseBlock {
  if (block === null || block.error !== '' || block.raw.length !== end - start) return false;
  return end === start || buf.compare(block.raw, 0, block.raw.length, start, end) === 0;
}
