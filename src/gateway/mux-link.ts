/** Which multiplexed connection an endpoint's requests take. */
import type { Exchange } from './exchange.ts';
import { MuxConnection, type MuxOwner } from './mux.ts';
import type { Surroundings } from './plane-types.ts';
import type { EndpointState, Link, RevisionState } from './revision.ts';

/** Requests to one endpoint through its connection, which is made with the first request. */
export class MuxLink implements Link, MuxOwner {
  readonly #revision: RevisionState;
  readonly #endpoint: EndpointState;
  readonly #path: string;
  readonly #around: Surroundings;
  #connection: MuxConnection | null = null;

  constructor(revision: RevisionState, endpoint: EndpointState, path: string, around: Surroundings) {
    this.#revision = revision;
    this.#endpoint = endpoint;
    this.#path = path;
    this.#around = around;
  }

  send(x: Exchange): void {
    this.#connection ??= new MuxConnection(this.#path, this.#around, this);
    this.#connection.send(x);
  }

  retire(): void {
    this.#connection?.close();
    this.#connection = null;
  }

  doubted(connection: MuxConnection): void {
    if (this.#connection === connection) this.#revision.doubt(this.#endpoint);
  }

  trusted(connection: MuxConnection): void {
    if (this.#connection === connection) this.#revision.trust(this.#endpoint);
  }

  lost(connection: MuxConnection, reason: string): void {
    if (this.#connection !== connection) return;
    this.#connection = null;
    this.#revision.endpointFailed(this.#endpoint, reason);
  }
}
