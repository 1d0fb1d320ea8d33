/** One connection to a server of HTTP/1.1, kept alive, one request on it at a time. */
import { connect, isIP, type LookupFunction, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Deadlines, Timed } from '../../base/deadlines.ts';
import { ReadBuffer } from '../../base/io.ts';
import { type Answer, AnswerReader, READ } from './answer-reader.ts';

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
  /** Bytes of bodies that are being read. */
  reading: number;
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
  readonly #reader: AnswerReader;
  #reused = false;
  #idleSince = 0;
  #reason = '';

  constructor(address: Address, owner: Owner) {
    this.address = address;
    this.#owner = owner;
    this.#reader = new AnswerReader(owner);
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
    return this.#exchange === undefined && this.#socket.writable && !this.#socket.readableEnded;
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
    this.#reader.begin();
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
    const reader = this.#reader;
    switch (reader.read(buf, n)) {
      case READ.complete:
        this.#complete();
        return;
      case READ.cut:
        this.#settle({ answer: reader.take(true) });
        break;
      case READ.broken:
        this.#settle({ failure: 'broken', message: `the answer is not HTTP/1.1: ${reader.error}` });
        break;
      default:
        return;
    }
    this.#socket.destroy();
  }

  #complete(): void {
    const reader = this.#reader;
    const answer = reader.take(false);
    const exchange = this.#exchange!;
    this.#exchange = undefined;
    const now = performance.now();
    this.#idleSince = now;
    const { keepAliveSeconds: seconds } = reader;
    const idleMs = seconds > 0 ? Math.min(IDLE_MS, seconds * 1000 - 1000) : IDLE_MS;
    const sent = this.#socket.writableLength === 0;
    if (reader.reusable && reader.exact && sent && idleMs > 0 && this.#owner.idle(this)) {
      this.deadline = now + idleMs;
      this.#owner.deadlines.arm(this.deadline);
    } else this.#socket.destroy();
    exchange.done({ answer });
  }

  #settle(ended: Ended): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#reader.forget();
    exchange?.done(ended);
  }

  #ended(): void {
    if (this.#exchange !== undefined && this.#reader.ends())
      this.#settle({ answer: this.#reader.take(false) });
  }

  #closed(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    this.#owner.deadlines.delete(this);
    this.#owner.gone(this);
    if (this.#exchange === undefined) return;
    const reason = this.#reason || 'closed by the other side';
    const { heard } = this.#reader;
    if (!this.#connected) this.#settle({ failure: 'connect', message: reason });
    else if (!heard && this.#reused)
      this.#settle({ failure: 'stale', message: `the connection broke before an answer: ${reason}` });
    else
      this.#settle({
        failure: 'broken',
        message: `the connection broke ${heard ? 'in the answer' : 'before an answer'}: ${reason}`,
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
    // An address is no server name; its certificate is held against the address itself.
    ...(isIP(tls!.servername) === 0 ? { servername: tls!.servername } : {}),
    ca: tls!.ca,
    ALPNProtocols: ['http/1.1'],
  });
  socket.setNoDelay(true);
  return socket;
}
