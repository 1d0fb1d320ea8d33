/**
 * The data role of runtimes/PROTOCOL.md: many requests on one unix socket to an instance. Frames of one event-loop
 * turn leave in one write. What comes back is checked frame by frame: an instance that breaks the rules loses its
 * connection and its own requests, and nothing else.
 */
import { connect, type Socket } from 'node:net';
import type { Timed } from '../base/deadlines.ts';
import { CR, LF } from '../base/http1/chars.ts';
import { acceptedTrailers } from '../base/http1/chunked.ts';
import { FieldTable, parseFields } from '../base/http1/fields.ts';
import { Outgoing, ReadBuffer } from '../base/io.ts';
import { FrameReader, ProtocolError } from '../base/mux/frame-reader.ts';
import {
  FRAME,
  FRAME_HEADER,
  frame,
  INITIAL_WINDOW,
  MAX_DATA,
  putHeader,
  readU32,
} from '../base/mux/frames.ts';
import { StreamTable } from '../base/mux/stream-table.ts';
import { BODY, type Exchange, STATE, type Upstream } from './exchange.ts';
import { failure } from './failures.ts';
import { checkHello, readReset, resetFailure } from './mux-messages.ts';
import type { Surroundings } from './plane-types.ts';
import { putBytes, putRequestFields, requestSize } from './request-writer.ts';
import { type ResponseBlock, readResponseBlock, sameBlock } from './response-block.ts';

const HELLO = frame(FRAME.hello, 0, '{"version":1,"role":"data"}');
const NOTHING = Buffer.alloc(0);
const PING = Buffer.from('petrel\0\0', 'latin1');
const UPGRADE = Buffer.from('connection: upgrade\r\nupgrade: ', 'latin1');
const TRAILERS = new FieldTable(128);
/** Bodies up to this size are copied next to their frame header; larger ones are written by reference. */
const COPY_LIMIT = 8192;
/** Grants are gathered up to this much: a quarter of the window. */
const GRANT = INITIAL_WINDOW / 4;
/** Bytes that may wait in the socket before bodies stop being read. */
const HIGH_WATER = 1024 * 1024;

/** Who sends requests here. */
export interface MuxOwner {
  /** A request timed out; the instance has been asked whether it still answers. */
  doubted(connection: MuxConnection): void;
  /** It has answered. */
  trusted(connection: MuxConnection): void;
  /** The connection takes no requests any more. */
  lost(connection: MuxConnection, reason: string): void;
}

/** One connection to one instance. */
export class MuxConnection implements Upstream, Timed {
  /** When a PONG is due; Infinity while no PING is out. */
  deadline = Number.POSITIVE_INFINITY;
  readonly copies = COPY_LIMIT;
  readonly #around: Surroundings;
  readonly #link: MuxOwner;
  readonly #socket: Socket;
  readonly #input = new ReadBuffer();
  readonly #out: Outgoing;
  readonly #reader: FrameReader;
  readonly #streams = new StreamTable<Exchange>();
  /** Requests that wait for the connection. */
  #waiting: Exchange[] = [];
  /** Streams whose body waits for the socket to drain. */
  #blocked = new Set<Exchange>();
  #connected = false;
  #greeted = false;
  #closing = false;
  #lastId = 0;
  /** Streams up to this one have been handed to the kernel or the socket. */
  #flushedId = 0;
  #unflushed = 0;
  #dirty = false;
  #lastBlock: ResponseBlock | null = null;
  #reason = '';

