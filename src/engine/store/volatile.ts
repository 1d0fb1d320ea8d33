/** Objects that live in memory and reach the disk in company: their ages, their expiry, what of them is not on disk. */
import type { Clock, Timer } from '../../base/clock.ts';
import { keyOf, type Stored, type StoreEvent } from './contract.ts';
import type { Batch, Row } from './database.ts';

/** Objects of such a resource live in memory and reach the disk with the next write of anything else. */
export interface VolatileResource {
  /** Milliseconds after its last write when an object is removed. */
  ttl: number;
  /** The oldest go when there are more. */
  maxObjects: number;
}

/** Changes wait for company, but not in any number. */
const MAX_UNFLUSHED = 1000;
const DAY = 86_400_000;

export class VolatileObjects {
  readonly #resources: Record<string, VolatileResource>;
  readonly #clock: Clock;
  readonly #expire: (resource: string, namespace: string, name: string) => void;
  /** By resource, least recently written first: key → time of the write and the object's name. */
  readonly #ages = new Map<string, Map<string, { at: number; object: Stored }>>();
  /** Changed since they were last on disk. */
  readonly #unflushed = new Map<string, Stored>();
  #timer: Timer | undefined;
  #closed = false;

  /** `expire` is called for each object whose time has come, or that is one too many. */
  constructor(
    resources: Record<string, VolatileResource>,
    clock: Clock,
    expire: (resource: string, namespace: string, name: string) => void,
  ) {
    this.#resources = resources;
    this.#clock = clock;
    this.#expire = expire;
  }

  includes(resource: string): boolean {
    return this.#resources[resource] !== undefined;
  }

  get mustFlush(): boolean {
    return this.#unflushed.size > MAX_UNFLUSHED;
  }

  get unflushed(): number {
    return this.#unflushed.size;
  }

  /** An object as a start finds it on disk. */
  restore(object: Stored, at: number): void {
    if (this.includes(object.resource)) this.#track(object, at);
  }

  /** A committed change. */
  changed(event: StoreEvent, at: number): void {
    const { resource, namespace, name } = event.current;
    const key = keyOf(namespace, name);
    this.#unflushed.set(`${resource}\n${key}`, event.current);
    this.#ages.get(resource)?.delete(key);
    if (event.type !== 'DELETED') this.#track(event.current, at);
  }

  /** The part of a batch that brings the disk up to date. */
  batch(): Pick<Batch, 'volatileRows' | 'volatileGone'> {
    const volatileRows: Row[] = [];
    const volatileGone: Batch['volatileGone'] = [];
    for (const object of this.#unflushed.values()) {
      const { resource, namespace, name, revision, text } = object;
      const age = this.#ages.get(resource)?.get(keyOf(namespace, name));
      if (age === undefined) volatileGone.push({ resource, namespace, name });
      else volatileRows.push({ revision, at: age.at, resource, namespace, name, type: 0, json: text });
    }
    return { volatileRows, volatileGone };
  }

  /** The last `batch()` is on disk. No change may come between the two; the store commits one batch at a time. */
  flushed(): void {
    this.#unflushed.clear();
  }

  /** Lets go of what is too much, and sets the one timer; there is none while there are no volatile objects. */
  tend(): void {
    for (const [resource, ages] of this.#ages) {
      let excess = ages.size - (this.#resources[resource]?.maxObjects ?? 0);
      for (const { object } of ages.values()) {
        if (excess-- <= 0) break;
        this.#expire(resource, object.namespace, object.name);
      }
    }
    if (this.#timer === undefined) this.#arm();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #track(object: Stored, at: number): void {
    let ages = this.#ages.get(object.resource);
    if (ages === undefined) {
      ages = new Map();
      this.#ages.set(object.resource, ages);
    }
    ages.set(keyOf(object.namespace, object.name), { at, object });
  }

  #arm(): void {
    let next = Number.POSITIVE_INFINITY;
    for (const [resource, ages] of this.#ages) {
      const [first] = ages.values();
      if (first !== undefined) next = Math.min(next, first.at + (this.#resources[resource]?.ttl ?? 0));
    }
    if (next === Number.POSITIVE_INFINITY || this.#closed) return;
    // At least a second, so that a clock that jumps cannot make this a busy loop; a day at most, for setTimeout's range.
    const delay = Math.min(Math.max(next - this.#clock.now(), 1000), DAY);
    this.#timer = this.#clock.after(delay, () => {
      this.#timer = undefined;
      for (const [resource, ages] of this.#ages) {
        const limit = this.#clock.now() - (this.#resources[resource]?.ttl ?? 0);
        for (const { at, object } of ages.values()) {
          if (at > limit) break;
          this.#expire(resource, object.namespace, object.name);
        }
      }
      this.#arm();
    });
  }
}
