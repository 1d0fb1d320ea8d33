/**
 * Schedules as users of cron libraries write them: five or six fields (seconds first), `@hourly` and its like, `@every 5m`, a leading
 * `CRON_TZ=` or `TZ=`. Pure. Source: robfig/cron v3, which Knative's PingSource and Fission's TimeTrigger use.
 */
import { parseGoDuration } from './go-duration.ts';
import { type Cron, nextDue, parseCron } from './scaling/cron.ts';

export interface CronSchedule {
  /** The first time after `after`, ms since the epoch; undefined when there is none. */
  next(after: number): number | undefined;
}

const DESCRIPTORS: Record<string, string> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};
const MINUTE_MS = 60_000;
const ZONE = /^(?:CRON_)?TZ=(\S+)\s+(.*)$/;

/** A schedule and the zone that it begins with, where it does. */
export function zoned(text: string): { cron: string; timeZone?: string } {
  const [, timeZone, cron] = ZONE.exec(text.trim()) ?? [];
  return timeZone === undefined || cron === undefined ? { cron: text.trim() } : { cron, timeZone };
}

/** Reads a schedule; a zone in the text wins over `inZone`. Throws an `Error` that says what is wrong. */
export function parseSchedule(text: string, inZone = 'UTC'): CronSchedule {
  const { cron: expression, timeZone = inZone } = zoned(text);
  if (expression.startsWith('@every')) {
    const every = parseGoDuration(expression.slice('@every'.length).trim());
    if (every === undefined || every < 1000)
      throw new Error(`"${text}" names no duration of a second or more`);
    return { next: (after) => after + Math.floor(every / 1000) * 1000 };
  }
  const fields = (DESCRIPTORS[expression] ?? expression).replaceAll('?', '*').split(/\s+/);
  if (fields.length !== 6) {
    const cron = parseCron(fields.join(' '), timeZone);
    return { next: (after) => nextDue(cron, after) };
  }
  const [second = '', ...rest] = fields;
  // Seconds have the range of minutes.
  const seconds = parseCron(`${second} * * * *`).minutes;
  const cron = parseCron(rest.join(' '), timeZone);
  return { next: (after) => nextSecond(cron, seconds, after) };
}

function nextSecond(cron: Cron, seconds: readonly number[], after: number): number | undefined {
  const minute = Math.floor(after / MINUTE_MS) * MINUTE_MS;
  if (nextDue(cron, minute - 1) === minute) {
    const left = seconds.find((second) => minute + second * 1000 > after);
    if (left !== undefined) return minute + left * 1000;
  }
  const due = nextDue(cron, Math.max(after, minute));
  return due === undefined ? undefined : due + (seconds[0] ?? 0) * 1000;
}