  constructor(path: string, around: Surroundings, link: MuxOwner) {
    this.#around = around;
    this.#link = link;
    this.#reader = new FrameReader(
      (type, stream, buf, start, end) => this.#frame(type, stream, buf, start, end),
      (stream, buf, start, end) => this.#data(stream, buf, start, end),
    );
    const socket = connect({
      path,
      onread: { buffer: () => this.#input.next(), callback: (n, buf) => this.#read(n, buf as Buffer) },
    });
    this.#socket = socket;
    this.#out = new Outgoing(socket);
    socket.on('connect', () => this.#open());
    socket.on('drain', () => this.#drained());
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#reason ||= error.code ?? error.message;
    });
    socket.on('close', () => this.#closed());
  }

  send(x: Exchange): void {
    x.upstream = this;
    if (this.#connected) this.#start(x);
    else this.#waiting.push(x);
  }

  /** Ends the connection; only called when no stream is open, or with the platform. */
  close(): void {
    this.#closing = true;
    if (!this.#connected) this.#socket.destroy();
    else {
      this.flush();
      this.#socket.destroySoon();
    }
  }

  #open(): void {
    this.#connected = true;
    this.#out.attach(HELLO);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const x of waiting) this.#start(x);
    this.flush();
  }

  #schedule(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    this.#around.flushLater(this);
  }

  flush(): void {
    this.#dirty = false;
    this.#flushedId = this.#lastId;
    this.#unflushed = 0;
    if (!this.#socket.destroyed) this.#out.flush();
  }

  #start(x: Exchange): void {
    const id = ++this.#lastId;
    x.streamId = id;
    x.state = STATE.sent;
    x.sendWindow = x.receiveWindow = INITIAL_WINDOW;
    this.#streams.set(id, x);
    const out = this.#out;
    out.reserve(FRAME_HEADER + requestSize(x) + x.block.upgrade.length);
    const buffer = out.buffer;
    const start = out.end;
    let at = putBytes(buffer, start + FRAME_HEADER, x.line, x.lineStart, x.lineEnd);
    buffer[at++] = CR;
    buffer[at++] = LF;
    at = putRequestFields(buffer, at, x);
    if (x.body === BODY.upgrade) {
      at = putBytes(buffer, at, UPGRADE, 0, UPGRADE.length);
      at += buffer.write(`${x.block.upgrade}\r\n`, at, 'latin1');
    }
    const type = x.body === BODY.none ? FRAME.request : FRAME.requestBody;
    putHeader(buffer, start, at - start - FRAME_HEADER, type, id);
    out.commit(at);
    this.#schedule();
    if (x.body !== BODY.none) x.front.dispatched(x);
  }

  /** Copied next to what is there: one write for all that a turn has to say. */
  #control(type: number, stream: number, payload: Buffer | string): void {
    const body = typeof payload === 'string' ? Buffer.from(payload) : payload;
    const out = this.#out;
    out.reserve(FRAME_HEADER + body.length);
    const at = putHeader(out.buffer, out.end, body.length, type, stream);
    out.buffer.set(body, at);
    out.commit(at + body.length);
    this.#schedule();
  }

  sendBody(x: Exchange, chunk: Buffer): boolean {
    let at = 0;
    while (at < chunk.length && x.sendWindow > 0) {
      if (this.#socket.writableLength + this.#unflushed > HIGH_WATER) {
        this.#blocked.add(x);
        break;
      }
      const n = Math.min(chunk.length - at, x.sendWindow, MAX_DATA);
      this.#out.reserve(FRAME_HEADER + (n <= COPY_LIMIT ? n : 0));
      let end = putHeader(this.#out.buffer, this.#out.end, n, FRAME.data, x.streamId);
      if (n <= COPY_LIMIT) end = putBytes(this.#out.buffer, end, chunk, at, at + n);
      this.#out.commit(end);
      if (n > COPY_LIMIT) this.#out.attach(chunk.subarray(at, at + n));
      this.#unflushed += n;
      x.sendWindow -= n;
      at += n;
    }
    if (at > 0) this.#schedule();
    if (at === chunk.length) return true;
    const rest = chunk.subarray(at);
    x.pending = chunk.length <= COPY_LIMIT ? Buffer.from(rest) : rest;
    return false;
  }

  endBody(x: Exchange, trailers: Buffer | null): void {
    if (x.pending !== null) {
      x.pendingEnd = true;
      x.pendingTrailers = trailers;
      return;
    }
    x.bodySent = true;
    this.#control(FRAME.end, x.streamId, trailers ?? NOTHING);
  }

  /** Sends what waited for a window or for the socket. */
  #continueBody(x: Exchange): void {
    const pending = x.pending;
    if (pending === null) return;
    x.pending = null;
    if (!this.sendBody(x, pending)) return;
    if (x.pendingEnd) this.endBody(x, x.pendingTrailers);
    else x.front.resumeBody(x);
  }

  #drained(): void {
    const blocked = this.#blocked;
    this.#blocked = new Set();
    for (const x of blocked) if (this.#streams.get(x.streamId) === x) this.#continueBody(x);
  }

  cancel(x: Exchange, code: 'cancelled' | 'timeout'): void {
    x.upstream = null;
    x.pending = null;
    if (x.streamId === 0) {
      this.#waiting = this.#waiting.filter((other) => other !== x);
      return;
    }
    if (!this.#streams.delete(x.streamId)) return;
    this.#control(FRAME.reset, x.streamId, `{"code":"${code}","message":""}`);
    if (code === 'timeout') this.#probe();
    this.#endIfDrained();
  }

  /** Asks whether the instance still runs its event loop; one that hangs would be sent requests for ever. */
  #probe(): void {
    if (this.deadline !== Number.POSITIVE_INFINITY) return;
    this.deadline = performance.now() + this.#around.limits.pongTimeoutMs;
    this.#around.deadlines.add(this);
    this.#control(FRAME.ping, 0, PING);
    this.#link.doubted(this);
  }

  #answered(): void {
    this.#forgetPing();
    this.#link.trusted(this);
  }

