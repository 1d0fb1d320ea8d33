/** What one worker's parts need of each other. */

import type { Deadlines } from '../base/deadlines.ts';
import type { Logger } from '../base/log.ts';
import type { Exchange } from './exchange.ts';
import type { Failure } from './failures.ts';
import type { GatewayLimits } from './limits.ts';
import type { RequestBlock } from './request-block.ts';
import type { RevisionState } from './revision.ts';

/** Something that gathers bytes during an event-loop turn. */
export interface Flushable {
  flush(): void;
}

export interface Surroundings {
  readonly limits: GatewayLimits;
  readonly log: Logger;
  readonly deadlines: Deadlines;
  /** Calls `flush` at the end of this event-loop turn, after all sockets that are readable now were read. */
  flushLater(item: Flushable): void;
  /** Sends what clients were given during a read. True when bytes of the read buffer still wait in a client's socket. */
  flushClients(): boolean;
}

/** What a route asks for beyond the choice of a revision. */
export interface Terms {
  /** Called before the request is admitted. */
  apply(x: Exchange): void;
}

/** Where a request goes, or why it does not. */
export interface Destination {
  revision: RevisionState | null;
  /** What to take off the target: `/fn/<namespace>/<name>`, or the prefix of a path route. */
  prefix: string;
  failure: Failure | null;
  /** Null for routes without a policy or tags. */
  terms: Terms | null;
  /** The target that the instance sees, query included; null: what came, without `prefix`. */
  target: string | null;
  /** The request's fields, where something about them changes; null: as they came. */
  block: RequestBlock | null;
  /** Header lines of a refusal that follows; `''` as a rule. */
  lines: string;
}

/** The path of a target, without query. */
export function pathOf(target: string): string {
  const query = target.indexOf('?');
  return (query < 0 ? target : target.slice(0, query)) || '/';
}
