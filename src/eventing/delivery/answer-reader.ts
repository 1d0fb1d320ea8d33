/** Reads the answers of one connection from its bytes, strictly and within bounds: whom we deliver to may be broken or hostile. */
import { CHUNK, ChunkedDecoder } from '../../base/http1/chunked.ts';
import { FIELD, FieldTable, listTokens, parseContentLength, parseFields } from '../../base/http1/fields.ts';
import { parseStatusLine, type StatusLine } from '../../base/http1/status-line.ts';

/**
 * Most bytes of an answer's head, of its body that are kept, of a body that only says why something failed, and of the bodies that are
 * being read at once.
 */
const LIMITS = {
  head: 64 * 1024,
  body: 1024 * 1024,
  refusal: 16 * 1024,
  bodies: 64 * 1024 * 1024,
  interim: 32,
} as const;

export interface Answer {
  status: number;
  /** Lower-case names and values in turn. */
  headers: string[];
  body: Buffer;
  truncated: boolean;
}

/** What reading came to. */
export const READ = {
  more: 0,
  /** `take` gives the answer; `exact` says whether anything came behind it. */
  complete: 1,
  /** The body is longer than what is kept of it: `take` gives its beginning, and the connection is of no use any more. */
  cut: 2,
  /** See `error`. */
  broken: 3,
} as const;

const PHASE = { head: 0, length: 1, chunked: 2, close: 3, done: 4 } as const;
const FIELDS = new FieldTable(256);
const TRAILERS = new FieldTable(128);
const LINE: StatusLine = { minor: 1, status: 0 };
const EMPTY = Buffer.alloc(0);

export class AnswerReader {
  /** After `READ.broken`: why. */
  error = '';
  /** After `READ.complete`: nothing came behind the answer, and the server keeps the connection. */
  exact = false;
  reusable = true;
  /** Seconds that the server keeps an idle connection, as its newest answer says; 0: it does not say. */
  keepAliveSeconds = 0;
  /** Whether anything of the answer has come. */
  heard = false;
  /** Bytes of bodies that all readers with the same object hold. */
  readonly #holding: { reading: number };
  #phase: number = PHASE.head;
  #partial: Buffer | undefined;
  #status = 0;
  #headers: string[] = [];
  #parts: Buffer[] = [];
  #size = 0;
  #left = 0;
  #decoder: ChunkedDecoder | undefined;
  #interim = 0;

  constructor(holding: { reading: number }) {
    this.#holding = holding;
  }

  /** Another answer is expected. */
  begin(): void {
    this.forget();
    this.#phase = PHASE.head;
    this.#interim = 0;
    this.#partial = undefined;
    this.heard = false;
  }

