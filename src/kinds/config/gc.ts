/** `config-gc`: how many Revisions without traffic are kept. Source: knative.dev/serving `pkg/gc/config.go`. */
import { type ConfigData, duration, field, int64, readFields, requireAll } from './read.ts';

/** What is undefined was disabled. */
export interface GcConfig {
  retainSinceCreateTimeMs: number | undefined;
  retainSinceLastActiveTimeMs: number | undefined;
  minNonActiveRevisions: number;
  maxNonActiveRevisions: number | undefined;
}

const HOUR = 3_600_000;

const orDisabled =
  (read: (raw: string) => number) =>
  (raw: string): number | undefined => {
    if (raw.trim().toLowerCase() === 'disabled') return undefined;
    const value = read(raw.trim());
    if (value < 0) throw new Error('must be non-negative');
    return value;
  };

const FIELDS = {
  retainSinceCreateTimeMs: field(orDisabled(duration), 48 * HOUR, 'retain-since-create-time'),
  retainSinceLastActiveTimeMs: field(orDisabled(duration), 15 * HOUR, 'retain-since-last-active-time'),
  minNonActiveRevisions: field(int64, 20, 'min-non-active-revisions'),
  maxNonActiveRevisions: field(orDisabled(int64), 1000, 'max-non-active-revisions'),
};

/** Throws `ConfigMapError`. */
export function parseConfigGc(data: ConfigData = {}): GcConfig {
  // An empty value is no value.
  const c = readFields(
    FIELDS,
    Object.fromEntries(Object.entries(data).filter(([, raw]) => raw.trim() !== '')),
  );
  const { minNonActiveRevisions: min, maxNonActiveRevisions: max } = c;
  requireAll(
    [min >= 0, () => `min-non-active-revisions must be non-negative, was: ${min}`],
    [
      max === undefined || min <= max,
      () => `min-non-active-revisions(${min}) must be <= max-non-active-revisions(${max})`,
    ],
  );
  return c;
}
