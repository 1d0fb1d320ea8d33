/** Requests to anything that speaks HTTP/1.1: a pool of kept-alive connections, one request on each at a time. */
import { connect, type Socket } from 'node:net';
import type { Timed } from '../base/deadlines.ts';
import { CR, LF } from '../base/http1/chars.ts';
import { CHUNK, ChunkedDecoder, chunkHead } from '../base/http1/chunked.ts';
import { FieldTable } from '../base/http1/fields.ts';
import { parseStatusLine, type StatusLine } from '../base/http1/status-line.ts';
import { ReadBuffer } from '../base/io.ts';
import { BODY, type Exchange, STATE, type Upstream } from './exchange.ts';
import { failure } from './failures.ts';
import type { Surroundings } from './plane-types.ts';
import { putBytes, putRequestFields, requestSize } from './request-writer.ts';
import { type ResponseBlock, readResponseBlock } from './response-block.ts';
import type { EndpointState, Link, RevisionState } from './revision.ts';

const PHASE = { idle: 0, head: 1, length: 2, chunked: 3, close: 4, tunnel: 5 } as const;
const MAX_HEAD = 64 * 1024;
const MAX_INTERIM = 32;
const VERSION = Buffer.from(' HTTP/1.1\r\n', 'latin1');
const CHUNKED = Buffer.from('transfer-encoding: chunked\r\n', 'latin1');
const TRAILERS = new FieldTable(128);
const LINE: StatusLine = { minor: 1, status: 0 };

/** Heads are put together here; replaced when the kernel did not take one at once. */
let scratch = Buffer.allocUnsafeSlow(64 * 1024);

/** Where connections go: an address, or a unix socket. */
export type Http1Target = { host: string; port: number } | { path: string };

export class Http1Link implements Link {
  readonly around: Surroundings;
  readonly to: Http1Target;
  readonly #revision: RevisionState;
  readonly #endpoint: EndpointState;
  readonly #idle: Http1Connection[] = [];
  #retired = false;

  constructor(revision: RevisionState, endpoint: EndpointState, to: Http1Target, around: Surroundings) {
    this.#revision = revision;
    this.#endpoint = endpoint;
    this.to = to;
    this.around = around;
  }

  send(x: Exchange): void {
    for (let c = this.#idle.pop(); c !== undefined; c = this.#idle.pop()) {
      if (!c.usable) continue;
      c.start(x);
      return;
    }
    new Http1Connection(this).start(x);
  }

