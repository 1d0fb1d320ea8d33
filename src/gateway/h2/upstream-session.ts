/** One HTTP/2 connection to an instance: when it takes requests, how it is doubted, and how it ends. */
import type { ClientHttp2Session } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import type { Timed } from '../../base/deadlines.ts';
import type { Exchange, Upstream } from '../exchange.ts';
import { connect } from './http2.ts';
import type { Http2Link } from './link.ts';
import { type Sending, UpstreamStream } from './upstream-stream.ts';

/** Bytes of all answers that may be on their way on one connection; each stream has its own window too. */
const CONNECTION_WINDOW = 4 * 1024 * 1024;
const STREAM_WINDOW = 256 * 1024;
/** Streams taken to be possible until the instance says how many; also the most that one connection is given. */
const MAX_STREAMS = 1000;

export class UpstreamSession implements Upstream, Timed {
  /** When the connection has to stand, or a PING to be answered. */
  deadline: number;
  readonly link: Http2Link;
  readonly #session: ClientHttp2Session;
  readonly #streams = new Set<UpstreamStream>();
  #waiting: Sending[] = [];
  /** The peer has accepted the TCP connection. */
  #accepted = false;
  /** It has shown its settings: it speaks HTTP/2, and how many streams it takes is known. Nothing is sent before. */
  #ready = false;
  #leaving = false;
  #limit = MAX_STREAMS;
  #lastId = Number.POSITIVE_INFINITY;
  #reason = '';
  #flushing = false;
  /** A PING is out, and the endpoint doubted. */
  #probing = false;

  constructor(link: Http2Link) {
    const { host, port, around } = link;
    this.link = link;
    this.deadline = performance.now() + around.limits.connectTimeoutMs;
    const authority = host.includes(':') ? `[${host}]` : host;
    const session = connect(`http://${authority}:${port}`, {
      createConnection: () => connectSocket({ host, port, noDelay: true }),
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW, maxHeaderListSize: 64 * 1024 },
      maxHeaderListPairs: 256,
      maxSettings: 32,
      maxSessionMemory: 64,
      maxSendHeaderBlockLength: 128 * 1024,
      peerMaxConcurrentStreams: MAX_STREAMS,
      strictSingleValueFields: false,
    } as Parameters<typeof connect>[1]);
    this.#session = session;
    session.on('connect', () => {
      this.#accepted = true;
    });
    session.on('remoteSettings', (settings) => {
      this.#limit = Math.min(MAX_STREAMS, settings.maxConcurrentStreams ?? MAX_STREAMS);
      if (!this.#ready) this.#open();
    });
    session.on('goaway', (_code, lastId) => {
      this.#lastId = Math.min(this.#lastId, lastId);
      this.#leave();
    });
    session.on('error', (error: NodeJS.ErrnoException) => {
      this.#reason ||= error.code ?? error.message;
    });
    session.on('close', () => this.#closed());
    around.deadlines.add(this);
  }

  /** Streams that may be opened before a request has to wait. */
  get room(): number {
    return this.#limit - this.#streams.size - this.#waiting.length;
  }

  send(sending: Sending): void {
    if (this.#ready) {
      this.#start(sending);
      return;
    }
    sending.exchange.upstream = this;
    this.#waiting.push(sending);
  }

  #start(sending: Sending): void {
    const stream = new UpstreamStream(this, this.#session, sending);
    this.#streams.add(stream);
    stream.start();
  }

  #open(): void {
    this.#ready = true;
    this.deadline = Number.POSITIVE_INFINITY;
    this.#session.setLocalWindowSize(CONNECTION_WINDOW);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const sending of waiting) {
      if (this.#streams.size < this.#limit) this.#start(sending);
      else this.link.resend(sending);
    }
    if (this.#leaving) this.#session.close();
  }

  /** Whether the instance has said that it did not look at the stream. */
  unseen(id: number | undefined): boolean {
    return id === undefined || id > this.#lastId;
  }

  ended(stream: UpstreamStream): void {
    this.#streams.delete(stream);
  }

  /** Sends clients what this turn of the event loop brought. */
  flushLater(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.link.around.flushLater(this);
  }

  flush(): void {
    this.#flushing = false;
    this.link.around.flushClients();
  }

  sendBody(): boolean {
    return true; // no body is asked for before the request was sent
  }

  endBody(): void {}

  resume(): void {}

  cancel(x: Exchange): void {
    x.upstream = null;
    this.#waiting = this.#waiting.filter((sending) => sending.exchange !== x);
  }

  /** A request timed out: asks whether the instance still answers at all. */
  probe(): void {
    if (this.deadline !== Number.POSITIVE_INFINITY || this.#session.destroyed) return;
    const { around } = this.link;
    this.deadline = performance.now() + around.limits.pongTimeoutMs;
    around.deadlines.arm(this.deadline);
    this.#probing = true;
    this.link.doubted();
    this.#session.ping(() => this.#answered());
  }

  /** It answers, or the connection has ended: then the next one decides. */
  #answered(): void {
    if (!this.#probing) return;
    this.#probing = false;
    this.deadline = Number.POSITIVE_INFINITY;
    this.link.trusted();
  }

  expire(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    this.#probing = false;
    if (this.#ready) {
      this.#leave();
      this.link.failed('does not answer');
    } else {
      this.#reason ||= 'connect time-out';
      this.#session.destroy();
    }
  }

  /** No new requests; the connection ends with its last one. */
  close(): void {
    this.#leave();
    if (this.#ready || this.#waiting.length === 0) this.#session.close();
  }

  #leave(): void {
    this.#leaving = true;
    this.link.leave(this);
    if (this.#ready && !this.#session.closed) this.#session.close();
  }

  #closed(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    const { around } = this.link;
    around.deadlines.delete(this);
    this.link.leave(this);
    const waiting = this.#waiting;
    this.#waiting = [];
    if (this.#accepted && this.broken) this.link.misunderstood(waiting);
    else if (!this.#ready) this.link.connectFailed(waiting, `connect: ${this.#reason || 'closed'}`);
    this.#answered();
    for (const stream of [...this.#streams]) stream.lost();
    around.flushClients();
  }

  /** Why the connection ended, for a message. */
  get reason(): string {
    return this.#reason;
  }

  /** The instance broke HTTP/2 itself. */
  get broken(): boolean {
    return this.#reason === 'ERR_HTTP2_ERROR';
  }
}
