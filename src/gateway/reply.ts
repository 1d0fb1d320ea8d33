/**
 * The answering half of a client connection: response heads and bodies, failures, time-outs, and how the connection
 * ends. A response that has begun and cannot be completed is cut, never finished as if it were whole.
 */
import type { Socket } from 'node:net';
import type { Timed } from '../base/deadlines.ts';
import { chunkHead } from '../base/http1/chunked.ts';
import { CUT_OFF, type Exchange, type Front, STATE } from './exchange.ts';
import { type Failure, failureBody, OUT_OF_TIME, ranOutOfTime, refusal } from './failures.ts';
import { newRequestId } from './ids.ts';
import type { Surroundings } from './plane-types.ts';
import { ownBlock, type ResponseBlock } from './response-block.ts';
import { CONNECTION, FRAMING, type Gathering, type ResponseWriter } from './response-writer.ts';
import { due, overdue } from './time-limits.ts';

/** What a client connection is doing. */
export const PHASE = {
  /** Waiting for a request, or in the middle of its head. */
  head: 0,
  /** Receiving a request body. */
  body: 1,
  /** The request is complete, its answer is not. */
  wait: 2,
  /** An upgrade was asked for. */
  upgrade: 3,
  /** The connection belongs to another protocol. */
  tunnel: 4,
  /** Answered; the rest of the request body is thrown away. */
  discard: 5,
  /** Nothing more is read or written but the end. */
  closing: 6,
} as const;

export interface ReplyPlane extends Surroundings {
  readonly writer: ResponseWriter;
  readonly closing: boolean;
}

/** Responses up to this size are copied behind their head: one system call instead of a vector of two buffers. */
const COPY_LIMIT = 16 * 1024;
/** How long a closing connection may still deliver what nobody reads, so that the answer is not lost to a reset. */
const LINGER_MS = 1000;
const DISCARD_MS = 5000;
/** Bytes that may wait for a slow client; at least the socket's own mark, so that `drain` follows. */
const HIGH_WATER = 128 * 1024;
const EMPTY = Buffer.alloc(0);
const CLOSED = -10;
/** The body of this response is not sent (HEAD, 204, 304). */
const SKIP = -11;

export abstract class Reply implements Front, Gathering, Timed {
  readonly socket: Socket;
  readonly #plane: ReplyPlane;
  phase: number = PHASE.head;
  exchange: Exchange | null = null;
  deadline = Number.POSITIVE_INFINITY;
  gathered = false;
  /** When bytes last passed. */
  protected activeAt: number = performance.now();
  protected headBegun = false;
  protected closeAfter = false;
  protected bodyComplete = true;
  /** The client waits for a 100 before it sends its body. */
  protected expectContinue = false;
  protected headMethod = false;
  #http10 = false;
  /** Framing of the response under way: bytes left, or one of `FRAMING`. */
  #left: number = CLOSED;

  constructor(socket: Socket, plane: ReplyPlane) {
    this.socket = socket;
    this.#plane = plane;
  }

  /** Reads the next request, if the connection goes on. */
  protected abstract nextRequest(): void;
  /** Bytes of the client now go to the instance as they are. */
  protected abstract becomeTunnel(): void;
  /** Goes on with what was received before. */
  protected abstract pump(): void;
  abstract get address(): string;
  abstract dispatched(x: Exchange): void;
  abstract resumeBody(x: Exchange): void;

  protected setDeadline(deadline: number): void {
    this.deadline = deadline;
    this.#plane.deadlines.arm(deadline);
  }

  /** A request begins. */
  protected startRequest(http10: boolean, closeAfter: boolean): void {
    this.#http10 = http10;
    this.closeAfter = closeAfter;
    this.bodyComplete = true;
    this.expectContinue = false;
    this.headMethod = false;
  }

  protected sendContinue(): void {
    this.expectContinue = false;
    this.#plane.writer.text(this, 'HTTP/1.1 100 Continue\r\n\r\n');
  }

  /** Decides whether the connection survives this response; says so in its head. */
  #connection(): number {
    if (this.expectContinue || this.#plane.closing) this.closeAfter = true;
    if (this.closeAfter) return CONNECTION.close;
    return this.#http10 ? CONNECTION.keepAlive : CONNECTION.silent;
  }

