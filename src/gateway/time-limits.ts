/**
 * The time limits of a request (Knative's runtime contract): the whole, until the answer begins, and without a byte.
 * What lives long by its nature (an upgraded connection, an event stream, gRPC) is judged by activity instead: all its
 * limits count from the last byte either way, and the limit of the whole then stands for a missing idle limit.
 */
import { type Exchange, STATE } from './exchange.ts';
import { type Failure, failure } from './failures.ts';

/** When the first limit of an exchange is due if no further byte passes, on the clock of `performance.now()`. */
export function due(x: Exchange, activeAt: number): number {
  const { timeoutMs, responseStartTimeoutMs, idleTimeoutMs } = x.times;
  const from = x.byActivity ? activeAt : x.startedAt;
  let at = from + timeoutMs;
  if (responseStartTimeoutMs && !x.begun) at = Math.min(at, from + responseStartTimeoutMs);
  if (idleTimeoutMs) at = Math.min(at, activeAt + idleTimeoutMs);
  return at;
}

/** The failure of an exchange whose limit is due. */
export function overdue(x: Exchange, activeAt: number): Failure {
  const { timeoutMs, responseStartTimeoutMs, idleTimeoutMs } = x.times;
  const queued = x.state === STATE.queued ? ' (it was still waiting for an instance)' : '';
  const at = due(x, activeAt);
  if (idleTimeoutMs && at === activeAt + idleTimeoutMs) {
    return failure('idle_timeout', `request timeout: no bytes for ${idleTimeoutMs} ms${queued}`);
  }
  const from = x.byActivity ? activeAt : x.startedAt;
  if (responseStartTimeoutMs && !x.begun && at === from + responseStartTimeoutMs) {
    const message = `request timeout: no answer began within ${responseStartTimeoutMs} ms${queued}`;
    return failure('response_start_timeout', message);
  }
  if (x.byActivity && x.begun)
    return failure('idle_timeout', `request timeout: no bytes for ${timeoutMs} ms`);
  return failure('timeout', `request timeout: no complete answer within ${timeoutMs} ms${queued}`);
}
