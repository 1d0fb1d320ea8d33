/**
 * Which objects of a bucket are done with. Listings are ordered by key, not by time, and clocks of a service differ a little: objects are known by
 * key and etag as long as they are recent, and by their time alone after that. Pure.
 */
import type { Json } from '../../../kinds/object.ts';

export interface Seen {
  key: string;
  etag: string;
  modifiedAt: number;
}

export class Position {
  /** Objects modified before this are done with. */
  #since: number;
  /** Of those modified since: the etag that is done with, by key. */
  readonly #done = new Map<string, { etag: string; at: number }>();
  /** Under way. */
  readonly #open = new Map<string, Seen>();

  readonly #overlapMs: number;

  /**
   * `saved`: what `save` gave. `first`: where one that has none begins, milliseconds since the epoch. `overlapMs`: how much later than its time an
   * object may be seen first.
   */
  constructor(saved: Json, first: number, overlapMs: number) {
    this.#overlapMs = overlapMs;
    const state = saved as { since?: number; done?: [key: string, etag: string, at: number][] } | null;
    this.#since = state?.since ?? first;
    for (const [key, etag, at] of state?.done ?? []) this.#done.set(key, { etag, at });
  }

  wants({ key, etag, modifiedAt }: Seen): boolean {
    // Most services tell whole seconds.
    if (modifiedAt < this.#since - 1000) return false;
    return this.#done.get(key)?.etag !== etag && this.#open.get(key)?.etag !== etag;
  }

  begin(object: Seen): void {
    this.#open.set(object.key, object);
  }

  /** `gone`: it was deleted, and need not be known any more. */
  resolve({ key, etag, modifiedAt }: Seen, gone: boolean): void {
    if (this.#open.get(key)?.etag === etag) this.#open.delete(key);
    if (gone) return;
    this.#done.set(key, { etag, at: modifiedAt });
  }

  /** Everything was looked at by `now`, milliseconds since the epoch: what is older than the overlap is known by its time alone. */
  listed(now: number): void {
    let since = now - this.#overlapMs;
    for (const { modifiedAt } of this.#open.values()) since = Math.min(since, modifiedAt);
    if (since <= this.#since) return;
    this.#since = since;
    for (const [key, { at }] of this.#done) if (at < since - 1000) this.#done.delete(key);
  }

  save(): Json {
    return { since: this.#since, done: [...this.#done].map(([key, { etag, at }]) => [key, etag, at]) };
  }
}
