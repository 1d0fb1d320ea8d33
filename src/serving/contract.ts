/** What crosses between serving (which decides how many instances a revision has) and whoever can make instances. */
import type { EndpointAddress, RevisionFailure } from '../gateway/contract.ts';
import type { Revision } from '../kinds/serving.ts';

/** An instance that can take requests now. */
export interface Instance {
  /** The Pod's uid; also the gateway's endpoint id. */
  id: string;
  namespace: string;
  podName: string;
  address: EndpointAddress;
  /** Zone of its node, where that is known. */
  zone?: string;
}

/** The revision's code cannot be started: every attempt will fail until the revision changes. */
export class InstanceError extends Error {
  readonly failure: RevisionFailure;
  constructor(failure: RevisionFailure) {
    super(failure.message);
    this.name = 'InstanceError';
    this.failure = failure;
  }
}

/** No node takes the instance's Pod, with the scheduler's words. It stays, and the next attempt waits for it. */
export class UnschedulableError extends Error {
  override name = 'UnschedulableError';
}

/**
 * Why an instance is not there. `crashed`: its program ended, or nothing better is known; `unready`: it runs, and only says that it
 * can take no requests now; `removed`: somebody deleted its Pod, which says nothing against its code.
 */
export type AbsenceKind = 'crashed' | 'unready' | 'removed';

/** Events about instances that were handed out. */
export interface InstanceEvents {
  /**
   * Gone, crashed or unable: must leave the gateway at once. It may come back with `up` (restarted and specialised again).
   * Told once more with another kind when it is gone after all.
   */
  down(revision: Revision, instanceId: string, reason: string, kind: AbsenceKind): void;
  up(revision: Revision, instance: Instance): void;
}

/** A way to bring instances of a kind of revision to life. Pools (functions) and plain Pods are two of them. */
export interface InstanceSource {
  /** Whether this source makes instances of that revision. */
  handles(revision: Revision): boolean;
  /**
   * Brings up one more instance and resolves when it can take requests. In-memory on the fast path: objects that
   * describe it are written afterwards. Rejects with `InstanceError` for a load error, with `PetrelError` otherwise.
   */
  acquire(revision: Revision, signal: AbortSignal): Promise<Instance>;
  /** Drains and removes an instance. Idempotent. */
  release(revision: Revision, instanceId: string, graceMs: number): Promise<void>;
  /** Instances that exist already (after a restart of the platform), found through the API. */
  adopt(revision: Revision): Promise<Instance[]>;
  onEvent(events: InstanceEvents): void;
  /**
   * Whether an instance of `from` can become one of `to` where it stands: the same source, Pod-level settings equal, only
   * image, code, command or environment of containers changed.
   */
  convertible?(from: Revision, to: Revision): boolean;
  /**
   * In-place update: the Pod stays, what runs in it is replaced. The instance must have been drained. Resolves when it can
   * take requests of `to`, under its old id. After a rejection the instance is gone.
   */
  convert?(from: Revision, instanceId: string, to: Revision, signal: AbortSignal): Promise<Instance>;
  /** Somebody got no answer from this instance: asks it, and removes it (`down`) when it stays silent. */
  suspect?(instanceId: string): Promise<void>;
}
