/** How many generic instances a pool keeps, and how many are started now. Pure arithmetic over counts. */

/** Pool size of a Runtime that names none. */
export const DEFAULT_POOL = { min: 4, max: 32 };
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
export function fadedPeak(demand: Demand, now: number): number {
  return demand.peak * 0.5 ** (Math.max(0, now - demand.at) / HALF_LIFE_MS);
}

/** One more instance was wanted. */
export function withTake(demand: Demand, now: number): Demand {
  const same = Math.abs(now - demand.since) < BURST_MS;
  const burst = same ? demand.burst + 1 : 1;
  return { burst, since: same ? demand.since : now, peak: Math.max(fadedPeak(demand, now), burst), at: now };
}

/** Warm instances to hold. */
export function poolTarget(
  bounds: { min?: number; max?: number } | undefined,
  functions: number,
  demand: Demand,
  now: number,
): number {
  const min = Math.max(0, bounds?.min ?? DEFAULT_POOL.min);
  const max = Math.max(min, bounds?.max ?? DEFAULT_POOL.max);
  const wanted = Math.max(Math.ceil(functions / FUNCTIONS_PER_INSTANCE), Math.round(fadedPeak(demand, now)));
  return Math.min(max, Math.max(min, wanted));
}

/** One pool's counts. */
export interface PoolCounts {
  runtime: string;
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
    const missing = new Map(pools.filter((pool) => !pool.paused).map((pool) => [pool.runtime, need(pool)]));
    for (let handed = true; handed; ) {
      handed = false;
      for (const [runtime, count] of missing) {
        if (count <= 0 || starting >= limit) continue;
        missing.set(runtime, count - 1);
        starts.push(runtime);
        starting++;
        handed = true;
      }
    }
  };
  if (pools.some((pool) => pool.waiting > 0 && !pool.paused)) {
    hand((pool) => pool.waiting - pool.starting, limits.forWaiters);
  } else if (limits.quiet) {
    hand((pool) => pool.target - pool.idle - pool.starting, limits.forRefill);
  }
  return starts;
}
