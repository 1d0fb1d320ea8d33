/** Requests to an instance that speaks HTTP/2: many on one connection, on a few when the instance limits streams. */
import type { Exchange } from '../exchange.ts';
import { failure } from '../failures.ts';
import type { Surroundings } from '../plane-types.ts';
import type { EndpointState, Link, RevisionState } from '../revision.ts';
import { UpstreamSession } from './upstream-session.ts';
import type { Sending } from './upstream-stream.ts';

/** Connections to one instance; beyond their streams requests wait inside the last one. */
const MAX_SESSIONS = 4;

export class Http2Link implements Link {
  readonly around: Surroundings;
  readonly host: string;
  readonly port: number;
  readonly #revision: RevisionState;
  readonly #endpoint: EndpointState;
  readonly #sessions: UpstreamSession[] = [];

  constructor(
    revision: RevisionState,
    endpoint: EndpointState,
    host: string,
    port: number,
    around: Surroundings,
  ) {
    this.#revision = revision;
    this.#endpoint = endpoint;
    this.host = host;
    this.port = port;
    this.around = around;
  }

  send(x: Exchange): void {
    this.#session().send({ exchange: x, chunks: [], bytes: 0, ended: false, trailers: null, again: false });
  }

  /** Sends once more what an instance has said it did not look at. */
  resend(sending: Sending): void {
    this.#session().send(sending);
  }

  #session(): UpstreamSession {
    let least: UpstreamSession | null = null;
    for (const session of this.#sessions) {
      if (session.room > 0) return session;
      if (least === null || session.room > least.room) least = session;
    }
    if (least !== null && this.#sessions.length >= MAX_SESSIONS) return least;
    const made = new UpstreamSession(this);
    this.#sessions.push(made);
    return made;
  }

  retire(): void {
    for (const session of this.#sessions.splice(0)) session.close();
  }

  /** The connection takes no more requests. */
  leave(session: UpstreamSession): void {
    const at = this.#sessions.indexOf(session);
    if (at >= 0) this.#sessions.splice(at, 1);
  }

  /** No connection could be made; nothing of the requests was sent. */
  connectFailed(waiting: Sending[], reason: string): void {
    this.#revision.endpointFailed(this.#endpoint, reason);
    for (let i = waiting.length - 1; i >= 0; i--) {
      const { exchange: x, again } = waiting[i]!;
      if (!again) this.#revision.requeue(x);
      else {
        x.upstream = null;
        x.front.fail(x, failure('upstream_connect', `the instance does not accept connections: ${reason}`));
      }
    }
  }

  /** Something listens there, but not for HTTP/2. */
  misunderstood(waiting: Sending[]): void {
    const message = `the instance does not speak HTTP/2 on port ${this.port}: is the port's name right?`;
    for (const { exchange: x } of waiting) {
      x.upstream = null;
      x.front.fail(x, failure('upstream_protocol', message, 'function'));
    }
  }

  doubted(): void {
    this.#revision.doubt(this.#endpoint);
  }

  trusted(): void {
    this.#revision.trust(this.#endpoint);
  }

  failed(reason: string): void {
    this.#revision.endpointFailed(this.#endpoint, reason);
  }
}
