/**
 * Zygotes of functions: for a revision whose code takes long to load, a process that has loaded it once, from which its instances are
 * forked (runtimes/PROTOCOL.md, "Function zygote"). Each has an instance standing by, so a cold start is an exchange on an open socket.
 * Whatever fails, the revision's code is loaded into instances of the pool as that of any other.
 */
import type { Clock, Timer } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { randomSuffix } from '../../kinds/name.ts';
import type { Revision } from '../../kinds/serving.ts';
import type { Loader } from './load.ts';
import type { Member, MemberOwner, Members } from './members.ts';
import { codeCacheOf, codeOf, standbyPod, variesByPod, zygotePod } from './pods.ts';
import type { Pools } from './pools.ts';
import { createWaiters, type Waiters } from './waiters.ts';

export interface FunctionZygotes {
  /**
   * An instance of the revision in which its code is loaded already; resolves with undefined when none came up after all. Undefined:
   * the revision has no zygote that can be forked now.
   */
  take(revision: Revision, signal: AbortSignal): Promise<Member | undefined> | undefined;
  /** The revision's code has been loaded into an instance that takes requests itself, in so much time. */
  loaded(revision: Revision, member: Member, loadMs: number): void;
  stop(): void;
}

export interface FunctionZygotesOptions {
  pools: Pick<Pools, 'runtime'>;
  members: Members;
  loader: Loader;
  clock: Clock;
  log: Logger;
  random: () => number;
  cores: number;
  /** Bytes of memory of this machine. */
  memory: number;
  /** Limit of instances whose function has none. */
  limit?: string | undefined;
  /** Default true. */
  possible?: boolean;
  /** The process that has loaded the revision's code cannot be forked. */
  onUnforkable(revision: Revision, problem: string): void;
}

/** Loads shorter than this are no reason for another process: half of them are a busy machine, ms. */
const HEAVY_MS = 50;
/** From the first load to the zygote's start: whoever waited for the load comes first, ms. */
const START_AFTER_MS = 500;
/** From a cold start to the next instance that stands by, ms: the first request comes first. */
const REFILL_MS = 50;
/** Instances that stand by: one answers who wakes the function, and those after it find the next by then or wait for a fork. */
const STANDBY = 1;
/** A zygote that nobody has needed for so long gives its memory back, ms. */
const IDLE_MS = 15 * 60_000;
/** One that was used this recently makes no room for another, ms: otherwise many heavy functions would take turns in loading. */
const YOUNG_MS = 60_000;
/** A heavy function's code takes 50 to 100 MB once it is loaded: one zygote for this much memory keeps them to a tenth of it. */
const BYTES_EACH = 2 ** 30;
const MOST = 8;
/** Instances in a row that did not come up as they should, after which the zygote is given up. */
const MAX_FAILURES = 2;
/** After one whose Pod did not come up (this machine does not fork) none of its runtime is tried for so long, ms. */
const PAUSE_MS = 10 * 60_000;
/** Revisions of which is remembered that they cannot be forked. */
const MAX_REFUSED = 1000;

interface Entry {
  readonly uid: string;
  readonly revision: Revision;
  readonly runtime: string;
  zygote: Member | undefined;
  /** What its code was loaded with; empty until it can be forked. */
  surroundings: string;
  idle: Member[];
  starting: Set<Member>;
  waiters: Waiters;
  failures: number;
  lastUsed: number;
  timer: Timer | undefined;
  refill: Timer | undefined;
}

/** Whether instances are to be forked with the code loaded, as the revision says or as its code takes to load. */
function isHeavy(revision: Revision, loadMs: number): boolean {
  const wanted = codeOf(revision)?.zygote;
  return wanted === 'function' || (wanted === undefined && loadMs >= HEAVY_MS);
}

/** For an Event of the Function. */
export const unforkableText = (problem: string): string =>
  `Its instances are loaded one by one instead of being forked with the code loaded: ${problem}.`;

