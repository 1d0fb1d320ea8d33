/**
 * The HTTP client of deliveries: connections kept alive by address, the least busy of several addresses, nothing followed and nothing
 * repeated but what the server cannot have read. Our own, since a delivery is what the platform exists for: a request of 1 KB costs 8 µs,
 * with `node:http` and a kept-alive agent 40 µs.
 */
import { lookup as resolve } from 'node:dns';
import { Deadlines } from '../../base/deadlines.ts';
import type { Answer } from './answer-reader.ts';
import { type Address, Connection, type Ended, type Message, type Owner } from './connection.ts';
import { createLookup } from './lookup.ts';

/** An address that refused a connection is asked last for this time, ms. */
const ASIDE_MS = 2000;
/** Connections of one address that are kept without use. */
const IDLE_MOST = 256;
/** Addresses that are tried for one request, while none has taken it. */
const TRIES = 3;

/** How a request ended. */
export type Result =
  | { answer: Answer }
  | { failure: 'connect' | 'broken' | 'timeout' | 'aborted'; message: string };

export interface Client {
  /**
   * Sends it to one of the addresses (not empty), once. `timeoutMs`: from now to the end of the answer. Never rejects.
   * A request that finds its kept connection closed is sent again on a new one.
   */
  send(
    addresses: readonly Address[],
    message: Message,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<Result>;
  /** Connections open now. */
  readonly connections: number;
  /** Ends what is under way. */
  close(): void;
}

/** What is known of one address. */
interface Place {
  readonly key: string;
  readonly idle: Connection[];
  readonly all: Set<Connection>;
  busy: number;
  /** `performance.now()` until which it is asked last. */
  asideUntil: number;
}

export function createClient(): Client {
  const places = new Map<string, Place>();
  const deadlines = new Deadlines();
  const lookup = createLookup(
    (name, done) => resolve(name, { all: true }, done),
    () => performance.now(),
  );
  let turn = 0;
  let closed = false;
  let connections = 0;

  const placeOf = (address: Address): Place => {
    const { host, port, tls } = address;
    const key = tls === undefined ? `${host}:${port}` : `${host}:${port} ${tls.servername} ${tls.ca ?? ''}`;
    let place = places.get(key);
    if (place === undefined) {
      place = { key, idle: [], all: new Set(), busy: 0, asideUntil: 0 };
      places.set(key, place);
    }
    return place;
  };

  /** Forgets a place that nothing is known of. */
  const tidy = (place: Place) => {
    if (place.all.size === 0 && place.busy === 0 && place.asideUntil <= performance.now())
      places.delete(place.key);
  };

  const owner: Owner = {
    reading: 0,
    deadlines,
    lookup,
    idle(connection) {
      const place = placeOf(connection.address);
      if (closed || place.idle.length >= IDLE_MOST) return false;
      place.idle.push(connection);
      return true;
    },
    gone(connection) {
      const place = placeOf(connection.address);
      place.all.delete(connection);
      connections--;
      const at = place.idle.indexOf(connection);
      if (at >= 0) place.idle.splice(at, 1);
      tidy(place);
    },
  };

  const connectionTo = (address: Address, place: Place, fresh: boolean): Connection => {
    if (!fresh) for (let c = place.idle.pop(); c !== undefined; c = place.idle.pop()) if (c.usable) return c;
    const connection = new Connection(address, owner);
    connections++;
    place.all.add(connection);
    return connection;
  };

  /** The least busy one that did not refuse lately; among equals they take turns. */
  const choose = (addresses: readonly Address[], without: ReadonlySet<Address> | undefined): Address => {
    const [only] = addresses;
    if (addresses.length === 1) return only!;
    const now = performance.now();
    let best = only!;
    let least = Number.POSITIVE_INFINITY;
    turn = (turn + 1) % 0x3fffffff;
    for (let i = 0; i < addresses.length; i++) {
      const address = addresses[(turn + i) % addresses.length]!;
      if (without?.has(address)) continue;
      const place = placeOf(address);
      const load = place.busy + (place.asideUntil > now ? 1e9 : 0);
      if (load >= least) continue;
      least = load;
      best = address;
    }
    return best;
  };

  return {
    send(addresses, message, timeoutMs, signal) {
      return new Promise<Result>((done) => {
        const until = performance.now() + timeoutMs;
        let tried: Set<Address> | undefined;
        let current: Connection | undefined;
        const abort = () => {
          current?.destroy();
          finish({ failure: 'aborted', message: 'it was given up here' });
        };
        let over = false;
        const finish = (result: Result) => {
          if (over) return;
          over = true;
          signal?.removeEventListener('abort', abort);
          done(result);
        };
        const attempt = (address: Address, fresh: boolean) => {
          const left = until - performance.now();
          if (closed) return finish({ failure: 'aborted', message: 'it was given up here' });
          const place = placeOf(address);
          place.busy++;
          current = connectionTo(address, place, fresh);
          current.send(message, Math.max(1, left), (ended: Ended) => {
            place.busy--;
            if ('answer' in ended) return finish(ended);
            if (over) return tidy(place);
            const { failure, message: why } = ended;
            if (failure === 'stale') return attempt(address, true);
            if (failure === 'connect' && addresses.length > 1) {
              place.asideUntil = performance.now() + ASIDE_MS;
              tried ??= new Set();
              tried.add(address);
              if (tried.size < Math.min(TRIES, addresses.length))
                return attempt(choose(addresses, tried), false);
            } else tidy(place);
            finish({ failure, message: why });
          });
        };
        if (signal?.aborted) return abort();
        signal?.addEventListener('abort', abort, { once: true });
        attempt(choose(addresses, undefined), false);
      });
    },
    get connections() {
      return connections;
    },
    close() {
      closed = true;
      for (const place of [...places.values()]) for (const c of [...place.all]) c.destroy();
    },
  };
}
