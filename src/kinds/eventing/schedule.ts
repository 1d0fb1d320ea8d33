/**
 * When a PingSource is due, as text: five fields of cron or six with seconds before them, `@hourly` and the like, and a time zone. Source of
 * the grammar: robfig/cron v3 with `SecondOptional` and `Descriptor`.
 */
import { type Cron, parseCron } from '../scaling/cron.ts';

const DESCRIPTORS: Record<string, string> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};

export interface Schedule {
  /** 0 to 59, ascending; `[0]` where the text has five fields. */
  seconds: readonly number[];
  cron: Cron;
}

/** Throws `Error` that says what is wrong; one about the time zone begins with `provided bad location`. */
export function parseSchedule(text: string, timezone = ''): Schedule {
  const zoned = /^(?:CRON_)?TZ=(\S+)\s+(.*)$/s.exec(text.trim());
  const zone = timezone || zoned?.[1] || 'UTC';
  const timing = (zoned?.[2] ?? text).trim();
  if (!isZone(zone)) throw new Error(`provided bad location ${zone}: unknown time zone ${zone}`);
  if (timing === '') throw new Error('empty spec string');
  if (timing.startsWith('@')) {
    const known = Object.hasOwn(DESCRIPTORS, timing) ? DESCRIPTORS[timing] : undefined;
    if (known === undefined) throw new Error(`unrecognized descriptor: ${timing}`);
    return { seconds: [0], cron: parseCron(known, zone) };
  }
  const fields = timing.split(/\s+/).map((part) => part.replaceAll('?', '*'));
  if (fields.length < 5 || fields.length > 6)
    throw new Error(`expected 5 to 6 fields, found ${fields.length}: [${fields.join(' ')}]`);
  const [second, rest] = fields.length === 6 ? [fields[0] ?? '', fields.slice(1)] : ['0', fields];
  // Seconds follow the rules of minutes.
  const seconds = parseCron(`${second} * * * *`).minutes;
  return { seconds, cron: parseCron(rest.join(' '), zone) };
}

function isZone(timeZone: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone });
    return true;
  } catch {
    return false;
  }
}
