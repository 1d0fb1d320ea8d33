/** Durations as Go writes them. Source: Go's `time.ParseDuration`. */

const UNITS: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const WHOLE = /^[+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))*$/;
const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;

/** Milliseconds of a text such as `1m30s` or `1.5h`; undefined when it is absent or no duration. */
export function parseGoDuration(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (text === '0' || text === '+0' || text === '-0') return 0;
  if (!WHOLE.test(text)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(PART)) sum += Number(amount) * UNITS[unit!]!;
  return text.startsWith('-') ? -sum : sum;
}

/** Milliseconds as Go prints a duration: `1m0s`, `1.5s`, `300ms`. Source: Go's `Duration.String`. */
export function formatGoDuration(milliseconds: number): string {
  if (milliseconds === 0) return '0s';
  const sign = milliseconds < 0 ? '-' : '';
  const total = Math.abs(milliseconds);
  if (total < 1000) {
    const [unit, size] = total >= 1 ? ['ms', 1] : total >= 1e-3 ? ['µs', 1e-3] : ['ns', 1e-6];
    return `${sign}${Number((total / size).toFixed(6))}${unit}`;
  }
  const hours = Math.floor(total / 3_600_000);
  const minutes = Math.floor((total % 3_600_000) / 60_000);
  const seconds = Number(((total % 60_000) / 1000).toFixed(9));
  const head = hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : '';
  return `${sign}${head}${seconds}s`;
}

/** What Go says of a text that is no duration; undefined for one that is. Source: Go's `time.ParseDuration`. */
export function goDurationProblem(text: string): string | undefined {
  if (parseGoDuration(text) !== undefined) return undefined;
  const shown = JSON.stringify(text);
  let rest = text.replace(/^[+-]/, '');
  while (rest !== '') {
    const [part = '', unit = ''] = /^(?:\d+\.?\d*|\.\d+)([^\d.]*)/.exec(rest) ?? [];
    if (part === '') break;
    if (unit === '') return `time: missing unit in duration ${shown}`;
    if (!Object.hasOwn(UNITS, unit)) return `time: unknown unit ${JSON.stringify(unit)} in duration ${shown}`;
    rest = rest.slice(part.length);
  }
  return `time: invalid duration ${shown}`;
}
