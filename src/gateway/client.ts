/**
 * One client connection: reads requests strictly, one at a time and in order, and hands them to admission. What of
 * a request's answer is written, and how the connection ends, is in `Reply`, which this class extends.
 */
import type { Socket } from 'node:net';
import type { Timed } from '../base/deadlines.ts';
import { LF } from '../base/http1/chars.ts';
import { CHUNK, ChunkedDecoder } from '../base/http1/chunked.ts';
import { readInto } from '../base/read-into.ts';
import { BODY, Exchange, STATE, type Upstream } from './exchange.ts';
import { type Failure, refusal } from './failures.ts';
import { HeadReader } from './head-reader.ts';
import { newRequestId } from './ids.ts';
import { type IntakePlane, objection, takeIn, tooLarge } from './intake.ts';
import { PHASE, Reply, type ReplyPlane } from './reply.ts';
import { clientAddress, type RequestBlock } from './request-block.ts';
import { LINE_ERROR, LINE_REFUSAL } from './request-line.ts';
import { ownBlock } from './response-block.ts';
import { FRAMING } from './response-writer.ts';
import { due } from './time-limits.ts';

const PREFACE = 'PRI * HTTP/2.0\r\n';
const NOT_HTTP1 = LINE_REFUSAL[LINE_ERROR.version];

/** What a client connection needs of its worker. */
export interface ClientPlane extends ReplyPlane, IntakePlane {
  readonly limits: ReplyPlane['limits'];
  readonly closing: boolean;
  /** What all clients are read into, one after the other: nothing of it is kept beyond a read. */
  readonly input: Buffer;
  /** Applies changes of state that were made before now. */
  sync(): void;
  gone(client: ClientConnection): void;
  /** The client's connection turned out to be HTTP/2; `first` is what was read of it. */
  speakHttp2(client: ClientConnection, first: Buffer): void;
}

export class ClientConnection extends Reply implements Timed {
  readonly #plane: ClientPlane;
  readonly #reader: HeadReader;
  /** Bytes received and not consumed: append-only, because requests refer to it. */
  #stash: Buffer | null = null;
  #stashStart = 0;
  #stashEnd = 0;
  #decoder: ChunkedDecoder | null = null;
  #bodyLeft = 0;
  #bodyBytes = 0;
  /** The upstream cannot take more of the body now. */
  #blocked = false;
  #paused = false;
  #busy = false;
  #discarded = 0;

