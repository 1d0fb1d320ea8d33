/**
 * The choice of an endpoint where the revision asks for more than the less loaded of two. A choice takes a slot, so
 * that limits hold whatever is preferred.
 */
import type { RevisionEntry } from '../contract.ts';
import type { Exchange } from '../exchange.ts';
import type { EndpointState } from '../revision.ts';
import { type KeyReader, keyReader } from './key.ts';
import { hashText, loadBound, Ring } from './ring.ts';

/** Takes a slot of one of `list`; null when none is free. `limit` is the slots of each, 0 without limit. */
export interface Chooser {
  choose(list: readonly EndpointState[], limit: number, x: Exchange): EndpointState | null;
}

/** What a chooser falls back to: the less loaded of two. */
export type Fallback = (list: readonly EndpointState[], limit: number) => EndpointState | null;

/** Each key stays with its endpoint; when that has more than its share of the load, or no slot, the next on the ring. */
class RingChooser implements Chooser {
  readonly #key: KeyReader;
  readonly #plain: Fallback;
  #set: readonly EndpointState[] = [];
  #ring = new Ring([]);

  constructor(key: KeyReader, plain: Fallback) {
    this.#key = key;
    this.#plain = plain;
  }

  choose(list: readonly EndpointState[], limit: number, x: Exchange): EndpointState | null {
    if (list.length < 2) return this.#plain(list, limit);
    if (list !== this.#set) {
      this.#set = list;
      this.#ring = new Ring(list.map((e) => e.id));
    }
    let total = 0;
    for (const e of list) total += e.slots.total;
    const bound = loadBound(total, list.length);
    const most = limit === 0 ? bound : Math.min(bound, limit);
    const target = () => x.line.toString('latin1', x.lineStart, x.lineEnd);
    const hash = hashText(this.#key(x.block.out, x.front.address, target));
    const at = this.#ring.find(hash, (i) => list[i]!.slots.tryAdd(most));
    return at < 0 ? this.#plain(list, limit) : list[at]!;
  }
}

/** A zone's endpoint has room while it is not that much busier than the mean of all. */
const ZONE_EXCESS = 2;

/** Endpoints of the gateway's own zone first, while they have room. */
class ZoneChooser implements Chooser {
  readonly #zone: string;
  readonly #inner: Chooser;
  #set: readonly EndpointState[] = [];
  #near: readonly EndpointState[] = [];

  constructor(zone: string, inner: Chooser) {
    this.#zone = zone;
    this.#inner = inner;
  }

  choose(list: readonly EndpointState[], limit: number, x: Exchange): EndpointState | null {
    if (list !== this.#set) {
      this.#set = list;
      this.#near = list.filter((e) => e.endpoint.zone === this.#zone);
    }
    const near = this.#near;
    if (near.length > 0 && near.length < list.length && (limit > 0 || hasRoom(near, list))) {
      const endpoint = this.#inner.choose(near, limit, x);
      if (endpoint !== null) return endpoint;
    }
    return this.#inner.choose(list, limit, x);
  }
}

/** Where slots are not limited, room is a matter of proportion. */
function hasRoom(near: readonly EndpointState[], all: readonly EndpointState[]): boolean {
  let nearLoad = 0;
  let load = 0;
  for (const e of near) nearLoad += e.slots.total;
  for (const e of all) load += e.slots.total;
  return nearLoad / near.length <= ZONE_EXCESS * (load / all.length) + 1;
}

/** The chooser for a revision; null when the less loaded of two is all it asks for. `zone` is the gateway's, `''` unknown. */
export function createChooser(
  balancing: NonNullable<RevisionEntry['balancing']>,
  zone: string,
  plain: Fallback,
): Chooser | null {
  const ring = balancing.policy === 'RingHash';
  const inner: Chooser = ring ? new RingChooser(keyReader(balancing.hashOn), plain) : { choose: plain };
  if (balancing.zoneAware && zone !== '') return new ZoneChooser(zone, inner);
  return ring ? inner : null;
}
