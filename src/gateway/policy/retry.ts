/** Whether an attempt that failed may be made again. Pure: what is known of the request and of the failure decides. */
import type { RoutePolicy } from '../contract.ts';

export type RetrySettings = NonNullable<RoutePolicy['retries']>;

/** How an attempt failed after the request was sent. Before that, it is sent elsewhere without being asked. */
export interface AttemptFailure {
  /** Status that the client would get. */
  status: number;
  /** `FailureReason` when the gateway says it, `''` when it is the instance's own answer. */
  reason: string;
}

/** What makes repeating safe or not. */
export interface Repeatability {
  method: string;
  /** Whether `Idempotency-Key` was sent. */
  keyed: boolean;
  /** Any byte of a body may have reached the instance. */
  bodyPassed: boolean;
  /** The connection is to become another protocol's. */
  upgrade: boolean;
}

/** RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
/** The connection or the stream ended without an answer. */
const RESET = new Set(['upstream_reset', 'instance_crashed', 'draining']);
/** The gateway's own failures that speak of this attempt; others (limits, time-outs, removal) would come again. */
const OF_ATTEMPT = new Set([...RESET, 'upstream_protocol', 'function_error', 'overloaded', 'try_timeout']);

/** Whether `on` names this kind of failure. A try that took too long counts as 504. */
export function retriable({ status, reason }: AttemptFailure, on: RetrySettings['on']): boolean {
  if (reason !== '' && !OF_ATTEMPT.has(reason)) return false;
  return on.some((kind) => {
    if (kind === 'reset') return RESET.has(reason);
    if (kind === '5xx') return status >= 500;
    return kind === String(status);
  });
}

/** Whether sending it again cannot do harm. */
export function repeatable({ method, keyed, bodyPassed, upgrade }: Repeatability): boolean {
  return !bodyPassed && !upgrade && (keyed || IDEMPOTENT.has(method));
}

/** Before the same endpoints are asked again, milliseconds; doubles with each attempt. */
const PAUSE_MS = 25;
const MAX_PAUSE_MS = 250;

/** How long to wait before attempt `attempt` (1 is the first retry) when no other endpoint is left; `random` below 1. */
export function pauseMs(attempt: number, random: number): number {
  return Math.min(MAX_PAUSE_MS, PAUSE_MS * 2 ** (attempt - 1)) * (0.5 + random / 2);
}
