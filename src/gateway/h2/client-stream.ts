/**
 * One request that came over HTTP/2: a stream is what a connection's turn is in HTTP/1.1. It is taken in, timed and
 * answered by the same rules; only how heads, bodies and failures are put into frames is its own.
 */
import type { ServerHttp2Stream } from 'node:http2';
import type { Timed } from '../../base/deadlines.ts';
import { BODY, CUT_OFF, Exchange, type Front, STATE } from '../exchange.ts';
import { type Failure, failureBody, OUT_OF_TIME, ranOutOfTime, refusal } from '../failures.ts';
import { newRequestId } from '../ids.ts';
import { objection, takeIn, tooLarge } from '../intake.ts';
import type { RequestBlock } from '../request-block.ts';
import { ownBlock, type ResponseBlock } from '../response-block.ts';
import { due, overdue } from '../time-limits.ts';
import type { ClientSession } from './client-session.ts';
import { requestHead, responseHeaders, trailerLines, trailerObject } from './fields.ts';
import { grpcCountedAs, grpcTrailers } from './grpc.ts';
import { CODE, closeStream, END_STREAM } from './http2.ts';

/**
 * How long a client may go on sending after its answer, milliseconds. To reset the stream at once would overtake
 * the answer: what is not yet in a frame is dropped with the stream.
 */
const REST_MS = 200;
/** How often it is looked whether a slow client has taken its answer, milliseconds. */
const SLOW_MS = 1000;
/** The body of this answer is not sent. */
const SKIP = -2;
/** Its length is not known. */
const OPEN = -1;

export class ClientStream implements Front, Timed {
  deadline = Number.POSITIVE_INFINITY;
  readonly #stream: ServerHttp2Stream;
  readonly #session: ClientSession;
  #block: RequestBlock | null = null;
  #exchange: Exchange | null = null;
  #activeAt = 0;
  #head = false;
  #bodyComplete = true;
  #bodyBytes = 0;
  #discarded = 0;
  #reading = false;
  #trailers: Buffer | null = null;
  /** Bytes of the answer still to come, or `OPEN` or `SKIP`. */
  #left = OPEN;
  #lastFields: Record<string, string | string[]> = {};
  #answered = false;
  #answeredAt = 0;

