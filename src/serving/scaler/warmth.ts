/** Whether an idle revision is kept warm, for the classes that decide it by idle times instead of the way to zero. */
import type { ScalingSpec } from '../autoscaler/config.ts';
import {
  createIdleHistory,
  fixedKeepAlive,
  HYBRID_DEFAULTS,
  type IdleHistory,
  type WarmPlan,
  warmPlan,
} from '../autoscaler/hybrid.ts';

export interface Warmth {
  /** Requests have come since the last call; `busy`: some are still there. */
  used(now: number, busy: boolean): void;
  /** What is right for a revision that has no request now. */
  plan(now: number): WarmPlan;
}

/** Undefined for classes that go to zero as upstream does. */
export function createWarmth({ keepAlive, keepAliveMs }: ScalingSpec): Warmth | undefined {
  if (keepAlive === undefined) return undefined;
  const history: IdleHistory =
    keepAlive === 'fixed'
      ? fixedKeepAlive(keepAliveMs)
      : createIdleHistory({ ...HYBRID_DEFAULTS, standardMs: keepAliveMs });
  let idleSince: number | undefined;
  /** There was a request before this idle time, so that its length says something. */
  let known = false;
  return {
    used(now, busy) {
      if (known && idleSince !== undefined) history.observe(now - idleSince);
      known = true;
      idleSince = busy ? undefined : now;
    },
    plan(now) {
      idleSince ??= now;
      return warmPlan(history.window(), now - idleSince);
    },
  };
}
