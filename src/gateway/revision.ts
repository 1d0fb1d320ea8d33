/**
 * Admission: one queue per revision, exact counts of what runs where, and the choice of an instance. A request holds
 * a place in the queue or a slot of an endpoint, never both, and gives back what it holds exactly once.
 */

import type { Deadlines } from '../base/deadlines.ts';
import type {
  Endpoint,
  MirrorCounts,
  RevisionCalls,
  RevisionEntry,
  RevisionFailure,
  RevisionOutcomes,
} from './contract.ts';
import { Counter, type RowRef } from './counters.ts';
import { type Exchange, STATE } from './exchange.ts';
import { type Failure, failure } from './failures.ts';
import type { CallCounter } from './paths/calls.ts';
import { loadCalls } from './paths/load.ts';
import type { Chooser } from './policy/balance.ts';
import { loadBalance, loadWatch } from './policy/load.ts';
import type { Watch } from './policy/watch.ts';
import { WaitingLine } from './waiting.ts';

/** How requests reach one endpoint. */
export interface Link {
  /** Sends the request, now or when connected. On a failed connection calls `RevisionState.connectFailed`. */
  send(x: Exchange): void;
  /** No request will come any more: closes when the last one has ended. */
  retire(): void;
}

/** An endpoint as one worker knows it. */
export interface EndpointState {
  readonly id: string;
  endpoint: Endpoint;
  readonly slots: Counter;
  link: Link;
  /** Requests of this worker on it. */
  held: number;
  /** Its connection failed; not used until it is pushed again. */
  down: boolean;
  /** A request on it timed out and it has not shown since that it still works; not used until it does. */
  doubted: boolean;
  /** Left out of the set; ends with its last request. */
  retired: boolean;
  /** Which time of its life this is: it can be left out and brought back. */
  turn: number;
}

/** What a revision needs of its surroundings. */
export interface RevisionHooks {
  readonly deadlines: Deadlines;
  /** Zone of the gateway; `''` when it has none. */
  readonly zone: string;
  demand(key: string): void;
  endpointDown(key: string, endpointId: string, reason: string): void;
  /** A retired endpoint has no request of this worker left. */
  released(endpoint: EndpointState): void;
  /** Another worker may have a use for a slot. */
  wake(key: string): void;
  connect(revision: RevisionState, endpoint: EndpointState): Link;
  /** The first request after a time without any. */
  active(revision: RevisionState): void;
}

/** An endpoint of the set that was pushed, with the row of its slots. */
export interface EndpointPush {
  endpoint: Endpoint;
  ref: RowRef;
  turn: number;
}

/** Why an endpoint of a revision with `onceOnly` is not used any more. */
const USED = 'used';

/** Up to this concurrency the first free instance is filled before the next (Knative's first-available policy). */
const FILL_UP_TO = 3;

/** Counts of one revision in one worker since they were last asked for. */
export interface Collected {
  /** Concurrency over time, request milliseconds. */
  integral: number;
  begun: number;
  outcomes: RevisionOutcomes | undefined;
  mirror: MirrorCounts | undefined;
  calls: RevisionCalls[] | undefined;
}

export class RevisionState {
  entry: RevisionEntry;
  readonly #hooks: RevisionHooks;
  readonly #worker: number;
  readonly #queued: Counter;
  #usable: EndpointState[] = [];
  #endpoints = new Map<string, EndpointState>();
  /** Endpoints left out that still work on something, by row. */
  readonly #retired = new Map<number, EndpointState>();
  readonly #line = new WaitingLine();
  /** Requests in flight or queued in this worker, its integral over time, and when it last changed. */
  #level = 0;
  #integral = 0;
  #changedAt = 0;
  #begun = 0;
  #credit = 0;
  #removed = false;
  /** Level at which a surge is reported next. */
  #surgeAt: number;
  /** Null where the less loaded of two is asked. */
  #chooser: Chooser | null = null;
  /** Null where nobody asks what becomes of requests. */
  #watch: Watch | null = null;
  #mirrored: MirrorCounts | null = null;
  #calls: CallCounter | null = null;

  constructor(entry: RevisionEntry, queue: RowRef, worker: number, hooks: RevisionHooks) {
    this.entry = entry;
    this.#surgeAt = entry.surge ?? Number.POSITIVE_INFINITY;
    this.#worker = worker;
    this.#queued = new Counter(queue, worker);
    this.#hooks = hooks;
    this.#changedAt = performance.now();
    this.#setUp();
  }

