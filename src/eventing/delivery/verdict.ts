/**
 * What an exchange means for the events that were delivered with it. Pure.
 * Source: knative/specs `specs/eventing/data-plane.md` (table of responses) and knative/eventing `pkg/kncloudevents/retries.go`,
 * `pkg/broker/filter` (an answer to a trigger is empty or an event) for what the specification leaves open.
 */
import { type CloudEvent, InvalidEvent, withAttributes } from '../../cloudevents/event.ts';
import { allFromHttp, claimsToBeEvent } from '../../cloudevents/http.ts';
import { retryAfterMs } from '../../durable/schedule.ts';
import type { DeliveryTerms } from '../model.ts';
import type { Outcome } from './contract.ts';

/** What the answer of a subscriber is held against. */
export interface Expected {
  /** An answer with 2xx is empty or an event (triggers); else what is no event is dropped (channels). */
  strict: boolean;
  /** Ids of the events of a batch; absent: one event was sent. */
  batch?: ReadonlySet<string>;
}

/** A failed exchange. */
export interface Failure {
  /** Whether trying again makes sense. */
  retryable: boolean;
  /** Absent: there was no answer. */
  status?: number;
  /** What `knativeerrordata` tells of, as it came. */
  body: Buffer;
  /** For people, one line. */
  message: string;
  /** Asked for with Retry-After, ms from then. */
  retryAfterMs?: number;
}

export type Judgement =
  | { is: 'done' }
  | { is: 'replied'; replies: readonly CloudEvent[] }
  /** Of a batch: these ids failed, the others are done. */
  | { is: 'partial'; failed: ReadonlySet<string> }
  | { is: 'failed'; failure: Failure }
  /** It was no attempt: the platform itself was not there. */
  | { is: 'postponed'; message: string };

/** Answers besides 5xx after which trying again makes sense. */
const PASSING: ReadonlySet<number> = new Set([404, 408, 409, 429]);
/** Statuses whose Retry-After counts. */
const ASKS_TO_WAIT: ReadonlySet<number> = new Set([429, 503]);
/** Longest wait, ms: thirty days. */
const LONGEST_MS = 30 * 86_400_000;
/** Most characters of `knativeerrordata`. Source: knative/eventing, `pkg/channel/attributes`. */
const ERROR_DATA_CHARS = 1024;
const NOTHING = Buffer.alloc(0);

const header = (headers: readonly string[], wanted: string): string | undefined => {
  for (let i = 0; i + 1 < headers.length; i += 2) if (headers[i] === wanted) return headers[i + 1];
  return undefined;
};

/** What an exchange with a subscriber means; `now`: milliseconds since the epoch. */
export function judge(outcome: Outcome, expected: Expected, now: number): Judgement {
  const { status, headers, body } = outcome;
  if (outcome.unreachable === true)
    return { is: 'postponed', message: outcome.error ?? 'the gateway is not there' };
  if (status === undefined) {
    const why = outcome.error ?? 'there was no answer';
    return failed(true, undefined, Buffer.from(`dispatch error: ${why}`), why);
  }
  if (status < 200 || status >= 300) return refused(outcome, status, now);
  if (outcome.reply !== undefined) return { is: 'replied', replies: [outcome.reply] };
  if (body.length === 0 && !claimsToBeEvent(headers)) return { is: 'done' };
  if (outcome.truncated) return failed(true, 502, NOTHING, 'the answer has more than 1 MiB');
  try {
    // One event may be answered with many: a batch.
    if (claimsToBeEvent(headers)) return { is: 'replied', replies: allFromHttp(headers, body) };
  } catch (error) {
    if (!(error instanceof InvalidEvent)) throw error;
    return failed(true, 502, body, `the answer claims to be an event and is none: ${error.message}`);
  }
  if (expected.batch !== undefined) return ofBatch(body, expected.batch);
  if (expected.strict) return failed(true, 502, body, `the answer (${status}) is neither empty nor an event`);
  return { is: 'done' };
}

