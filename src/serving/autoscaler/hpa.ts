/**
 * How many instances a metric asks for by the rules of Kubernetes' HorizontalPodAutoscaler: in proportion to how far the metric
 * is from its target, not for a tenth of it, up at most twofold or by four in 15 s, down only to the most that was asked
 * for within the stabilisation window. Source: kubernetes `pkg/controller/podautoscaler`, behaviour and defaults of autoscaling/v2.
 */

/** Relative distance from the target that asks for nothing. */
const TOLERANCE = 0.1;
const DOWN_STABILIZATION_MS = 300_000;
/** Fastest way up: whichever of the two allows more within the period. */
const UP = { factor: 2, pods: 4, periodMs: 15_000 };

export interface HpaSettings {
  /** Of one instance. */
  target: number;
  /** At least 1: this class does not go to zero. */
  min: number;
  /** 0 is unlimited. */
  max: number;
  /** Times for which a recommendation counts, milliseconds; undefined: 0 up, 300,000 down. */
  stabilizationMs: number | undefined;
}

/** What was asked for and done lately. */
export interface HpaState {
  recommendations: { at: number; desired: number }[];
  changes: { at: number; by: number }[];
}

export const hpaState = (): HpaState => ({ recommendations: [], changes: [] });

export interface HpaObservation {
  now: number;
  /** Mean of the metric over the ready instances. */
  mean: number;
  ready: number;
  /** Instances that were asked for last. */
  current: number;
}

/** Decides and updates `state`. */
export function decideHpa(settings: HpaSettings, state: HpaState, seen: HpaObservation): number {
  const { now, ready, current } = seen;
  const { min, max, target } = settings;
  const up = settings.stabilizationMs ?? 0;
  const down = settings.stabilizationMs ?? DOWN_STABILIZATION_MS;
  const ratio = seen.mean / target;
  const proposal = ready === 0 || Math.abs(1 - ratio) <= TOLERANCE ? current : Math.ceil(ratio * ready);

  state.recommendations = state.recommendations.filter(({ at }) => now - at < Math.max(up, down));
  state.changes = state.changes.filter(({ at }) => now - at < UP.periodMs);
  const since = (ms: number) =>
    state.recommendations.filter(({ at }) => now - at < ms).map(({ desired }) => desired);
  // Up only as far as asked for all the time, down only as far as not asked for at any time.
  const least = Math.min(proposal, ...since(up));
  const most = Math.max(proposal, ...since(down));
  state.recommendations.push({ at: now, desired: proposal });
  const stable = Math.min(Math.max(current, least), Math.max(most, least));

  const added = state.changes.reduce((sum, { by }) => sum + by, 0);
  const before = current - added;
  const fastest = Math.max(before + UP.pods, Math.ceil(before * UP.factor));
  const limited = stable > current ? Math.max(current, Math.min(stable, fastest)) : stable;
  const desired = Math.max(min, max > 0 ? Math.min(limited, max) : limited);
  if (desired !== current) state.changes.push({ at: now, by: desired - current });
  return desired;
}
