/**
 * The chunked coding (RFC 9112 §7.1), incremental and strict, for both directions. Bytes of the body are not copied:
 * the caller gets spans of its own buffer. Extensions are read, bounded, and dropped.
 */
import { CR, HEX, LF, VALUE } from './chars.ts';
import { FIELD, type FieldTable, HOP_BY_HOP, parseFields } from './fields.ts';

const STATE = {
  size: 0,
  extension: 1,
  sizeLf: 2,
  data: 3,
  dataCr: 4,
  dataLf: 5,
  trailer: 6,
  done: 7,
} as const;

/** What `next` found. */
export const CHUNK = { more: 0, data: 1, end: 2, error: 3 } as const;

const MAX_SIZE_DIGITS = 13;
const MAX_EXTENSION_BYTES = 256;
/** Extensions of a whole body: without it one-byte chunks could carry megabytes that count as nothing. */
const MAX_EXTENSIONS_TOTAL = 16 * 1024;
const MAX_TRAILER_BYTES = 16 * 1024;

/** Fields that must not arrive in trailers (RFC 9110 §6.5.1): framing, routing, and what the gateway sets itself. */
const FORBIDDEN_TRAILERS: ReadonlySet<number> = new Set<number>([
  ...HOP_BY_HOP,
  FIELD.host,
  FIELD.contentLength,
  FIELD.trailer,
  FIELD.expect,
  FIELD.xForwardedFor,
  FIELD.xForwardedProto,
  FIELD.xForwardedHost,
  FIELD.forwarded,
  FIELD.xRequestId,
  FIELD.traceparent,
]);

export class ChunkedDecoder {
  /** Position in the buffer after what `next` consumed. */
  pos = 0;
  /** After `CHUNK.data`: the span of body bytes. */
  dataStart = 0;
  dataEnd = 0;
  /** After `CHUNK.end`: accepted trailer lines, lower-case names, or null. */
  trailers: Buffer | null = null;
  /** After `CHUNK.error`. */
  error = '';
  #state: number = STATE.size;
  #size = 0;
  #digits = 0;
  #extension = 0;
  #extensionsTotal = 0;
  #trailer: Buffer | null = null;
  readonly #fields: FieldTable;

  constructor(fields: FieldTable) {
    this.#fields = fields;
  }

  #fail(message: string): number {
    this.error = message;
    return CHUNK.error;
  }

  /** Consumes from `pos` until there is something to tell. Call again with `this.pos` after `CHUNK.data`. */
  next(buf: Buffer, pos: number, end: number): number {
    let i = pos;
    while (i < end) {
      const c = buf[i]!;
      switch (this.#state) {
        case STATE.size: {
          const digit = HEX[c]!;
          if (digit !== 255) {
            if (++this.#digits > MAX_SIZE_DIGITS) return this.#fail('chunk size too large');
            this.#size = this.#size * 16 + digit;
            i++;
            break;
          }
          if (this.#digits === 0) return this.#fail('chunk size is no hexadecimal number');
          if (c === CR) this.#state = STATE.sizeLf;
          else if (c === 59) this.#state = STATE.extension;
          else return this.#fail('chunk size is no hexadecimal number');
          i++;
          break;
        }
        case STATE.extension:
          if (c === CR) this.#state = STATE.sizeLf;
          else if (VALUE[c] === 0) return this.#fail('control character in a chunk extension');
          else if (
            ++this.#extension > MAX_EXTENSION_BYTES ||
            ++this.#extensionsTotal > MAX_EXTENSIONS_TOTAL
          ) {
            return this.#fail('chunk extensions too long');
          }
          i++;
          break;
        case STATE.sizeLf:
          if (c !== LF) return this.#fail('CR without LF after a chunk size');
          this.#state = this.#size === 0 ? STATE.trailer : STATE.data;
          this.#digits = 0;
          this.#extension = 0;
          i++;
          break;
        case STATE.data: {
          const n = Math.min(this.#size, end - i);
          this.dataStart = i;
          this.dataEnd = this.pos = i + n;
          this.#size -= n;
          if (this.#size === 0) this.#state = STATE.dataCr;
          return CHUNK.data;
        }
        case STATE.dataCr:
          if (c !== CR) return this.#fail('a chunk is longer than its size');
          this.#state = STATE.dataLf;
          i++;
          break;
        case STATE.dataLf:
          if (c !== LF) return this.#fail('CR without LF after a chunk');
          this.#state = STATE.size;
          i++;
          break;
        case STATE.trailer:
          return this.#readTrailer(buf, i, end);
        default:
          this.pos = i;
          return CHUNK.end;
      }
    }
    this.pos = i;
    return CHUNK.more;
  }

  #readTrailer(buf: Buffer, pos: number, end: number): number {
    if (this.#trailer === null && buf[pos] === CR && pos + 1 < end && buf[pos + 1] === LF) {
      this.pos = pos + 2;
      this.#state = STATE.done;
      return CHUNK.end;
    }
    // Rare and small: trailers are gathered, then read like any header block.
    const before = this.#trailer === null ? 0 : this.#trailer.length;
    const added = buf.subarray(pos, Math.min(end, pos + MAX_TRAILER_BYTES + 1 - before));
    const all: Buffer = this.#trailer === null ? Buffer.from(added) : Buffer.concat([this.#trailer, added]);
    const hasLine = added.includes(LF);
    const result =
      hasLine || all.length > MAX_TRAILER_BYTES ? parseFields(all, 0, all.length, this.#fields, false) : 0;
    if (result < 0) return this.#fail('malformed trailers');
    if (result === 0) {
      if (all.length > MAX_TRAILER_BYTES) return this.#fail('trailers too large');
      this.#trailer = all;
      this.pos = end;
      return CHUNK.more;
    }
    this.trailers = acceptedTrailers(all, this.#fields);
    this.#trailer = null;
    this.pos = pos + result - before;
    this.#state = STATE.done;
    return CHUNK.end;
  }
}

/** The trailer lines that may be passed on, or null when none is left. */
export function acceptedTrailers(buf: Buffer, t: FieldTable): Buffer | null {
  let text = '';
  for (let k = 0; k < t.count; k++) {
    if (!FORBIDDEN_TRAILERS.has(t.id[k]!)) text += `${t.name(buf, k)}: ${t.value(buf, k)}\r\n`;
  }
  return text === '' ? null : Buffer.from(text, 'latin1');
}

/** `<size in hex> CRLF`, the head of a chunk of `size` bytes. */
export function chunkHead(size: number): string {
  return `${size.toString(16)}\r\n`;
}
