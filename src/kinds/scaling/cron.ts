/** When a cron expression of five fields is due, in a time zone: pure, and found by computing instead of by ticking. */

/** Minutes, hours and so on that match, as sets. Days match by either field when both are restricted, as in Unix cron. */
export interface Cron {
  minutes: readonly number[];
  hours: readonly number[];
  days: ReadonlySet<number>;
  months: ReadonlySet<number>;
  weekdays: ReadonlySet<number>;
  /** Whether day of month and day of week are both restricted. */
  either: boolean;
  timeZone: string;
}

interface Field {
  name: string;
  min: number;
  max: number;
  words?: string[];
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const FIELDS: Field[] = [
  { name: 'minute', min: 0, max: 59 },
  { name: 'hour', min: 0, max: 23 },
  { name: 'day of month', min: 1, max: 31 },
  { name: 'month', min: 1, max: 12, words: MONTHS },
  { name: 'day of week', min: 0, max: 7, words: WEEKDAYS },
];
const DAY_MS = 86_400_000;
/** A date that exists at all comes up within four years, but for a 29th of February around 2100. */
const HORIZON_DAYS = 366 * 9;

/** Reads `minute hour day-of-month month day-of-week`. Throws an `Error` that says what is wrong. */
export function parseCron(expression: string, timeZone = 'UTC'): Cron {
  const texts = expression.trim().split(/\s+/);
  if (texts.length !== FIELDS.length) {
    throw new Error(`schedule ${JSON.stringify(expression)} has ${texts.length} fields instead of 5`);
  }
  try {
    new Intl.DateTimeFormat('en-US', { timeZone });
  } catch {
    throw new Error(`there is no time zone ${JSON.stringify(timeZone)}`);
  }
  const [minutes, hours, days, months, weekdays] = FIELDS.map((field, index) =>
    parseField(texts[index]!, field),
  );
  return {
    minutes: minutes!,
    hours: hours!,
    days: new Set(days),
    months: new Set(months),
    // Both 0 and 7 are Sunday.
    weekdays: new Set(weekdays!.map((day) => day % 7)),
    either: !texts[2]!.startsWith('*') && !texts[4]!.startsWith('*'),
    timeZone,
  };
}

function parseField(text: string, { name, min, max, words }: Field): number[] {
  const wrong = () => new Error(`${JSON.stringify(text)} is no ${name} from ${min} to ${max}`);
  const value = (part: string): number => {
    const word = words?.indexOf(part.toLowerCase()) ?? -1;
    const number = word >= 0 ? word + (name === 'month' ? 1 : 0) : /^\d{1,2}$/.test(part) ? Number(part) : -1;
    if (number < min || number > max) throw wrong();
    return number;
  };
  const found = new Set<number>();
  for (const item of text.split(',')) {
    const [range = '', stepText, ...more] = item.split('/');
    const step = stepText === undefined ? 1 : Number(stepText);
    if (more.length > 0 || !Number.isInteger(step) || step < 1) throw wrong();
    const [from = '', to, ...rest] = range.split('-');
    if (rest.length > 0) throw wrong();
    const first = range === '*' ? min : value(from);
    const last = range === '*' ? max : to !== undefined ? value(to) : stepText === undefined ? first : max;
    if (last < first) throw wrong();
    for (let number = first; number <= last; number += step) found.add(number);
  }
  return [...found].sort((a, b) => a - b);
}

/** The first time after `after` (milliseconds since the epoch) that is due; undefined when there is none. */
export function nextDue(cron: Cron, after: number): number | undefined {
  const start = localDay(cron.timeZone, after);
  for (let day = 0; day <= HORIZON_DAYS; day++) {
    const due = dueOn(cron, start + day * DAY_MS).find((time) => time > after);
    if (due !== undefined) return due;
  }
  return undefined;
}

/** The last time up to `at` that was due, not longer ago than `withinMs`; undefined when there is none. */
export function lastDue(cron: Cron, at: number, withinMs: number): number | undefined {
  const start = localDay(cron.timeZone, at);
  for (let day = 0; day <= Math.ceil(withinMs / DAY_MS) + 1; day++) {
    const due = dueOn(cron, start - day * DAY_MS).findLast((time) => time <= at);
    if (due !== undefined) return at - due <= withinMs ? due : undefined;
  }
  return undefined;
}

/** Times due on a local day, which is given as midnight UTC of its date, in order. */
function dueOn(cron: Cron, day: number): number[] {
  const date = new Date(day);
  if (!cron.months.has(date.getUTCMonth() + 1)) return [];
  const byDay = cron.days.has(date.getUTCDate());
  const byWeekday = cron.weekdays.has(date.getUTCDay());
  if (cron.either ? !byDay && !byWeekday : !byDay || !byWeekday) return [];
  const times = cron.hours.flatMap((hour) =>
    cron.minutes.map((minute) => instant(cron.timeZone, day + (hour * 60 + minute) * 60_000)),
  );
  return times.sort((a, b) => a - b);
}

/**
 * The instant at which clocks in the zone show `local` (as if it were UTC). What they show twice counts the first time; what
 * they skip counts as much later as they skip.
 */
function instant(timeZone: string, local: number): number {
  const before = local - offset(timeZone, local - DAY_MS);
  const after = local - offset(timeZone, local + DAY_MS);
  const shown = [before, after].filter((time) => time + offset(timeZone, time) === local);
  return shown.length > 0 ? Math.min(...shown) : before;
}

function localDay(timeZone: string, at: number): number {
  const local = at + offset(timeZone, at);
  return local - (((local % DAY_MS) + DAY_MS) % DAY_MS);
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** Milliseconds by which clocks in the zone are ahead of UTC at that instant. */
function offset(timeZone: string, at: number): number {
  if (timeZone === 'UTC') return 0;
  let format = formats.get(timeZone);
  if (!format) {
    const numeric = 'numeric';
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: numeric,
      month: numeric,
      day: numeric,
      hour: numeric,
      minute: numeric,
      second: numeric,
    });
    formats.set(timeZone, format);
  }
  const parts: Record<string, number> = {};
  for (const { type, value } of format.formatToParts(at)) parts[type] = Number(value);
  const local = Date.UTC(
    parts.year!,
    parts.month! - 1,
    parts.day!,
    parts.hour!,
    parts.minute!,
    parts.second!,
  );
  return local - Math.floor(at / 1000) * 1000;
}