function refused(outcome: Outcome, status: number, now: number): Judgement {
  const retryable = status >= 500 || PASSING.has(status);
  const text = outcome.body.length === 0 ? '' : `: ${firstLine(outcome.body)}`;
  const judgement = failed(retryable, status, outcome.body, `it answered ${status}${text}`);
  if (judgement.is === 'failed' && ASKS_TO_WAIT.has(status))
    judgement.failure.retryAfterMs = retryAfterMs(header(outcome.headers, 'retry-after'), now);
  return judgement;
}

const failed = (
  retryable: boolean,
  status: number | undefined,
  body: Buffer,
  message: string,
): Judgement => ({ is: 'failed', failure: { retryable, status, body, message } });

/** What a batch's answer says of single events: `{"batchItemFailures":[{"itemIdentifier":"<id>"}]}`; anything else says nothing. */
function ofBatch(body: Buffer, ids: ReadonlySet<string>): Judgement {
  let items: unknown;
  try {
    items = (JSON.parse(body.toString('utf8')) as { batchItemFailures?: unknown } | null)?.batchItemFailures;
  } catch {
    return { is: 'done' };
  }
  if (items === undefined || items === null) return { is: 'done' };
  const wrong = (why: string) =>
    failed(true, 502, body, `batchItemFailures ${why}: the batch counts as failed`);
  if (!Array.isArray(items)) return wrong('is not a list');
  if (items.length === 0) return { is: 'done' };
  const named = new Set<string>();
  for (const item of items) {
    const id = (item as { itemIdentifier?: unknown } | null)?.itemIdentifier;
    if (typeof id !== 'string' || !ids.has(id)) return wrong('names what was not in the batch');
    named.add(id);
  }
  return { is: 'partial', failed: named };
}

function firstLine(body: Buffer): string {
  const text = body.toString('utf8', 0, Math.min(body.length, 400));
  const line = text
    .split('\n', 1)[0]!
    .replace(/[\x00-\x1f\x7f]/g, ' ')
    .trim();
  return line.length > 200 ? `${line.slice(0, 197)}…` : line;
}

/** What follows from a failure. */
export type Next = { wait: number } | { giveUp: string };

/**
 * The wait before the next attempt, ms, or why there is none. `failures`: failed attempts so far, this one included. The first retry of
 * the linear policy is immediate, since upstream counts from 0. `random`: uniform in [0, 1).
 */
export function next(terms: DeliveryTerms, failures: number, failure: Failure, random: number): Next {
  if (!failure.retryable) return { giveUp: `${failure.message}, which says that trying again is of no use` };
  if (failures > terms.retry)
    return {
      giveUp: `given up after ${failures} ${failures === 1 ? 'attempt' : 'attempts'}; ${failure.message}`,
    };
  const n = failures - 1;
  const { backoffDelayMs: delay } = terms;
  const plain = terms.backoffPolicy === 'linear' ? delay * n : delay * 2 ** Math.min(n, 60);
  const wait = Math.min(LONGEST_MS, Math.round(plain * (1 + terms.jitter * random)));
  if (terms.retryAfterMaxMs === 0 || failure.retryAfterMs === undefined) return { wait };
  return { wait: Math.max(wait, Math.min(failure.retryAfterMs, terms.retryAfterMaxMs)) };
}

/** The event as a dead letter sink gets it: as it was, and why it could not be delivered to `destination`. */
export function withError(
  event: CloudEvent,
  destination: string,
  failure: { status?: number; body?: Buffer },
): CloudEvent {
  return withAttributes(event, {
    knativeerrordest: destination,
    // Upstream has the same for what was never answered.
    knativeerrorcode: failure.status ?? 500,
    knativeerrordata: errorData(failure.body),
  });
}

/** Base64 of the beginning of a body. An empty one is left out: no attribute may be empty. */
function errorData(body: Buffer | undefined): string | undefined {
  if (body === undefined || body.length === 0) return undefined;
  return body.toString('base64', 0, Math.min(body.length, (ERROR_DATA_CHARS / 4) * 3));
}

/** Bytes of an answer that are kept with a delivery that waits: what `errorData` can need. */
export const KEPT_BODY = (ERROR_DATA_CHARS / 4) * 3;