  #setUp(): void {
    const { entry } = this;
    const { balancing } = entry;
    this.#chooser =
      balancing === undefined ? null : loadBalance().createChooser(balancing, this.#hooks.zone, leastLoaded);
    this.#watch?.close();
    const watches = entry.outcomes || entry.outliers !== undefined;
    this.#watch = watches
      ? new (loadWatch().Watch)(entry, this.#hooks.deadlines, () => this.#changed())
      : null;
    this.#refresh();
  }

  /** An endpoint was ejected or is back. */
  #changed(): void {
    this.#refresh();
    this.drainQueue();
  }

  /** Which endpoints may be used now. Ejected ones only when there is no other. */
  #refresh(): void {
    const up = [...this.#endpoints.values()].filter((e) => !e.down && !e.doubted);
    const trusted = this.#watch === null ? up : up.filter((e) => !this.#watch?.isOut(e));
    this.#usable = trusted.length > 0 ? trusted : up;
  }

  /** Takes what has changed about the revision. */
  reconfigure(entry: RevisionEntry): void {
    const asked = (e: RevisionEntry) => JSON.stringify([e.balancing, e.outliers, e.outcomes]);
    const same = asked(this.entry) === asked(entry);
    this.entry = entry;
    this.#surgeAt = entry.surge ?? Number.POSITIVE_INFINITY;
    if (!same) this.#setUp();
    this.drainQueue();
  }

  /** Row of the queue length. */
  get queue(): RowRef {
    return this.#queued.ref;
  }

