/**
 * One connection to a server of HTTP/1.1, kept alive, one request on it at a time. Answers are read strictly and within bounds: whom we
 * deliver to may be broken or hostile.
 */
import { connect, type LookupFunction, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Deadlines, Timed } from '../../base/deadlines.ts';
import { CHUNK, ChunkedDecoder } from '../../base/http1/chunked.ts';
import { FIELD, FieldTable, listTokens, parseContentLength, parseFields } from '../../base/http1/fields.ts';
import { parseStatusLine, type StatusLine } from '../../base/http1/status-line.ts';
import { ReadBuffer } from '../../base/io.ts';

/** Most bytes of an answer's head, and of its body that are kept. */
export const LIMITS = { head: 64 * 1024, body: 1024 * 1024, interim: 32 } as const;

/** A connection that nobody needs is closed after this time, ms: before the servers that close it after five seconds. */
const IDLE_MS = 4000;
/** To come to be, ms. */
const CONNECT_MS = 10_000;
/** A connection that was quiet for this long may have been closed by the other side just as we wrote, ms. */
const STALE_MS = 500;

/** Where a connection goes. */
export interface Address {
  host: string;
  port: number;
  /** For https. `ca`: PEM, instead of the machine's own authorities. */
  tls?: { servername: string; ca?: string };
}

/** What is sent. */
export interface Message {
  /** Request line and fields, each line with its CRLF; without content-length and the empty line. */
  head: string;
  body: Buffer | undefined;
}

export interface Answer {
  status: number;
  /** Lower-case names and values in turn. */
  headers: string[];
  body: Buffer;
  truncated: boolean;
}

/** How an exchange ended. */
export type Ended =
  | { answer: Answer }
  /**
   * `connect`: nothing was sent. `stale`: the server had closed the connection, most likely before it read anything.
   * `broken`: it cannot be known how far the server came. `timeout`: it came to no end in time.
   */
  | { failure: 'connect' | 'stale' | 'broken' | 'timeout'; message: string };

/** Who has connections. */
export interface Owner {
  readonly deadlines: Deadlines;
  readonly lookup: LookupFunction;
  /** It can carry another request; false: not wanted. */
  idle(connection: Connection): boolean;
  gone(connection: Connection): void;
}

interface Exchange extends Message {
  until: number;
  done: (ended: Ended) => void;
}

const PHASE = { idle: 0, head: 1, length: 2, chunked: 3, close: 4 } as const;
const FIELDS = new FieldTable(256);
const TRAILERS = new FieldTable(128);
const LINE: StatusLine = { minor: 1, status: 0 };
const EMPTY = Buffer.alloc(0);

/** Requests are put together here; replaced when the kernel did not take one at once. */
let scratch = Buffer.allocUnsafeSlow(64 * 1024);

export class Connection implements Timed {
  deadline: number;
  readonly address: Address;
  readonly #owner: Owner;
  readonly #socket: Socket;
  readonly #input = new ReadBuffer();
  #exchange: Exchange | undefined;
  #connected = false;
  #phase: number = PHASE.idle;
  #partial: Buffer | undefined;
  #status = 0;
  #headers: string[] = [];
  #parts: Buffer[] = [];
  #size = 0;
  #left = 0;
  #decoder: ChunkedDecoder | undefined;
  #reusable = true;
  #interim = 0;
  #heard = false;
  #reused = false;
  #idleMs = IDLE_MS;
  #idleSince = 0;
  #reason = '';

