/** Which endpoints are left out for a while because they keep failing. Each worker judges by what it sees itself. */
import type { RevisionEntry } from '../contract.ts';

export type OutlierSettings = NonNullable<RevisionEntry['outliers']>;

/** What is remembered of one endpoint. */
export interface OutlierRecord {
  /** Failures in a row. */
  failures: number;
  /** Ejections that are not forgotten yet; the next one lasts one base time longer. */
  ejections: number;
  /** When the last ejection ended, or was last forgiven. */
  since: number;
}

/** Of an endpoint that nothing is held against. */
export function outlierRecord(): OutlierRecord {
  return { failures: 0, ejections: 0, since: 0 };
}

/**
 * Notes an answer and says for how long the endpoint is ejected now, milliseconds; 0 is not at all. `total` endpoints
 * are in the set and `ejected` of them are out: at most `maxEjectionPercent`, but one where there are two or more, and
 * never the last one. A base time without ejection forgives one earlier ejection.
 */
export function judge(
  record: OutlierRecord,
  failed: boolean,
  now: number,
  total: number,
  ejected: number,
  settings: OutlierSettings,
): number {
  if (!failed) {
    record.failures = 0;
    if (record.ejections > 0 && now - record.since >= settings.baseEjectionMs) {
      record.ejections--;
      record.since = now;
    }
    return 0;
  }
  record.failures++;
  if (record.failures < settings.consecutiveErrors || settings.maxEjectionPercent <= 0) return 0;
  const most = Math.min(total - 1, Math.max(1, Math.floor((total * settings.maxEjectionPercent) / 100)));
  if (ejected >= most) return 0;
  record.failures = 0;
  record.ejections++;
  const duration = record.ejections * settings.baseEjectionMs;
  record.since = now + duration;
  return duration;
}