  constructor(socket: Socket, plane: ClientPlane) {
    super(socket, plane);
    this.#plane = plane;
    this.#reader = new HeadReader(plane, clientAddress(socket.remoteAddress));
    this.deadline = performance.now() + plane.limits.headTimeoutMs;
    readInto(socket, plane.input, (bytes, buffer) => this.#received(buffer, bytes));
    socket.on('end', () => this.#ended());
    socket.on('drain', () => this.caughtUp());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#closed());
    plane.deadlines.add(this);
  }

  get address(): string {
    return this.#reader.address;
  }

  #received(buffer: Buffer, bytes: number): void {
    this.activeAt = performance.now();
    try {
      this.#plane.sync();
      const stash = this.#stash;
      if (stash === null) this.#process(buffer, 0, bytes);
      else {
        const chunk = buffer.subarray(0, bytes);
        const partialHead = this.phase === PHASE.head;
        this.#append(chunk);
        // A head is looked at again only when a line has been completed, or it is too long.
        const size = this.#stashEnd - this.#stashStart;
        if (!partialHead || chunk.includes(LF) || size > this.#plane.limits.maxUriBytes) this.pump();
      }
    } catch (error) {
      this.#plane.log.error('client connection', { error: String((error as Error).stack ?? error) });
      this.socket.destroy();
    }
  }

  #append(chunk: Buffer): void {
    const size = this.#stashEnd - this.#stashStart;
    let stash = this.#stash!;
    if (this.#stashEnd + chunk.length > stash.length) {
      const larger = Buffer.allocUnsafe(Math.max(1024, 2 * (size + chunk.length)));
      stash.copy(larger, 0, this.#stashStart, this.#stashEnd);
      this.#stash = stash = larger;
      this.#stashStart = 0;
      this.#stashEnd = size;
    }
    chunk.copy(stash, this.#stashEnd);
    this.#stashEnd += chunk.length;
  }

  #keep(buf: Buffer, pos: number, end: number): void {
    if (buf === this.#stash) {
      this.#stashStart = pos;
      return;
    }
    // exact length: an append must never write over bytes of a buffer that is not ours
    const rest = buf.subarray(pos, end);
    this.#stash = buf === this.#plane.input ? Buffer.from(rest) : rest;
    this.#stashStart = 0;
    this.#stashEnd = end - pos;
  }

  protected override pump(): void {
    if (this.#busy) return;
    if (this.#stash !== null) this.#process(this.#stash, this.#stashStart, this.#stashEnd);
    this.#flow();
  }

  /** Reads from the socket exactly while there is a use and a bound for what comes. */
  #flow(): void {
    const held = this.#stash === null ? 0 : this.#stashEnd - this.#stashStart;
    const stop = this.#blocked
      ? held > 0
      : held > this.#plane.limits.maxPipelinedBytes && this.phase !== PHASE.head;
    if (stop === this.#paused) return;
    this.#paused = stop;
    if (stop) this.socket.pause();
    else this.socket.resume();
  }

  #process(buf: Buffer, from: number, end: number): void {
    let pos = from;
    this.#busy = true;
    while (pos < end) {
      const phase = this.phase;
      let next = pos;
      if (phase === PHASE.head) next = this.#readHead(buf, pos, end);
      else if (phase === PHASE.body) next = this.#blocked ? pos : this.#readBody(buf, pos, end);
      else if (phase === PHASE.tunnel) next = this.#blocked ? pos : this.#readTunnel(buf, pos, end);
      else if (phase === PHASE.discard) next = this.#readBody(buf, pos, end);
      else if (phase === PHASE.closing) next = end;
      if (next === pos && this.phase === phase) break;
      pos = next;
    }
    this.#busy = false;
    if (pos < end) this.#keep(buf, pos, end);
    else this.#stash = null;
    if (this.#paused || this.#blocked || this.#stash !== null) this.#flow();
  }

  /** Returns the position after the head, or `pos` when it is not complete. */
  #readHead(buf: Buffer, pos: number, end: number): number {
    const reader = this.#reader;
    const after = reader.read(buf, pos, end);
    if (after === 0) return this.#incomplete(pos);
    if (after < 0) {
      if (reader.failure === NOT_HTTP1 && this.#isPreface(buf, pos, end))
        return this.#leaveToHttp2(buf, pos, end);
      return this.#refuse(reader.failure!, end);
    }
    this.#begin(buf, reader.block!, end, after);
    return after;
  }

  #incomplete(pos: number): number {
    if (!this.headBegun) {
      this.headBegun = true;
      this.setDeadline(this.activeAt + this.#plane.limits.headTimeoutMs);
    }
    return pos;
  }

  /** Whether the connection begins as HTTP/2 does (RFC 9113 §3.3); of the preface, the line is enough. */
  #isPreface(buf: Buffer, pos: number, end: number): boolean {
    return (
      this.socket.bytesRead === end - pos && buf.toString('latin1', pos, pos + PREFACE.length) === PREFACE
    );
  }

  #leaveToHttp2(buf: Buffer, pos: number, end: number): number {
    const first = Buffer.from(buf.subarray(pos, end));
    this.phase = PHASE.closing;
    this.deadline = Number.POSITIVE_INFINITY;
    this.#plane.deadlines.delete(this);
    for (const event of ['data', 'end', 'drain', 'error', 'close']) this.socket.removeAllListeners(event);
    this.#plane.speakHttp2(this, first);
    return end;
  }

  #refuse(why: Failure, end: number): number {
    this.startRequest(false, true);
    this.refuse(why, newRequestId());
    return end;
  }

  /** The head is complete: what is it about, and who answers it? */
  #begin(buf: Buffer, block: RequestBlock, end: number, after: number): void {
    const plane = this.#plane;
    const line = plane.line;
    const requestId = block.requestId === '' ? newRequestId() : block.requestId;
    const http10 = line.minor === 0;
    this.headBegun = false;
    this.startRequest(http10, block.close || (http10 && !block.keepAlive) || plane.closing);
    this.headMethod =
      line.methodEnd - line.start === 4 && buf.toString('latin1', line.start, line.methodEnd) === 'HEAD';
    const why = block.refused ?? objection(line, buf, block, http10);
    if (why !== null) {
      this.refuse(why, requestId);
      return;
    }
    this.#frameBody(block, http10);
    if (buf[line.targetStart] === 42) {
      this.answer(
        204,
        ownBlock('allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n'),
        requestId,
        FRAMING.none,
      );
      return;
    }
    let kind: number = BODY.none;
    if (block.hasTransferEncoding) kind = BODY.chunked;
    else if (block.contentLength > 0) kind = BODY.length;
    else if (block.upgrade !== '' && !http10) kind = BODY.upgrade;
    const x = takeIn(plane, this, buf, block, requestId, kind, this.headMethod, this.activeAt);
    if (x instanceof Exchange) this.#start(x, kind, after < end);
    else if (x.reason === 'ok') {
      this.answer(x.status, ownBlock(x.lines ?? ''), requestId, x.status === 204 ? FRAMING.none : 0);
    } else this.refuse(x, requestId);
  }

