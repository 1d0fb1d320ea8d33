/**
 * The store: assigns revisions, groups writes into commits, and shows a write to readers and watchers only when it
 * is durable.
 *
 * A write passes three stations: `queued` (has its revision, `latest` sees it), `inFlight` (the writer thread commits
 * it together with all that was queued meanwhile), committed (in its collection, events delivered, promise resolved).
 */
import { type Clock, systemClock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { openDatabase } from '../../base/sqlite.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import { Collection, type HistoryBounds, type HistoryEvent } from './collection.ts';
import { keyOf, type Store, type Stored, type StoreEvent } from './contract.ts';
import { type Batch, load, ROW_TYPES, type Row } from './database.ts';
import { acquireLock } from './lock.ts';
import { StoredObject } from './stored.ts';
import { VolatileObjects, type VolatileResource } from './volatile.ts';
import { type BatchSink, createWriter } from './writer.ts';

export interface StoreOptions {
  /** The database file; `<path>-lock` beside it is held while the store is open. */
  path: string;
  log: Logger;
  clock?: Clock;
  /** By resource, for example `/events`. A crash may lose their last changes. */
  volatile?: Record<string, VolatileResource>;
  history?: HistoryBounds;
}

const DEFAULT_HISTORY: HistoryBounds = { events: 4096, size: 4 * 1024 * 1024, age: 3600_000 };

/**
 * Revisions are reserved on disk in blocks, so that one seen by a client and then lost with a crash (of a volatile
 * object) is never given to something else.
 */
const RESERVE = 1000;

interface Pending {
  event: HistoryEvent;
  done: PromiseWithResolvers<Stored>;
}

/**
 * Opens the store, reading all of it into memory.
 * Throws `PetrelError`: `PlatformAlreadyRunning`, `HomeNotWritable`, `DiskFull`, `StartFailed` (damaged or newer file).
 */
export function openStore(options: StoreOptions): Store {
  const release = acquireLock(`${options.path}-lock`);
  try {
    const database = openDatabase(options.path);
    try {
      const loaded = load(database, options.path);
      return new SqliteStore(options, loaded.ceiling, createWriter(options.path), release, (store) => {
        store.restore(loaded.rows, loaded.volatileRows, loaded.floors);
      });
    } finally {
      database.close();
    }
  } catch (error) {
    release();
    throw error;
  }
}

class SqliteStore implements Store {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #volatile: VolatileObjects;
  readonly #bounds: HistoryBounds;
  readonly #writer: BatchSink;
  readonly #release: () => void;

  readonly #collections = new Map<string, Collection>();
  readonly #listeners = new Map<string, Set<(event: StoreEvent) => void>>();
  readonly #commitListeners = new Set<(events: StoreEvent[]) => void>();

  /** Committed. */
  revision: number;
  /** Handed out. */
  #assigned: number;
  #ceiling: number;
  #openedAt: number;

  #queued: Pending[] = [];
  #inFlight: Pending[] = [];
  /** The newest change of each object that is queued or in flight. */
  readonly #ahead = new Map<string, HistoryEvent>();
  #scheduled = false;
  #busy = false;
  #flushing = Promise.resolve();
  #closed = false;

  /** Rows to remove and floors to raise with the next commit. */
  #garbage: number[] = [];
  readonly #floors = new Map<string, number>();

  constructor(
    options: StoreOptions,
    ceiling: number,
    writer: BatchSink,
    release: () => void,
    fill: (store: SqliteStore) => void,
  ) {
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log;
    this.#volatile = new VolatileObjects(options.volatile ?? {}, this.#clock, (...id) => this.#expire(...id));
    this.#bounds = options.history ?? DEFAULT_HISTORY;
    this.#writer = writer;
    this.#release = release;
    this.revision = ceiling;
    this.#assigned = ceiling;
    this.#ceiling = ceiling;
    this.#openedAt = ceiling;
    fill(this);
  }

  /** Rebuilds the collections and their histories from rows in revision order. */
  restore(rows: Row[], volatileRows: Row[], floors: Map<string, number>): void {
    for (const [resource, floor] of floors)
      this.#collections.set(resource, new Collection(floor, this.#bounds));
    for (const row of rows) {
      const collection = this.#collection(row.resource, 0);
      const current = new StoredObject(row.resource, row.namespace, row.name, row.revision, row.json);
      const previous = collection.get(row.namespace, row.name);
      const type = ROW_TYPES[row.type] ?? 'MODIFIED';
      if (type === 'DELETED') collection.unload(current);
      else collection.load(current);
      if (row.revision > collection.floor) {
        collection.remember({ type, revision: row.revision, current, previous, at: row.at });
      }
    }
    for (const row of volatileRows) {
      const collection = this.#collection(row.resource, this.#openedAt);
      const object = new StoredObject(row.resource, row.namespace, row.name, row.revision, row.json);
      collection.load(object);
      this.#volatile.restore(object, row.at);
    }
    for (const collection of this.#collections.values()) collection.sortKeys();
    this.#volatile.tend();
  }

  get(resource: string, namespace: string, name: string): Stored | undefined {
    return this.#collections.get(resource)?.get(namespace, name);
  }

  latest(resource: string, namespace: string, name: string): Stored | undefined {
    const id = identity(resource, namespace, name);
    const ahead = this.#ahead.get(id);
    if (ahead === undefined) return this.get(resource, namespace, name);
    return ahead.type === 'DELETED' ? undefined : ahead.current;
  }

  latestIn(resource: string, namespace: string): Stored[] {
    const found = new Map(this.list(resource, { namespace }).items.map((stored) => [stored.name, stored]));
    for (const { type, current } of this.#ahead.values()) {
      if (current.resource !== resource || current.namespace !== namespace) continue;
      if (type === 'DELETED') found.delete(current.name);
      else found.set(current.name, current);
    }
    return [...found.values()];
  }

  list(resource: string, options: Parameters<Store['list']>[1] = {}): ReturnType<Store['list']> {
    return this.#collection(resource).list(options, this.revision);
  }

  count(resource: string): number {
    return this.#collections.get(resource)?.count ?? 0;
  }

  namespaceInUse(namespace: string): boolean {
    for (const { type, current } of this.#ahead.values()) {
      if (type !== 'DELETED' && current.namespace === namespace) return true;
    }
    for (const collection of this.#collections.values()) if (collection.hasNamespace(namespace)) return true;
    return false;
  }

  since(resource: string, revision: number): StoreEvent[] {
    return this.#collection(resource).since(revision);
  }

  subscribe(resource: string, listener: (event: StoreEvent) => void): () => void {
    let set = this.#listeners.get(resource);
    if (set === undefined) {
      set = new Set();
      this.#listeners.set(resource, set);
    }
    const listeners = set;
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  onCommit(listener: (events: StoreEvent[]) => void): () => void {
    this.#commitListeners.add(listener);
    return () => this.#commitListeners.delete(listener);
  }

  put(resource: string, object: UntypedObject): Promise<Stored> {
    const { namespace = '', name } = object.metadata;
    const previous = this.latest(resource, namespace, name) as StoredObject | undefined;
    return this.#enqueue(resource, previous === undefined ? 'ADDED' : 'MODIFIED', object, previous);
  }

  remove(resource: string, last: UntypedObject): Promise<Stored> {
    const { namespace = '', name } = last.metadata;
    const previous = this.latest(resource, namespace, name) as StoredObject | undefined;
    if (previous === undefined)
      return Promise.reject(new Error(`${resource} ${keyOf(namespace, name)} is gone`));
    return this.#enqueue(resource, 'DELETED', last, previous);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#volatile.close();
    try {
      while (this.#busy || this.#queued.length > 0) {
        this.#flush();
        await this.#flushing;
      }
      if (this.#volatile.unflushed > 0 || this.#garbage.length > 0 || this.#ceiling !== this.#assigned) {
        await this.#writer.write({ ...this.#batch([]), ceiling: this.#assigned });
      }
      await this.#writer.close();
    } finally {
      this.#release();
    }
  }

  #enqueue(
    resource: string,
    type: StoreEvent['type'],
    object: UntypedObject,
    previous: StoredObject | undefined,
  ): Promise<Stored> {
    if (this.#closed) return Promise.reject(new Error('the store is closed'));
    const { namespace = '', name } = object.metadata;
    const revision = ++this.#assigned;
    object.metadata.resourceVersion = String(revision);
    const text = JSON.stringify(object);
    const current = new StoredObject(resource, namespace, name, revision, text, object);
    const pending: Pending = {
      event: { type, revision, current, previous, at: this.#clock.now() },
      done: Promise.withResolvers(),
    };
    this.#queued.push(pending);
    this.#ahead.set(identity(resource, namespace, name), pending.event);
    if (!this.#scheduled && !this.#busy) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.#flush();
      });
    }
    return pending.done.promise;
  }

  #flush(): void {
    if (!this.#busy) this.#flushing = this.#commitAll();
  }

  /** Commits what is queued, and what is queued while it does. Never rejects: each write's promise tells. */
  async #commitAll(): Promise<void> {
    this.#busy = true;
    while (this.#queued.length > 0) {
      this.#inFlight = this.#queued;
      this.#queued = [];
      try {
        await this.#persist(this.#inFlight);
      } catch (error) {
        this.#fail(error as Error);
        break;
      }
      this.#commit(this.#inFlight);
    }
    // In the same step as the last look at the queue: what is queued from now on schedules itself.
    this.#busy = false;
  }

  async #persist(writes: Pending[]): Promise<void> {
    const durable = writes.filter((p) => !this.#volatile.includes(p.event.current.resource));
    const reserve = this.#assigned > this.#ceiling || this.#volatile.mustFlush;
    if (durable.length === 0 && !reserve) return;
    const batch = this.#batch(durable);
    if (reserve) batch.ceiling = this.#assigned + RESERVE;
    await this.#writer.write(batch);
    this.#flushed(batch);
    if (batch.ceiling !== undefined) this.#ceiling = batch.ceiling;
  }

  #batch(durable: Pending[]): Batch {
    return {
      rows: durable.map(({ event }) => rowOf(event)),
      garbage: [...this.#garbage],
      floors: [...this.#floors],
      ...this.#volatile.batch(),
      ceiling: undefined,
    };
  }

  /** What the batch carried besides the writes needs no second time on disk, unless it changed meanwhile. */
  #flushed(batch: Batch): void {
    this.#garbage.splice(0, batch.garbage.length);
    for (const [resource, floor] of batch.floors) {
      if (this.#floors.get(resource) === floor) this.#floors.delete(resource);
    }
    this.#volatile.flushed();
  }

  /** Nothing may follow a write that failed: all that was built on it fails too. Revisions are not given out again. */
  #fail(error: Error): void {
    const failed = [...this.#inFlight, ...this.#queued];
    this.#inFlight = [];
    this.#queued = [];
    this.#ahead.clear();
    this.#log.error('writes failed', { error: error.message, writes: failed.length });
    for (const { done } of failed) done.reject(error);
  }

  #commit(written: Pending[]): void {
    this.#inFlight = [];
    const events = written.map((p) => p.event);
    for (const event of events) this.#show(event);
    this.revision = events.at(-1)?.revision ?? this.revision;
    for (const event of events) {
      for (const listener of this.#listeners.get(event.current.resource) ?? []) this.#call(listener, event);
    }
    for (const listener of this.#commitListeners) this.#call(listener, events);
    for (const { event, done } of written) {
      event.previous?.forget();
      done.resolve(event.current);
    }
    this.#volatile.tend();
  }

  #show(event: HistoryEvent): void {
    const { resource, namespace, name } = event.current;
    const id = identity(resource, namespace, name);
    if (this.#ahead.get(id) === event) this.#ahead.delete(id);
    const collection = this.#collection(resource);
    collection.apply(event);
    const garbage = collection.trim(event.at);
    if (this.#volatile.includes(resource)) {
      this.#volatile.changed(event, event.at);
    } else if (garbage.length > 0) {
      for (const revision of garbage) this.#garbage.push(revision);
      this.#floors.set(resource, collection.floor);
    }
  }

  /** A listener's fault is its own; the commit has happened. */
  #call<T>(listener: (argument: T) => void, argument: T): void {
    try {
      listener(argument);
    } catch (error) {
      this.#log.error('a listener of the store failed', { error: String(error) });
    }
  }

  #expire(resource: string, namespace: string, name: string): void {
    const stored = this.latest(resource, namespace, name);
    if (stored === undefined) return;
    this.remove(resource, stored.clone()).catch((error) => {
      this.#log.warn('an expired object could not be removed', { resource, name, error: String(error) });
    });
  }

  #collection(resource: string, floor = this.#volatile.includes(resource) ? this.#openedAt : 0): Collection {
    let collection = this.#collections.get(resource);
    if (collection === undefined) {
      collection = new Collection(floor, this.#bounds);
      this.#collections.set(resource, collection);
    }
    return collection;
  }
}

const identity = (resource: string, namespace: string, name: string): string =>
  `${resource}\n${keyOf(namespace, name)}`;

function rowOf(event: HistoryEvent): Row {
  const { resource, namespace, name, revision, text } = event.current;
  return {
    revision,
    at: event.at,
    resource,
    namespace,
    name,
    type: ROW_TYPES.indexOf(event.type),
    json: text,
  };
}
