/**
 * One client connection: reads requests strictly, one at a time and in order, and hands them to admission. What of
 * a request's answer is written, and how the connection ends, is in `Reply`, which this class extends.
 */
import type { Socket } from 'node:net';
import { CR, LF } from './chars.ts';
import { CHUNK, ChunkedDecoder } from './chunked.ts';
import type { Timed } from './deadlines.ts';
import { BODY, Exchange, STATE } from './exchange.ts';
import { type Failure, failure, refusal } from './failures.ts';
import { type FieldTable, parseFields } from './fields.ts';
import { newRequestId } from './ids.ts';
import type { Destination } from './plane-types.ts';
import { PHASE, Reply, type ReplyPlane } from './reply.ts';
import {
  buildRequestBlock,
  type ClientAddress,
  clientAddress,
  fieldRefusal,
  type RequestBlock,
} from './request-block.ts';
import { LINE_REFUSAL, parseRequestLine, type RequestLine } from './request-line.ts';
import { ownBlock } from './response-block.ts';
import { FRAMING } from './response-writer.ts';

/** What a client connection needs of its worker. */
export interface ClientPlane extends ReplyPlane {
  readonly fields: FieldTable;
  readonly line: RequestLine;
  readonly closing: boolean;
  /** Applies changes of state that were made before now. */
  sync(): void;
  /** Chooses the revision by host or, only when the host is not bound, path, and by what the route's policy says. */
  route(
    block: RequestBlock,
    address: string,
    buf: Buffer,
    targetStart: number,
    targetEnd: number,
  ): Destination;
  gone(client: ClientConnection): void;
}

/** Header blocks up to this size are remembered per connection. */
const REMEMBER_LIMIT = 4096;

export class ClientConnection extends Reply implements Timed {
  readonly #plane: ClientPlane;
  readonly #address: ClientAddress;
  /** Bytes received and not consumed: append-only, because requests refer to it. */
  #stash: Buffer | null = null;
  #stashStart = 0;
  #stashEnd = 0;
  #remembered: RequestBlock | null = null;
  #misses = 0;
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
    this.#address = clientAddress(socket.remoteAddress);
    this.deadline = performance.now() + plane.limits.headTimeoutMs;
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    socket.on('end', () => this.#ended());
    socket.on('drain', () => this.caughtUp());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#closed());
    plane.deadlines.add(this);
  }

  get address(): string {
    return this.#address.address;
  }

  #received(chunk: Buffer): void {
    this.activeAt = performance.now();
    try {
      this.#plane.sync();
      const stash = this.#stash;
      if (stash === null) this.#process(chunk, 0, chunk.length);
      else {
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
    this.#stash = buf.subarray(pos, end);
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
    const plane = this.#plane;
    const limits = plane.limits;
    let start = pos;
    if (buf[start] === CR && start + 1 < end && buf[start + 1] === LF) start += 2;
    else if (buf[start] === CR && start + 1 === end) return this.#incomplete(pos);
    const line = plane.line;
    const fieldsAt = parseRequestLine(buf, start, end, limits.maxUriBytes, line);
    if (fieldsAt <= 0) {
      if (fieldsAt === 0) return this.#incomplete(pos);
      return this.#refuse(LINE_REFUSAL[fieldsAt]!, end);
    }
    const known = this.#remembered;
    if (known !== null && known.raw.length <= end - fieldsAt) {
      const after = fieldsAt + known.raw.length;
      if (buf.compare(known.raw, 0, known.raw.length, fieldsAt, after) === 0) {
        this.#misses = 0;
        this.#begin(buf, known, end, after);
        return after;
      }
    }
    const limit = start + limits.maxHeadBytes;
    const after = parseFields(buf, fieldsAt, Math.min(end, limit), plane.fields, false);
    if (after < 0) return this.#refuse(fieldRefusal(after), end);
    if (after === 0) {
      if (end < limit) return this.#incomplete(pos);
      return this.#refuse(
        refusal('head_too_large', `the head is larger than ${limits.maxHeadBytes} bytes`),
        end,
      );
    }
    let authority: string | null = null;
    if (buf[line.targetStart] !== 47) {
      authority = this.#absolute(buf);
      if (authority === '')
        return this.#refuse(refusal('bad_request', 'the request target has no known form'), end);
    }
    const keep = authority === null && after - fieldsAt <= REMEMBER_LIMIT && this.#worthRemembering();
    const block = buildRequestBlock(buf, fieldsAt, after, plane.fields, this.#address, authority, keep);
    if (keep) this.#remembered = block.refused === null ? block : null;
    this.#begin(buf, block, end, after);
    return after;
  }

  /** A client whose blocks never repeat is tried again only now and then: remembering costs a copy. */
  #worthRemembering(): boolean {
    const misses = this.#misses++;
    return misses < 4 || misses % 16 === 0;
  }

  #incomplete(pos: number): number {
    if (!this.headBegun) {
      this.headBegun = true;
      this.setDeadline(this.activeAt + this.#plane.limits.headTimeoutMs);
    }
    return pos;
  }

