/**
 * Carries out what was accepted: attempts, what follows from their outcome, waiting for what is due later, collecting what has
 * expired. The file is the truth; memory holds only what is under way and a window of what is next.
 */
import { randomBytes } from 'node:crypto';
import type { Callback } from '../../base/callback.ts';
import { type Clock, sleep } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { createAlarm } from '../../durable/alarm.ts';
import type { FunctionSpec } from '../../kinds/function.ts';
import type { Delivery } from './deliver.ts';
import { follow } from './destinations.ts';
import { createLanes, IN_FLIGHT, type Lane } from './lanes.ts';
import { type Tried, termsOf, verdict } from './policy.ts';
import type { InvocationStore } from './store.ts';
import type { InvocationCommand, InvocationRow, StoredRequest } from './types.ts';

/** How long what is over can be looked up, ms: results a day, dead letters a week. */
const KEPT_MS = { result: 24 * 3_600_000, letter: 7 * 24 * 3_600_000 } as const;
/** Bodies of attempts under way, bytes; the next one waits. */
const BODIES_IN_FLIGHT = 64 * 1024 * 1024;
/** The gateway was not there: it is asked again after this time, ms. */
const POSTPONED_MS = 1000;
/** An outcome that cannot be written is written again after this time, ms: until then it would be carried out twice. */
const WRITE_AGAIN_MS = 1000;
/** Collections are at least this far apart, ms. */
const COLLECT_EVERY_MS = 60_000;

export interface DispatcherOptions {
  store: InvocationStore;
  delivery: Delivery;
  clock: Clock;
  /** Uniform in [0, 1). */
  random: () => number;
  log: Logger;
  /** The function behind a target as it is now; undefined when there is none. */
  spec(target: string): FunctionSpec | undefined;
  /** Reads the field of a request that names a callback; undefined when it is not the platform's own. */
  callback(target: string, field: string): Callback | undefined;
}

export interface Dispatcher {
  /** Takes up what the file holds. */
  start(): void;
  /** Something new is on disk. */
  accepted(id: string, target: string): void;
  /** Queued invocations of a target. */
  queued(target: string): number;
  running(id: string, target: string): boolean;
  /** Ends it before its time. False when it is over or unknown. */
  cancel(id: string): Promise<boolean>;
  /** A dead letter goes back to the queue. False when there is none of that id. */
  redrive(id: string): Promise<boolean>;
  /** Resolves when the invocation is over, or after `ms`. */
  over(id: string, ms: number): Promise<void>;
  /** Begins nothing new; attempts under way may end for up to `graceMs`, and are repeated after the next start if they do not. */
  stop(graceMs: number): Promise<void>;
}

