/** When a timer fires: pure. What was due while nothing ran, clocks that are set, and calls that still run come in. */
import type { CronSchedule } from '../../../kinds/cron-schedule.ts';

/** What becomes of times that were due while no platform ran. */
export const MISSED = ['once', 'all', 'skip'] as const;
export type Missed = (typeof MISSED)[number];

/** What becomes of a time that is due while an earlier event is still being delivered. */
export const OVERLAP = ['allow', 'skip', 'wait'] as const;
export type Overlap = (typeof OVERLAP)[number];

/** What lasts: the newest time that was decided on, and those whose events are not safe yet. Milliseconds since the epoch. */
export interface TimerState {
  last: number;
  open: number[];
}

/** A clock that is set back by more than this is believed: times are counted from there again. */
const SET_BACK_MS = 5 * 60_000;
/** Times made up for at most, so that a schedule by the second and a week of silence do not become a flood. */
export const MAX_MISSED = 100;

/** The times that were due in (`from`, `to`], the newest `MAX_MISSED` of them for `all`. */
function dueBetween(schedule: CronSchedule, from: number, to: number): number[] {
  const found: number[] = [];
  for (let due = schedule.next(from); due !== undefined && due <= to; due = schedule.next(due)) {
    found.push(due);
    if (found.length > MAX_MISSED) found.shift();
  }
  return found;
}

/**
 * What to do at a start: events to send at once, and the state from then on. Events that were not safe when the platform ended are
 * always sent again; with the same id. A timer that is new has missed nothing.
 */
export function atStart(
  schedule: CronSchedule,
  state: TimerState | undefined,
  { now, missed, withinMs }: { now: number; missed: Missed; withinMs: number },
): { fire: number[]; last: number } {
  if (state === undefined) return { fire: [], last: now };
  if (now < state.last) return { fire: state.open, last: believed(state.last, now) };
  if (missed === 'skip') return { fire: state.open, last: now };
  const due = dueBetween(schedule, Math.max(state.last, now - withinMs), now);
  const made = missed === 'all' ? due : due.slice(-1);
  return { fire: [...new Set([...state.open, ...made])].sort((a, b) => a - b), last: now };
}

/** From where times are counted: `last`, unless the clock was set back so far that it would be silent for long. */
export const believed = (last: number, now: number): number => (now < last - SET_BACK_MS ? now : last);

/** What is due now, after `last`: the newest only, since a clock that jumps ahead does not fire for all that it skipped. */
export function dueNow(schedule: CronSchedule, last: number, now: number): number | undefined {
  return dueBetween(schedule, last, now).at(-1);
}