  /** The whole answer to a request that goes to no instance. */
  protected answer(status: number, block: ResponseBlock, id: string, framing: number): void {
    this.#plane.writer.whole(this, status, block, id, framing, this.#connection(), EMPTY, 0, 0);
    this.#finished();
  }

  /** Answers with a failure. */
  protected refuse(f: Failure, id: string): void {
    if (this.exchange !== null) this.exchange.status = f.status;
    if (f.close) this.closeAfter = true;
    const body = failureBody(f, id);
    let lines = 'content-type: application/json\r\n';
    if (f.retryAfter > 0) lines += `retry-after: ${f.retryAfter}\r\n`;
    if (f.lines !== undefined) lines += f.lines;
    const end = this.headMethod ? 0 : body.length;
    const block = ownBlock(lines);
    this.#plane.writer.whole(this, f.status, block, id, body.length, this.#connection(), body, 0, end);
    this.#finished();
  }

  #release(): void {
    const x = this.exchange;
    if (x === null) return;
    this.exchange = null;
    x.upstream = null;
    this.activeAt = performance.now();
    x.revision.leave(x, this.activeAt);
  }

  #finished(): void {
    this.#left = CLOSED;
    this.#release();
    if (this.closeAfter) this.close();
    else if (this.bodyComplete) this.nextRequest();
    else {
      this.phase = PHASE.discard;
      this.setDeadline(performance.now() + DISCARD_MS);
      this.pump();
    }
  }

  /** Ends the connection after what was written; input is thrown away until the client has closed too. */
  close(): void {
    if (this.phase === PHASE.closing) return;
    this.phase = PHASE.closing;
    this.socket.end();
    this.setDeadline(performance.now() + LINGER_MS);
    this.pump();
  }

  /** Breaks the connection off, so that nobody takes what was sent for a whole response. */
  #cut(): void {
    const ambiguous = this.#left === FRAMING.close;
    if (this.exchange !== null) this.exchange.status = CUT_OFF;
    this.phase = PHASE.closing;
    this.#release();
    // what is whole so far is sent, so that the outcome does not depend on how the instance's writes were batched
    if (this.gathered) this.socket.uncork();
    if (ambiguous) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  interim(x: Exchange, status: number, block: ResponseBlock): void {
    if (this.exchange !== x || this.#http10) return;
    this.#plane.writer.head(this, status, block, '', FRAMING.none, CONNECTION.silent);
  }

  respond(x: Exchange, status: number, block: ResponseBlock, buf: Buffer, start: number, end: number): void {
    if (this.exchange !== x) return;
    x.status = status;
    const size = end - start;
    let framing = size;
    let bodyEnd = end;
    if (x.head || status === 204 || status === 304) {
      bodyEnd = start;
      if (status === 204) framing = FRAMING.none;
      else if (block.contentLength >= 0) framing = block.contentLength;
      else if (size === 0) framing = FRAMING.none;
    }
    const writer = this.#plane.writer;
    if (bodyEnd - start <= COPY_LIMIT) {
      writer.whole(this, status, block, x.requestId, framing, this.#connection(), buf, start, bodyEnd);
    } else {
      writer.gather(this);
      writer.head(this, status, block, x.requestId, framing, this.#connection());
      this.socket.write(buf.subarray(start, bodyEnd));
    }
    this.#finished();
  }

  begin(x: Exchange, status: number, block: ResponseBlock, length: number): void {
    if (this.exchange !== x) return;
    x.begun = true;
    x.status = status;
    if (status === 101 || block.endless) this.#endless(x);
    const writer = this.#plane.writer;
    writer.gather(this);
    if (status === 101) {
      const upgrade = block.upgrade || x.block.upgrade;
      const head = ownBlock(`${block.out.toString('latin1')}connection: upgrade\r\nupgrade: ${upgrade}\r\n`);
      writer.head(this, status, head, x.requestId, FRAMING.none, CONNECTION.silent);
      this.#left = FRAMING.none;
      this.becomeTunnel();
      return;
    }
    let framing = length;
    if (x.head || status === 204 || status === 304) {
      this.#left = SKIP;
      if (length < 0 || status === 204) framing = FRAMING.none;
    } else {
      if (length < 0) framing = this.#http10 ? FRAMING.close : FRAMING.chunked;
      if (framing === FRAMING.close) this.closeAfter = true;
      this.#left = framing;
    }
    writer.head(this, status, block, x.requestId, framing, this.#connection());
  }

  #endless(x: Exchange): void {
    x.byActivity = true;
    this.activeAt = performance.now();
  }

  data(x: Exchange, buf: Buffer, start: number, end: number): void {
    const left = this.#left;
    if (this.exchange !== x || left === SKIP || start === end) return;
    const writer = this.#plane.writer;
    if (x.times.idleTimeoutMs || x.byActivity) this.activeAt = performance.now();
    const size = end - start;
    if (left >= 0 && size > left) {
      // a response splitting attempt, or a broken instance: nothing past the length given may follow
      x.upstream?.cancel(x, 'cancelled');
      this.#cut();
      return;
    }
    writer.gather(this);
    if (left === FRAMING.chunked) writer.text(this, chunkHead(size));
    this.socket.write(buf.subarray(start, end));
    if (left === FRAMING.chunked) writer.text(this, '\r\n');
    else if (left > 0) this.#left = left - size;
  }

  end(x: Exchange, trailers: Buffer | null): void {
    if (this.exchange !== x) return;
    if (this.phase === PHASE.tunnel) {
      this.#release();
      this.close();
      return;
    }
    if (this.#left > 0) {
      this.#cut();
      return;
    }
    if (this.#left === FRAMING.chunked) {
      const writer = this.#plane.writer;
      writer.gather(this);
      writer.text(this, trailers === null ? '0\r\n\r\n' : `0\r\n${trailers.toString('latin1')}\r\n`);
    }
    this.#finished();
  }

  fail(x: Exchange, f: Failure): void {
    if (this.exchange !== x) return;
    if (!x.begun) this.refuse(f, x.requestId);
    else if (this.#left === FRAMING.chunked && ranOutOfTime(f)) this.#endLate(x);
    else this.#cut();
  }

  #endLate(x: Exchange): void {
    x.status = CUT_OFF;
    this.closeAfter = true;
    const writer = this.#plane.writer;
    writer.gather(this);
    writer.text(this, `${chunkHead(OUT_OF_TIME.length)}${OUT_OF_TIME}\r\n0\r\n\r\n`);
    this.#finished();
  }

  congested(): boolean {
    return this.socket.writableLength >= HIGH_WATER;
  }

  protected caughtUp(): void {
    const x = this.exchange;
    if (x !== null && x.upstream !== null) x.upstream.resume(x);
  }

  /** The request cannot go on, through the client's fault or the clock. */
  protected abandon(f: Failure, code: 'cancelled' | 'timeout' = 'cancelled'): void {
    const x = this.exchange;
    if (x === null) return;
    x.upstream?.cancel(x, code);
    x.front.fail(x, f);
  }

  /** The client is gone. */
  protected drop(code: 'cancelled' | 'timeout'): void {
    const x = this.exchange;
    if (x === null) return;
    x.upstream?.cancel(x, code);
    this.#release();
  }

  expire(now: number): void {
    const x = this.exchange;
    if (x !== null && x.state !== STATE.done) {
      this.#expireExchange(x, now);
      return;
    }
    this.deadline = Number.POSITIVE_INFINITY;
    if (this.phase === PHASE.head && this.headBegun) {
      this.startRequest(false, true);
      this.refuse(refusal('request_timeout', 'the request head did not arrive in time'), newRequestId());
    } else if (this.phase === PHASE.head) this.close();
    else this.socket.destroy();
  }

  #expireExchange(x: Exchange, now: number): void {
    const at = due(x, this.activeAt);
    if (now < at) {
      this.deadline = at;
      return;
    }
    this.deadline = Number.POSITIVE_INFINITY;
    this.abandon(overdue(x, this.activeAt), 'timeout');
  }
}