  /** Takes an absolute-form target apart: leaves the path in the line's offsets, returns the authority or `''`. */
  #absolute(buf: Buffer): string | null {
    const line = this.#plane.line;
    if (line.targetEnd - line.targetStart === 1 && buf[line.targetStart] === 42) return null;
    const target = buf.toString('latin1', line.targetStart, line.targetEnd);
    const match = /^https?:\/\/([^/?]+)/i.exec(target);
    if (match === null || match[1]!.includes('@')) return '';
    line.targetStart += match[0].length;
    return match[1]!;
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
    const why = block.refused ?? this.#objection(buf, block, http10);
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
    const destination = plane.route(block, this.address, buf, line.targetStart, line.targetEnd);
    if (destination.failure !== null || destination.revision === null) {
      if (destination.failure?.reason === 'ok') this.answer(200, ownBlock(''), requestId, 0);
      else this.refuse(destination.failure ?? failure('not_ready', 'no revision'), requestId);
      return;
    }
    const revision = destination.revision;
    const max = revision.entry.maxRequestBytes;
    if (max > 0 && block.contentLength > max) {
      this.refuse(this.#tooLarge(max), requestId);
      return;
    }
    let kind: number = BODY.none;
    if (block.hasTransferEncoding) kind = BODY.chunked;
    else if (block.contentLength > 0) kind = BODY.length;
    else if (block.upgrade !== '' && !http10) kind = BODY.upgrade;
    let source = buf;
    let lineStart = line.start;
    let lineEnd = line.targetEnd;
    const contiguous = line.targetStart === line.methodEnd + 1;
    if (destination.prefix !== '' || !contiguous || buf[line.targetStart] !== 47) {
      const method = buf.toString('latin1', line.start, line.methodEnd);
      const rest = buf.toString('latin1', line.targetStart + destination.prefix.length, line.targetEnd);
      source = Buffer.from(`${method} ${rest.startsWith('/') ? '' : '/'}${rest}`, 'latin1');
      lineStart = 0;
      lineEnd = source.length;
    }
    const x = new Exchange(
      this,
      revision,
      block,
      source,
      lineStart,
      lineEnd,
      destination.prefix,
      requestId,
      kind,
      this.headMethod,
      this.activeAt,
    );
    if (destination.terms !== null) destination.terms.apply(x);
    this.#start(x, kind, after < end);
  }

  #start(x: Exchange, kind: number, more: boolean): void {
    this.exchange = x;
    this.#blocked = kind !== BODY.none;
    this.phase = kind === BODY.none ? PHASE.wait : kind === BODY.upgrade ? PHASE.upgrade : PHASE.body;
    // a client that has begun to send its body does not wait
    if (more || kind === BODY.upgrade) this.expectContinue = false;
    const entry = x.times;
    let deadline = x.startedAt + entry.timeoutMs;
    if (entry.responseStartTimeoutMs)
      deadline = Math.min(deadline, x.startedAt + entry.responseStartTimeoutMs);
    if (entry.idleTimeoutMs) deadline = Math.min(deadline, x.startedAt + entry.idleTimeoutMs);
    this.setDeadline(deadline);
    const refused = x.treatment === null ? x.revision.admit(x) : x.treatment.admit(x);
    if (refused !== null) {
      x.state = STATE.done;
      this.exchange = null;
      this.refuse(refused, x.requestId);
    }
  }

  #tooLarge(max: number): Failure {
    return refusal('body_too_large', `the request body is larger than ${max} bytes`);
  }

  /** What HTTP demands of a request line and its block together. */
  #objection(buf: Buffer, block: RequestBlock, http10: boolean): Failure | null {
    if (block.hostCount === 0 && !http10) return refusal('bad_request', 'Host is missing');
    if (http10 && block.hasTransferEncoding) return refusal('bad_request', 'Transfer-Encoding in HTTP/1.0');
    const line = this.#plane.line;
    const c = buf[line.start];
    if (c === 67 || c === 84 || buf[line.targetStart] === 42) {
      const method = buf.toString('latin1', line.start, line.methodEnd);
      if (method === 'CONNECT' || method === 'TRACE') {
        return refusal('method_not_allowed', `${method} is not served here`);
      }
      if (buf[line.targetStart] === 42 && method !== 'OPTIONS') {
        return refusal('bad_request', 'the target * is for OPTIONS only');
      }
    }
    if (block.upgrade !== '' && (block.hasTransferEncoding || block.contentLength > 0)) {
      return refusal('bad_request', 'an upgrade with a body');
    }
    return null;
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
      this.#badBody(this.#tooLarge(max), end);
      return false;
    }
    if (x.treatment !== null) x.treatment.body(buf.subarray(start, end));
    if (!x.upstream.sendBody(x, buf.subarray(start, end))) this.#blocked = true;
    return true;
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
    if (x !== null && x.upstream !== null && !x.upstream.sendBody(x, buf.subarray(pos, end)))
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
    if (this.#plane.closing && this.#stash === null) {
      this.close();
      return;
    }
    this.#decoder = null;
    this.#blocked = false;
    this.phase = PHASE.head;
    this.setDeadline(this.activeAt + this.#plane.limits.keepAliveMs);
    if (this.#stash !== null || this.#paused) this.pump();
  }

  /** The worker closes: idle connections end now, others after their answer. */
  drain(): void {
    const idle = this.phase === PHASE.head && this.#stash === null;
    if (!idle) this.closeAfter = true;
    else if (this.socket.writableLength > 0) this.close();
    else this.socket.destroy();
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