  #account(now: number, change: number): void {
    this.#integral += this.#level * (now - this.#changedAt);
    this.#changedAt = now;
    this.#level += change;
  }

  /** A request has arrived. It is sent, or queued, or refused with the failure returned. */
  admit(x: Exchange): Failure | null {
    const free = this.#line.first === null ? this.#acquire(x) : null;
    if (free === null && !this.#enter(x, this.entry.queueDepth, false)) {
      this.#watch?.ended(503, 0, null, 0);
      return failure('queue_full', `${this.entry.queueDepth} requests are waiting for an instance already`);
    }
    if (this.#level === 0) this.#hooks.active(this);
    this.#begun++;
    this.#account(x.startedAt, 1);
    if (free !== null) this.#send(x, free);
    else this.#raiseDemand();
    if (this.#level >= this.#surgeAt) this.#surge();
    return null;
  }

  #enter(x: Exchange, limit: number, atFront: boolean): boolean {
    if (limit === 0 && !atFront) return false;
    if (!this.#queued.tryAdd(atFront ? 0 : limit)) return false;
    x.state = STATE.queued;
    if (atFront) this.#line.unshift(x);
    else this.#line.push(x);
    return true;
  }

  #leave(x: Exchange): void {
    this.#line.remove(x);
    if (this.#queued.remove() === 0) this.#queued.resetReport();
  }

  #surge(): void {
    this.#surgeAt = this.#level * 2;
    this.#hooks.demand(this.entry.key);
  }

  #raiseDemand(): void {
    if (this.#queued.shouldReport(this.#queued.total)) this.#hooks.demand(this.entry.key);
  }

  /** Takes a slot of the endpoint that suits the request best; null when none is free. */
  #acquire(x: Exchange): EndpointState | null {
    if (x.treatment === null) return this.#take(this.#usable, x);
    for (const list of x.treatment.preferred(this.#usable)) {
      const endpoint = this.#take(list, x);
      if (endpoint !== null) return endpoint;
    }
    return null;
  }

  #take(list: readonly EndpointState[], x: Exchange): EndpointState | null {
    const limit = this.entry.containerConcurrency;
    // lists made for one request are short-lived: what a chooser works out for a list would be lost at once
    if (this.#chooser !== null && list === this.#usable) return this.#chooser.choose(list, limit, x);
    return leastLoaded(list, limit);
  }

  #send(x: Exchange, endpoint: EndpointState): void {
    endpoint.held++;
    x.endpoint = endpoint;
    x.state = STATE.connecting;
    if (x.treatment !== null) x.treatment.sent(x, endpoint);
    endpoint.link.send(x);
  }

  /** The request has ended, in whatever way. */
  leave(x: Exchange, now: number): void {
    if (x.state === STATE.done) return;
    if (x.state === STATE.queued) this.#leave(x);
    const endpoint = x.endpoint;
    const sent = x.state === STATE.sent;
    x.state = STATE.done;
    this.#account(now, -1);
    const watch = this.#watch;
    if (watch !== null) watch.ended(x.status, now - x.startedAt, endpoint, this.#endpoints.size);
    if (x.treatment !== null) x.treatment.ended(x, now);
    if (endpoint !== null) this.#giveBack(x, endpoint, sent);
  }

  #giveBack(x: Exchange, endpoint: EndpointState, sent: boolean): void {
    x.endpoint = null;
    endpoint.held--;
    // the slot of an instance that has had its one request stays taken: no worker can send it another
    if (sent && this.entry.onceOnly === true) this.endpointFailed(endpoint, USED);
    else endpoint.slots.remove();
    if (endpoint.retired) {
      if (endpoint.held === 0) this.#release(endpoint);
    } else if (!this.#removed && this.#queued.total > 0) this.#shareOut();
  }

  #release(endpoint: EndpointState): void {
    this.#retired.delete(endpoint.slots.ref.id);
    endpoint.link.retire();
    this.#hooks.released(endpoint);
  }

  /** A slot is free and someone waits: here, or at another worker in proportion to what waits there. */
  #shareOut(): void {
    const own = this.#queued.own;
    const others = this.#queued.total - own;
    if (others > 0) {
      this.#credit += others / (own + others);
      if (own === 0 || this.#credit >= 1) {
        this.#credit = Math.max(0, this.#credit - 1);
        this.#hooks.wake(this.entry.key);
        return;
      }
    }
    this.drainQueue();
  }

  /** Sends what waits as far as there are free slots. */
  drainQueue(): void {
    while (this.#line.first !== null) {
      const x: Exchange = this.#line.first;
      const endpoint = this.#acquire(x);
      if (endpoint === null) return;
      this.#leave(x);
      this.#send(x, endpoint);
    }
  }

  /** Another worker has a slot to spare. Passed on when it is not needed here, so that no wake-up is lost. */
  woken(): void {
    this.drainQueue();
    if (this.#queued.total <= this.#queued.own) return;
    const limit = this.entry.containerConcurrency;
    if (this.#usable.some((e) => limit === 0 || e.slots.total < limit)) this.#hooks.wake(this.entry.key);
  }

  /** The request was not sent: it waits for another endpoint, before those that came later. */
  requeue(x: Exchange): void {
    this.#requeue(x, false);
  }

  #requeue(x: Exchange, sent: boolean): void {
    const endpoint = x.endpoint;
    x.endpoint = null;
    x.upstream = null;
    if (this.#removed) {
      x.endpoint = endpoint;
      x.front.fail(x, failure('not_ready', 'the revision was removed'));
      return;
    }
    this.#enter(x, 0, true);
    if (endpoint !== null) this.#giveBack(x, endpoint, sent);
    this.drainQueue();
    if (x.state === STATE.queued) this.#raiseDemand();
  }

  /** An attempt has failed and nothing of it has reached the client: sends the request again, before those that came later. */
  retry(x: Exchange, wait: boolean): void {
    if (x.endpoint !== null) this.#watch?.attempt(x.status, x.endpoint, this.#endpoints.size);
    x.restart();
    if (!wait) {
      this.#requeue(x, true);
      return;
    }
    const endpoint = x.endpoint;
    x.endpoint = x.upstream = null;
    x.state = STATE.paused;
    if (endpoint !== null) this.#giveBack(x, endpoint, true);
  }

  /** Whether there are endpoints to use, and all of them are among these. */
  exhausted(tried: readonly EndpointState[]): boolean {
    return this.#usable.length > 0 && this.#usable.every((endpoint) => tried.includes(endpoint));
  }

  /** The connection to an endpoint failed or ended. Requests on it are the link's affair. */
  endpointFailed(endpoint: EndpointState, reason: string): void {
    if (endpoint.down || endpoint.retired) return;
    endpoint.down = true;
    endpoint.doubted = false;
    this.#refresh();
    // one that broke off in the middle of its only request is not to be tried again
    const spent = this.entry.onceOnly === true && endpoint.held > 0 && !reason.startsWith('connect:');
    this.#hooks.endpointDown(this.entry.key, endpoint.id, spent ? USED : reason);
  }

  /** Whether an endpoint answers is not known: requests wait, or take others, until it is `trusted` or has failed. */
  doubt(endpoint: EndpointState): void {
    endpoint.doubted = true;
    this.#refresh();
  }

  /** The endpoint answers after all. */
  trust(endpoint: EndpointState): void {
    if (!endpoint.doubted) return;
    endpoint.doubted = false;
    if (endpoint.down || endpoint.retired) return;
    this.#refresh();
    this.drainQueue();
  }

  /** Replaces the set. */
  setEndpoints(pushes: EndpointPush[]): void {
    const before = this.#endpoints;
    this.#endpoints = new Map();
    for (const { endpoint, ref, turn } of pushes) {
      let state = before.get(endpoint.id) ?? this.#retired.get(ref.id);
      if (state !== undefined && state.slots.ref.id === ref.id) {
        before.delete(endpoint.id);
        this.#retired.delete(ref.id);
        state.retired = state.down = false;
        state.endpoint = endpoint;
        state.turn = turn;
      } else {
        const slots = new Counter(ref, this.#worker);
        const none: Link = { send: () => {}, retire: () => {} };
        state = {
          id: endpoint.id,
          endpoint,
          slots,
          link: none,
          held: 0,
          down: false,
          doubted: false,
          retired: false,
          turn,
        };
        state.link = this.#hooks.connect(this, state);
      }
      this.#endpoints.set(endpoint.id, state);
    }
    for (const gone of before.values()) {
      gone.retired = true;
      this.#watch?.forget(gone);
      if (gone.held === 0) this.#release(gone);
      else this.#retired.set(gone.slots.ref.id, gone);
    }
    this.#refresh();
    this.drainQueue();
  }

  /** The revision is gone: what is in flight ends, what waits fails, nothing new comes. */
  remove(): void {
    this.#removed = true;
    this.#watch?.close();
    this.setEndpoints([]);
    this.failQueued({
      status: 503,
      component: 'gateway',
      reason: 'not_ready',
      message: 'the revision was removed',
    });
  }

  /** Ends everything that waits here; `retryAfter` in seconds, 0: nothing is said of it. */
  failQueued(f: RevisionFailure, retryAfter = 0): void {
    while (this.#line.first !== null) {
      const x = this.#line.first;
      x.front.fail(x, { ...f, close: false, retryAfter });
      if (this.#line.first === x) this.leave(x, performance.now());
    }
  }

  /** A request was copied to this revision, or not and why. */
  mirrored(skipped: string | null): void {
    this.#mirrored ??= { copied: 0, skipped: {} };
    if (skipped === null) this.#mirrored.copied++;
    else this.#mirrored.skipped[skipped] = (this.#mirrored.skipped[skipped] ?? 0) + 1;
    if (this.#level === 0) this.#hooks.active(this);
  }

  /** What happened since the last call; null when nothing did. */
  collect(now: number): Collected | null {
    this.#account(now, 0);
    this.#surgeAt = this.entry.surge ?? Number.POSITIVE_INFINITY;
    const mirror = this.#mirrored ?? undefined;
    const calls = this.#calls?.take();
    if (this.#integral === 0 && this.#begun === 0 && mirror === undefined && calls === undefined) return null;
    const outcomes = this.#watch?.takeOutcomes();
    const out: Collected = { integral: this.#integral, begun: this.#begun, outcomes, mirror, calls };
    this.#mirrored = null;
    this.#calls = null;
    this.#integral = 0;
    this.#begun = 0;
    return out;
  }

  /** A request that is counted by its path has ended. */
  called(label: string, method: string, status: number, ms: number, cold: boolean): void {
    this.#calls ??= new (loadCalls().CallCounter)();
    this.#calls.count(label, method, status, ms, cold);
    if (this.#level === 0) this.#hooks.active(this);
  }

  /** There is no instance. */
  get isEmpty(): boolean {
    return this.#endpoints.size === 0;
  }

  /** Requests in flight or queued in this worker. */
  get level(): number {
    return this.#level;
  }
}

/** Takes a slot of the less loaded of two chosen at random, or of any that is free; null when none is. */
function leastLoaded(usable: readonly EndpointState[], limit: number): EndpointState | null {
  const n = usable.length;
  if (n === 0) return null;
  if (n > 1 && (limit === 0 || limit > FILL_UP_TO)) {
    const i = (Math.random() * n) | 0;
    let j = (Math.random() * (n - 1)) | 0;
    if (j >= i) j++;
    const a = usable[i]!;
    const b = usable[j]!;
    const better = a.slots.total <= b.slots.total ? a : b;
    if (better.slots.tryAdd(limit)) return better;
  }
  for (let k = 0; k < n; k++) if (usable[k]!.slots.tryAdd(limit)) return usable[k]!;
  return null;
}
