/**
 * One revision's instances, level-triggered: what the load, the bounds and the waiting requests ask for against what
 * there is. Everything between a waiting request and its instance happens in memory.
 */
import type { Clock, Timer } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Gateway, RevisionFailure, RevisionStats } from '../../gateway/contract.ts';
import type { Revision } from '../../kinds/serving.ts';
import {
  type Activity,
  activity,
  applyBounds,
  outcome,
  type ScaleOutcome,
  scaleBounds,
} from '../autoscaler/bounds.ts';
import type { ScalingSpec } from '../autoscaler/config.ts';
import { TICK_MS } from '../autoscaler/decide.ts';
import type { MetricScope, MetricSource } from '../autoscaler/metrics.ts';
import type { AbsenceKind, Instance, InstanceSource } from '../contract.ts';
import { createAttempts, failureOf } from './attempts.ts';
import { createFleet } from './fleet.ts';
import { createHistory, type LoadHistory } from './history.ts';
import { createShape } from './shape.ts';
import { createStarts } from './starts.ts';
import type { Terms } from './terms.ts';
import { createWarmth } from './warmth.ts';
import { createWave } from './wave.ts';

/** What can be said of a revision's instances, for its status. */
export interface RevisionScale {
  ready: number;
  desired: number;
  active: Activity;
  /** It was given up because it did not come up in time. */
  timedOut: boolean;
  /** It has been proven to start, in this life of the platform or before. */
  initialized: boolean;
  /** Why it does not start; `permanent` until it changes. */
  failure: RevisionFailure | undefined;
  permanent: boolean;
}

export interface RevisionScalerOptions {
  key: string;
  revision: Revision;
  source: InstanceSource;
  gateway: Gateway;
  clock: Clock;
  random: () => number;
  log: Logger;
  terms: Terms;
  /** Where other metrics than the gateway's counts come from. */
  metrics: readonly MetricSource[];
  reachable: boolean;
  /** What the status said when the platform took the revision up. */
  proven: 'ready' | 'failed' | 'unknown';
  /** Something that the status tells has changed; `urgent` when others wait for it. */
  onChange(urgent: boolean): void;
  /** Annotations cannot be understood and count as absent. */
  onProblem(revision: Revision, problem: string): void;
  /** From so many requests on the gateway is to tell at once; undefined: it need not. */
  onSurge(requests: number | undefined): void;
  /** An instance of another revision that becomes one of this, where that is possible; undefined: there is none. */
  borrow(signal: AbortSignal): Promise<Instance> | undefined;
}

export interface RevisionScaler {
  update(revision: Revision, reachable: boolean): void;
  /** What its Service or the platform says of its scaling has changed. */
  reshape(terms: Terms): void;
  /** Instances that are of no use to it any more though they still run. */
  readonly spare: number;
  /** Gives up a spare one; resolves to its id once no request is on it, or to undefined. */
  give(): Promise<string | undefined>;
  /** Takes up what exists already. Until it is done, waiting requests wait. */
  adopt(): Promise<void>;
  /** Looks for the first time at what is to be done. */
  begin(): void;
  demand(queued: number, inFlight: number): void;
  stats(stats: RevisionStats, intervalMs: number): void;
  endpointDown(id: string, reason: string): void;
  instanceDown(id: string, reason: string, kind: AbsenceKind): void;
  instanceUp(instance: Instance): void;
  scale(): RevisionScale;
  /** Forgets everything and lets instances be. */
  stop(): void;
  /** Ends all instances after they have drained. */
  dissolve(): Promise<void>;
}

/** Waiting requests are answered with the last failure when the next start is further away than this. */
const WORTH_WAITING_MS = 250;
/** An instance that is to be converted may take so long over its last requests. */
const GIVE_MS = 1000;
/** What the gateway says of an instance that has had the one request of its life. */
const USED = 'used';
/** Reports come every second while there is anything to report. */
const REPORTS_LOST_MS = 2500;

