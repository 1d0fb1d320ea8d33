/** What one worker's parts need of each other. */
import type { Logger } from '../base/log.ts';
import type { Deadlines } from './deadlines.ts';
import type { GatewayLimits } from './limits.ts';

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