  /** Takes bytes in; what is kept of them is copied. */
  read(buf: Buffer, n: number): number {
    this.heard = true;
    if (this.#partial === undefined) return this.#consume(buf, n);
    const all = Buffer.concat([this.#partial, buf.subarray(0, n)]);
    this.#partial = undefined;
    return this.#consume(all, all.length);
  }

  /** The server has closed the connection. True when that is how the answer ends. */
  ends(): boolean {
    return this.#phase === PHASE.close;
  }

  take(truncated: boolean): Answer {
    const parts = this.#parts;
    const body = parts.length === 0 ? EMPTY : parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    const answer = { status: this.#status, headers: this.#headers, body, truncated };
    this.forget();
    return answer;
  }

  /** Holds nothing of a body any more. */
  forget(): void {
    if (this.#size === 0) return;
    this.#holding.reading -= this.#size;
    this.#size = 0;
    this.#parts = [];
  }

  #consume(buf: Buffer, end: number): number {
    let pos = 0;
    for (;;) {
      switch (this.#phase) {
        case PHASE.head: {
          if (pos >= end) return READ.more;
          const next = this.#head(buf, pos, end);
          if (next === 0) return READ.more;
          if (next < 0) return READ.broken;
          pos = next;
          break;
        }
        case PHASE.length: {
          const n = Math.min(this.#left, end - pos);
          this.#left -= n;
          pos += n;
          if (!this.#keep(buf, pos - n, pos)) return READ.cut;
          return this.#left === 0 ? this.#complete(pos === end) : READ.more;
        }
        case PHASE.chunked: {
          const decoder = this.#decoder!;
          const found = decoder.next(buf, pos, end);
          pos = decoder.pos;
          if (found === CHUNK.more) return READ.more;
          if (found === CHUNK.end) return this.#complete(pos === end);
          if (found === CHUNK.error) {
            this.error = decoder.error;
            return READ.broken;
          }
          if (!this.#keep(buf, decoder.dataStart, decoder.dataEnd)) return READ.cut;
          break;
        }
        case PHASE.close:
          return this.#keep(buf, pos, end) ? READ.more : READ.cut;
        default:
          return READ.more;
      }
    }
  }

  #complete(exact: boolean): number {
    this.exact = exact;
    this.#phase = PHASE.done;
    this.#decoder = undefined;
    return READ.complete;
  }

  #wrong(error: string): -1 {
    this.error = error;
    return -1;
  }

  /** Returns the position after the head, 0 when it is not complete, -1 when it is wrong. */
  #head(buf: Buffer, pos: number, end: number): number {
    const fieldsAt = parseStatusLine(buf, pos, end, LINE);
    if (fieldsAt < 0) return this.#wrong('the status line is malformed');
    const after = fieldsAt === 0 ? 0 : parseFields(buf, fieldsAt, end, FIELDS, false);
    if (after < 0) return this.#wrong('the header fields are malformed');
    if (after === 0) {
      if (end - pos > LIMITS.head) return this.#wrong('the head is too large');
      this.#partial = Buffer.from(buf.subarray(pos, end));
      return 0;
    }
    const { status, minor } = LINE;
    if (status >= 200) return this.#framing(buf, status, minor) ? after : -1;
    if (status === 101) return this.#wrong('an upgrade nobody asked for');
    if (++this.#interim > LIMITS.interim) return this.#wrong('too many interim answers');
    return after;
  }

  /** Reads what the fields say about the body. */
  #framing(buf: Buffer, status: number, minor: number): boolean {
    const headers: string[] = [];
    let length = -1;
    let chunked = false;
    let close = minor === 0;
    for (let k = 0; k < FIELDS.count; k++) {
      const value = FIELDS.value(buf, k);
      switch (FIELDS.id[k]) {
        case FIELD.contentLength: {
          const n = parseContentLength(buf, FIELDS.valueStart[k]!, FIELDS.valueEnd[k]!);
          if (n < 0 || length >= 0) this.#wrong('an ambiguous Content-Length');
          length = n;
          break;
        }
        case FIELD.transferEncoding:
          if (chunked || value.toLowerCase() !== 'chunked') this.#wrong('an unknown Transfer-Encoding');
          chunked = true;
          break;
        case FIELD.connection:
          for (const token of listTokens(value)) {
            if (token === 'close') close = true;
            else if (token === 'keep-alive' && minor === 0) close = false;
          }
          break;
        case FIELD.keepAlive:
          this.keepAliveSeconds = Number(/timeout=(\d{1,6})/i.exec(value)?.[1] ?? 0);
          break;
        default:
      }
      headers.push(FIELDS.name(buf, k), value);
    }
    if (chunked && length >= 0) this.#wrong('both Content-Length and Transfer-Encoding');
    if (this.error !== '') return false;
    this.#status = status;
    this.#headers = headers;
    this.reusable = !close;
    if (status === 204 || status === 304) length = 0;
    if (chunked && length !== 0) {
      this.#phase = PHASE.chunked;
      this.#decoder = new ChunkedDecoder(TRAILERS);
    } else if (length >= 0) {
      this.#phase = PHASE.length;
      this.#left = length;
    } else {
      this.#phase = PHASE.close;
      this.reusable = false;
    }
    return true;
  }

  /** Keeps bytes of the body. False: there are more than are wanted. */
  #keep(buf: Buffer, from: number, to: number): boolean {
    const most = this.#status < 300 ? LIMITS.body : LIMITS.refusal;
    const room = Math.min(most - this.#size, Math.max(0, LIMITS.bodies - this.#holding.reading));
    const upTo = Math.min(to, from + room);
    if (upTo > from) this.#parts.push(Buffer.from(buf.subarray(from, upTo)));
    this.#size += upTo - from;
    this.#holding.reading += upTo - from;
    return to - from <= room;
  }
}
