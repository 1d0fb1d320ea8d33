/**
 * Scaling by the clock: windows in which other bounds hold. Annotation `autoscaling.petrel.dev/schedule` on a Service (bounds of
 * the sum over its revisions) or in a revision's template, a JSON list:
 *
 *     [{"schedule": "0 8 * * mon-fri", "timezone": "Europe/Berlin", "duration": "10h", "minScale": 2, "maxScale": 20}]
 *
 * `schedule` is when a window begins (cron, five fields), `timezone` an IANA name (default UTC), `duration` how long it lasts
 * (as Go writes it, at most 744h). Of windows that overlap the last in the list that says anything decides.
 */
import { messageOf } from '../../base/errors.ts';
import { parseGoDuration } from '../go-duration.ts';
import { AnnotationError } from './annotation-error.ts';
import { type Cron, lastDue, nextDue, parseCron } from './cron.ts';

export const SCHEDULE = 'autoscaling.petrel.dev/schedule';

export interface ScheduleWindow {
  cron: Cron;
  durationMs: number;
  minScale: number | undefined;
  maxScale: number | undefined;
}

/** What the schedule says at some time; undefined where it says nothing. */
export interface ScheduledBounds {
  min: number | undefined;
  max: number | undefined;
  /** When that may change next, milliseconds since the epoch; undefined: never. */
  until: number | undefined;
}

const LONGEST_MS = 31 * 86_400_000;
const MOST_WINDOWS = 50;
const KEYS = ['schedule', 'timezone', 'duration', 'minScale', 'maxScale'];

const EXAMPLE =
  '[{"schedule":"0 8 * * mon-fri","timezone":"Europe/Berlin","duration":"10h","minScale":2,"maxScale":20}]';

/** Reads the annotation. Throws an `AnnotationError` that says what is wrong with which window. */
export function parseSchedule(text: string): ScheduleWindow[] {
  const wrong = (why: string, at = SCHEDULE) => new AnnotationError(at, why, EXAMPLE);
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    throw wrong(`not JSON (${messageOf(error)})`);
  }
  if (!Array.isArray(list)) throw wrong('must be a list of windows');
  if (list.length > MOST_WINDOWS) throw wrong(`must not have more than ${MOST_WINDOWS} windows`);
  return list.map((window, index) => {
    try {
      return parseWindow(window);
    } catch (error) {
      throw wrong(messageOf(error), `${SCHEDULE}[${index}]`);
    }
  });
}

function parseWindow(value: unknown): ScheduleWindow {
  if (typeof value !== 'object' || value === null) throw new Error('must be an object');
  const window = value as Record<string, unknown>;
  const unknown = Object.keys(window).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw new Error(`unknown field ${JSON.stringify(unknown)}`);
  const { schedule, timezone = 'UTC', duration } = window;
  if (typeof schedule !== 'string') throw new Error('schedule must be a text such as "0 8 * * mon-fri"');
  if (typeof timezone !== 'string')
    throw new Error('timezone must be the name of one, such as "Europe/Berlin"');
  const durationMs = typeof duration === 'string' ? parseGoDuration(duration) : undefined;
  if (durationMs === undefined || durationMs < 60_000 || durationMs > LONGEST_MS) {
    throw new Error('duration must be a time from 1m to 744h, such as "10h"');
  }
  const scale = (name: 'minScale' | 'maxScale') => {
    const count = window[name];
    if (count === undefined) return undefined;
    if (typeof count !== 'number' || !Number.isInteger(count) || count < 0 || count > 2 ** 31 - 1) {
      throw new Error(`${name} must be a whole number of instances`);
    }
    return count;
  };
  const [minScale, maxScale] = [scale('minScale'), scale('maxScale')];
  if (minScale === undefined && maxScale === undefined)
    throw new Error('minScale, maxScale or both must be set');
  if (minScale !== undefined && maxScale && minScale > maxScale)
    throw new Error('minScale is larger than maxScale');
  return { cron: parseCron(schedule, timezone), durationMs, minScale, maxScale };
}

/** The bounds of that schedule at `now`, milliseconds since the epoch. */
export function scheduledBounds(windows: readonly ScheduleWindow[], now: number): ScheduledBounds {
  const bounds: ScheduledBounds = { min: undefined, max: undefined, until: undefined };
  for (const { cron, durationMs, minScale, maxScale } of windows) {
    const begun = lastDue(cron, now, durationMs);
    const ends = begun === undefined ? undefined : begun + durationMs;
    const open = ends !== undefined && now < ends;
    if (open) {
      bounds.min = minScale ?? bounds.min;
      bounds.max = maxScale ?? bounds.max;
    }
    const edge = open ? ends : nextDue(cron, now);
    if (edge !== undefined) bounds.until = Math.min(bounds.until ?? edge, edge);
  }
  return bounds;
}
