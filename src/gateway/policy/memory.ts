/**
 * What the workers of a gateway share about one route, so that a limit is one limit however many threads there are.
 * Made on the main side, for routes that need it; garbage when nobody uses the route any more.
 */
import type { RouteEntry } from '../contract.ts';
import type { RowRef } from '../counters.ts';

/** Crosses between threads. */
export interface RouteMemory {
  cells: SharedArrayBuffer;
  /** Of the rate limit, when there is one. */
  rates: SharedArrayBuffer | null;
}

/** Places in `cells`, in 32-bit units; the breaker's time is 64 bits wide. */
export const CELL = { inFlight: 0, turn: 16, mirrorTurn: 17, openUntil: 18, window: 20 } as const;
const CELLS = 64;
/** Keys that may owe at once stand in sets; some thousand fit before the first set is full. */
export const RATE_TABLE = { sets: 1024, ways: 16 } as const;
/** Bytes of a table: a 64-bit word for each key. */
export const rateTableBytes = RATE_TABLE.sets * RATE_TABLE.ways * 8;

/** The memory for a route as it is now. What still means the same is kept from `before`. Null when it needs none. */
export function memoryFor(
  entry: RouteEntry,
  before: { entry: RouteEntry; memory: RouteMemory | null } | undefined,
): RouteMemory | null {
  const { policy } = entry;
  const split = entry.targets.filter((t) => t.percent > 0).length > 1;
  const { mirror, breaker, rateLimit } = policy ?? {};
  if (!split && mirror === undefined && breaker === undefined && rateLimit === undefined) return null;
  const old = before?.memory ?? null;
  const sameRate = JSON.stringify(before?.entry.policy?.rateLimit) === JSON.stringify(rateLimit);
  const rates = rateLimit === undefined ? null : sameRate && old !== null ? old.rates : null;
  return {
    cells: old?.cells ?? new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT),
    rates: rateLimit !== undefined && rates === null ? new SharedArrayBuffer(rateTableBytes) : rates,
  };
}

/** The row that counts the route's requests in flight. */
export function inFlightRow(memory: RouteMemory): RowRef {
  return { page: memory.cells, id: 0 };
}
