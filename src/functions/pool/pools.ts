/**
 * The warm pools: generic instances per Runtime, handed out in memory and refilled in the background. Who waits is served
 * in order by whichever instance is warm first; for n that wait, never more than n are started beyond the pool's size.
 */
import { cpus } from 'node:os';
import type { Clock, Timer } from '../../base/clock.ts';
import { PetrelError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Runtime } from '../../kinds/function.ts';
import type { MakePod, Member, MemberOwner, Members } from './members.ts';
import { genericPod } from './pods.ts';
import { type Demand, noDemand, type PoolCounts, planStarts, poolTarget, withTake } from './size.ts';

/** After a cold start the processor stays free for this long before a refill begins, ms. */
const QUIET_MS = 30;
/** One instance too many is given up each time this passes, ms. */
const SHRINK_MS = 60_000;
/** Starts that fail in a row before those who wait are told. */
const FAILURES_BEFORE_GIVING_UP = 3;
const PAUSE = { baseMs: 500, maxMs: 60_000 };
/** Stands for the Pods made for one revision each in the plan of starts. */
const DEDICATED = '';

interface Waiter {
  resolve(member: Member): void;
  reject(error: unknown): void;
}

interface Pool {
  runtime: Runtime;
  idle: Member[];
  starting: Set<Member>;
  waiters: Waiter[];
  functions: number;
  demand: Demand;
  failures: number;
  lastProblem: string;
  pausedUntil: number;
  /** Why nothing of this runtime can run at all. */
  unavailable: PetrelError | undefined;
  shrink: Timer | undefined;
}

export interface PoolsOptions {
  members: Members;
  clock: Clock;
  log: Logger;
  random: () => number;
  /** Namespace of generic Pods. */
  namespace: string;
  /** Called when the number of warm instances of a runtime has changed. */
  onWarm(runtime: string): void;
  cores?: number;
}

export interface Pools {
  /** A Runtime exists or has changed; `unavailable` when the machine cannot run it. */
  setRuntime(runtime: Runtime, unavailable: PetrelError | undefined): void;
  removeRuntime(name: string): void;
  runtime(name: string): Runtime | undefined;
  /** How many functions of a runtime could wake. */
  setFunctions(runtime: string, count: number): void;
  /** A warm instance, now when there is one. Rejects with `RuntimeUnavailable`, or with the signal's reason. */
  take(runtime: string, signal: AbortSignal): Promise<Member>;
  /** Starts a Pod of its own for somebody. */
  startOwn(runtime: string, make: MakePod, signal: AbortSignal): Promise<Member>;
  /** Takes a living generic instance of an earlier life in. */
  adopt(member: Member): void;
  /** Brackets a cold start, during which nothing is refilled. */
  coldStartBegins(): void;
  coldStartEnds(): void;
  warm(runtime: string): number;
  /** Nothing is started before. */
  start(): void;
  stop(): void;
}

