/**
 * One service under one policy: the platform's own decision code (averages, KPA decisions, the way to zero, idle windows) against
 * a trace, event by event. Services do not share anything, so each is simulated by itself.
 */
import { type Activity, applyBounds, outcome } from '../../src/serving/autoscaler/bounds.ts';
import type { ScalingSpec } from '../../src/serving/autoscaler/config.ts';
import { decide, initialState, TICK_MS } from '../../src/serving/autoscaler/decide.ts';
import { type IdleHistory, warmPlan } from '../../src/serving/autoscaler/hybrid.ts';
import { createAverageWindow } from '../../src/serving/autoscaler/window.ts';
import type { Totals } from './totals.ts';
import type { ServiceTrace } from './traces.ts';

export interface Policy {
  name: string;
  spec: ScalingSpec;
  /** Idle times decide about the last instance; undefined: upstream's way to zero. */
  idle?(): IdleHistory;
}

const NEVER = Number.POSITIVE_INFINITY;

/** Runs the trace and adds to `totals` what happened from `from` to `end`, milliseconds. */
export function simulate(
  trace: ServiceTrace,
  policy: Policy,
  from: number,
  end: number,
  totals: Totals,
): void {
  const { arrivals, durations, startMs } = trace;
  const { spec } = policy;
  const idle = policy.idle?.();
  const stable = createAverageWindow(spec.stableWindowMs, spec.aggregation);
  const panic = createAverageWindow(spec.panicWindowMs, spec.aggregation);
  let state = initialState(spec, 0, 0);
  /** Ends of running requests and arrivals of instances, as small heaps of times. */
  const ends = new Heap();
  const coming = new Heap();
  let queue: number[] = [];
  let ready = 0;
  let next = 0;
  let now = 0;
  let tickAt = NEVER;
  let planAt = NEVER;
  let second = 0;
  let integral = 0;
  let active: Activity = 'False';
  let activeSince = 0;
  let idleSince = NEVER;
  let demandSince = NEVER;

  const setActive = (to: Activity) => {
    if (to === active) return;
    active = to;
    activeSince = now;
  };

  /** Moves the time on, with what instances cost and how much they had to do. */
  const advance = (to: number) => {
    const counted = Math.min(to, end) - Math.max(now, from);
    if (counted > 0) totals.instanceMs += counted * (ready + coming.size);
    const load = ends.size + queue.length;
    if (load === 0 && tickAt === NEVER) {
      second = Math.floor(to / 1000);
      integral = 0;
    } else {
      let at = now;
      while (at < to) {
        const until = Math.min(to, (second + 1) * 1000);
        integral += (load * (until - at)) / 1000;
        at = until;
        if (until === (second + 1) * 1000) {
          stable.record(second * 1000, integral);
          panic.record(second * 1000, integral);
          integral = 0;
          second++;
        }
      }
    }
    now = to;
  };

  const start = (count: number, wanted: boolean) => {
    for (let index = 0; index < count; index++) {
      coming.push(now + startMs);
      if (now < from) continue;
      totals.starts++;
      if (!wanted) totals.prewarmed++;
    }
  };

  const reach = (target: number) => {
    const present = ready + coming.size;
    if (present < target) start(target - present, queue.length > 0);
    // What still works is not taken away: an instance without a limit counts as busy while anything runs.
    const keep = Math.max(target, ends.size > 0 ? 1 : 0);
    if (ready > keep) ready = keep;
    if (target === 0) setActive('False');
    else if (ready === 0) setActive('Unknown');
  };

  const tick = () => {
    tickAt = NEVER;
    const requests = ends.size + queue.length;
    const load = { now, stable: stable.average(now - 1000), panic: panic.average(now - 1000) };
    const decision = decide(spec, state, { ...load, readyPods: ready, reachable: true });
    const wish = Math.max(decision?.desired ?? 0, requests > 0 ? 1 : 0);
    if (idle && requests === 0 && wish <= 1) return plan();
    const seen = () => ({ active, since: activeSince, initialized: true, reachable: true, bufferedSince: 0 });
    let result = outcome(spec, seen(), wish, now);
    if (result.deactivate) {
      setActive('False');
      result = outcome(spec, seen(), wish, now);
    }
    if (result.scale !== undefined) reach(Math.max(result.scale, requests > 0 ? 1 : 0));
    const gone = ready === 0 && coming.size === 0;
    if (gone) state = initialState(spec, 0, now);
    else tickAt = now + TICK_MS;
  };

  const plan = () => {
    const { warm, againMs } = warmPlan(idle!.window(), now - idleSince);
    planAt = againMs === undefined ? NEVER : now + againMs;
    reach(applyBounds({ min: 0, max: 0 }, warm ? 1 : 0));
    if (ready === 0 && coming.size === 0) state = initialState(spec, 0, now);
  };

  const run = (index: number, delay: number) => {
    ends.push(now + durations[index]!);
    if (arrivals[index]! >= from) totals.request(delay);
  };

  const arrive = () => {
    const index = next++;
    if (idleSince !== NEVER) idle?.observe(now - idleSince);
    idleSince = planAt = NEVER;
    if (tickAt === NEVER) tickAt = now + TICK_MS;
    if (ready > 0) return run(index, 0);
    queue.push(index);
    if (demandSince === NEVER) demandSince = now;
    if (coming.size === 0) reach(1);
  };

  for (;;) {
    const arrival = next < arrivals.length ? arrivals[next]! : NEVER;
    const at = Math.min(arrival, ends.first, coming.first, tickAt, planAt);
    if (at >= end) break;
    advance(at);
    if (at === ends.first) {
      ends.pop();
      if (ends.size + queue.length === 0) {
        idleSince = now;
        if (idle && ready <= 1) {
          tickAt = NEVER;
          plan();
        }
      }
    } else if (at === coming.first) {
      coming.pop();
      ready++;
      setActive('True');
      demandSince = NEVER;
      for (const index of queue) run(index, now - arrivals[index]!);
      queue = [];
    } else if (at === arrival) arrive();
    else if (at === tickAt) tick();
    else plan();
  }
  advance(end);
}

/** The smallest of a few numbers. */
class Heap {
  readonly #items: number[] = [];

  get size(): number {
    return this.#items.length;
  }

  get first(): number {
    return this.#items[0] ?? NEVER;
  }

  push(item: number): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent]! <= item) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = item;
  }

  pop(): void {
    const items = this.#items;
    const item = items.pop()!;
    const size = items.length;
    if (size === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && items[child + 1]! < items[child]!) child++;
      if (items[child]! >= item) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = item;
  }
}