  #forgetPing(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    this.#around.deadlines.delete(this);
  }

  /** No PONG: the endpoint is given up; what is still open on it ends by its own time-out. */
  expire(): void {
    this.#forgetPing();
    this.#leave('does not answer');
  }

  resume(x: Exchange): void {
    if (x.unacknowledged >= GRANT) this.#grant(x);
  }

  #grant(x: Exchange): void {
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32LE(x.unacknowledged);
    x.receiveWindow += x.unacknowledged;
    x.unacknowledged = 0;
    this.#control(FRAME.window, x.streamId, payload);
  }

  #read(n: number, buf: Buffer): boolean {
    this.#input.noteRead(n);
    try {
      this.#reader.feed(buf, n);
    } catch (error) {
      if (!(error instanceof ProtocolError)) this.#around.log.error('mux', { error: String(error) });
      this.#reason ||= `protocol error: ${(error as Error).message}`;
      this.#socket.destroy();
    }
    if (this.#around.flushClients()) this.#input.retained = true;
    return true;
  }

  /** The open stream, or null for one that has ended here and not yet there. */
  #stream(id: number): Exchange | null {
    const x = this.#streams.get(id);
    if (x !== undefined) return x;
    if (id === 0 || id > this.#lastId) throw new ProtocolError(`stream ${id} was never opened`);
    return null;
  }

  #frame(type: number, stream: number, buf: Buffer, start: number, end: number): void {
    if (type === FRAME.response) {
      if (!this.#greeted) throw new ProtocolError('no HELLO');
      this.#response(stream, buf, start, end);
      return;
    }
    if (!this.#greeted) {
      this.#hello(type, buf, start, end);
      return;
    }
    switch (type) {
      case FRAME.responseBody:
        this.#responseBody(stream, buf, start, end);
        break;
      case FRAME.end:
        this.#end(stream, buf, start, end);
        break;
      case FRAME.reset:
        this.#reset(stream, buf, start, end);
        break;
      case FRAME.window:
        this.#window(stream, buf, start, end);
        break;
      case FRAME.ping:
        if (end - start !== 8 || stream !== 0) throw new ProtocolError('bad PING');
        this.#control(FRAME.pong, 0, Buffer.from(buf.subarray(start, end)));
        break;
      case FRAME.pong:
        this.#answered();
        break;
      case FRAME.goaway:
        this.#leave('draining');
        break;
      default:
        if (type <= FRAME.goaway) throw new ProtocolError(`frame type ${type} is not for the gateway`);
    }
  }

  #hello(type: number, buf: Buffer, start: number, end: number): void {
    if (type !== FRAME.hello) throw new ProtocolError('the first frame is not HELLO');
    checkHello(buf, start, end);
    this.#greeted = true;
  }

  #forget(id: number, x: Exchange): void {
    this.#streams.delete(id);
    x.upstream = null;
    x.pending = null;
    if (!x.bodySent) {
      // an answer before the end of the request: the instance need not wait for the rest
      this.#control(FRAME.reset, id, '{"code":"cancelled","message":""}');
    }
    if (this.#closing) this.#endIfDrained();
  }

  /** No new streams; the connection ends with the last open one. */
  #leave(reason: string): void {
    this.#closing = true;
    this.#link.lost(this, reason);
    this.#endIfDrained();
  }

  #endIfDrained(): void {
    if (!this.#closing || this.#streams.size > 0) return;
    this.flush();
    this.#socket.end();
  }

  #block(buf: Buffer, start: number, end: number): ResponseBlock {
    if (sameBlock(this.#lastBlock, buf, start, end)) return this.#lastBlock;
    const block = readResponseBlock(buf, start, end, true)!;
    this.#lastBlock = block;
    return block;
  }

  #response(stream: number, buf: Buffer, start: number, end: number): void {
    const x = this.#stream(stream);
    if (x === null) return;
    if (x.begun || end - start < 6) throw new ProtocolError('bad RESPONSE');
    const status = buf[start]! | (buf[start + 1]! << 8);
    const bodyStart = start + 6 + readU32(buf, start + 2);
    if (bodyStart > end) throw new ProtocolError('header block longer than its frame');
    const block = this.#block(buf, start + 6, bodyStart);
    this.#forget(stream, x);
    if (block.error !== '' || status < 200 || status > 599) this.#unusable(x, block.error, status);
    else x.front.respond(x, status, block, buf, bodyStart, end);
  }

  #unusable(x: Exchange, error: string, status: number): void {
    const message = error || `the instance answered with status ${status}`;
    x.front.fail(x, failure('upstream_protocol', message, 'function'));
  }

  #responseBody(stream: number, buf: Buffer, start: number, end: number): void {
    const x = this.#stream(stream);
    if (x === null) return;
    if (x.begun || end - start < 6) throw new ProtocolError('bad RESPONSE_BODY');
    const status = buf[start]! | (buf[start + 1]! << 8);
    if (start + 6 + readU32(buf, start + 2) !== end)
      throw new ProtocolError('header block and frame differ in length');
    const block = this.#block(buf, start + 6, end);
    const upgraded = status === 101 && x.body === BODY.upgrade;
    if (block.error !== '' || status > 599 || (status < 200 && !upgraded)) {
      this.cancel(x, 'cancelled');
      this.#unusable(x, block.error, status);
      return;
    }
    x.begun = true;
    if (x.body === BODY.upgrade && !upgraded) this.endBody(x, null);
    x.front.begin(x, status, block, block.contentLength);
  }

  #data(stream: number, buf: Buffer, start: number, end: number): void {
    if (!this.#greeted) throw new ProtocolError('no HELLO');
    const x = this.#stream(stream);
    if (x === null) return;
    if (!x.begun) throw new ProtocolError('DATA before RESPONSE_BODY');
    const n = end - start;
    x.receiveWindow -= n;
    if (x.receiveWindow < 0) throw new ProtocolError('DATA past the window');
    x.front.data(x, buf, start, end);
    if (x.upstream === null) return;
    x.unacknowledged += n;
    if (x.unacknowledged >= GRANT && !x.front.congested()) this.#grant(x);
  }

  #end(stream: number, buf: Buffer, start: number, end: number): void {
    const x = this.#stream(stream);
    if (x === null) return;
    if (!x.begun) throw new ProtocolError('END before RESPONSE_BODY');
    let trailers: Buffer | null = null;
    if (end > start) {
      if (parseFields(buf, start, end, TRAILERS, true) < 0) throw new ProtocolError('malformed trailers');
      trailers = acceptedTrailers(buf, TRAILERS);
    }
    if (x.body === BODY.upgrade && !x.bodySent) this.endBody(x, null);
    this.#forget(stream, x);
    x.front.end(x, trailers);
  }

  #reset(stream: number, buf: Buffer, start: number, end: number): void {
    const x = this.#stream(stream);
    if (x === null) return;
    const reset = readReset(buf, start, end);
    const { code } = reset;
    x.bodySent = true;
    this.#forget(stream, x);
    // both say that the instance is about to end: what comes next must not be sent to it
    if (code === 'draining' || code === 'crashed') this.#leave(code);
    if (code === 'draining' && !x.begun && x.body === BODY.none) x.revision.requeue(x);
    else x.front.fail(x, resetFailure(reset));
  }

  #window(stream: number, buf: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw new ProtocolError('bad WINDOW');
    const x = this.#stream(stream);
    if (x === null) return;
    x.sendWindow += readU32(buf, start);
    if (x.sendWindow > 0x7fffffff) throw new ProtocolError('window too large');
    this.#continueBody(x);
  }

  #closed(): void {
    this.#forgetPing();
    const reason = this.#reason || 'closed';
    this.#link.lost(this, this.#connected ? reason : `connect: ${reason}`);
    const waiting = this.#waiting;
    this.#waiting = [];
    const open = this.#streams.values();
    this.#streams.clear();
    const unsent = open.filter((x) => x.streamId > this.#flushedId && x.body === BODY.none);
    const retry = unsent.concat(waiting);
    for (let i = retry.length - 1; i >= 0; i--) retry[i]!.revision.requeue(retry[i]!);
    const broken = reason.startsWith('protocol error');
    for (const x of open) {
      if (unsent.includes(x)) continue;
      x.upstream = null;
      const why = broken
        ? failure('upstream_protocol', `the instance broke the protocol: ${reason}`, 'function')
        : failure('instance_crashed', 'the instance ended while it worked on this request', 'function');
      x.front.fail(x, why);
    }
    this.#around.flushClients();
  }
}