export function createPools(options: PoolsOptions): Pools {
  const { members, clock, log } = options;
  const cores = options.cores ?? cpus().length;
  const pools = new Map<string, Pool>();
  const own: { runtime: Runtime; make: MakePod; waiter: Waiter }[] = [];
  const ownStarting = new Set<Member>();
  let coldStarts = 0;
  let quietFrom = 0;
  let wake: Timer | undefined;
  let running = false;

  const suffix = () =>
    Math.floor(options.random() * 36 ** 6)
      .toString(36)
      .padStart(6, '0');

  const countsOf = (name: string, pool: Pool): PoolCounts => ({
    runtime: name,
    waiting: pool.waiters.length,
    idle: pool.idle.length,
    starting: pool.starting.size,
    target: poolTarget(pool.runtime.spec.pool, pool.functions, pool.demand, clock.now()),
    paused: pool.unavailable !== undefined || pool.pausedUntil > clock.now(),
  });

  const schedule = (): void => {
    if (!running) return;
    const counts = [...pools].map(([name, pool]) => countsOf(name, pool));
    for (const count of counts) shrinkLater(count);
    counts.push({
      runtime: DEDICATED,
      waiting: own.length + ownStarting.size,
      idle: 0,
      starting: ownStarting.size,
      target: 0,
      paused: false,
    });
    const quiet = coldStarts === 0 && clock.now() >= quietFrom;
    for (const name of planStarts(counts, {
      forWaiters: cores * 2,
      forRefill: Math.max(1, cores >> 1),
      quiet,
    })) {
      if (name === DEDICATED) startNextOwn();
      else startGeneric(pools.get(name) as Pool);
    }
    sleepUntilNext(quiet);
  };

  /** One timer for the next moment at which a start that is held back now may happen. */
  const sleepUntilNext = (quiet: boolean): void => {
    wake?.cancel();
    wake = undefined;
    const now = clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (const pool of pools.values()) if (pool.pausedUntil > now) next = Math.min(next, pool.pausedUntil);
    if (!quiet && coldStarts === 0) next = Math.min(next, quietFrom);
    if (next < Number.POSITIVE_INFINITY) wake = clock.after(Math.max(1, next - now), schedule);
  };

  const shrinkLater = ({ runtime, idle, target }: PoolCounts): void => {
    const pool = pools.get(runtime) as Pool;
    if (idle <= target || pool.shrink !== undefined) return;
    pool.shrink = clock.after(SHRINK_MS, () => {
      pool.shrink = undefined;
      const { idle: now, target: wanted } = countsOf(runtime, pool);
      const extra = now > wanted ? pool.idle.shift() : undefined;
      if (extra) {
        members.discard(extra, 0);
        options.onWarm(runtime);
      }
      schedule();
    });
  };

  /** What a generic instance means to its pool until somebody takes it. */
  const poolOwner = (pool: Pool, self: () => Member): MemberOwner => ({
    warm() {
      pool.starting.delete(self());
      pool.failures = 0;
      deliver(pool, self());
    },
    cold() {
      if (remove(pool.idle, self())) options.onWarm(pool.runtime.metadata.name);
      pool.starting.add(self());
      schedule();
    },
    gone(reason) {
      const wasStarting = pool.starting.delete(self());
      if (remove(pool.idle, self())) options.onWarm(pool.runtime.metadata.name);
      if (wasStarting) startFailed(pool, reason);
      else schedule();
    },
  });

  const startGeneric = (pool: Pool): void => {
    const { runtime } = pool;
    const { name } = runtime.metadata;
    const make = (pod: string) => genericPod(runtime, options.namespace, pod);
    const member = members.start(
      name,
      `${name}-${suffix()}`,
      make,
      poolOwner(pool, () => member),
    );
    pool.starting.add(member);
  };

  const deliver = (pool: Pool, member: Member): void => {
    const waiter = pool.waiters.shift();
    if (waiter) waiter.resolve(member);
    else {
      pool.idle.push(member);
      options.onWarm(pool.runtime.metadata.name);
    }
    schedule();
  };

  const startFailed = (pool: Pool, reason: string): void => {
    const name = pool.runtime.metadata.name;
    pool.failures++;
    pool.lastProblem = reason;
    pool.pausedUntil = clock.now() + Math.min(PAUSE.maxMs, PAUSE.baseMs * 2 ** (pool.failures - 1));
    log.warn('an instance did not start', { runtime: name, reason, failures: pool.failures });
    if (pool.failures >= FAILURES_BEFORE_GIVING_UP) rejectAll(pool, doesNotStart(pool));
    schedule();
  };

  const doesNotStart = (pool: Pool) =>
    new PetrelError(
      'RuntimeUnavailable',
      `Instances of runtime "${pool.runtime.metadata.name}" do not start.`,
      {
        why: pool.lastProblem,
        fix: `See the logs of its Pods: kubectl logs -l petrel.dev/runtime=${pool.runtime.metadata.name} --all-containers.`,
      },
    );

  const rejectAll = (pool: Pool, error: PetrelError): void => {
    for (const waiter of pool.waiters.splice(0)) waiter.reject(error);
  };

  const startNextOwn = (): void => {
    const next = own.shift();
    if (next === undefined) return;
    const name = next.runtime.metadata.name;
    const member = members.start(name, `${name}-${suffix()}`, next.make, {
      warm: () => {
        ownStarting.delete(member);
        next.waiter.resolve(member);
        schedule();
      },
      cold: () => {},
      gone: (reason) => {
        ownStarting.delete(member);
        next.waiter.reject(
          new PetrelError('StartFailed', `The function's own Pod did not start: ${reason}.`, {
            fix: 'Check the volumes and resources that the function names: kubectl describe pods.',
          }),
        );
        schedule();
      },
    });
    ownStarting.add(member);
  };

  const mustHave = (name: string): Pool => {
    const pool = pools.get(name);
    if (pool === undefined) {
      throw new PetrelError('RuntimeUnavailable', `There is no runtime "${name}".`, {
        fix: 'Choose one of those that kubectl get runtimes lists.',
      });
    }
    if (pool.unavailable) throw pool.unavailable;
    if (pool.failures >= FAILURES_BEFORE_GIVING_UP && pool.pausedUntil > clock.now())
      throw doesNotStart(pool);
    return pool;
  };

  /** Queues until served; leaving the queue when `signal` aborts. Served after that: `tooLate` gets the instance. */
  const wait = (
    enter: (waiter: Waiter) => () => void,
    signal: AbortSignal,
    tooLate: (member: Member) => void,
  ) => {
    const { promise, resolve, reject } = Promise.withResolvers<Member>();
    let left = false;
    const onAbort = () => {
      left = true;
      leave();
      reject(signal.reason);
      schedule();
    };
    const settle = () => signal.removeEventListener('abort', onAbort);
    const leave = enter({
      resolve: (member) => {
        settle();
        if (left) tooLate(member);
        else resolve(member);
      },
      reject: (error) => {
        settle();
        reject(error);
      },
    });
    signal.addEventListener('abort', onAbort, { once: true });
    schedule();
    return promise;
  };

  const empty = (pool: Pool): void => {
    for (const member of [...pool.idle.splice(0), ...pool.starting]) members.discard(member, 0);
    pool.starting.clear();
    pool.failures = 0;
    pool.pausedUntil = 0;
  };

  return {
    setRuntime(runtime, unavailable) {
      const { name } = runtime.metadata;
      const known = pools.get(name);
      if (known) {
        const stale = processOf(known.runtime) !== processOf(runtime);
        Object.assign(known, { runtime, unavailable });
        if (stale) empty(known);
      } else {
        pools.set(name, {
          runtime,
          idle: [],
          starting: new Set(),
          waiters: [],
          functions: 0,
          demand: noDemand,
          failures: 0,
          lastProblem: '',
          pausedUntil: 0,
          unavailable,
          shrink: undefined,
        });
      }
      schedule();
    },
    removeRuntime(name) {
      const pool = pools.get(name);
      if (pool === undefined) return;
      pools.delete(name);
      pool.shrink?.cancel();
      empty(pool);
      rejectAll(
        pool,
        new PetrelError('RuntimeUnavailable', `Runtime "${name}" was deleted.`, {
          fix: 'Create it again, or deploy with another runtime.',
        }),
      );
    },
    runtime: (name) => pools.get(name)?.runtime,
    setFunctions(name, count) {
      const pool = pools.get(name);
      if (pool === undefined || pool.functions === count) return;
      pool.functions = count;
      schedule();
    },
    async take(name, signal) {
      const pool = mustHave(name);
      pool.demand = withTake(pool.demand, clock.now());
      const member = pool.idle.shift();
      if (member !== undefined) {
        options.onWarm(name);
        return member;
      }
      const enter = (waiter: Waiter) => {
        pool.waiters.push(waiter);
        return () => remove(pool.waiters, waiter);
      };
      return wait(enter, signal, (late) => deliver(pool, late));
    },
    async startOwn(name, make, signal) {
      const { runtime } = mustHave(name);
      const enter = (waiter: Waiter) => {
        const entry = { runtime, make, waiter };
        own.push(entry);
        return () => remove(own, entry);
      };
      return wait(enter, signal, (late) => members.discard(late, 0));
    },
    adopt(member) {
      const pool = pools.get(member.runtime);
      if (pool === undefined) return members.discard(member, 0);
      member.owner = poolOwner(pool, () => member);
      deliver(pool, member);
    },
    coldStartBegins() {
      coldStarts++;
    },
    coldStartEnds() {
      coldStarts--;
      quietFrom = clock.now() + QUIET_MS;
      if (coldStarts === 0) schedule();
    },
    warm: (name) => pools.get(name)?.idle.length ?? 0,
    start() {
      running = true;
      schedule();
    },
    stop() {
      running = false;
      wake?.cancel();
      for (const pool of pools.values()) {
        pool.shrink?.cancel();
        rejectAll(
          pool,
          new PetrelError('NotReady', 'The platform is stopping.', { fix: 'Try again when it runs.' }),
        );
      }
    },
  };
}

/** Takes one element out; whether it was there. */
function remove<T>(list: T[], element: T): boolean {
  const at = list.indexOf(element);
  if (at >= 0) list.splice(at, 1);
  return at >= 0;
}

/** What of a Runtime a running generic instance was made from. */
function processOf({ spec }: Runtime): string {
  return JSON.stringify([spec.command, spec.env ?? []]);
}
