/**
 * The warm pools: generic instances per Runtime and namespace, handed out in memory and refilled in the background. Who waits is
 * served in order by whichever instance is warm first; for n that wait, never more than n are started beyond the pool's size.
 */
import { cpus } from 'node:os';
import type { Clock, Timer } from '../../base/clock.ts';
import { PetrelError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Runtime } from '../../kinds/function.ts';
import type { MakePod, Member, MemberOwner, Members } from './members.ts';
import { genericPod } from './pods.ts';
import {
  type Demand,
  noDemand,
  type PoolCounts,
  planStarts,
  poolBounds,
  poolTarget,
  withTake,
} from './size.ts';
import { createWaiters, type Waiters } from './waiters.ts';

/** After a cold start the processor stays free for this long before a refill begins, ms. */
const QUIET_MS = 30;
/** One instance too many is given up each time this passes, ms. */
const SHRINK_MS = 60_000;
/** Starts that fail in a row before those who wait are told. */
const FAILURES_BEFORE_GIVING_UP = 3;
const PAUSE = { baseMs: 500, maxMs: 60_000 };
/** Stands for the Pods made for one revision each in the plan of starts. */
const OWN = '';

interface Pool {
  key: string;
  runtime: string;
  namespace: string;
  idle: Member[];
  starting: Set<Member>;
  waiters: Waiters;
  functions: number;
  demand: Demand;
  failures: number;
  lastProblem: string;
  /** The API refuses its Pods. */
  refusal: Error | undefined;
  pausedUntil: number;
  shrink: Timer | undefined;
}

