/** What becomes of an invocation: decisions as functions of their arguments. */
import { nextAttempt, type RetryTerms, retryAfterMs } from '../../durable/schedule.ts';
import type { FunctionInvocation } from '../../kinds/function.ts';
import type { Attempt, HeaderLine, StoredResult } from './types.ts';

/** What a function has that says nothing; as `FunctionInvocation` promises. */
const DEFAULTS = {
  maxAttempts: 3,
  backoffSeconds: 1,
  backoffCapSeconds: 60,
  jitter: 0.2,
  maxAgeSeconds: 21_600,
} as const;

/** Longest chain of invocations that follow from one another through destinations or a header passed on. */
export const MAX_DEPTH = 8;

/** A function's `spec.invocation` with defaults applied. */
export function termsOf(spec: FunctionInvocation = {}): RetryTerms {
  const all = { ...DEFAULTS, ...spec };
  return {
    maxAttempts: all.maxAttempts,
    baseMs: all.backoffSeconds * 1000,
    capMs: all.backoffCapSeconds * 1000,
    jitter: all.jitter,
    maxAgeMs: all.maxAgeSeconds * 1000,
  };
}

/** One attempt as it ended. */
export interface Tried {
  attempt: Attempt;
  /** Absent when there was no answer. */
  result?: StoredResult;
}

/** What follows. */
export type Verdict =
  | { state: 'succeeded' }
  | { state: 'queued'; due: number }
  /** `reason` is for people. */
  | { state: 'failed' | 'dead'; reason: string };

/** Answers besides 5xx after which trying again makes sense. */
const PASSING = new Set([408, 425, 429]);

/** The first value of a field; `wanted` in lower case. */
export const headerOf = (headers: readonly HeaderLine[], wanted: string): string | undefined =>
  headers.find(([name]) => name.toLowerCase() === wanted)?.[1];

/** What to do after the attempt numbered `number` (from 1). `random` is uniform in [0, 1). */
export function verdict(
  terms: RetryTerms,
  { attempt, result }: Tried,
  at: { number: number; acceptedAt: number; now: number; random: number },
): Verdict {
  const { status, error } = attempt;
  const failed = status !== undefined && error !== undefined;
  if (status !== undefined && !failed && status < 400) return { state: 'succeeded' };
  if (status !== undefined && !failed && status < 500 && !PASSING.has(status))
    return { state: 'failed', reason: `it answered ${status}, which says that trying again is of no use` };
  const next = nextAttempt(terms, {
    failures: at.number,
    acceptedAt: at.acceptedAt,
    now: at.now,
    random: at.random,
    retryAfter: retryAfterMs(headerOf(result?.headers ?? [], 'retry-after'), at.now),
  });
  if ('due' in next) return { state: 'queued', due: next.due };
  const answered = failed ? `${error}` : `it answered ${status}`;
  const last = status === undefined ? `there was no answer: ${error}` : answered;
  const why =
    next.givenUp === 'attempts'
      ? `given up after ${at.number} ${at.number === 1 ? 'attempt' : 'attempts'}`
      : `given up, since the next attempt would be later than ${terms.maxAgeMs / 1000} s after it was accepted`;
  return { state: 'dead', reason: `${why}; ${last}` };
}

/** Header fields of one connection, of the accepting itself, or set anew for each attempt; the rest is delivered. Source: RFC 9110, 7.6.1. */
const NOT_KEPT = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
  'host',
  'content-length',
  'prefer',
  'x-petrel-route',
  'x-petrel-invoke-mode',
  'x-petrel-dedup-key',
  'x-fission-invoke-mode',
  'x-fission-dedup-key',
  'x-petrel-invocation-id',
  'x-petrel-invocation-attempt',
  'x-petrel-invocation-depth',
]);

/** The header lines worth keeping, from node's flat list of names and values. */
export function keptHeaders(raw: readonly string[]): HeaderLine[] {
  const kept: HeaderLine[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const [name = '', value = ''] = raw.slice(i, i + 2);
    if (!NOT_KEPT.has(name.toLowerCase())) kept.push([name, value]);
  }
  return kept;
}