  constructor(address: Address, owner: Owner) {
    this.address = address;
    this.#owner = owner;
    this.deadline = performance.now() + CONNECT_MS;
    const { host, port, tls } = address;
    const { lookup } = owner;
    if (tls === undefined) {
      this.#socket = connect({
        host,
        port,
        lookup,
        noDelay: true,
        onread: {
          buffer: () => this.#input.next(),
          callback: (n, buf) => {
            this.#input.noteRead(n);
            this.#read(buf as Buffer, n);
            return true;
          },
        },
      });
      this.#socket.on('connect', () => this.#open());
    } else {
      this.#socket = secure(address, lookup);
      this.#socket.on('secureConnect', () => this.#open());
      this.#socket.on('data', (chunk: Buffer) => this.#read(chunk, chunk.length));
    }
    this.#socket.on('end', () => this.#ended());
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#reason ||= error.message || error.code || 'unknown';
    });
    this.#socket.on('close', () => this.#closed());
    owner.deadlines.add(this);
  }

  /** Whether another request may be written: the peer has not closed as far as is known here. */
  get usable(): boolean {
    return this.#phase === PHASE.idle && this.#socket.writable && !this.#socket.readableEnded;
  }

  /** Sends it once; `timeoutMs` is from now to the end of the answer. Only while there is no other. */
  send(message: Message, timeoutMs: number, done: (ended: Ended) => void): void {
    const now = performance.now();
    this.#exchange = { head: message.head, body: message.body, until: now + timeoutMs, done };
    if (!this.#connected) {
      this.deadline = Math.min(this.deadline, this.#exchange.until);
      this.#owner.deadlines.arm(this.deadline);
      return;
    }
    this.#reused = now - this.#idleSince >= STALE_MS;
    this.#write();
  }

  /** Ends the exchange under way, if there is one, as broken. */
  destroy(reason = 'it was given up here'): void {
    this.#reason ||= reason;
    this.#socket.destroy();
  }

  expire(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    const exchange = this.#exchange;
    if (exchange !== undefined) {
      const late = exchange.until <= performance.now() + 1;
      if (this.#connected || late)
        this.#settle({ failure: 'timeout', message: 'there was no answer in time' });
      else this.#settle({ failure: 'connect', message: `no connection within ${CONNECT_MS / 1000} s` });
    }
    this.#socket.destroy();
  }

  #open(): void {
    this.#connected = true;
    if (this.#exchange === undefined) this.#socket.destroy();
    else this.#write();
  }

  #write(): void {
    const { head, body, until } = this.#exchange!;
    this.deadline = until;
    this.#owner.deadlines.arm(until);
    this.#phase = PHASE.head;
    this.#heard = false;
    this.#interim = 0;
    const length = body === undefined ? 0 : body.length;
    const text = `${head}content-length: ${length}\r\n\r\n`;
    const socket = this.#socket;
    if (text.length + length <= scratch.length) {
      const at = scratch.write(text, 0, 'latin1');
      if (body !== undefined) scratch.set(body, at);
      socket.write(scratch.subarray(0, at + length));
      // Sent at once as a rule; otherwise the kernel still reads from this memory.
      if (socket.writableLength > 0) scratch = Buffer.allocUnsafeSlow(scratch.length);
      return;
    }
    socket.cork();
    socket.write(text, 'latin1');
    if (body !== undefined) socket.write(body);
    socket.uncork();
  }

  #read(buf: Buffer, n: number): void {
    if (this.#exchange === undefined) {
      this.destroy('it sent something nobody asked for');
      return;
    }
    this.#heard = true;
    if (this.#partial === undefined) this.#consume(buf, n);
    else {
      const all = Buffer.concat([this.#partial, buf.subarray(0, n)]);
      this.#partial = undefined;
      this.#consume(all, all.length);
    }
  }

  #consume(buf: Buffer, end: number): void {
    let pos = 0;
    for (;;) {
      switch (this.#phase) {
        case PHASE.head: {
          if (pos >= end) return;
          const next = this.#head(buf, pos, end);
          if (next === 0) return;
          pos = next;
          break;
        }
        case PHASE.length: {
          const n = Math.min(this.#left, end - pos);
          this.#left -= n;
          pos += n;
          if (!this.#keep(buf, pos - n, pos)) return;
          if (this.#left === 0) this.#complete(pos === end);
          return;
        }
        case PHASE.chunked: {
          const decoder = this.#decoder!;
          const found = decoder.next(buf, pos, end);
          pos = decoder.pos;
          if (found === CHUNK.more) return;
          if (found === CHUNK.error) {
            this.#broken(decoder.error);
            return;
          }
          if (found === CHUNK.end) {
            this.#complete(pos === end);
            return;
          }
          if (!this.#keep(buf, decoder.dataStart, decoder.dataEnd)) return;
          break;
        }
        case PHASE.close:
          this.#keep(buf, pos, end);
          return;
        default:
          return;
      }
    }
  }

  /** Returns the position after the head, 0 to stop. */
  #head(buf: Buffer, pos: number, end: number): number {
    const fieldsAt = parseStatusLine(buf, pos, end, LINE);
    if (fieldsAt < 0) {
      this.#broken('the status line is malformed');
      return 0;
    }
    const after = fieldsAt === 0 ? 0 : parseFields(buf, fieldsAt, end, FIELDS, false);
    if (after < 0) {
      this.#broken('the header fields are malformed');
      return 0;
    }
    if (after === 0) {
      if (end - pos > LIMITS.head) this.#broken('the head is too large');
      else this.#partial = Buffer.from(buf.subarray(pos, end));
      return 0;
    }
    const { status, minor } = LINE;
    if (status < 200) {
      if (status === 101) this.#broken('an upgrade nobody asked for');
      else if (++this.#interim > LIMITS.interim) this.#broken('too many interim answers');
      else return after;
      return 0;
    }
    return this.#framing(buf, status, minor) ? after : 0;
  }

  /** Reads what the fields say about the body. False: the exchange is over. */
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
          if (n < 0 || length >= 0) return this.#broken('an ambiguous Content-Length');
          length = n;
          break;
        }
        case FIELD.transferEncoding:
          if (chunked || value.toLowerCase() !== 'chunked')
            return this.#broken('an unknown Transfer-Encoding');
          chunked = true;
          break;
        case FIELD.connection:
          for (const token of listTokens(value)) {
            if (token === 'close') close = true;
            else if (token === 'keep-alive' && minor === 0) close = false;
          }
          break;
        case FIELD.keepAlive: {
          const seconds = Number(/timeout=(\d{1,6})/i.exec(value)?.[1] ?? 0);
          if (seconds > 0) this.#idleMs = Math.min(IDLE_MS, Math.max(0, seconds * 1000 - 1000));
          break;
        }
        default:
      }
      headers.push(FIELDS.name(buf, k), value);
    }
    if (chunked && length >= 0) return this.#broken('both Content-Length and Transfer-Encoding');
    this.#status = status;
    this.#headers = headers;
    this.#reusable = !close;
    if (status === 204 || status === 304) length = 0;
    if (chunked && length !== 0) {
      this.#phase = PHASE.chunked;
      this.#decoder = new ChunkedDecoder(TRAILERS);
    } else if (length >= 0) {
      this.#phase = PHASE.length;
      this.#left = length;
    } else {
      this.#phase = PHASE.close;
      this.#reusable = false;
    }
    return true;
  }

  /** Keeps bytes of the body. False: there are more than are wanted, and the exchange is over. */
  #keep(buf: Buffer, from: number, to: number): boolean {
    const room = LIMITS.body - this.#size;
    const upTo = Math.min(to, from + room);
    if (upTo > from) this.#parts.push(Buffer.from(buf.subarray(from, upTo)));
    this.#size += upTo - from;
    if (to - from <= room) return true;
    this.#settle({ answer: this.#answer(true) });
    this.#socket.destroy();
    return false;
  }

  #answer(truncated: boolean): Answer {
    const parts = this.#parts;
    const body = parts.length === 0 ? EMPTY : parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    const answer = { status: this.#status, headers: this.#headers, body, truncated };
    if (parts.length > 0) this.#parts = [];
    this.#size = 0;
    return answer;
  }

  /** The answer is complete; `exact`: and nothing came behind it. */
  #complete(exact: boolean): void {
    const ended = { answer: this.#answer(false) };
    const sent = this.#socket.writableLength === 0;
    this.#phase = PHASE.idle;
    this.#decoder = undefined;
    const exchange = this.#exchange!;
    this.#exchange = undefined;
    const now = performance.now();
    this.#idleSince = now;
    if (this.#reusable && sent && exact && this.#idleMs > 0 && this.#owner.idle(this)) {
      this.deadline = now + this.#idleMs;
      this.#owner.deadlines.arm(this.deadline);
    } else this.#socket.destroy();
    exchange.done(ended);
  }

  #settle(ended: Ended): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#phase = PHASE.idle;
    exchange?.done(ended);
  }

  #broken(message: string): false {
    this.#settle({ failure: 'broken', message: `the answer is not HTTP/1.1: ${message}` });
    this.#socket.destroy();
    return false;
  }

  #ended(): void {
    if (this.#exchange === undefined || this.#phase !== PHASE.close) return;
    this.#settle({ answer: this.#answer(false) });
  }

  #closed(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    this.#owner.deadlines.delete(this);
    this.#owner.gone(this);
    if (this.#exchange === undefined) return;
    const reason = this.#reason || 'closed by the other side';
    if (!this.#connected) this.#settle({ failure: 'connect', message: reason });
    else if (!this.#heard && this.#reused)
      this.#settle({ failure: 'stale', message: `the connection broke before an answer: ${reason}` });
    else
      this.#settle({
        failure: 'broken',
        message: `the connection broke ${this.#heard ? 'in the answer' : 'before an answer'}: ${reason}`,
      });
  }
}

/** A TLS connection; the module is loaded with the first one. */
function secure({ host, port, tls }: Address, lookup: LookupFunction): TLSSocket {
  const { connect: connectTls } = process.getBuiltinModule('node:tls');
  const socket = connectTls({
    host,
    port,
    lookup,
    servername: tls!.servername,
    ca: tls!.ca,
    ALPNProtocols: ['http/1.1'],
  });
  socket.setNoDelay(true);
  return socket;
}