/** An id that cannot be guessed: who knows it may see and cancel the invocation. */
export const newId = (): string => randomBytes(16).toString('hex');

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { store, delivery, clock, random, log } = options;
  const stopping = new AbortController();
  const waiting = new Map<string, Set<() => void>>();
  let bodies = 0;
  let idle: (() => void) | undefined;

  const share = (target: string): number => {
    const { concurrency = 0, scale } = options.spec(target) ?? {};
    const able = concurrency * (scale?.max ?? 0);
    return able > 0 ? Math.min(able, IN_FLIGHT.lane) : IN_FLIGHT.lane;
  };
  const lanes = createLanes({
    share,
    due: (target, limit) => store.due(target, clock.now(), limit),
    begin: (lane, id, abort) => void carryOut(lane, id, abort),
    room: () => !stopping.signal.aborted && bodies < BODIES_IN_FLIGHT,
  });

  const dueAlarm = createAlarm(clock, () => {
    for (const { target } of lanes.all) {
      lanes.look(target);
      watchDue(target);
    }
    lanes.pump();
  });
  const watchDue = (target: string) => {
    const at = store.nextDue(target, clock.now());
    if (at !== undefined) dueAlarm.by(at);
  };
  const collectAlarm = createAlarm(clock, () => {
    store
      .run({ do: 'collect', now: clock.now() })
      .catch((error) => log.warn('old invocations were not removed', { error: messageOf(error) }))
      .finally(watchExpiry);
  });
  const watchExpiry = () => {
    if (stopping.signal.aborted) return;
    const at = store.nextExpiry();
    if (at !== undefined) collectAlarm.by(Math.max(at, clock.now() + COLLECT_EVERY_MS));
  };

  /** Writes until it is written: an outcome that is lost is carried out again. Resolves to whether it took effect. */
  const persist = async (command: InvocationCommand): Promise<boolean> => {
    for (;;) {
      try {
        return (await store.run(command)).id !== undefined;
      } catch (error) {
        log.error('the outcome of an invocation could not be written', { error: messageOf(error) });
        if (stopping.signal.aborted) return false;
        await sleep(clock, WRITE_AGAIN_MS, stopping.signal);
      }
    }
  };

  const wake = (id: string) => {
    for (const resolve of waiting.get(id) ?? []) resolve();
    waiting.delete(id);
  };

  const conclude = async (row: InvocationRow, request: StoredRequest, tried: Tried): Promise<void> => {
    const spec = options.spec(row.target)?.invocation;
    // What is told to an address has the patience of the platform, not of the function.
    const terms = termsOf(row.url === null ? spec : undefined);
    const now = clock.now();
    const at = { number: row.failures + 1, acceptedAt: row.acceptedAt, now, random: random() };
    const what = verdict(terms, tried, at);
    const { id } = row;
    if (what.state === 'queued') {
      if (await persist({ do: 'retry', id, due: what.due, attempt: tried.attempt })) dueAlarm.by(what.due);
      return;
    }
    const { state } = what;
    const reason = state === 'succeeded' ? null : what.reason;
    const next = follow(
      spec,
      { row, state, reason, request, tried, now },
      {
        id: newId,
        callback: options.callback,
        onLoop: (target) => log.warn('a chain of destinations was ended: it is too long', { target }),
      },
    );
    const kept = state === 'succeeded' ? KEPT_MS.result : KEPT_MS.letter;
    const { attempt, result } = tried;
    const finish: InvocationCommand = {
      do: 'finish',
      id,
      state,
      at: now,
      expires: now + kept,
      reason,
      attempt,
      result,
      follow: next,
    };
    if (!(await persist(finish))) return;
    lanes.lane(row.target).queued--;
    for (const one of next) accepted(one.id, one.target);
    wake(id);
    collectAlarm.by(now + Math.max(kept, COLLECT_EVERY_MS));
  };

  const carryOut = async (lane: Lane, id: string, abort: AbortController): Promise<void> => {
    let size = 0;
    let under = true;
    const answered = () => {
      if (!under) return;
      under = false;
      bodies -= size;
      lanes.answered(lane);
      lanes.pump();
    };
    try {
      const row = store.get(id);
      const request = row && store.request(row.seq);
      if (row === undefined || request === undefined || row.state !== 'queued') return;
      size = request.body.length;
      bodies += size;
      const tried = await delivery.attempt(row, request, abort.signal);
      answered();
      if (tried === 'postponed') {
        const due = clock.now() + POSTPONED_MS;
        if (await persist({ do: 'retry', id, due })) dueAlarm.by(due);
      } else await conclude(row, request, tried);
    } catch (error) {
      if (abort.signal.aborted) return; // cancelled, or left for the next start
      log.error('an invocation could not be carried out', {
        id,
        error: String((error as Error).stack ?? error),
      });
      dueAlarm.by(clock.now() + POSTPONED_MS);
    } finally {
      answered();
      lanes.ended(lane, id);
      if (stopping.signal.aborted) {
        if (lanes.active === 0) idle?.();
      } else lanes.pump();
    }
  };

  const accepted = (id: string, target: string) => {
    lanes.lane(target).queued++;
    lanes.push(target, id);
    lanes.pump();
  };

  return {
    start() {
      for (const [target, count] of store.queued()) {
        lanes.lane(target).queued = count;
        lanes.look(target);
        watchDue(target);
      }
      watchExpiry();
      lanes.pump();
    },
    accepted,
    queued: (target) => lanes.lane(target).queued,
    running: (id, target) => lanes.lane(target).active.has(id),
    async cancel(id) {
      const row = store.get(id);
      if (row === undefined || row.state !== 'queued') return false;
      const at = clock.now();
      const { id: done } = await store.run({
        do: 'finish',
        id,
        state: 'cancelled',
        at,
        expires: at + KEPT_MS.result,
        reason: 'cancelled',
        follow: [],
      });
      if (done === undefined) return false;
      const lane = lanes.lane(row.target);
      lane.queued--;
      lane.ready.delete(id);
      lane.active.get(id)?.abort();
      wake(id);
      watchExpiry();
      return true;
    },
    async redrive(id) {
      const row = store.get(id);
      const { id: done } = await store.run({ do: 'redrive', id, at: clock.now() });
      if (done === undefined || row === undefined) return false;
      accepted(id, row.target);
      return true;
    },
    async over(id, ms) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const all = waiting.get(id) ?? new Set();
      waiting.set(id, all.add(resolve));
      const timer = clock.after(ms, resolve);
      // It may have ended before anybody listened.
      if (store.get(id)?.state !== 'queued') resolve();
      await promise;
      timer.cancel();
      all.delete(resolve);
      if (all.size === 0) waiting.delete(id);
    },
    async stop(graceMs) {
      stopping.abort();
      dueAlarm.cancel();
      collectAlarm.cancel();
      for (const id of [...waiting.keys()]) wake(id);
      if (lanes.active > 0) {
        const { promise, resolve } = Promise.withResolvers<void>();
        idle = resolve;
        const timer = clock.after(graceMs, () => {
          for (const lane of lanes.all) for (const abort of lane.active.values()) abort.abort();
        });
        await promise;
        timer.cancel();
      }
      delivery.close();
    },
  };
}