  retire(): void {
    this.#retired = true;
    for (const c of this.#idle.splice(0)) c.destroy();
  }

  /** The connection can carry another request. False when it is not wanted any more. */
  idle(c: Http1Connection): boolean {
    if (this.#retired) return false;
    this.#idle.push(c);
    return true;
  }

  gone(c: Http1Connection): void {
    const at = this.#idle.indexOf(c);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  /** Nothing of the request was sent. */
  connectFailed(x: Exchange, reason: string): void {
    this.#revision.endpointFailed(this.#endpoint, reason);
    this.#revision.requeue(x);
  }
}

class Http1Connection implements Upstream, Timed {
  deadline: number;
  readonly #link: Http1Link;
  readonly #socket: Socket;
  readonly #input = new ReadBuffer();
  #exchange: Exchange | null = null;
  #connected = false;
  #phase: number = PHASE.idle;
  #partial: Buffer | null = null;
  #last: ResponseBlock | null = null;
  #left = 0;
  #decoder: ChunkedDecoder | null = null;
  #reusable = true;
  #idleMs: number;
  #interim = 0;
  #paused = false;
  #corked = false;
  #reason = '';
  #fresh = false;

  constructor(link: Http1Link) {
    const { limits, deadlines } = link.around;
    this.#link = link;
    this.#idleMs = limits.upstreamIdleMs;
    this.deadline = performance.now() + limits.connectTimeoutMs;
    const socket = connect({
      ...link.to,
      noDelay: true,
      onread: { buffer: () => this.#input.next(), callback: (n, buf) => this.#read(n, buf as Buffer) },
    });
    this.#socket = socket;
    socket.on('connect', () => this.#open());
    socket.on('drain', () => this.#drained());
    socket.on('end', () => this.#ended());
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#reason ||= error.code ?? error.message;
    });
    socket.on('close', () => this.#closed());
    deadlines.add(this);
  }

  /** Whether another request may be written: the peer has not closed as far as is known here. */
  get usable(): boolean {
    return this.#socket.writable && !this.#socket.readableEnded && this.#phase === PHASE.idle;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  expire(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    if (!this.#connected) this.#reason = 'connect time-out';
    this.#socket.destroy();
  }

  start(x: Exchange): void {
    this.#exchange = x;
    x.upstream = this;
    if (this.#connected) this.#write(x);
  }

  #open(): void {
    this.#connected = true;
    this.deadline = Number.POSITIVE_INFINITY;
    if (this.#exchange === null) this.#socket.destroy();
    else this.#write(this.#exchange);
  }

  #write(x: Exchange): void {
    x.state = STATE.sent;
    this.deadline = Number.POSITIVE_INFINITY;
    this.#phase = PHASE.head;
    this.#fresh = true;
    const need = requestSize(x) + x.block.upgrade.length;
    if (need > scratch.length) scratch = Buffer.allocUnsafeSlow(need);
    let at = putBytes(scratch, 0, x.line, x.lineStart, x.lineEnd);
    at = putBytes(scratch, at, VERSION, 0, VERSION.length);
    at = putRequestFields(scratch, at, x);
    if (x.body === BODY.chunked) at = putBytes(scratch, at, CHUNKED, 0, CHUNKED.length);
    else if (x.body === BODY.upgrade) {
      at += scratch.write(`connection: upgrade\r\nupgrade: ${x.block.upgrade}\r\n`, at, 'latin1');
    }
    scratch[at++] = CR;
    scratch[at++] = LF;
    if (x.body !== BODY.none) this.#cork();
    this.#socket.write(scratch.subarray(0, at));
    if (this.#socket.writableLength > 0) scratch = Buffer.allocUnsafeSlow(scratch.length);
    if (x.body !== BODY.none) x.front.dispatched(x);
  }

  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#socket.cork();
    this.#link.around.flushLater(this);
  }

  flush(): void {
    this.#corked = false;
    this.#socket.uncork();
  }

  sendBody(x: Exchange, chunk: Buffer): boolean {
    this.#cork();
    const socket = this.#socket;
    if (x.body === BODY.chunked) {
      socket.write(chunkHead(chunk.length), 'latin1');
      socket.write(chunk);
      socket.write('\r\n', 'latin1');
    } else socket.write(chunk);
    return !socket.writableNeedDrain;
  }

  endBody(x: Exchange, trailers: Buffer | null): void {
    x.bodySent = true;
    if (x.body === BODY.chunked) {
      this.#cork();
      this.#socket.write(
        trailers === null ? '0\r\n\r\n' : `0\r\n${trailers.toString('latin1')}\r\n`,
        'latin1',
      );
    } else if (x.body === BODY.upgrade && this.#phase === PHASE.tunnel) this.#socket.end();
  }

  #drained(): void {
    const x = this.#exchange;
    if (x !== null) x.front.resumeBody(x);
  }

  cancel(x: Exchange): void {
    if (this.#exchange !== x) return;
    x.upstream = null;
    this.#exchange = null;
    // HTTP/1.1 has no other way to say it
    this.#socket.destroy();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
  }

  #read(n: number, buf: Buffer): boolean {
    this.#input.noteRead(n);
    this.#fresh = false;
    try {
      if (this.#partial === null) this.#consume(buf, n);
      else {
        const all = Buffer.concat([this.#partial, buf.subarray(0, n)]);
        this.#partial = null;
        this.#consume(all, all.length);
      }
    } catch (error) {
      this.#link.around.log.error('http1', { error: String((error as Error).stack ?? error) });
      this.#socket.destroy();
    }
    if (this.#link.around.flushClients()) this.#input.retained = true;
    this.#paused = this.#exchange?.front.congested() ?? false;
    return !this.#paused;
  }

  #consume(buf: Buffer, end: number): void {
    let pos = 0;
    while (pos < end) {
      const x = this.#exchange;
      if (x === null) {
        this.#broken(null, 'bytes after the response');
        return;
      }
      switch (this.#phase) {
        case PHASE.head: {
          const next = this.#head(x, buf, pos, end);
          if (next === 0) return;
          pos = next;
          break;
        }
        case PHASE.length: {
          const n = Math.min(this.#left, end - pos);
          this.#left -= n;
          pos += n;
          x.front.data(x, buf, pos - n, pos);
          if (this.#left === 0 && this.#exchange === x) this.#complete(x, null, pos === end);
          break;
        }
        case PHASE.chunked: {
          const decoder = this.#decoder!;
          const found = decoder.next(buf, pos, end);
          pos = decoder.pos;
          if (found === CHUNK.error) {
            this.#broken(x, decoder.error);
            return;
          }
          if (found === CHUNK.data) x.front.data(x, buf, decoder.dataStart, decoder.dataEnd);
          else if (found === CHUNK.end) this.#complete(x, decoder.trailers, pos === end);
          break;
        }
        default:
          x.front.data(x, buf, pos, end);
          pos = end;
      }
    }
  }

  /** Returns the position after the head, 0 to stop. */
  #head(x: Exchange, buf: Buffer, pos: number, end: number): number {
    const fieldsAt = parseStatusLine(buf, pos, end, LINE);
    if (fieldsAt < 0) return this.#broken(x, 'the status line is malformed');
    let block: ResponseBlock | null = null;
    if (fieldsAt > 0) {
      const last = this.#last;
      const after = last === null ? 0 : fieldsAt + last.raw.length;
      if (last !== null && after <= end && buf.compare(last.raw, 0, last.raw.length, fieldsAt, after) === 0)
        block = last;
      else block = readResponseBlock(buf, fieldsAt, end, false);
    }
    if (block === null) {
      if (end - pos > MAX_HEAD) return this.#broken(x, 'the response head is too large');
      this.#partial = Buffer.from(buf.subarray(pos, end));
      return 0;
    }
    if (block.error !== '') return this.#broken(x, block.error);
    this.#last = block;
    const bodyAt = fieldsAt + block.raw.length;
    const { status, minor } = LINE;
    if (status < 200) return this.#informational(x, status, block, bodyAt);
    this.#reusable = !block.close && (minor === 1 || block.keepAlive);
    if (block.keepAliveSeconds > 0)
      this.#idleMs = Math.min(this.#idleMs, Math.max(0, block.keepAliveSeconds * 1000 - 1000));
    const bodyless = x.head || status === 204 || status === 304;
    const length = bodyless ? 0 : block.contentLength;
    if (length >= 0 && !block.chunked && end - bodyAt >= length) {
      const bodyEnd = bodyAt + length;
      this.#release(x, bodyEnd === end);
      x.front.respond(x, status, block, buf, bodyAt, bodyEnd);
      return bodyEnd;
    }
    x.begun = true;
    if (x.body === BODY.upgrade) x.bodySent = true;
    if (bodyless) {
      x.front.begin(x, status, block, block.contentLength);
      if (this.#exchange === x) this.#complete(x, null, bodyAt === end);
    } else if (block.chunked) {
      this.#phase = PHASE.chunked;
      this.#decoder = new ChunkedDecoder(TRAILERS);
      x.front.begin(x, status, block, -1);
    } else if (length >= 0) {
      this.#phase = PHASE.length;
      this.#left = length;
      x.front.begin(x, status, block, length);
    } else {
      this.#phase = PHASE.close;
      this.#reusable = false;
      x.front.begin(x, status, block, -1);
    }
    return bodyAt;
  }

  #informational(x: Exchange, status: number, block: ResponseBlock, bodyAt: number): number {
    if (status === 101) {
      if (x.body !== BODY.upgrade) return this.#broken(x, 'an upgrade nobody asked for');
      x.begun = true;
      this.#phase = PHASE.tunnel;
      this.#reusable = false;
      x.front.begin(x, status, block, -1);
      return bodyAt;
    }
    if (++this.#interim > MAX_INTERIM) return this.#broken(x, 'too many interim responses');
    if (status !== 100) x.front.interim(x, status, block);
    return bodyAt;
  }

  #broken(x: Exchange | null, message: string): 0 {
    this.#exchange = null;
    this.#phase = PHASE.idle;
    this.#socket.destroy();
    if (x !== null) {
      x.upstream = null;
      x.front.fail(x, failure('upstream_protocol', `the instance broke HTTP/1.1: ${message}`, 'function'));
    }
    return 0;
  }

  /** The response is complete; the connection serves another request if nothing speaks against it. */
  #release(x: Exchange, exact: boolean): void {
    const sent = x.bodySent || x.body === BODY.upgrade;
    x.upstream = null;
    this.#exchange = null;
    this.#phase = PHASE.idle;
    this.#decoder = null;
    this.#interim = 0;
    this.#paused = false;
    if (!this.#reusable || !sent || !exact || !this.#link.idle(this)) {
      this.#socket.destroy();
      return;
    }
    this.deadline = performance.now() + this.#idleMs;
    this.#link.around.deadlines.arm(this.deadline);
  }

  #complete(x: Exchange, trailers: Buffer | null, exact: boolean): void {
    this.#release(x, exact);
    x.front.end(x, trailers);
  }

  #ended(): void {
    const x = this.#exchange;
    if (x === null) return;
    if (this.#phase !== PHASE.close && this.#phase !== PHASE.tunnel) return;
    this.#exchange = null;
    x.upstream = null;
    x.front.end(x, null);
    this.#link.around.flushClients();
  }

  #closed(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    this.#link.around.deadlines.delete(this);
    this.#link.gone(this);
    const x = this.#exchange;
    if (x === null) return;
    this.#exchange = null;
    x.upstream = null;
    const reason = this.#reason || 'closed';
    if (!this.#connected) this.#link.connectFailed(x, `connect: ${reason}`);
    else if (this.#fresh && reason === 'EPIPE' && x.body === BODY.none) {
      // the kernel refused the very first byte: the instance had closed the idle connection before
      x.revision.requeue(x);
    } else {
      x.front.fail(
        x,
        failure('upstream_reset', `the connection to the instance broke (${reason})`, 'function'),
      );
    }
    this.#link.around.flushClients();
  }
}
