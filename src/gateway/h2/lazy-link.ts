/** An endpoint that speaks HTTP/2, before anything was sent to it: nothing is loaded for it yet. */
import type { Exchange } from '../exchange.ts';
import type { Surroundings } from '../plane-types.ts';
import type { EndpointState, Link, RevisionState } from '../revision.ts';
import { loadLink } from './load.ts';

export class LazyHttp2Link implements Link {
  readonly #make: () => Link;
  #link: Link | null = null;

  constructor(
    revision: RevisionState,
    endpoint: EndpointState,
    host: string,
    port: number,
    around: Surroundings,
  ) {
    this.#make = () => new (loadLink().Http2Link)(revision, endpoint, host, port, around);
  }

  send(x: Exchange): void {
    this.#link ??= this.#make();
    this.#link.send(x);
  }

  retire(): void {
    this.#link?.retire();
  }
}
