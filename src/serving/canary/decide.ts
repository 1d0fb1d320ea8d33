/** Whether a canary goes on, waits, has won or has lost. Pure. */
import type { RevisionOutcomes } from '../../gateway/contract.ts';
import type { CanaryPolicy } from '../../kinds/traffic-policy.ts';

/** A canary's rules, with defaults. */
export interface CanaryRules {
  /** Percentages, rising. */
  steps: number[];
  intervalMs: number;
  minRequests: number;
  maxErrorPercent: number;
  maxLatencyMs: number | undefined;
  latencyPercentile: number;
}

/** What the canary's requests came to since its step began. */
export interface Tally {
  requests: number;
  errors: number;
  /** Buckets of `RevisionOutcomes.latency`. */
  latency: number[];
}

export type Decision =
  /** Nothing yet; look again after `forMs`, or (absent) when requests have been answered. */
  | { act: 'hold'; forMs?: number }
  | { act: 'step'; percent: number }
  | { act: 'promote' }
  | { act: 'rollback'; message: string };

const DEFAULTS = {
  steps: [5, 25, 50],
  intervalSeconds: 30,
  minRequests: 10,
  maxErrorPercent: 1,
  latencyPercentile: 95,
};

/** The rules of a policy, with the defaults for what it leaves out. */
export function rulesOf(policy: CanaryPolicy): CanaryRules {
  const { steps, intervalSeconds, minRequests, maxErrorPercent, latencyPercentile } = {
    ...DEFAULTS,
    ...policy,
  };
  return {
    steps: steps.length > 0 ? steps : DEFAULTS.steps,
    intervalMs: intervalSeconds * 1000,
    minRequests,
    maxErrorPercent,
    maxLatencyMs: policy.maxLatencyMs,
    latencyPercentile,
  };
}

export function emptyTally(): Tally {
  return { requests: 0, errors: 0, latency: [] };
}

/** Adds a report of the gateway. Failed are the 5xx, and what was cut off without an answer. */
export function addOutcomes(tally: Tally, { classes, latency }: RevisionOutcomes): void {
  const failed = (classes[0] ?? 0) + (classes[5] ?? 0);
  tally.requests += classes.reduce((sum, count) => sum + count, 0);
  tally.errors += failed;
  latency.forEach((count, bucket) => {
    tally.latency[bucket] = (tally.latency[bucket] ?? 0) + count;
  });
}

/**
 * Decides for a canary that has had `percent` for `elapsedMs`. It loses as soon as it could not stay within its limits even if all requests
 * that are still missing from `minRequests` went well: early, and never for one unlucky request among too few to tell.
 */
export function decide(rules: CanaryRules, percent: number, elapsedMs: number, tally: Tally): Decision {
  const counted = Math.max(tally.requests, rules.minRequests);
  const { requests, errors } = tally;
  if (errors > 0 && errors * 100 > rules.maxErrorPercent * counted) {
    const message = `${errors} of ${requests} requests failed at ${percent} %, more than ${rules.maxErrorPercent} %`;
    return { act: 'rollback', message };
  }
  const { maxLatencyMs, latencyPercentile } = rules;
  if (maxLatencyMs !== undefined) {
    const slow = slowerThan(tally.latency, maxLatencyMs);
    if (slow > 0 && slow * 100 > (100 - latencyPercentile) * counted) {
      const message = `${Math.round(slow)} of ${requests} requests took longer than ${maxLatencyMs} ms at ${percent} %, more than ${100 - latencyPercentile} %`;
      return { act: 'rollback', message };
    }
  }
  if (elapsedMs < rules.intervalMs) return { act: 'hold', forMs: rules.intervalMs - Math.max(0, elapsedMs) };
  if (requests < rules.minRequests) return { act: 'hold' };
  const next = rules.steps.find((step) => step > percent);
  return next === undefined || next >= 100 ? { act: 'promote' } : { act: 'step', percent: next };
}

/** Requests slower than `limitMs`. Within the bucket that the limit falls into they count as evenly spread. */
export function slowerThan(latency: readonly number[], limitMs: number): number {
  let slow = 0;
  latency.forEach((count, bucket) => {
    const high = 2 ** (bucket / 2);
    const low = bucket === 0 ? 0 : 2 ** ((bucket - 1) / 2);
    if (low >= limitMs) slow += count;
    else if (high > limitMs) slow += (count * (high - limitMs)) / (high - low);
  });
  return slow;
}
