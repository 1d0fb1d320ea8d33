/** What policies need of the worker they run in. */

import type { Deadlines } from '../../base/deadlines.ts';
import type { Logger } from '../../base/log.ts';
import type { RevisionState } from '../revision.ts';

/** What the gateway is, for all its workers alike. */
export interface GatewayIdentity {
  /** Zone of the machine; `''` when it has none. */
  zone: string;
  /** Keys the hashes in cookies; sessions survive a restart of the gateway that is given the same one. */
  secret: string;
}

/** Mirrored requests of one worker. */
export interface MirrorLoad {
  open: number;
  bytes: number;
}

export interface PolicySurroundings {
  readonly worker: number;
  readonly identity: GatewayIdentity;
  readonly deadlines: Deadlines;
  readonly log: Logger;
  readonly mirrors: MirrorLoad;
  revision(key: string): RevisionState | undefined;
}
