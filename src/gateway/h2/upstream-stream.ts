/** One request on an HTTP/2 connection to an instance. */
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { BODY, type Exchange, STATE, type Upstream } from '../exchange.ts';
import { type Failure, failure } from '../failures.ts';
import type { ResponseBlock } from '../response-block.ts';
import { requestHeaders, responseBlock, trailerLines, trailerObject } from './fields.ts';
import { CODE, closeStream, codeName, END_STREAM } from './http2.ts';
import type { UpstreamSession } from './upstream-session.ts';

/** A request and what of its body was given so far: an instance that goes away refuses what it did not look at. */
export interface Sending {
  exchange: Exchange;
  chunks: Buffer[];
  bytes: number;
  ended: boolean;
  trailers: Buffer | null;
  /** Sent for the second time; there is no third. */
  again: boolean;
}

const NONE = Buffer.alloc(0);
/** Bodies are kept for sending again up to this size, and until the answer begins. */
const KEEP_LIMIT = 64 * 1024;

const TRAILER = /(?:^|\n)trailer:/;

/** Blocks repeat from answer to answer, whatever the instance. */
let lastBlock: ResponseBlock | null = null;

export class UpstreamStream implements Upstream {
  readonly #session: UpstreamSession;
  readonly #http2: ClientHttp2Session;
  readonly #sending: Sending;
  #exchange: Exchange | null;
  #stream: ClientHttp2Stream | null = null;
  #trailers: Buffer | null = null;
  /** The request has announced trailers; others that come unannounced are dropped, as HTTP allows. */
  readonly #withTrailers: boolean;

  constructor(session: UpstreamSession, http2: ClientHttp2Session, sending: Sending) {
    this.#session = session;
    this.#http2 = http2;
    this.#sending = sending;
    const x = sending.exchange;
    this.#exchange = x;
    this.#withTrailers = x.body === BODY.chunked && TRAILER.test(x.block.out.toString('latin1'));
  }

  /**
   * A stream that may send trailers is reset in a turn of its own: Node (26.10) ends the process when a stream that waits
   * for trailers is cancelled while its session reads, `Assertion failed: !this->is_destroyed()` in `OnTrailers`.
   */
  #reset(code: number): void {
    const stream = this.#stream;
    if (stream === null) return;
    if (this.#withTrailers) setImmediate(() => closeStream(stream, code));
    else closeStream(stream, code);
  }