  constructor(stream: ServerHttp2Stream, session: ClientSession) {
    this.#stream = stream;
    this.#session = session;
    stream.on('close', () => this.#closed());
    stream.on('drain', () => this.#caughtUp());
  }

  get address(): string {
    return this.#session.reader.address;
  }

  /** Bytes that wait for the client. */
  get unsent(): number {
    return this.#stream.destroyed ? 0 : this.#stream.writableLength;
  }

  /** Reads the head and gives the request to its revision. */
  open(flags: number, raw: readonly string[]): void {
    const { plane, reader } = this.#session;
    this.#activeAt = performance.now();
    this.#bodyComplete = (flags & END_STREAM) !== 0;
    const buf = requestHead(raw);
    const after = buf === null ? -1 : reader.read(buf, 0, buf.length);
    if (buf === null || after !== buf.length) {
      // more or less than one head: a value that would have been several lines
      const why = buf !== null && after < 0 ? reader.failure : null;
      this.#refuse(why ?? refusal('bad_request', 'the request head is malformed'), newRequestId());
      return;
    }
    const block = reader.block!;
    const line = plane.line;
    this.#block = block;
    const requestId = block.requestId === '' ? newRequestId() : block.requestId;
    this.#head =
      line.methodEnd - line.start === 4 && buf.toString('latin1', line.start, line.methodEnd) === 'HEAD';
    const why = block.refused ?? objection(line, buf, block, false) ?? this.#framing(block);
    if (why !== null) {
      this.#refuse(why, requestId);
      return;
    }
    if (buf[line.targetStart] === 42) {
      this.#answer(204, ownBlock('allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n'), requestId);
      return;
    }
    let kind: number = BODY.none;
    if (!this.#bodyComplete && block.contentLength !== 0)
      kind = block.contentLength > 0 ? BODY.length : BODY.chunked;
    const x = takeIn(plane, this, buf, block, requestId, kind, this.#head, this.#activeAt);
    if (!(x instanceof Exchange)) {
      if (x.reason === 'ok') this.#answer(x.status, ownBlock(x.lines ?? ''), requestId);
      else this.#refuse(x, requestId);
      return;
    }
    this.#admit(x);
  }

  /** What the frames say against the fields. */
  #framing(block: RequestBlock): Failure | null {
    if (block.hasTransferEncoding || block.close || block.keepAlive || block.upgrade !== '')
      return refusal('bad_request', 'a field that belongs to an HTTP/1.1 connection');
    if (this.#bodyComplete && block.contentLength > 0)
      return refusal('bad_request', 'a Content-Length without a body');
    return null;
  }

  #admit(x: Exchange): void {
    const { plane } = this.#session;
    const stream = this.#stream;
    x.http2 = true;
    this.#exchange = x;
    if (!this.#bodyComplete) {
      stream.on('trailers', (_headers, _flags, raw: unknown) => {
        this.#trailers = trailerLines(raw as string[]);
      });
      stream.on('end', () => this.#bodyEnded());
    }
    this.deadline = due(x, x.startedAt);
    plane.deadlines.add(this);
    const refused = x.treatment === null ? x.revision.admit(x) : x.treatment.admit(x);
    if (refused === null) return;
    x.state = STATE.done;
    this.#exchange = null;
    this.#refuse(refused, x.requestId);
  }

  dispatched(x: Exchange): void {
    if (this.#exchange !== x) return;
    const stream = this.#stream;
    if (this.#reading) {
      this.resumeBody(x);
      return;
    }
    this.#reading = true;
    if (x.block.expectContinue && !stream.headersSent) stream.additionalHeaders({ ':status': 100 });
    stream.on('data', (chunk: Buffer) => this.#received(chunk));
  }

  resumeBody(x: Exchange): void {
    if (this.#exchange === x && this.#reading) this.#stream.resume();
  }

  #received(chunk: Buffer): void {
    this.#activeAt = performance.now();
    const x = this.#exchange;
    if (x === null || x.upstream === null) {
      this.#discarded += chunk.length;
      // held back by its window until the stream is reset
      if (this.#discarded > this.#session.plane.limits.maxDiscardBytes) this.#stream.pause();
      return;
    }
    this.#bodyBytes += chunk.length;
    const max = x.revision.entry.maxRequestBytes;
    if (max > 0 && this.#bodyBytes > max) {
      this.#abandon(tooLarge(max), 'cancelled');
      return;
    }
    if (x.treatment !== null) x.treatment.body(chunk);
    if (!x.upstream.sendBody(x, chunk)) this.#stream.pause();
  }

  #bodyEnded(): void {
    // a stream that was reset ends too
    if (this.#stream.rstCode !== CODE.noError || this.#stream.aborted) return;
    this.#bodyComplete = true;
    const x = this.#exchange;
    if (x === null || x.upstream === null) return;
    if (x.treatment !== null) x.treatment.bodyEnd();
    x.upstream.endBody(x, this.#trailers);
  }

  /** Sends the head of the answer; false when there is nobody to send it to. */
  #respond(headers: string[], ended: boolean, trailers: boolean): boolean {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed || stream.headersSent) return false;
    this.#session.answered();
    try {
      stream.respond(headers, ended ? { endStream: true } : { waitForTrailers: trailers });
      return true;
    } catch (error) {
      // a head that HTTP/2 has no form for costs this stream, not the worker
      this.#session.plane.log.error('http2 answer', { error: String(error) });
      closeStream(stream, CODE.internal);
      return false;
    }
  }

  #answer(status: number, block: ResponseBlock, id: string): void {
    this.#respond(responseHeaders(status, block, id, status === 204 ? -1 : 0), true, false);
    this.#finished();
  }

  #refuse(f: Failure, id: string): void {
    if (this.#exchange !== null) this.#exchange.status = f.status;
    if (this.#block?.grpc === true) {
      const told = ownBlock(`content-type: application/grpc\r\n${f.lines ?? ''}`);
      const headers = responseHeaders(200, told, id, -1);
      for (const [name, value] of Object.entries(grpcTrailers(f))) headers.push(name, value);
      this.#respond(headers, true, false);
    } else {
      const body = failureBody(f, id);
      let lines = `content-type: application/json\r\n${f.lines ?? ''}`;
      if (f.retryAfter > 0) lines += `retry-after: ${f.retryAfter}\r\n`;
      const headers = responseHeaders(f.status, ownBlock(lines), id, body.length);
      if (this.#respond(headers, this.#head, false) && !this.#head) this.#stream.end(body);
    }
    this.#finished();
  }

  #release(): void {
    const x = this.#exchange;
    if (x === null) return;
    this.#exchange = null;
    x.upstream = null;
    x.revision.leave(x, performance.now());
  }

  /** The answer was given: what the client still has to send or to take has a limit. */
  #finished(): void {
    const stream = this.#stream;
    const { plane } = this.#session;
    this.#answered = true;
    this.#answeredAt = performance.now();
    this.#release();
    if (stream.destroyed) return;
    this.deadline = this.#answeredAt + (this.#bodyComplete ? plane.limits.keepAliveMs : REST_MS);
    plane.deadlines.add(this);
    this.#session.lingers(this);
    if (this.#reading) stream.resume();
    else if (!this.#bodyComplete) stream.on('data', (chunk: Buffer) => this.#received(chunk));
  }

  /** Answered a while ago: what is left of the request is not wanted, what is left of the answer has a last limit. */
  #overstayed(now: number): void {
    const last = this.#answeredAt + this.#session.plane.limits.keepAliveMs;
    if (this.unsent > 0 && now < last) {
      this.deadline = Math.min(last, now + SLOW_MS);
      return;
    }
    this.deadline = Number.POSITIVE_INFINITY;
    closeStream(this.#stream, this.unsent > 0 ? CODE.cancel : CODE.noError);
  }

  /** Breaks the answer off so that nobody takes it for whole. A gRPC client is told in its own way. */
  #cut(f: Failure | null): void {
    const stream = this.#stream;
    const x = this.#exchange;
    if (x !== null) x.status = CUT_OFF;
    const grpc = this.#block?.grpc === true;
    if (f !== null && this.#left === OPEN && (grpc || ranOutOfTime(f))) {
      if (grpc) this.#lastFields = grpcTrailers(f);
      else stream.write(OUT_OF_TIME);
      stream.end();
      this.#finished();
      return;
    }
    this.#release();
    closeStream(stream, CODE.internal);
  }

  interim(x: Exchange, status: number, block: ResponseBlock): void {
    const stream = this.#stream;
    if (this.#exchange !== x || stream.destroyed || stream.closed || stream.headersSent) return;
    stream.additionalHeaders({ ':status': status, ...trailerObject(block.out) });
  }

  #bodyless(x: Exchange, status: number): boolean {
    return x.head || status === 204 || status === 205 || status === 304;
  }

  respond(x: Exchange, status: number, block: ResponseBlock, buf: Buffer, start: number, end: number): void {
    if (this.#exchange !== x) return;
    x.status = x.block.grpc ? grpcCountedAs(block.out, status) : status;
    const bodyless = this.#bodyless(x, status);
    let length = end - start;
    if (bodyless) length = status === 204 ? -1 : block.contentLength;
    else if (length === 0) length = block.contentLength;
    const ended = bodyless || end === start;
    if (this.#respond(responseHeaders(status, block, x.requestId, length), ended, false) && !ended)
      this.#stream.end(Buffer.from(buf.subarray(start, end)));
    this.#finished();
  }

  begin(x: Exchange, status: number, block: ResponseBlock, length: number): void {
    if (this.#exchange !== x) return;
    x.begun = true;
    x.status = status;
    if (block.endless) {
      x.byActivity = true;
      this.#activeAt = performance.now();
    }
    const bodyless = this.#bodyless(x, status);
    this.#left = bodyless ? SKIP : Math.max(OPEN, length);
    const headers = responseHeaders(status, block, x.requestId, status === 204 ? -1 : length);
    this.#respond(headers, bodyless, true);
    if (!bodyless) this.#stream.once('wantTrailers', () => this.#sendTrailers());
  }

  #sendTrailers(): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    stream.sendTrailers(this.#lastFields);
  }

  data(x: Exchange, buf: Buffer, start: number, end: number): void {
    const left = this.#left;
    if (this.#exchange !== x || left === SKIP || start === end) return;
    if (x.times.idleTimeoutMs || x.byActivity) this.#activeAt = performance.now();
    const size = end - start;
    if (left >= 0) {
      if (size > left) {
        x.upstream?.cancel(x, 'cancelled');
        this.#cut(null);
        return;
      }
      this.#left = left - size;
    }
    this.#session.answered();
    // the upstream reads into this memory again
    if (!this.#stream.closed) this.#stream.write(Buffer.from(buf.subarray(start, end)));
  }

  end(x: Exchange, trailers: Buffer | null): void {
    if (this.#exchange !== x) return;
    if (this.#left > 0) {
      this.#cut(null);
      return;
    }
    if (trailers !== null) {
      this.#lastFields = trailerObject(trailers);
      if (x.block.grpc) x.status = grpcCountedAs(trailers, x.status);
    }
    if (this.#left !== SKIP) this.#stream.end();
    this.#finished();
  }

  fail(x: Exchange, f: Failure): void {
    if (this.#exchange !== x) return;
    if (x.begun) this.#cut(f);
    else this.#refuse(f, x.requestId);
  }

  congested(): boolean {
    return this.#stream.writableNeedDrain;
  }

  #caughtUp(): void {
    const x = this.#exchange;
    if (x !== null && x.upstream !== null) x.upstream.resume(x);
  }

  #abandon(f: Failure, code: 'cancelled' | 'timeout'): void {
    const x = this.#exchange;
    if (x === null) return;
    x.upstream?.cancel(x, code);
    x.front.fail(x, f);
  }

  expire(now: number): void {
    const x = this.#exchange;
    if (x === null) {
      this.#overstayed(now);
      return;
    }
    const at = due(x, this.#activeAt);
    if (now < at) {
      this.deadline = at;
      return;
    }
    this.deadline = Number.POSITIVE_INFINITY;
    this.#abandon(overdue(x, this.#activeAt), 'timeout');
  }

  #closed(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    this.#session.plane.deadlines.delete(this);
    const x = this.#exchange;
    if (x !== null && !this.#answered) x.upstream?.cancel(x, 'cancelled');
    this.#release();
    this.#session.gone(this);
  }
}
