/** `config-gc`: how many Revisions without traffic are kept. Source: knative.dev/serving `pkg/gc/config.go`. */
import {
  type ConfigData,
  ConfigMapError,
  duration,
  field,
  int64,
  readFields,
  requireAll,
  unsigned,
} from './read.ts';

/** What is undefined was disabled. */
export interface GcConfig {
  retainSinceCreateTimeMs: number | undefined;
  retainSinceLastActiveTimeMs: number | undefined;
  minNonActiveRevisions: number;
  maxNonActiveRevisions: number | undefined;
}

const HOUR = 3_600_000;

/** A value that may be `disabled`; an empty one is none. */
const orDisabled = (key: string, read: (raw: string) => number, initial: number) =>
  field<number | undefined>(
    (raw) => {
      if (raw.trim() === '') return initial;
      if (raw.trim().toLowerCase() === 'disabled') return undefined;
      try {
        const value = read(raw.trim());
        if (value < 0) throw new Error('must be non-negative');
        return value;
      } catch (error) {
        throw new ConfigMapError(`failed to parse ${key}: ${(error as Error).message}`);
      }
    },
    initial,
    key,
  );

const FIELDS = {
  minNonActiveRevisions: field(int64, 20, 'min-non-active-revisions'),
  retainSinceCreateTimeMs: orDisabled('retain-since-create-time', duration, 48 * HOUR),
  retainSinceLastActiveTimeMs: orDisabled('retain-since-last-active-time', duration, 15 * HOUR),
  maxNonActiveRevisions: orDisabled('max-non-active-revisions', unsigned, 1000),
};

/** Throws `ConfigMapError`. */
export function parseConfigGc(data: ConfigData = {}): GcConfig {
  const c = readFields(FIELDS, data, 'failed to parse data: ');
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