  start(): void {
    const sending = this.#sending;
    const x = sending.exchange;
    x.upstream = this;
    x.state = STATE.sent;
    const bodyless = x.body === BODY.none || x.body === BODY.upgrade;
    const stream = this.#request(x, bodyless);
    if (stream === null) return;
    this.#stream = stream;
    stream.on('error', () => {});
    stream.on('close', () => this.#closed());
    stream.on('headers', (headers, _flags, raw: unknown) =>
      this.#interim(Number(headers[':status']), raw as string[]),
    );
    stream.on('response', (headers, flags, raw: unknown) =>
      this.#response(Number(headers[':status']), flags, raw as string[]),
    );
    if (bodyless) {
      x.bodySent = true;
      return;
    }
    stream.on('drain', () => this.#drained());
    stream.on('wantTrailers', () => {
      if (!stream.destroyed && !stream.closed) stream.sendTrailers(trailerObject(sending.trailers));
    });
    for (const chunk of sending.chunks) stream.write(chunk);
    if (sending.ended) {
      x.bodySent = true;
      stream.end();
    } else x.front.dispatched(x);
  }

  #request(x: Exchange, bodyless: boolean): ClientHttp2Stream | null {
    try {
      return this.#http2.request(requestHeaders(x), {
        endStream: bodyless,
        waitForTrailers: this.#withTrailers,
      });
    } catch (error) {
      // a head that HTTP/2 has no form for costs this request, not the worker
      this.#session.ended(this);
      this.#exchange = null;
      x.upstream = null;
      const message = `the request cannot be sent over HTTP/2: ${(error as Error).message}`;
      x.front.fail(x, failure('upstream_protocol', message));
      return null;
    }
  }

  sendBody(_x: Exchange, chunk: Buffer): boolean {
    const stream = this.#stream!;
    const sending = this.#sending;
    if (sending.bytes <= KEEP_LIMIT) {
      sending.bytes += chunk.length;
      if (sending.bytes <= KEEP_LIMIT) sending.chunks.push(chunk);
      else sending.chunks = [];
    }
    if (stream.destroyed || stream.closed) return true;
    return stream.write(chunk);
  }

  endBody(x: Exchange, trailers: Buffer | null): void {
    x.bodySent = true;
    this.#sending.ended = true;
    this.#sending.trailers = trailers;
    const stream = this.#stream!;
    if (!stream.destroyed && !stream.closed) stream.end();
  }

  #drained(): void {
    const x = this.#exchange;
    if (x !== null) x.front.resumeBody(x);
  }

  cancel(x: Exchange, code: 'cancelled' | 'timeout'): void {
    x.upstream = null;
    this.#exchange = null;
    this.#reset(CODE.cancel);
    if (code === 'timeout') this.#session.probe();
  }

  resume(): void {
    this.#stream?.resume();
  }

  #interim(status: number, raw: string[]): void {
    const x = this.#exchange;
    if (x === null || status === 100) return;
    const block = responseBlock(raw, null);
    if (block.error === '') x.front.interim(x, status, block);
    this.#session.flushLater();
  }

  #response(status: number, flags: number, raw: string[]): void {
    const x = this.#exchange;
    const stream = this.#stream!;
    if (x === null) return;
    this.#session.flushLater();
    this.#sending.chunks = [];
    this.#sending.bytes = KEEP_LIMIT + 1;
    const block = responseBlock(raw, lastBlock);
    if (block.error !== '' || status < 200 || status > 599) {
      this.cancel(x, 'cancelled');
      const message = block.error || `the instance answered with status ${status}`;
      x.front.fail(x, failure('upstream_protocol', message, 'function'));
      return;
    }
    lastBlock = block;
    if ((flags & END_STREAM) !== 0) {
      this.#release(x);
      x.front.respond(x, status, block, NONE, 0, 0);
      stream.resume();
      return;
    }
    x.begun = true;
    stream.on('trailers', (_headers, _flags, lines: unknown) => {
      this.#trailers = trailerLines(lines as string[]);
    });
    x.front.begin(x, status, block, block.contentLength);
    stream.on('data', (chunk: Buffer) => this.#data(chunk));
    stream.on('end', () => this.#end());
  }

  #data(chunk: Buffer): void {
    const x = this.#exchange;
    if (x === null) return;
    this.#session.flushLater();
    x.front.data(x, chunk, 0, chunk.length);
    if (this.#exchange === x && x.front.congested()) this.#stream!.pause();
  }

  #end(): void {
    const x = this.#exchange;
    // a stream that was reset ends too; what becomes of it is said when it closes
    if (x === null || this.#stream!.rstCode !== CODE.noError) return;
    this.#session.flushLater();
    this.#release(x);
    x.front.end(x, this.#trailers);
  }

  /** The answer is complete. An instance that answered before the end of the request need not wait for the rest. */
  #release(x: Exchange): void {
    this.#exchange = null;
    x.upstream = null;
    if (!x.bodySent) this.#reset(CODE.cancel);
  }

  /** The connection is gone; Node closes its streams one by one, some of them later. */
  lost(): void {
    if (this.#stream === null || this.#stream.destroyed) this.#closed();
    else this.#stream.destroy();
  }

  #closed(): void {
    this.#session.ended(this);
    const x = this.#exchange;
    if (x === null) return;
    this.#exchange = null;
    x.upstream = null;
    this.#session.flushLater();
    const stream = this.#stream!;
    const code = stream.rstCode ?? CODE.noError;
    const sending = this.#sending;
    const unseen = code === CODE.refused || this.#session.unseen(stream.id);
    const whole = x.body === BODY.none || x.body === BODY.upgrade || sending.bytes <= KEEP_LIMIT;
    if (unseen && whole && !x.begun && !sending.again) {
      sending.again = true;
      this.#session.link.resend(sending);
    } else x.front.fail(x, this.#failure(code));
  }

  #failure(code: number): Failure {
    const { reason, broken } = this.#session;
    if (broken || code === CODE.protocol) {
      return failure('upstream_protocol', 'the instance broke HTTP/2', 'function');
    }
    const how = reason !== '' ? reason : codeName(code);
    return failure('upstream_reset', `the instance gave up on this request (${how})`, 'function');
  }
}
