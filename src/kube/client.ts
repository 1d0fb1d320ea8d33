/** The one interface through which every part of Petrel reads and writes objects. */
import type { Json, KubeObject, Status } from '../kinds/object.ts';

/** Names a resource: what stands in the URL. `namespaced` says whether paths carry a namespace. */
export interface ResourceRef {
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespaced: boolean;
}

export interface ListOptions {
  /** Absent: all namespaces. */
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  limit?: number;
  continue?: string;
  resourceVersion?: string;
}

export interface ObjectList<T> {
  items: T[];
  resourceVersion: string;
  continue?: string;
}

export type WatchEvent<T> =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; object: T }
  | { type: 'ERROR'; object: Status };

export type PatchType = 'json' | 'merge' | 'strategic';

/** An API answer that is not a success. `reason` and `code` are those of the Status. */
export class KubeError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly status: Status | undefined;
  constructor(code: number, reason: string, message: string, status?: Status) {
    super(message);
    this.name = 'KubeError';
    this.code = code;
    this.reason = reason;
    this.status = status;
  }
}

/** Undefined in place of an object that is not there. */
export async function orUndefined<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof KubeError && error.code === 404) return undefined;
    throw error;
  }
}

export interface DeleteOptions {
  propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
  gracePeriodSeconds?: number;
  preconditions?: { uid?: string; resourceVersion?: string };
}

/** How a write is checked. */
export interface WriteOptions {
  /** Refuses fields that the kind does not have; otherwise they are dropped. */
  strict?: boolean;
}

export interface KubeClient {
  /** Throws `KubeError` with code 404 when absent. */
  get<T extends KubeObject>(resource: ResourceRef, namespace: string | undefined, name: string): Promise<T>;
  list<T extends KubeObject>(resource: ResourceRef, options?: ListOptions): Promise<ObjectList<T>>;
  /** From `resourceVersion` on, until `signal` aborts or the server ends the stream. */
  watch<T extends KubeObject>(
    resource: ResourceRef,
    options: ListOptions & { signal?: AbortSignal; allowWatchBookmarks?: boolean },
  ): AsyncIterable<WatchEvent<T>>;
  create<T extends KubeObject>(
    resource: ResourceRef,
    object: T,
    options?: WriteOptions & { dryRun?: boolean },
  ): Promise<T>;
  /** With `metadata.resourceVersion`: fails with 409 when the object has changed since. */
  update<T extends KubeObject>(resource: ResourceRef, object: T): Promise<T>;
  updateStatus<T extends KubeObject>(resource: ResourceRef, object: T): Promise<T>;
  patch<T extends KubeObject>(
    resource: ResourceRef,
    namespace: string | undefined,
    name: string,
    type: PatchType,
    patch: Json,
    options?: WriteOptions & { subresource?: string; fieldManager?: string },
  ): Promise<T>;
  delete(
    resource: ResourceRef,
    namespace: string | undefined,
    name: string,
    options?: DeleteOptions,
  ): Promise<void>;
}
