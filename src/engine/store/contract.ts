/**
 * What the API server needs of storage: objects by resource, one global revision, and the changes since a revision.
 * Reads and watches are answered from memory; a write is acknowledged when it is on disk.
 */
import type { UntypedObject } from '../../kinds/object.ts';

/** One version of one object as the store holds it. */
export interface Stored {
  /** `<group>/<plural>`; the core group is empty: `/pods`. */
  readonly resource: string;
  /** Empty for cluster-scoped objects. */
  readonly namespace: string;
  readonly name: string;
  readonly revision: number;
  /** The object as JSON text, with `metadata.resourceVersion` set to `revision`. */
  readonly text: string;
  /** The object parsed, on first use. Shared by every reader: never change it, `clone()` instead. */
  readonly object: UntypedObject;
  /** A copy that the caller may change. */
  clone(): UntypedObject;
}

/** One committed change. A deletion carries the last state with the revision of the deletion. */
export interface StoreEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly revision: number;
  readonly current: Stored;
  /** The state before; absent for `ADDED`. */
  readonly previous: Stored | undefined;
}

export interface StoreListOptions {
  /** Absent: all namespaces. */
  namespace?: string;
  /** State as of this revision; absent: the newest committed. */
  at?: number;
  /** Start with the first key greater than this one. */
  after?: string;
  /** At most this many items; absent: all. */
  limit?: number;
  filter?: (object: Stored) => boolean;
}

export interface StoreList {
  items: Stored[];
  /** The revision that the items show. */
  revision: number;
  /** Key of the last item when more follow: pass it as `after`. */
  next: string | undefined;
  /** How many keys follow `next`, before filtering. */
  remaining: number;
}

/** The revision asked for is older than the history that is kept. The answer is 410 Expired. */
export class RevisionExpired extends Error {
  readonly revision: number;
  readonly oldest: number;
  constructor(revision: number, oldest: number) {
    super(`too old resource version: ${revision} (${oldest})`);
    this.revision = revision;
    this.oldest = oldest;
  }
}

export interface Store {
  /** The newest committed revision. */
  readonly revision: number;
  /** The newest committed version. */
  get(resource: string, namespace: string, name: string): Stored | undefined;
  /**
   * The newest version, committed or about to be. Read-modify-write uses this one, without waiting in between:
   * then no other write can come between the two.
   */
  latest(resource: string, namespace: string, name: string): Stored | undefined;
  /** The newest version of everything of a resource in a namespace, committed or about to be, as `latest` shows each; in no order. */
  latestIn(resource: string, namespace: string): Stored[];
  /** In key order. Throws `RevisionExpired` when `at` is older than the history. */
  list(resource: string, options?: StoreListOptions): StoreList;
  count(resource: string): number;
  /** Whether any object of any resource is in the namespace, committed or about to be. */
  namespaceInUse(namespace: string): boolean;
  /**
   * Writes the object under its own namespace and name; sets `metadata.resourceVersion` in it.
   * Resolves when it is on disk; rejects with `PetrelError` (`DiskFull`, `Internal`) when it is not.
   */
  put(resource: string, object: UntypedObject): Promise<Stored>;
  /** Removes an object that `latest` has shown. `last` is its final state, as a `DELETED` event carries it. */
  remove(resource: string, last: UntypedObject): Promise<Stored>;
  /** Changes after `revision`, oldest first. Throws `RevisionExpired`. */
  since(resource: string, revision: number): StoreEvent[];
  /** Calls `listener` for each change as it is committed, in order. Returns the way to stop. */
  subscribe(resource: string, listener: (event: StoreEvent) => void): () => void;
  /** Calls `listener` after each commit, whatever it changed. */
  onCommit(listener: (events: StoreEvent[]) => void): () => void;
  /** Writes what is pending and releases the file. */
  close(): Promise<void>;
}

/** The key of an object within its resource; keys sort as lists are ordered. */
export const keyOf = (namespace: string, name: string): string =>
  namespace === '' ? name : `${namespace}/${name}`;
