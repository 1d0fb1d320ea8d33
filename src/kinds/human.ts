/** Times as a person reads them in a table. Source: apimachinery `util/duration.HumanDuration`. */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

/** Each row: up to `below` seconds, show `unit` and, where `rest` is given, what remains in that smaller unit. */
const STEPS: { below: number; unit: [number, string]; rest?: [number, string] }[] = [
  { below: 2 * MINUTE, unit: [1, 's'] },
  { below: 10 * MINUTE, unit: [MINUTE, 'm'], rest: [1, 's'] },
  { below: 3 * HOUR, unit: [MINUTE, 'm'] },
  { below: 8 * HOUR, unit: [HOUR, 'h'], rest: [MINUTE, 'm'] },
  { below: 2 * DAY, unit: [HOUR, 'h'] },
  { below: 8 * DAY, unit: [DAY, 'd'], rest: [HOUR, 'h'] },
  { below: 2 * YEAR, unit: [DAY, 'd'] },
  { below: 8 * YEAR, unit: [YEAR, 'y'], rest: [DAY, 'd'] },
  { below: Number.POSITIVE_INFINITY, unit: [YEAR, 'y'] },
];

/** A length of time in milliseconds as `5m30s`, `3h`, `12d`; up to 2 s in the future counts as now. */
export function humanDuration(milliseconds: number): string {
  const seconds = Math.trunc(milliseconds / 1000);
  if (!Number.isFinite(seconds) || seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  for (const { below, unit, rest } of STEPS) {
    if (seconds >= below) continue;
    const whole = `${Math.floor(seconds / unit[0])}${unit[1]}`;
    const left = rest === undefined ? 0 : Math.floor((seconds % unit[0]) / rest[0]);
    return left === 0 ? whole : `${whole}${left}${rest?.[1]}`;
  }
  return '<invalid>';
}

/** How long ago an RFC 3339 time was; `<unknown>` when absent, `<invalid>` when it is no time. */
export function since(timestamp: string | undefined | null, now: number): string {
  if (timestamp === undefined || timestamp === null || timestamp === '') return '<unknown>';
  return humanDuration(now - Date.parse(timestamp));
}