export function createFunctionZygotes(options: FunctionZygotesOptions): FunctionZygotes {
  const { pools, members, loader, clock, log } = options;
  const entries = new Map<string, Entry>();
  const refused = new Set<string>();
  /** Until when none is tried, by runtime. */
  const paused = new Map<string, number>();
  const limit = Math.max(1, Math.min(MOST, Math.floor(options.memory / BYTES_EACH)));
  /** Starts at a time; as for instances of a pool that are forked. */
  const atOnce = options.cores * 4;
  const nobody = new Error('the zygote is gone');

  const end = (entry: Entry): void => {
    if (entries.get(entry.uid) === entry) entries.delete(entry.uid);
    entry.timer?.cancel();
    entry.refill?.cancel();
    entry.surroundings = '';
    for (const member of [...entry.idle.splice(0), ...entry.starting]) members.discard(member, 0);
    entry.starting.clear();
    // What was forked from it lives on.
    if (entry.zygote) members.discard(entry.zygote, 0);
    entry.zygote = undefined;
    entry.waiters.rejectAll(nobody);
  };

  /** Its instances are loaded one by one from now on. */
  const refuse = (entry: Entry, why: string): void => {
    refused.add(entry.uid);
    for (const oldest of refused) {
      if (refused.size <= MAX_REFUSED) break;
      refused.delete(oldest);
    }
    log.debug('a function has no zygote', { revision: entry.revision.metadata.name, why });
    end(entry);
  };

  const remove = (list: Member[], member: Member) => {
    const at = list.indexOf(member);
    if (at >= 0) list.splice(at, 1);
  };

  const failed = (entry: Entry, why: string): void => {
    if (entries.get(entry.uid) !== entry) return;
    if (++entry.failures >= MAX_FAILURES) refuse(entry, why);
    else fillLater(entry);
  };

  const startOne = (entry: Entry): void => {
    const { revision, runtime } = entry;
    const found = pools.runtime(runtime);
    const parent = entry.zygote?.pod?.metadata.uid;
    if (found === undefined || parent === undefined) {
      end(entry);
      return;
    }
    const owner: MemberOwner = {
      warm({ hello }) {
        entry.starting.delete(member);
        if (hello.preloaded === revision.metadata.name) {
          entry.failures = 0;
          if (!entry.waiters.serve(member)) entry.idle.push(member);
          return fill(entry);
        }
        // Not forked from the zygote: an instance like those of the pool.
        if (!entry.waiters.serve(member)) members.discard(member, 0);
        failed(entry, 'its instances could not be forked');
      },
      cold() {
        remove(entry.idle, member);
        entry.starting.add(member);
      },
      gone(reason) {
        entry.starting.delete(member);
        remove(entry.idle, member);
        failed(entry, reason);
      },
    };
    const make = (name: string) =>
      standbyPod({ runtime: found, revision, name, memory: options.limit }, parent);
    const member = members.create(runtime, `${runtime}-${randomSuffix(options.random)}`, make, owner);
    entry.starting.add(member);
  };

  const fill = (entry: Entry): void => {
    if (entry.surroundings === '') return;
    const { waiters, idle, starting } = entry;
    let missing = waiters.length + STANDBY - idle.length - starting.size;
    while (missing-- > 0 && starting.size < atOnce) startOne(entry);
  };

  const fillLater = (entry: Entry): void => {
    entry.refill ??= clock.after(REFILL_MS, () => {
      entry.refill = undefined;
      fill(entry);
    });
  };

  const endWhenIdle = (entry: Entry, ms = IDLE_MS): void => {
    entry.timer = clock.after(ms, () => {
      const left = entry.lastUsed + IDLE_MS - clock.monotonic();
      if (left > 0) endWhenIdle(entry, left);
      else end(entry);
    });
  };

  /** Its code is loaded for all that will be forked. */
  const preload = async (entry: Entry, member: Member): Promise<void> => {
    const { revision } = entry;
    try {
      await loader.prepare(revision);
      const surroundings = loader.surroundings(revision);
      const { problem, loadMs } = await loader.preload(revision, member);
      if (entries.get(entry.uid) !== entry) return;
      // The first time something else may have taken long: types that are stripped, caches that are not there yet.
      if (problem === undefined && !isHeavy(revision, loadMs)) {
        refuse(entry, 'its code loads quickly');
        return;
      }
      if (problem !== undefined) {
        options.onUnforkable(revision, problem);
        return refuse(entry, problem);
      }
      members.rest(member);
      entry.surroundings = surroundings;
      entry.lastUsed = clock.monotonic();
      endWhenIdle(entry);
      fill(entry);
    } catch (error) {
      if (entries.get(entry.uid) === entry) refuse(entry, (error as Error).message);
    }
  };

  const start = (entry: Entry, language: string): void => {
    const { revision, runtime } = entry;
    const found = pools.runtime(runtime);
    if (found === undefined) {
      end(entry);
      return;
    }
    const cache = codeCacheOf(revision, language);
    let came = false;
    const owner: MemberOwner = {
      warm() {
        came = true;
        void preload(entry, member);
      },
      cold() {},
      gone(reason) {
        if (entries.get(entry.uid) !== entry) return;
        entry.zygote = undefined;
        if (!came) {
          paused.set(runtime, clock.monotonic() + PAUSE_MS);
          end(entry);
          return;
        }
        // One that could be forked may have ended for any reason: the next load makes another.
        if (entry.surroundings === '') refuse(entry, reason);
        else end(entry);
      },
    };
    const make = (name: string) =>
      zygotePod({ runtime: found, revision, name, memory: options.limit }, cache);
    const member = members.create(runtime, `${runtime}-zygote-${randomSuffix(options.random)}`, make, owner);
    entry.zygote = member;
  };

  /** Whether there is room for one more, made by that which was not needed for longest. */
  const makeRoom = (): boolean => {
    if (entries.size < limit) return true;
    const [oldest] = [...entries.values()].sort((a, b) => a.lastUsed - b.lastUsed);
    if (oldest === undefined || clock.monotonic() - oldest.lastUsed < YOUNG_MS) return false;
    end(oldest);
    return true;
  };

  return {
    take(revision, signal) {
      const entry = entries.get(revision.metadata.uid ?? '');
      if (entry === undefined || entry.surroundings === '') return undefined;
      if (loader.surroundings(revision) !== entry.surroundings) {
        // What it was loaded with has changed: a Secret, a ConfigMap.
        end(entry);
        return undefined;
      }
      entry.lastUsed = clock.monotonic();
      const member = entry.idle.shift();
      if (member !== undefined) {
        fillLater(entry);
        return Promise.resolve(member);
      }
      const served = entry.waiters.join(signal);
      fill(entry);
      return served.catch((error) => {
        if (error === nobody) return undefined;
        throw error;
      });
    },
    loaded(revision, member, loadMs) {
      const { uid = '' } = revision.metadata;
      const code = codeOf(revision);
      if (options.possible === false || code === undefined || uid === '') return;
      if (entries.has(uid) || refused.has(uid)) return;
      if (!isHeavy(revision, loadMs)) return;
      const { channel, runtime } = member;
      if (channel === undefined || channel.hello.preloaded !== undefined) return;
      if ((paused.get(runtime) ?? 0) > clock.monotonic()) return;
      if (!pools.runtime(runtime)?.spec.zygote?.functions || variesByPod(revision) || !makeRoom()) return;
      const entry: Entry = {
        uid,
        revision,
        runtime,
        zygote: undefined,
        surroundings: '',
        idle: [],
        starting: new Set(),
        waiters: createWaiters(() => {}),
        failures: 0,
        lastUsed: clock.monotonic(),
        timer: undefined,
        refill: undefined,
      };
      entries.set(uid, entry);
      const { language } = channel.hello;
      entry.timer = clock.after(START_AFTER_MS, () => start(entry, language));
    },
    stop() {
      for (const entry of entries.values()) {
        entry.timer?.cancel();
        entry.refill?.cancel();
        entry.surroundings = '';
        entry.waiters.rejectAll(nobody);
      }
      entries.clear();
    },
  };
}
