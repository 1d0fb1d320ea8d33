/** When to try again. Pure: time and chance come in. */

export interface Backoff {
  /** Wait before the second attempt, milliseconds; doubles with each further one. */
  baseMs: number;
  /** Longest wait before the random part, milliseconds. */
  capMs: number;
  /** Random part that is added, as a share of the wait, 0 to 1. */
  jitter: number;
}

/** Wait after `failures` failed attempts (from 1), milliseconds; `random` is uniform in [0, 1). */
export function backoffWait(failures: number, { baseMs, capMs, jitter }: Backoff, random: number): number {
  const full = Math.min(capMs, baseMs * 2 ** Math.min(failures - 1, 40));
  return Math.round(full * (1 + jitter * random));
}

/** What `Retry-After` asks for, milliseconds from `now`; undefined when it is neither seconds nor a date. Source: RFC 9110, 10.2.3. */
export function retryAfterMs(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  // Only the fixed form of the date: Date.parse takes nearly anything.
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text)) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

export interface RetryTerms extends Backoff {
  /** Attempts in all. */
  maxAttempts: number;
  /** Milliseconds from acceptance after which nothing is tried any more. */
  maxAgeMs: number;
}

/** Why nothing is tried any more. */
export type GivenUp = 'attempts' | 'age';

/**
 * When the next attempt is due after a failed one, milliseconds since the epoch, or why there is none. What the receiver asked
 * for (`retryAfter`) is a least wait.
 */
export function nextAttempt(
  terms: RetryTerms,
  past: { failures: number; acceptedAt: number; now: number; retryAfter?: number; random: number },
): { due: number } | { givenUp: GivenUp } {
  if (past.failures >= terms.maxAttempts) return { givenUp: 'attempts' };
  const wait = Math.max(backoffWait(past.failures, terms, past.random), past.retryAfter ?? 0);
  const due = past.now + wait;
  return due - past.acceptedAt > terms.maxAgeMs ? { givenUp: 'age' } : { due };
}
