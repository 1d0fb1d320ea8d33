/**
 * Which of many filters an event passes. Filters that ask for certain values of an attribute are found by these values, so
 * a thousand triggers on a thousand types cost one look; only what can be told no other way is asked one by one.
 */
import { type AttributeReader, attributeReader } from './attribute-reader.ts';
import type { CloudEvent } from './event.ts';
import { compileFilters, type Filter, type Wanted } from './filter.ts';

/** Filters by ids. */
export interface FilterIndex<Id> {
  /** Adds a filter, or puts it in the place of the one that the id had. @throws CesqlParseError and leaves all as it was */
  set(id: Id, wanted: Wanted): void;
  /** Whether there was one. */
  delete(id: Id): boolean;
  /** The ids of all filters that the event passes, in no certain order. Appends to `found`, and gives it back. */
  match(event: CloudEvent, found?: Id[]): Id[];
  readonly size: number;
}

/** A filter in its place. */
interface Entry<Id> {
  id: Id;
  /** Undefined: whoever finds it has found it. */
  matches: Filter | undefined;
  anchor: { attribute: string; values: readonly string[] } | undefined;
}

/** The filters that wait for values of one attribute. */
interface ByValue<Id> {
  attribute: string;
  read: AttributeReader;
  buckets: Map<string, Entry<Id>[]>;
}

/** An index without filters. */
export function createFilterIndex<Id>(): FilterIndex<Id> {
  const entries = new Map<Id, Entry<Id>>();
  const anchored: ByValue<Id>[] = [];
  const others: Entry<Id>[] = [];

  function insert(entry: Entry<Id>): void {
    const { anchor } = entry;
    if (anchor === undefined) {
      others.push(entry);
      return;
    }
    const { attribute, values } = anchor;
    let by = anchored.find((one) => one.attribute === attribute);
    if (by === undefined) {
      by = { attribute, read: attributeReader(attribute), buckets: new Map() };
      anchored.push(by);
    }
    for (const value of values) {
      const bucket = by.buckets.get(value);
      if (bucket) bucket.push(entry);
      else by.buckets.set(value, [entry]);
    }
  }

  function remove(entry: Entry<Id>): void {
    const { anchor } = entry;
    if (anchor === undefined) {
      takeOut(others, entry);
      return;
    }
    const at = anchored.findIndex((one) => one.attribute === anchor.attribute);
    const { buckets } = anchored[at]!;
    for (const value of anchor.values) {
      const bucket = buckets.get(value)!;
      takeOut(bucket, entry);
      if (bucket.length === 0) buckets.delete(value);
    }
    if (buckets.size === 0) anchored.splice(at, 1);
  }

  function drop(id: Id): boolean {
    const entry = entries.get(id);
    if (entry === undefined) return false;
    entries.delete(id);
    remove(entry);
    return true;
  }

  return {
    set(id, wanted) {
      const { matches, anchor, anchorDecides } = compileFilters(wanted);
      drop(id);
      const entry = { id, matches: anchorDecides ? undefined : matches, anchor };
      entries.set(id, entry);
      insert(entry);
    },
    delete: drop,
    match(event, found = []) {
      for (let at = 0; at < anchored.length; at++) {
        const { read, buckets } = anchored[at]!;
        const value = read(event);
        if (value === undefined) continue;
        const bucket = buckets.get(typeof value === 'string' ? value : String(value));
        if (bucket !== undefined) ask(bucket, event, found);
      }
      ask(others, event, found);
      return found;
    },
    get size() {
      return entries.size;
    },
  };
}

function ask<Id>(entries: readonly Entry<Id>[], event: CloudEvent, found: Id[]): void {
  for (let at = 0; at < entries.length; at++) {
    const { id, matches } = entries[at]!;
    if (matches === undefined || matches(event)) found.push(id);
  }
}

/** Order is of no concern, so the last takes the place. */
function takeOut<T>(list: T[], one: T): void {
  const at = list.indexOf(one);
  const last = list.pop()!;
  if (at < list.length) list[at] = last;
}
