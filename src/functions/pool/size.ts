/** How many generic instances a pool keeps, and how many are started now. Pure arithmetic over counts. */

/** Pool size of a Runtime that names none. */
const DEFAULT_POOL = { min: 4, max: 32 };
/** One warm instance for this many functions that could wake. */
const FUNCTIONS_PER_INSTANCE = 3;
/** Time in which the memory of a burst halves, ms. */
const HALF_LIFE_MS = 120_000;
/** Instances taken within this time of each other count as one burst, ms. */
const BURST_MS = 10_000;

/** Demand as a pool remembers it: the largest recent burst, fading. */
export interface Demand {
  peak: number;
  burst: number;
  /** When the burst began, ms. */
  since: number;
  /** When the peak was last brought up to date, ms. */
  at: number;
}

export const noDemand: Demand = { peak: 0, burst: 0, since: 0, at: 0 };

/** The peak after fading until `now`. A clock that went backwards fades nothing. */
function fadedPeak(demand: Demand, now: number): number {
  return demand.peak * 0.5 ** (Math.max(0, now - demand.at) / HALF_LIFE_MS);
}

/** One more instance was wanted. */
export function withTake(demand: Demand, now: number): Demand {
  const same = Math.abs(now - demand.since) < BURST_MS;
  const burst = same ? demand.burst + 1 : 1;
  return { burst, since: same ? demand.since : now, peak: Math.max(fadedPeak(demand, now), burst), at: now };
}

export interface Bounds {
  min: number;
  max: number;
}

/**
 * Bounds of one pool of a Runtime. The `home` namespace keeps the Runtime's minimum always; any other keeps one instance warm
 * as long as it has functions.
 */
export function poolBounds(spec: Partial<Bounds> | undefined, home: boolean, functions: number): Bounds {
  const min = Math.max(0, spec?.min ?? DEFAULT_POOL.min);
  const max = Math.max(min, spec?.max ?? DEFAULT_POOL.max);
  return { min: home ? min : Math.min(max, functions > 0 ? 1 : 0), max: home || functions > 0 ? max : 0 };
}

/** Warm instances to hold. */
export function poolTarget({ min, max }: Bounds, functions: number, demand: Demand, now: number): number {
  const wanted = Math.max(Math.ceil(functions / FUNCTIONS_PER_INSTANCE), Math.round(fadedPeak(demand, now)));
  return Math.min(max, Math.max(min, wanted));
}

/** One pool's counts. */
export interface PoolCounts {
  pool: string;
  /** Pools of one group (a Runtime's, one per namespace) together keep no more warm than `limit`. */
  group: string;
  limit: number;
  /** Requests for an instance that nobody has answered. */
  waiting: number;
  /** Warm. */
  idle: number;
  /** Created, not warm yet. */
  starting: number;
  target: number;
  /** Its last starts failed: nothing is started before its pause is over. */
  paused: boolean;
}

export interface StartLimits {
  /** Instances that may be starting at once when somebody waits. */
  forWaiters: number;
  /** The same when nobody does. */
  forRefill: number;
  /** False while a cold start is under way: refilling would take its processor. */
  quiet: boolean;
}

/**
 * Whom to start one instance for, in order. Never more than one per waiter beyond what is starting already, and a refill only
 * when nobody waits anywhere.
 */
export function planStarts(pools: readonly PoolCounts[], limits: StartLimits): string[] {
  const starts: string[] = [];
  let starting = 0;
  for (const pool of pools) starting += pool.starting;
  const hand = (need: (pool: PoolCounts) => number, limit: number) => {
    const missing = new Map(pools.filter((pool) => !pool.paused).map((pool) => [pool.pool, need(pool)]));
    for (let handed = true; handed; ) {
      handed = false;
      for (const [key, count] of missing) {
        if (count <= 0 || starting >= limit) continue;
        missing.set(key, count - 1);
        starts.push(key);
        starting++;
        handed = true;
      }
    }
  };
  if (pools.some((pool) => pool.waiting > 0 && !pool.paused)) {
    hand((pool) => pool.waiting - pool.starting, limits.forWaiters);
  } else if (limits.quiet) {
    const room = roomIn(pools);
    const refill = ({ group, target, idle, starting: own }: PoolCounts) => {
      const left = room.get(group) ?? 0;
      const count = Math.max(0, Math.min(target - idle - own, left));
      room.set(group, left - count);
      return count;
    };
    hand(refill, limits.forRefill);
  }
  return starts;
}

/** How many more each group may keep warm. */
function roomIn(pools: readonly PoolCounts[]): Map<string, number> {
  const room = new Map<string, number>();
  for (const { group, limit } of pools) room.set(group, Math.max(room.get(group) ?? 0, limit));
  for (const { group, idle, starting } of pools) room.set(group, (room.get(group) ?? 0) - idle - starting);
  return room;
}
