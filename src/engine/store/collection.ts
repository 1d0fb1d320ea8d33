/** The objects of one resource in key order, and the bounded history of their changes. Memory only, no I/O. */
import {
  keyOf,
  RevisionExpired,
  type StoreEvent,
  type StoreList,
  type StoreListOptions,
} from './contract.ts';
import type { StoredObject } from './stored.ts';

/** How much history one resource keeps; whichever bound is met first. */
export interface HistoryBounds {
  events: number;
  /** Characters of JSON. */
  size: number;
  /** Milliseconds; judged when something is written, so that an idle platform has no timer. */
  age: number;
}

export interface HistoryEvent extends StoreEvent {
  readonly current: StoredObject;
  readonly previous: StoredObject | undefined;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** Trimming a little more than necessary makes it rare. */
const SLACK = 0.9;

export class Collection {
  /** Changes up to and including this revision are no longer known one by one. */
  floor: number;
  readonly #bounds: HistoryBounds;
  readonly #objects = new Map<string, StoredObject>();
  #keys: string[] = [];
  #history: HistoryEvent[] = [];
  #historySize = 0;
  #newest = 0;

  constructor(floor: number, bounds: HistoryBounds) {
    this.floor = floor;
    this.#bounds = bounds;
  }

  get count(): number {
    return this.#objects.size;
  }

  get(namespace: string, name: string): StoredObject | undefined {
    return this.#objects.get(keyOf(namespace, name));
  }

  hasNamespace(namespace: string): boolean {
    const prefix = `${namespace}/`;
    return this.#keys[lowerBound(this.#keys, prefix)]?.startsWith(prefix) ?? false;
  }

  values(): IterableIterator<StoredObject> {
    return this.#objects.values();
  }

  /** Puts a version in place without history: what a start reads from disk. Call `sortKeys` afterwards. */
  load(object: StoredObject): void {
    this.#objects.set(keyOf(object.namespace, object.name), object);
  }

  unload(object: StoredObject): void {
    this.#objects.delete(keyOf(object.namespace, object.name));
  }

  sortKeys(): void {
    this.#keys = [...this.#objects.keys()].sort();
  }

  /** Makes a committed change visible. */
  apply(event: HistoryEvent): void {
    const key = keyOf(event.current.namespace, event.current.name);
    if (event.type === 'DELETED') {
      if (this.#objects.delete(key)) this.#keys.splice(lowerBound(this.#keys, key), 1);
    } else {
      if (!this.#objects.has(key)) this.#keys.splice(lowerBound(this.#keys, key), 0, key);
      this.#objects.set(key, event.current);
    }
    this.remember(event);
  }

  /** Adds a change to the history alone. */
  remember(event: HistoryEvent): void {
    this.#history.push(event);
    this.#historySize += event.current.text.length;
    this.#newest = event.revision;
  }

  /**
   * Forgets what is beyond the bounds. Returns the revisions whose rows nothing needs any more: the state before
   * each forgotten change, and forgotten deletions themselves.
   */
  trim(now: number): number[] {
    const { events, size, age } = this.#bounds;
    const expired = now - age;
    const oldest = this.#history[0];
    if (oldest === undefined) return [];
    if (this.#history.length <= events && this.#historySize <= size && oldest.at >= expired) return [];
    const garbage: number[] = [];
    let count = 0;
    for (const event of this.#history) {
      const rest = this.#history.length - count;
      const fits = rest <= events * SLACK && this.#historySize <= size * SLACK && event.at >= expired;
      if (fits) break;
      if (event.previous !== undefined) garbage.push(event.previous.revision);
      if (event.type === 'DELETED') garbage.push(event.revision);
      this.#historySize -= event.current.text.length;
      this.floor = event.revision;
      count++;
    }
    this.#history.splice(0, count);
    return garbage;
  }

  since(revision: number): HistoryEvent[] {
    if (revision < this.floor) throw new RevisionExpired(revision, this.floor);
    if (revision >= this.#newest) return [];
    return this.#history.slice(firstAfter(this.#history, revision));
  }

  list(options: StoreListOptions, revision: number): StoreList {
    const { namespace, at, after, limit = Number.POSITIVE_INFINITY, filter } = options;
    const undone = at !== undefined && at < this.#newest ? this.#undo(at) : undefined;
    const keys = undone === undefined ? this.#keys : withKeys(this.#keys, undone);
    const prefix = namespace === undefined ? '' : `${namespace}/`;
    let index = lowerBound(keys, prefix);
    if (after !== undefined) {
      index = Math.max(index, lowerBound(keys, after));
      if (keys[index] === after) index++;
    }
    // '0' follows '/', so this is the first key behind all keys with the prefix.
    const end = namespace === undefined ? keys.length : lowerBound(keys, `${namespace}0`);
    const items: StoredObject[] = [];
    let last: string | undefined;
    for (; index < end && items.length < limit; index++) {
      const key = keys[index] as string;
      const item = undone?.has(key) ? undone.get(key) : this.#objects.get(key);
      if (item === undefined || (filter !== undefined && !filter(item))) continue;
      items.push(item);
      last = key;
    }
    const more = index < end;
    return {
      items,
      revision: at ?? revision,
      next: more ? last : undefined,
      remaining: more ? end - index : 0,
    };
  }

  /** What differed at `revision`: key → the version then, or undefined where there was none. */
  #undo(revision: number): Map<string, StoredObject | undefined> {
    const then = new Map<string, StoredObject | undefined>();
    for (const { current, previous } of this.since(revision)) {
      const key = keyOf(current.namespace, current.name);
      if (!then.has(key)) then.set(key, previous);
    }
    return then;
  }
}

function withKeys(keys: string[], undone: Map<string, StoredObject | undefined>): string[] {
  const known = new Set(keys);
  const gone = [...undone].filter(([key, object]) => object !== undefined && !known.has(key));
  return gone.length === 0 ? keys : [...keys, ...gone.map(([key]) => key)].sort();
}

/** Index of the first key that is not less than `key`. */
function lowerBound(keys: string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function firstAfter(history: HistoryEvent[], revision: number): number {
  let low = 0;
  let high = history.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((history[middle] as HistoryEvent).revision <= revision) low = middle + 1;
    else high = middle;
  }
  return low;
}