export interface PoolsOptions {
  members: Members;
  clock: Clock;
  log: Logger;
  random: () => number;
  /** Namespace whose pools are kept at their smallest size even when no function is there. */
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
  /** How many functions of a runtime could wake in a namespace. */
  setFunctions(runtime: string, namespace: string, count: number): void;
  /** A warm instance, now when there is one. Rejects with `RuntimeUnavailable`, or with the signal's reason. */
  take(runtime: string, namespace: string, signal: AbortSignal): Promise<Member>;
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

const poolKey = (runtime: string, namespace: string) => `${runtime}/${namespace}`;

export function createPools(options: PoolsOptions): Pools {
  const { members, clock, log } = options;
  const cores = options.cores ?? cpus().length;
  const runtimes = new Map<string, { runtime: Runtime; unavailable: PetrelError | undefined }>();
  const pools = new Map<string, Pool>();
  const own: { runtime: string; make: MakePod; waiters: Waiters }[] = [];
  const ownStarting = new Set<Member>();
  let coldStarts = 0;
  let quietFrom = 0;
  let wake: Timer | undefined;
  let running = false;

  const podName = (runtime: string) =>
    `${runtime}-${Math.floor(options.random() * 36 ** 6)
      .toString(36)
      .padStart(6, '0')}`;

  const countsOf = (pool: Pool, now: number): PoolCounts => {
    const known = runtimes.get(pool.runtime);
    const bounds = poolBounds(known?.runtime.spec.pool, pool.namespace === options.namespace, pool.functions);
    return {
      pool: pool.key,
      group: pool.runtime,
      limit: bounds.max,
      waiting: pool.waiters.length,
      idle: pool.idle.length,
      starting: pool.starting.size,
      target: poolTarget(bounds, pool.functions, pool.demand, now),
      paused: known === undefined || known.unavailable !== undefined || pool.pausedUntil > now,
    };
  };

  const schedule = (): void => {
    if (!running) return;
    // One reading for all: a pause that ends between two would hold back its start and set no timer for it.
    const now = clock.monotonic();
    const counts = [...pools.values()].map((pool) => countsOf(pool, now));
    const waitingForOwn = own.filter(({ waiters }) => waiters.length > 0).length;
    counts.push({
      pool: OWN,
      group: OWN,
      limit: 0,
      waiting: waitingForOwn + ownStarting.size,
      idle: 0,
      starting: ownStarting.size,
      target: 0,
      paused: false,
    });
    const quiet = coldStarts === 0 && now >= quietFrom;
    // A fork takes a tenth of the processor's time that a start takes; most of it is waiting.
    const forked = counts.every(
      ({ group, waiting, idle, starting, target }) =>
        runtimes.get(group)?.runtime.spec.zygote !== undefined || waiting + target <= idle + starting,
    );
    for (const key of planStarts(counts, {
      forWaiters: cores * (forked ? 4 : 2),
      forRefill: forked ? cores : Math.max(1, cores >> 1),
      quiet,
    })) {
      if (key === OWN) startNextOwn();
      else startGeneric(pools.get(key) as Pool);
    }
    for (const { pool, idle, target } of counts) if (idle > target) shrinkLater(pools.get(pool) as Pool);
    sleepUntilNext(quiet, now);
  };

  /** One timer for the next moment at which a start that is held back now may happen. */
  const sleepUntilNext = (quiet: boolean, now: number): void => {
    wake?.cancel();
    wake = undefined;
    let next = Number.POSITIVE_INFINITY;
    for (const pool of pools.values()) if (pool.pausedUntil > now) next = Math.min(next, pool.pausedUntil);
    if (!quiet && coldStarts === 0) next = Math.min(next, quietFrom);
    if (next < Number.POSITIVE_INFINITY) wake = clock.after(Math.max(1, next - now), schedule);
  };

  const shrinkLater = (pool: Pool): void => {
    pool.shrink ??= clock.after(SHRINK_MS, () => {
      pool.shrink = undefined;
      const { idle, target } = countsOf(pool, clock.monotonic());
      const extra = idle > target ? pool.idle.pop() : undefined;
      if (extra) members.discard(extra, 0);
      if (extra) options.onWarm(pool.runtime);
      schedule();
    });
  };

  /** What a generic instance means to its pool until somebody takes it. */
  const poolOwner = (pool: Pool, self: () => Member): MemberOwner => ({
    warm() {
      pool.starting.delete(self());
      pool.failures = 0;
      pool.refusal = undefined;
      deliver(pool, self());
    },
    cold() {
      if (remove(pool.idle, self())) options.onWarm(pool.runtime);
      pool.starting.add(self());
      schedule();
    },
    gone(reason, refusal) {
      const wasStarting = pool.starting.delete(self());
      if (remove(pool.idle, self())) options.onWarm(pool.runtime);
      if (wasStarting) startFailed(pool, reason, refusal);
      else schedule();
    },
  });

  const startGeneric = (pool: Pool): void => {
    const runtime = runtimes.get(pool.runtime)?.runtime as Runtime;
    const make = (name: string) => genericPod(runtime, pool.namespace, name);
    const member = members.create(
      pool.runtime,
      podName(pool.runtime),
      make,
      poolOwner(pool, () => member),
    );
    pool.starting.add(member);
  };

  const deliver = (pool: Pool, member: Member): void => {
    if (!pool.waiters.serve(member)) {
      pool.idle.push(member);
      options.onWarm(pool.runtime);
    }
    schedule();
  };

  const startFailed = (pool: Pool, reason: string, refusal: Error | undefined): void => {
    const { runtime, namespace } = pool;
    pool.failures++;
    pool.lastProblem = reason;
    pool.refusal = refusal;
    pool.pausedUntil = clock.monotonic() + Math.min(PAUSE.maxMs, PAUSE.baseMs * 2 ** (pool.failures - 1));
    log.warn('an instance did not start', { runtime, namespace, reason, failures: pool.failures });
    if (isGivenUp(pool)) pool.waiters.rejectAll(doesNotStart(pool));
    schedule();
  };

  /** A Pod that is refused stays so until somebody changes something: that is told at once. */
  const isGivenUp = ({ failures, refusal }: Pool): boolean =>
    failures >= FAILURES_BEFORE_GIVING_UP || refusal !== undefined;

  const doesNotStart = ({ runtime, namespace, lastProblem, refusal }: Pool): Error =>
    refusal ??
    new PetrelError('RuntimeUnavailable', `Instances of runtime "${runtime}" do not start.`, {
      why: lastProblem,
      fix: `See the logs of its Pods: kubectl logs -n ${namespace} -l petrel.dev/runtime=${runtime}.`,
    });

  const startNextOwn = (): void => {
    let next = own.shift();
    while (next?.waiters.length === 0) next = own.shift();
    if (next === undefined) return;
    const { runtime, make, waiters } = next;
    const member = members.create(runtime, podName(runtime), make, {
      warm: () => {
        ownStarting.delete(member);
        if (!waiters.serve(member)) members.discard(member, 0);
        schedule();
      },
      cold: () => {},
      gone: (reason, refusal) => {
        ownStarting.delete(member);
        waiters.rejectAll(
          refusal ??
            new PetrelError('StartFailed', `The function's own Pod did not start: ${reason}.`, {
              fix: 'Check the volumes that the function names: kubectl describe pods.',
            }),
        );
        schedule();
      },
    });
    ownStarting.add(member);
  };

  const mustRun = (name: string): Runtime => {
    const known = runtimes.get(name);
    if (known === undefined) {
      throw new PetrelError('RuntimeUnavailable', `There is no runtime "${name}".`, {
        fix: 'Choose one of those that kubectl get runtimes lists.',
      });
    }
    if (known.unavailable) throw known.unavailable;
    return known.runtime;
  };

  const poolOf = (runtime: string, namespace: string): Pool => {
    const key = poolKey(runtime, namespace);
    let pool = pools.get(key);
    if (pool === undefined) {
      pool = {
        key,
        runtime,
        namespace,
        idle: [],
        starting: new Set(),
        waiters: createWaiters(schedule),
        functions: 0,
        demand: noDemand,
        failures: 0,
        lastProblem: '',
        refusal: undefined,
        pausedUntil: 0,
        shrink: undefined,
      };
      pools.set(key, pool);
    }
    return pool;
  };

  const poolsOf = (runtime: string) => [...pools.values()].filter((pool) => pool.runtime === runtime);

  const empty = (pool: Pool): void => {
    for (const member of [...pool.idle.splice(0), ...pool.starting]) members.discard(member, 0);
    pool.starting.clear();
    pool.failures = 0;
    pool.refusal = undefined;
    pool.pausedUntil = 0;
  };

  return {
    setRuntime(runtime, unavailable) {
      const { name } = runtime.metadata;
      const known = runtimes.get(name);
      runtimes.set(name, { runtime, unavailable });
      if (known && processOf(known.runtime) !== processOf(runtime))
        for (const pool of poolsOf(name)) empty(pool);
      poolOf(name, options.namespace);
      schedule();
    },
    removeRuntime(name) {
      runtimes.delete(name);
      for (const pool of poolsOf(name)) {
        pools.delete(pool.key);
        pool.shrink?.cancel();
        empty(pool);
        pool.waiters.rejectAll(
          new PetrelError('RuntimeUnavailable', `Runtime "${name}" was deleted.`, {
            fix: 'Create it again, or deploy with another runtime.',
          }),
        );
      }
    },
    runtime: (name) => runtimes.get(name)?.runtime,
    setFunctions(runtime, namespace, count) {
      if (count === 0 && !pools.has(poolKey(runtime, namespace))) return;
      const pool = poolOf(runtime, namespace);
      if (pool.functions === count) return;
      pool.functions = count;
      schedule();
    },
    async take(runtime, namespace, signal) {
      mustRun(runtime);
      const pool = poolOf(runtime, namespace);
      if (isGivenUp(pool) && pool.pausedUntil > clock.monotonic()) throw doesNotStart(pool);
      pool.demand = withTake(pool.demand, clock.monotonic());
      const member = pool.idle.shift();
      if (member !== undefined) {
        options.onWarm(runtime);
        return member;
      }
      const served = pool.waiters.join(signal);
      schedule();
      return served;
    },
    async startOwn(runtime, make, signal) {
      mustRun(runtime);
      const waiters = createWaiters(schedule);
      const served = waiters.join(signal);
      own.push({ runtime, make, waiters });
      schedule();
      return served;
    },
    adopt(member) {
      if (!runtimes.has(member.runtime)) return members.discard(member, 0);
      const pool = poolOf(member.runtime, member.namespace);
      member.owner = poolOwner(pool, () => member);
      deliver(pool, member);
      // What has held functions has their code compiled: it is the next to be taken, and the last to be given up.
      if (pool.idle.at(-1) === member) pool.idle.unshift(...pool.idle.splice(-1));
    },
    coldStartBegins() {
      coldStarts++;
    },
    coldStartEnds() {
      coldStarts--;
      quietFrom = clock.monotonic() + QUIET_MS;
      if (coldStarts === 0) schedule();
    },
    warm: (name) => poolsOf(name).reduce((sum, pool) => sum + pool.idle.length, 0),
    start() {
      running = true;
      schedule();
    },
    stop() {
      running = false;
      wake?.cancel();
      const stopping = new PetrelError('NotReady', 'The platform is stopping.', {
        fix: 'Try again when it runs.',
      });
      for (const pool of pools.values()) {
        pool.shrink?.cancel();
        pool.waiters.rejectAll(stopping);
      }
      for (const { waiters } of own) waiters.rejectAll(stopping);
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
