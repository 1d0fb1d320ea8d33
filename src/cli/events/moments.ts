/** Moments as they are typed: `30m` ago, or a time. Pure. */
import { PetrelError } from '../../base/errors.ts';
import type { Args } from '../args.ts';

const UNITS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds since the epoch; undefined where the option was left out. Throws `InvalidArgument`. */
export function momentOf(args: Args, option: string, now: number): number | undefined {
  const text = args.text(option);
  if (text === undefined) return undefined;
  const parts = [...text.matchAll(/(\d+)([smhd])/g)];
  if (parts.length > 0 && parts.map(([all]) => all).join('') === text)
    return now - parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit!] ?? 0), 0);
  // A number alone would be a year to Date.
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  throw new PetrelError('InvalidArgument', `--${option} ${text} is no time`, {
    why: 'it is neither a while ago nor a date',
    fix: `--${option} 30m, --${option} 1d12h, --${option} 2026-01-31T09:00:00Z`,
  });
}
