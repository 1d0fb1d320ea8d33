/**
 * A cache of one resource that follows the API by list and watch. Reads are in memory; what it hands out is shared
 * with every other reader and must not be changed.
 */
import { type Clock, sleep, systemClock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { KubeObject } from '../kinds/object.ts';
import { backoffDelay } from './backoff.ts';
import { type KubeClient, KubeError, type ResourceRef } from './client.ts';
import { createIndexedStore, type IndexFunction, type ObjectKey } from './indexed-store.ts';

export interface InformerHandler<T> {
  /** Also called for every object that exists when the handler is added. */
  add?(object: T): void;
  update?(object: T, old: T): void;
  /** `object` is the last state known: the one of the deletion, or an older one when the deletion itself was missed. */
  delete?(object: T): void;
}

export interface InformerOptions<T extends KubeObject> {
  client: KubeClient;
  resource: ResourceRef;
  log: Logger;
  /** Absent: all namespaces. */
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  /** Index name → the values under which an object is found with `byIndex`. */
  indexes?: Record<string, IndexFunction<T>>;
  clock?: Clock;
  random?: () => number;
  /** Freezes every object deeply, so that a reader that changes one fails. For tests. */
  freeze?: boolean;
}

export interface Informer<T extends KubeObject> {
  /** Resolves once when the first list is complete and its handlers have run. */
  readonly synced: Promise<void>;
  readonly hasSynced: boolean;
  /** Begins to follow the API. Calling it again does nothing. */
  start(): void;
  stop(): void;
  get(namespace: string | undefined, name: string): T | undefined;
  list(namespace?: string): T[];
  /** Objects whose index function yields `value`; `owner` (uid of any owner) and `namespace` always exist. */
  byIndex(index: string, value: string): T[];
  /** Handlers run in the order they were added, synchronously. Returns the function that removes this one. */
  addHandler(handler: InformerHandler<T>): () => void;
}

const PAGE = 500;
const BACKOFF = { baseMs: 100, maxMs: 30_000 };
/** A watch that lived this long was a healthy one, even if nothing happened. */
const HEALTHY_MS = 10_000;

/** Creates an informer; nothing is read before `start()`. */
export function createInformer<T extends KubeObject>(options: InformerOptions<T>): Informer<T> {
  const { client, resource } = options;
  const clock = options.clock ?? systemClock;
  const random = options.random ?? Math.random;
  const log = options.log.with({ informer: resource.plural });
  const store = createIndexedStore<T>(options.indexes ?? {});
  const handlers: InformerHandler<T>[] = [];
  const scope = {
    namespace: options.namespace,
    labelSelector: options.labelSelector,
    fieldSelector: options.fieldSelector,
  };
  const synced = Promise.withResolvers<void>();
  let hasSynced = false;
  let stopping: AbortController | undefined;

  const call = (run: (handler: InformerHandler<T>) => void) => {
    for (const handler of [...handlers]) {
      try {
        run(handler);
      } catch (error) {
        log.error('a handler failed', {
          error: error instanceof Error ? (error.stack ?? error.message) : String(error),
        });
      }
    }
  };

  const put = (object: T) => {
    if (options.freeze) deepFreeze(object);
    const old = store.put(object);
    if (!old) call((handler) => handler.add?.(object));
    else if (old.metadata.resourceVersion !== object.metadata.resourceVersion)
      call((handler) => handler.update?.(object, old));
  };

  const remove = (key: ObjectKey, last?: T) => {
    const old = store.remove(key);
    if (old) call((handler) => handler.delete?.(last ?? old));
  };

  /** Reads everything and makes the cache equal to it; what is gone is reported with its last known state. */
  const relist = async (): Promise<string> => {
    const seen = new Map<ObjectKey, T>();
    let page = await client.list<T>(resource, { ...scope, limit: PAGE });
    let version = page.resourceVersion;
    for (;;) {
      for (const item of page.items) seen.set(store.keyOf(item), item);
      if (!page.continue) break;
      try {
        page = await client.list<T>(resource, { ...scope, limit: PAGE, continue: page.continue });
      } catch (error) {
        if (!(error instanceof KubeError) || error.code !== 410) throw error;
        // The snapshot of the first page was compacted away: one whole list is the consistent alternative.
        seen.clear();
        page = await client.list<T>(resource, scope);
        version = page.resourceVersion;
      }
    }
    if (stopping?.signal.aborted) return version;
    for (const key of store.keys()) if (!seen.has(key)) remove(key);
    for (const object of seen.values()) {
      const known = store.get(store.keyOf(object));
      // Deleted and created again while nobody watched: two objects, so two events.
      if (known && known.metadata.uid !== object.metadata.uid) remove(store.keyOf(known));
      put(object);
    }
    if (!hasSynced) {
      hasSynced = true;
      synced.resolve();
    }
    return version;
  };

  const follow = async (signal: AbortSignal) => {
    let version: string | undefined;
    let failures = 0;
    while (!signal.aborted) {
      try {
        version ??= await relist();
        const events = client.watch<T>(resource, {
          ...scope,
          resourceVersion: version,
          allowWatchBookmarks: true,
          signal,
        });
        const since = clock.monotonic();
        let received = false;
        for await (const event of events) {
          if (signal.aborted) return;
          received = true;
          failures = 0;
          if (event.type === 'ERROR') {
            const { code = 500, reason = 'Unknown', message = '' } = event.object;
            throw new KubeError(code, reason, message, event.object);
          }
          version = event.object.metadata.resourceVersion ?? version;
          if (event.type === 'DELETED') remove(store.keyOf(event.object), event.object);
          else if (event.type !== 'BOOKMARK') put(event.object);
        }
        // The server ends a watch now and then. One that ends at once, again and again, must not be hammered.
        if (received || clock.monotonic() - since > HEALTHY_MS) continue;
        failures++;
      } catch (error) {
        if (signal.aborted) return;
        failures++;
        if (error instanceof KubeError && (error.code === 410 || error.reason === 'Expired')) {
          version = undefined;
          if (failures === 1) continue;
        } else if (failures > 1) {
          log.warn('cannot follow the API; trying again', {
            error: messageOf(error),
            failures,
          });
        }
      }
      await sleep(clock, backoffDelay(failures, { ...BACKOFF, random }), signal);
    }
  };

  return {
    synced: synced.promise,
    get hasSynced() {
      return hasSynced;
    },
    start() {
      if (stopping) return;
      stopping = new AbortController();
      void follow(stopping.signal);
    },
    stop() {
      stopping?.abort();
    },
    get: (namespace, name) => store.get(store.key(namespace, name)),
    list: (namespace) => (namespace === undefined ? store.all() : store.byIndex('namespace', namespace)),
    byIndex: (index, value) => store.byIndex(index, value),
    addHandler(handler) {
      handlers.push(handler);
      for (const object of store.all()) handler.add?.(object);
      return () => {
        const at = handlers.indexOf(handler);
        if (at !== -1) handlers.splice(at, 1);
      };
    },
  };
}

function deepFreeze(value: unknown): void {
  if (value === null || typeof value !== 'object' || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
}
