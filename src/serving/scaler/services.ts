/** What Services say of their revisions' scaling, and each revision's share of it. */
import type { Clock, Timer } from '../../base/clock.ts';
import type { RevisionKey } from '../../gateway/contract.ts';
import { type ScheduleWindow, scheduledBounds } from '../../kinds/scaling/schedule.ts';
import { type ServiceScale, serviceScale, shareOut } from '../autoscaler/service-scale.ts';
import { scheduleOf, type Terms } from './terms.ts';

export interface ServiceBounds {
  /** The annotations of the Service itself; null when it is gone. */
  setService(key: string, annotations: Record<string, string> | null): void;
  /** Percentages of its traffic by revision; null when no Route leads to it. */
  setTraffic(key: string, percents: ReadonlyMap<RevisionKey, number> | null): void;
  /** What holds for one of its revisions now. */
  terms(key: string, revision: RevisionKey): Omit<Terms, 'config'>;
  stop(): void;
}

interface Known {
  text: string;
  scale: ServiceScale;
  windows: ScheduleWindow[];
  percents: ReadonlyMap<RevisionKey, number>;
  min: ReadonlyMap<RevisionKey, number> | undefined;
  max: ReadonlyMap<RevisionKey, number> | undefined;
  timer: Timer | undefined;
}

const NO_TRAFFIC: ReadonlyMap<RevisionKey, number> = new Map();
const NOTHING = { overrides: {}, min: undefined, max: undefined };
/** Timers cannot be set for longer than 24.8 days; a look in between costs nothing. */
export const LONGEST_TIMER_MS = 20 * 86_400_000;

/** `onChange`: what holds for the revisions of this Service may have changed. */
export function createServiceBounds(options: {
  clock: Clock;
  /** The schedule of this Service cannot be read and counts as absent. */
  onProblem(key: string, problem: string): void;
  onChange(key: string): void;
}): ServiceBounds {
  const { clock, onProblem, onChange } = options;
  const services = new Map<string, Known>();
  const traffic = new Map<string, ReadonlyMap<RevisionKey, number>>();

  const share = (key: string, known: Known) => {
    known.timer?.cancel();
    known.timer = undefined;
    const now = clock.now();
    const scheduled = scheduledBounds(known.windows, now);
    const min = scheduled.min ?? known.scale.min;
    const max = scheduled.max ?? known.scale.max;
    const { percents } = known;
    known.min = min === undefined ? undefined : shareOut(min, percents);
    // Without an instance a revision could not answer at all.
    known.max = max === undefined ? undefined : shareOut(max, percents, max === 0 ? 0 : 1);
    if (scheduled.until !== undefined) {
      const wait = Math.min(scheduled.until - now, LONGEST_TIMER_MS);
      known.timer = clock.after(wait, () => {
        share(key, known);
        onChange(key);
      });
    }
  };

  return {
    setService(key, annotations) {
      const before = services.get(key);
      const text = JSON.stringify(annotations);
      if (before ? before.text === text : annotations === null) return;
      before?.timer?.cancel();
      services.delete(key);
      if (annotations !== null) {
        const scale = serviceScale(annotations);
        const { windows, problem } = scheduleOf(annotations);
        if (problem !== undefined) onProblem(key, problem);
        const says = scale.min !== undefined || scale.max !== undefined || windows.length > 0;
        if (says || Object.keys(scale.overrides).length > 0) {
          const percents = traffic.get(key) ?? NO_TRAFFIC;
          const known = { text, scale, windows, percents, min: undefined, max: undefined, timer: undefined };
          services.set(key, known);
          share(key, known);
        } else if (!before) return;
      }
      onChange(key);
    },
    setTraffic(key, percents) {
      if (percents) traffic.set(key, percents);
      else traffic.delete(key);
      const known = services.get(key);
      if (!known) return;
      known.percents = percents ?? NO_TRAFFIC;
      share(key, known);
      onChange(key);
    },
    terms(key, revision) {
      const known = services.get(key);
      if (!known) return NOTHING;
      return {
        overrides: known.scale.overrides,
        min: known.min?.get(revision),
        max: known.max?.get(revision),
      };
    },
    stop() {
      for (const { timer } of services.values()) timer?.cancel();
      services.clear();
    },
  };
}