export function createRevisionScaler(options: RevisionScalerOptions): RevisionScaler {
  const { key, source, gateway, clock, onChange } = options;
  let { revision, reachable } = options;
  const log = options.log.with({ revision: key });
  const concurrency = revision.spec.containerConcurrency ?? 0;
  const age = clock.now() - (Date.parse(revision.metadata.creationTimestamp ?? '') || clock.now());
  const created = clock.monotonic() - Math.max(0, age);
  const shape = createShape({
    ...options,
    concurrency,
    instances: () => fleet.ids,
    onChange: (before) => reshaped(before),
    onMetric: (value, scope) => measured(value, scope),
  });
  let warmth = createWarmth(shape.spec);
  const graceMs = (revision.spec.timeoutSeconds ?? 300) * 1000;
  const attempts = createAttempts(options.random);
  const fleet = createFleet({
    key,
    gateway,
    graceMs,
    now: () => clock.monotonic(),
    release: (id) => source.release(revision, id, graceMs).catch((error) => reportRelease(id, error)),
  });
  const starts = createStarts({
    clock,
    deadlineMs: () => shape.spec.progressDeadlineMs,
    acquire: (signal) => options.borrow(signal) ?? source.acquire(revision, signal),
    discard: (id) => void source.release(revision, id, 0).catch((error) => reportRelease(id, error)),
    up: (instance) => arrived(instance),
    failed: (error) => startFailed(error),
  });
  const wave = createWave();
  const begun = clock.monotonic();

  let history: LoadHistory | undefined;
  let load = { queued: 0, inFlight: 0, at: 0 };
  let target = 0;
  /** What load and requests asked for last, before any bounds; 0 is a revision that nobody uses. */
  let wish = 0;
  let initialized =
    options.proven === 'ready' || (options.proven === 'unknown' && shape.spec.initialScale === 0);
  let active: Activity = options.proven === 'unknown' && !initialized ? 'Unknown' : 'False';
  let activeSince = clock.monotonic();
  /** The initial scale was not reached and is no longer tried for. */
  let abandoned = options.proven === 'failed';
  let timedOut = false;
  let adopting = false;
  /** Traffic has come here once: only then can it have moved away. */
  let served = reachable;
  let stopped = false;
  let timer: { due: number; handle: Timer } | undefined;
  let surge: number | undefined;

  const reportRelease = (id: string, error: unknown) =>
    log.warn('an instance was not released', {
      instance: id,
      error: messageOf(error),
    });

  const wakeIn = (ms: number) => {
    const due = clock.monotonic() + ms;
    if (stopped || (timer && timer.due <= due)) return;
    timer?.handle.cancel();
    timer = { due, handle: clock.after(ms, wake) };
  };

  const setActive = (next: Activity) => {
    if (active === next) return;
    active = next;
    activeSince = clock.monotonic();
    onChange(false);
  };

  /** What was measured, and what is warm, is kept when the revision scales differently from now on. */
  const reshaped = (before: ScalingSpec) => {
    const { spec } = shape;
    if (spec.keepAlive !== before.keepAlive || spec.keepAliveMs !== before.keepAliveMs)
      warmth = createWarmth(spec);
    history?.respec(spec);
    wakeIn(0);
  };

  const measured = (value: number, scope: MetricScope) => {
    if (stopped) return;
    const now = clock.monotonic();
    if (value > 0 || fleet.ready > 0) history ??= createHistory(shape.spec, fleet.ready, now);
    history?.measure(now, value, scope, fleet.ready, target);
    const again = evaluate();
    if (again !== undefined) wakeIn(again);
    act();
    if (history) wakeIn(TICK_MS);
  };

  /** Where nothing has to wait, the gateway tells by itself only once a second. */
  const watchSurge = () => {
    const counted = shape.spec.metric === 'concurrency' && !shape.spec.source;
    const watched = concurrency === 0 && counted && fleet.ready > 0;
    const next = watched ? Math.ceil(shape.spec.target * fleet.ready) + 1 : undefined;
    if (next === surge) return;
    surge = next;
    options.onSurge(surge);
  };

  /** Instances that the requests in hand need, the known ones and no more. */
  const demanded = (): number => {
    const requests = load.queued + load.inFlight;
    const needed = concurrency > 0 ? Math.ceil(requests / concurrency) : Math.min(1, requests);
    return shape.spec.maxScale > 0 ? Math.min(needed, shape.spec.maxScale) : needed;
  };

  /**
   * What the autoscaler will ask for at the next report, if what is in hand goes on. Where there is a limit, what has to wait
   * says more exactly what is needed now.
   */
  const projected = (): number => {
    if (concurrency > 0) return 0;
    const requests = load.queued + load.inFlight;
    const desired = history?.projected(clock.monotonic(), requests, fleet.ready, reachable) ?? 0;
    return applyBounds({ min: 0, max: shape.spec.maxScale }, desired);
  };

  /** Before it is ready no route leads to a revision, and yet it must be there in full when one does. */
  const lowest = () =>
    scaleBounds(shape.spec, {
      initialized: initialized || abandoned,
      reachable: reachable || !(initialized || abandoned),
    });

  const floor = (): number => {
    const bounds = lowest();
    if (initialized) return bounds.min;
    return abandoned ? 0 : applyBounds({ min: Math.max(1, bounds.min), max: bounds.max }, 0);
  };

  /** Asks the autoscaler; the answer becomes the target. Returns the milliseconds after which to ask again. */
  const evaluate = (): number | undefined => {
    const now = clock.monotonic();
    history?.fillSilence(now);
    const desired = history?.desired(now, fleet.ready, reachable);
    const warm = load.queued + load.inFlight === 0 ? warmth?.plan(now) : undefined;
    if (desired === undefined && warm === undefined) {
      target = Math.max(target, floor(), demanded());
      return undefined;
    }
    wish = Math.max(desired ?? 0, demanded());
    const result = warm && wish <= 1 ? keepWarm(warm.warm, warm.againMs) : wayToZero(now);
    if (result.scale !== undefined) {
      const next = Math.max(result.scale, floor(), demanded());
      if (next !== target) onChange(false);
      target = next;
      if (target === 0) setActive('False');
    }
    return result.againMs;
  };

  const wayToZero = (now: number): ScaleOutcome => {
    const state = () => ({ active, since: activeSince, initialized, reachable, bufferedSince: created });
    let result = outcome(shape.spec, state(), wish, now);
    if (result.deactivate) {
      setActive('False');
      result = outcome(shape.spec, state(), wish, now);
    }
    if (result.timedOut) timedOut = true;
    return result;
  };

  const keepWarm = (warm: boolean, againMs: number | undefined): ScaleOutcome => {
    const scale = applyBounds(scaleBounds(shape.spec, { initialized, reachable }), warm && reachable ? 1 : 0);
    return { scale, againMs };
  };

  const reflect = () => {
    const idle = target === 0 || (active === 'False' && wish === 0 && !warmth && floor() === 0);
    if (idle) return;
    const next = activity(shape.spec, { active, initialized, reachable }, target, fleet.ready);
    if (next.active === 'True') timedOut = false;
    setActive(next.active);
  };

  /** Starts what is missing and lets go of what is too much. */
  const act = () => {
    if (stopped || adopting) return;
    const urgent = load.queued > 0;
    const present = fleet.ready + starts.count + (urgent ? fleet.unready : fleet.absent);
    const now = clock.monotonic();
    if (present < target) {
      const wait = attempts.waitMs(now);
      if (wait > 0) {
        wakeIn(wait);
        if (urgent && fleet.ready === 0 && (attempts.hopeless || wait > WORTH_WAITING_MS)) refuse();
      } else {
        const allowed = wave.take(target - present);
        for (let index = 0; index < allowed; index++) starts.begin();
      }
    } else if (fleet.ready > target) fleet.shed(fleet.ready - target);
    watchSurge();
    reflect();
  };

  const refuse = () => {
    load = { ...load, queued: 0 };
    target = Math.min(target, Math.max(fleet.ready + starts.count, floor()));
    wish = 0;
    if (attempts.failure) gateway.failRevision(key, attempts.failure);
  };

  const arrived = (instance: Instance) => {
    fleet.add(instance);
    attempts.succeeded();
    history ??= createHistory(shape.spec, 0, clock.monotonic());
    if (!initialized && fleet.ready >= applyBounds(lowest(), 1)) {
      initialized = true;
      abandoned = false;
      onChange(true);
    }
    onChange(false);
    act();
    wakeIn(TICK_MS);
  };

  const startFailed = (error: unknown) => {
    attempts.failed(error, clock.monotonic());
    const { reason, message } = failureOf(error);
    log.warn('an instance could not be started', { reason, error: message, permanent: attempts.permanent });
    if (load.queued > 0 && fleet.ready === 0 && attempts.hopeless) refuse();
    const late = clock.monotonic() - begun >= shape.spec.progressDeadlineMs;
    if (!initialized && (attempts.permanent || late)) {
      abandoned = true;
      timedOut = late;
    }
    if (attempts.permanent || (load.queued === 0 && attempts.hopeless && initialized)) {
      // Nothing but a new request, or a new revision, can change the outcome.
      target = fleet.ready + starts.count;
      if (target === 0) setActive('False');
    }
    onChange(!initialized || attempts.permanent);
    if (floor() > target) wakeIn(Math.max(attempts.waitMs(clock.monotonic()), TICK_MS));
    act();
  };

  const wake = () => {
    timer = undefined;
    if (stopped) return;
    const now = clock.monotonic();
    fleet.settle();
    if (starts.count === 0 && now - load.at > REPORTS_LOST_MS) load = { queued: 0, inFlight: 0, at: load.at };
    wave.rest();
    const before = fleet.ready;
    const again = evaluate();
    act();
    const due = fleet.dueIn();
    if (due !== undefined) wakeIn(due);
    if (again !== undefined) wakeIn(again);
    const idle = fleet.ready === 0 && fleet.absent === 0 && starts.count === 0;
    if (idle && target === 0) {
      history = undefined;
      wave.reset();
      return;
    }
    // Settled is only what the next decision, on the same figures, would leave as it is.
    const steady = before === target && fleet.ready === target && starts.count === 0;
    const settled = steady && (history?.quiet(now) ?? false);
    if (!settled) wakeIn(TICK_MS);
  };

  const reported = (queued: number, inFlight: number) => {
    warmth?.used(clock.monotonic(), queued + inFlight > 0);
    load = { queued, inFlight, at: clock.monotonic() };
    wave.reported(target > fleet.ready + starts.count);
  };

  const end = () => {
    stopped = true;
    timer?.handle.cancel();
    shape.end();
    starts.abort();
  };

  return {
    update(next, nextReachable) {
      revision = next;
      shape.update(next);
      if (reachable === nextReachable) return;
      reachable = nextReachable;
      served ||= reachable;
      if (!history && fleet.ready > 0) history = createHistory(shape.spec, fleet.ready, clock.monotonic());
      wakeIn(0);
    },
    reshape(next) {
      shape.reshape(next);
    },
    get spare() {
      return reachable || !served || adopting || stopped ? 0 : fleet.ready - demanded();
    },
    async give() {
      const id = await fleet.give(GIVE_MS);
      target = Math.min(target, fleet.ready);
      if (target === 0) setActive('False');
      onChange(false);
      return id;
    },
    async adopt() {
      adopting = true;
      try {
        const found = await source.adopt(revision);
        for (const instance of found) if (!fleet.has(instance.id)) fleet.add(instance);
        if (fleet.ready > 0) {
          target = Math.max(target, fleet.ready);
          initialized = true;
          history = createHistory(shape.spec, fleet.ready, clock.monotonic());
          setActive('True');
        }
      } catch (error) {
        log.warn('instances could not be taken over', {
          error: messageOf(error),
        });
      } finally {
        adopting = false;
      }
    },
    begin() {
      shape.begin();
      wish = demanded();
      target = Math.max(target, floor(), wish);
      act();
      if (fleet.ready > 0 || target > 0) wakeIn(TICK_MS);
    },
    demand(queued, inFlight) {
      reported(queued, inFlight);
      wish = Math.max(wish, demanded());
      target = Math.max(target, demanded(), projected());
      act();
      wakeIn(TICK_MS);
    },
    stats(stats, intervalMs) {
      reported(stats.queued, stats.inFlight);
      history ??= createHistory(shape.spec, fleet.ready, clock.monotonic());
      history.record(clock.monotonic(), stats, intervalMs);
      const again = evaluate();
      if (again !== undefined) wakeIn(again);
      act();
      wakeIn(TICK_MS);
    },
    endpointDown(id, reason) {
      if (reason === USED) {
        // the next request is to find another; to replace it is no growth
        if (fleet.discard(id)) wave.replace();
        onChange(false);
        return act();
      }
      if (fleet.down(id, 'gateway', source.suspect !== undefined) === undefined) return;
      log.debug('the gateway lost an instance', { instance: id, reason });
      const answered = () => {
        fleet.answered(id);
        wakeIn(fleet.dueIn() ?? TICK_MS);
      };
      source.suspect?.(id).then(answered, answered);
      onChange(false);
      wakeIn(fleet.dueIn() ?? TICK_MS);
    },
    instanceDown(id, reason, kind) {
      const lived = fleet.down(id, kind === 'unready' ? 'unready' : 'source');
      if (lived === undefined) return act();
      if (kind === 'crashed') attempts.crashed(reason, lived, clock.monotonic());
      onChange(false);
      act();
      wakeIn(fleet.dueIn() ?? TICK_MS);
    },
    instanceUp(instance) {
      if (stopped) return;
      if (fleet.has(instance.id) || fleet.ready + starts.count < target) return arrived(instance);
      void source.release(revision, instance.id, graceMs).catch((error) => reportRelease(instance.id, error));
    },
    scale: () => ({
      ready: fleet.ready,
      desired: target,
      active,
      timedOut,
      initialized,
      failure: attempts.failure,
      permanent: attempts.permanent || abandoned,
    }),
    stop() {
      end();
    },
    async dissolve() {
      end();
      await fleet.dissolve();
    },
  };
}
