/** What decides how a revision scales, put together: its annotations, what its Service says, the schedule, the platform's defaults. */

import { messageOf } from '../../base/errors.ts';
import {
  parseSchedule,
  SCHEDULE,
  type ScheduleWindow,
  scheduledBounds,
} from '../../kinds/scaling/schedule.ts';
import { type AutoscalerConfig, HPA_CLASS, type ScalingSpec, scalingSpec } from '../autoscaler/config.ts';

/** What holds for a revision beside its own annotations. */
export interface Terms {
  config: AutoscalerConfig;
  /** Annotations of its Service that take the place of its own. */
  overrides: Record<string, string>;
  /** Its share of the Service's bounds; they take the place of its own. */
  min: number | undefined;
  max: number | undefined;
}

export interface ResolvedTerms {
  spec: ScalingSpec;
  /** Milliseconds since the epoch when the schedule may change it; undefined: never. */
  until: number | undefined;
  /** What is wrong with schedule or metric, which then count as absent. */
  problem: string | undefined;
}

/** The schedule among these annotations, or why it cannot be read. */
export function scheduleOf(annotations: Record<string, string>): {
  windows: ScheduleWindow[];
  problem: string | undefined;
} {
  const text = annotations[SCHEDULE];
  if (text === undefined) return { windows: [], problem: undefined };
  try {
    return { windows: parseSchedule(text), problem: undefined };
  } catch (error) {
    return { windows: [], problem: messageOf(error) };
  }
}

/** How a revision with these annotations scales at `now`, milliseconds since the epoch. */
export function resolveTerms(
  own: Record<string, string>,
  containerConcurrency: number,
  terms: Terms,
  now: number,
): ResolvedTerms {
  const annotations = { ...own, ...terms.overrides };
  const spec = scalingSpec(annotations, containerConcurrency, terms.config);
  const { windows, problem } = scheduleOf(annotations);
  const { min, max, until } = scheduledBounds(windows, now);
  spec.minScale = terms.min ?? min ?? spec.minScale;
  spec.maxScale = terms.max ?? max ?? spec.maxScale;
  // A minimum above the maximum would win; what bounds all revisions together must not be broken by one.
  if (terms.max) spec.minScale = Math.min(spec.minScale, terms.max);
  if (spec.class === HPA_CLASS) spec.minScale = Math.max(1, spec.minScale);
  return { spec, until, problem: problem ?? spec.problem };
}
