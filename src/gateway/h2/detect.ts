/**
 * Which protocol a port without a name speaks. Nobody is asked until a client comes over HTTP/2: an HTTP/1.1 client
 * is served over HTTP/1.1, as every server there understands it.
 */
import { connect } from 'node:net';
import type { Exchange, Upstream } from '../exchange.ts';
import { Http1Link } from '../http1.ts';
import type { Surroundings } from '../plane-types.ts';
import type { EndpointState, Link, RevisionState } from '../revision.ts';
import { LazyHttp2Link } from './lazy-link.ts';

/** The client's connection preface with empty settings (RFC 9113 §3.4). */
const PREFACE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);
const FRAME_HEAD = 9;
const SETTINGS = 4;
/** How long a server may take to show what it speaks, milliseconds. */
const PROBE_MS = 1000;

/**
 * Whether a port answers HTTP/2 by prior knowledge: its first frame must be SETTINGS. Null when nothing was learnt
 * (no connection, or nothing said within `timeoutMs`).
 */
function speaksHttp2(host: string, port: number, timeoutMs: number): Promise<boolean | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, noDelay: true });
    let seen: Buffer = Buffer.alloc(0);
    let verdict: boolean | null = null;
    let sent = false;
    const timer = setTimeout(() => socket.destroy(), timeoutMs);
    socket.on('connect', () => {
      sent = true;
      socket.write(PREFACE);
    });
    socket.on('data', (chunk: Buffer) => {
      seen = Buffer.concat([seen, chunk]);
      if (seen.length < FRAME_HEAD) return;
      verdict = seen[3] === SETTINGS && seen[4] === 0 && seen.readUInt32BE(5) === 0;
      socket.destroy();
    });
    socket.on('end', () => {
      // a server that hangs up on the preface does not speak it
      if (sent) verdict ??= false;
      socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (sent && error.code === 'ECONNRESET') verdict ??= false;
    });
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(verdict);
    });
  });
}

/** Requests to an endpoint whose protocol is found out when the first HTTP/2 client asks for it. */
export class DetectingLink implements Link, Upstream {
  readonly #http1: Http1Link;
  readonly #http2: LazyHttp2Link;
  readonly #host: string;
  readonly #port: number;
  #verdict: boolean | null = null;
  #probing = false;
  #waiting: Exchange[] = [];

  constructor(
    revision: RevisionState,
    endpoint: EndpointState,
    host: string,
    port: number,
    around: Surroundings,
  ) {
    this.#http1 = new Http1Link(revision, endpoint, { host, port }, around);
    this.#http2 = new LazyHttp2Link(revision, endpoint, host, port, around);
    this.#host = host;
    this.#port = port;
  }

  send(x: Exchange): void {
    if (!x.http2 || this.#verdict === false) this.#http1.send(x);
    else if (this.#verdict === true) this.#http2.send(x);
    else {
      x.upstream = this;
      this.#waiting.push(x);
      if (!this.#probing) void this.#probe();
    }
  }

  async #probe(): Promise<void> {
    this.#probing = true;
    this.#verdict = await speaksHttp2(this.#host, this.#port, PROBE_MS);
    this.#probing = false;
    const link = this.#verdict === true ? this.#http2 : this.#http1;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const x of waiting) link.send(x);
  }

  retire(): void {
    this.#http1.retire();
    this.#http2.retire();
  }

  sendBody(): boolean {
    return true; // no body is asked for before the request was sent
  }

  endBody(): void {}

  resume(): void {}

  cancel(x: Exchange): void {
    x.upstream = null;
    this.#waiting = this.#waiting.filter((other) => other !== x);
  }
}
