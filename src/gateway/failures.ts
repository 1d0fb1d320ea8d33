/**
 * How a request ends when no instance answered it. One closed list of reasons, each with its status, so that a
 * client, a log and an alert can tell them apart.
 */

/** The closed list: reason → HTTP status. */
export const FAILURES = {
  bad_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  cors_refused: 403,
  no_route: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  body_too_large: 413,
  uri_too_long: 414,
  expectation_failed: 417,
  rate_limited: 429,
  head_too_large: 431,
  async_unavailable: 501,
  version_not_supported: 505,
  loop_detected: 508,
  not_ready: 503,
  queue_full: 503,
  draining: 503,
  overloaded: 503,
  circuit_open: 503,
  too_many_in_flight: 503,
  timeout: 504,
  response_start_timeout: 504,
  try_timeout: 504,
  idle_timeout: 504,
  upstream_connect: 502,
  upstream_reset: 502,
  upstream_protocol: 502,
  instance_crashed: 502,
  function_error: 500,
  load_error: 500,
} as const;

export type FailureReason = keyof typeof FAILURES;

/** A failure as the client sees it. `reason` may also come from a `RevisionFailure` and is then passed on. */
export interface Failure {
  status: number;
  /** Whose fault it is: `client`, `gateway`, `function`, `platform` or what a `RevisionFailure` names. */
  component: string;
  reason: string;
  message: string;
  /** The connection cannot carry another request: its framing is in doubt. */
  close: boolean;
  /** Seconds for Retry-After; 0 sends none. */
  retryAfter: number;
  /** Further header lines of the answer. */
  lines?: string;
}

/** A failure of the closed list. */
export function failure(
  reason: FailureReason,
  message: string,
  component = 'gateway',
  close = false,
): Failure {
  const status = FAILURES[reason];
  return { status, component, reason, message, close, retryAfter: status === 503 ? 1 : 0 };
}

/**
 * What an answer whose length nobody was told ends with when time runs out in the middle of it. Ending it there, for the client to
 * read why, is what Knative's own proxy does (`pkg/http/handler/timeout.go`), and its conformance suite asks for.
 */
export const OUT_OF_TIME = 'request timeout';

/** Whether a time limit of the request, and no fault of the instance's connection, ended it. */
export function ranOutOfTime({ reason }: Failure): boolean {
  return reason === 'timeout' || reason === 'idle_timeout';
}

/** The request itself is refused; its connection is not trusted any further. */
export function refusal(reason: FailureReason, message: string): Failure {
  return failure(reason, message, 'client', true);
}

/** `Allow` of the gateway's own refusal of a method. */
const ALLOW_KNOWN = 'allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n';

/** The method is none that is served here. */
export function methodRefusal(method: string): Failure {
  return { ...refusal('method_not_allowed', `${method} is not served here`), lines: ALLOW_KNOWN };
}

/** An answer of the gateway itself that is no failure. */
export function ownAnswer(status: 200 | 204, lines = ''): Failure {
  return { status, component: 'gateway', reason: 'ok', message: '', close: false, retryAfter: 0, lines };
}

/** The JSON body of a failure. */
export function failureBody(f: Failure, requestId: string): Buffer {
  const body = { component: f.component, reason: f.reason, requestId, message: f.message };
  return Buffer.from(`${JSON.stringify(body)}\n`);
}