  #start(x: Exchange, kind: number, more: boolean): void {
    this.exchange = x;
    this.#blocked = kind !== BODY.none;
    this.phase = kind === BODY.none ? PHASE.wait : kind === BODY.upgrade ? PHASE.upgrade : PHASE.body;
    // a client that has begun to send its body does not wait
    if (more || kind === BODY.upgrade) this.expectContinue = false;
    this.setDeadline(due(x, x.startedAt));
    const refused = x.treatment === null ? x.revision.admit(x) : x.treatment.admit(x);
    if (refused !== null) {
      x.state = STATE.done;
      this.exchange = null;
      this.refuse(refused, x.requestId);
    }
  }

  #frameBody(block: RequestBlock, http10: boolean): void {
    this.#bodyBytes = 0;
    this.#discarded = 0;
    this.#decoder = block.hasTransferEncoding ? new ChunkedDecoder(this.#plane.fields) : null;
    this.#bodyLeft = Math.max(0, block.contentLength);
    this.bodyComplete = this.#decoder === null && this.#bodyLeft === 0;
    this.expectContinue = block.expectContinue && !http10 && !this.bodyComplete;
  }

  /** Reads body bytes, for the upstream or to throw them away. Returns the position reached. */
  #readBody(buf: Buffer, pos: number, end: number): number {
    const decoder = this.#decoder;
    if (decoder === null) {
      const n = Math.min(this.#bodyLeft, end - pos);
      this.#bodyLeft -= n;
      if (n > 0 && !this.#take(buf, pos, pos + n)) return end;
      if (this.#bodyLeft === 0) this.#bodyDone(null);
      return pos + n;
    }
    const found = decoder.next(buf, pos, end);
    if (found === CHUNK.error) return this.#badBody(refusal('bad_request', decoder.error), end);
    if (found === CHUNK.data && !this.#take(buf, decoder.dataStart, decoder.dataEnd)) return end;
    if (found === CHUNK.end) this.#bodyDone(decoder.trailers);
    return decoder.pos;
  }

  /** False when the connection has been given up. */
  #take(buf: Buffer, start: number, end: number): boolean {
    const x = this.exchange;
    if (this.phase === PHASE.discard || x === null || x.upstream === null) {
      this.#discarded += end - start;
      if (this.#discarded <= this.#plane.limits.maxDiscardBytes) return true;
      this.close();
      return false;
    }
    this.#bodyBytes += end - start;
    const max = x.revision.entry.maxRequestBytes;
    if (max > 0 && this.#bodyBytes > max) {
      this.#badBody(tooLarge(max), end);
      return false;
    }
    if (x.treatment !== null) x.treatment.body(buf.subarray(start, end));
    if (!x.upstream.sendBody(x, this.#piece(x.upstream, buf, start, end))) this.#blocked = true;
    return true;
  }

  /** Bytes for an instance, in memory that stays as it is for as long as they are needed. */
  #piece(upstream: Upstream, buf: Buffer, start: number, end: number): Buffer {
    const piece = buf.subarray(start, end);
    const used = buf !== this.#plane.input || piece.length <= (upstream.copies ?? 0);
    return used ? piece : Buffer.from(piece);
  }

  #bodyDone(trailers: Buffer | null): void {
    this.bodyComplete = true;
    const x = this.exchange;
    if (this.phase === PHASE.discard) {
      this.nextRequest();
      return;
    }
    this.phase = PHASE.wait;
    if (x === null || x.upstream === null) return;
    if (x.treatment !== null) x.treatment.bodyEnd();
    x.upstream.endBody(x, trailers);
  }

  #badBody(why: Failure, end: number): number {
    if (this.exchange === null) this.close();
    else this.abandon(why);
    return end;
  }

  #readTunnel(buf: Buffer, pos: number, end: number): number {
    const x = this.exchange;
    const upstream = x === null ? null : x.upstream;
    if (x !== null && upstream !== null && !upstream.sendBody(x, this.#piece(upstream, buf, pos, end)))
      this.#blocked = true;
    return end;
  }

  dispatched(x: Exchange): void {
    if (this.exchange !== x) return;
    if (this.expectContinue && this.phase === PHASE.body) this.sendContinue();
    if (x.body !== BODY.upgrade) this.resumeBody(x);
  }

  resumeBody(x: Exchange): void {
    if (this.exchange !== x) return;
    this.#blocked = false;
    this.pump();
  }

  protected override becomeTunnel(): void {
    this.phase = PHASE.tunnel;
    this.#blocked = false;
    this.pump();
  }

  protected override nextRequest(): void {
    this.#decoder = null;
    this.#blocked = false;
    this.phase = PHASE.head;
    this.setDeadline(this.activeAt + this.#plane.limits.keepAliveMs);
    if (this.#stash !== null || this.#paused) this.pump();
  }

  /**
   * The worker closes: the next answer says that it is the last. Without `gently` idle connections end now, and others
   * even if their answer has begun and could not say so.
   */
  drain(gently: boolean): void {
    if (gently) return;
    const idle = this.phase === PHASE.head && this.#stash === null;
    if (!idle) this.closeAfter = true;
    else if (this.socket.writableLength > 0) this.close();
    else this.socket.destroy();
  }

  /** Cuts everything off. */
  destroy(): void {
    this.socket.destroy();
  }

  #ended(): void {
    const x = this.exchange;
    if (this.phase === PHASE.tunnel && x !== null && x.upstream !== null) {
      if (!x.bodySent) x.upstream.endBody(x, null);
      return;
    }
    // A client that has closed its side is taken to be gone, as other proxies do: there is no other sign of it.
    this.socket.destroy();
  }

  #closed(): void {
    this.phase = PHASE.closing;
    this.#stash = null;
    this.deadline = Number.POSITIVE_INFINITY;
    this.#plane.deadlines.delete(this);
    this.drop('cancelled');
    this.#plane.gone(this);
  }
}
