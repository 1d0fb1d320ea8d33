/** Failures as AWS's SDKs read them: refusals of the service, and what became of a function that gave no result. Pure. */
import type { IncomingMessage } from 'node:http';

/** A refusal. Source of names and statuses: the errors of the Invoke operation in the AWS Lambda API reference. */
export class LambdaFailure extends Error {
  readonly status: number;
  readonly type: string;
  /** `Reason` of a TooManyRequestsException. */
  readonly reason: string | undefined;
  constructor(status: number, type: string, message: string, reason?: string) {
    super(message);
    this.status = status;
    this.type = type;
    this.reason = reason;
  }
}

/** What a function that failed answers: status 200, with a header that says so and this as payload. */
export interface FunctionFailure {
  errorType: string;
  errorMessage: string;
}

/** What the gateway says when no instance has answered. */
export interface GatewayFailure {
  reason: string;
  message: string;
}

const refuse =
  (status: number, type: string, reason?: string) =>
  ({ message }: GatewayFailure): LambdaFailure =>
    new LambdaFailure(status, type, message, reason);
const busy = refuse(429, 'TooManyRequestsException', 'ConcurrentInvocationLimitExceeded');
const denied = refuse(403, 'AccessDeniedException');
type Failed = { id: string; seconds: number };
const ended = ({ message }: GatewayFailure, { id }: Failed): FunctionFailure => ({
  errorType: 'Runtime.ExitError',
  errorMessage: `RequestId: ${id} Error: Runtime exited without providing a reason (${message})`,
});
const tooLate = (_: GatewayFailure, { id, seconds }: Failed): FunctionFailure => ({
  errorType: 'Sandbox.Timedout',
  errorMessage: `RequestId: ${id} Error: Task timed out after ${seconds.toFixed(2)} seconds`,
});

/** By the gateway's reason; others are failures of the service. */
const MEANING = new Map<string, (failure: GatewayFailure, how: Failed) => LambdaFailure | FunctionFailure>(
  Object.entries({
    unauthenticated: denied,
    forbidden: denied,
    cors_refused: denied,
    no_route: refuse(404, 'ResourceNotFoundException'),
    body_too_large: refuse(413, 'RequestTooLargeException'),
    loop_detected: refuse(400, 'RecursiveInvocationException'),
    loop: refuse(400, 'RecursiveInvocationException'),
    rate_limited: refuse(429, 'TooManyRequestsException', 'CallerRateLimitExceeded'),
    queue_full: busy,
    overloaded: busy,
    circuit_open: busy,
    too_many_in_flight: busy,
    timeout: tooLate,
    response_start_timeout: tooLate,
    try_timeout: tooLate,
    idle_timeout: tooLate,
    instance_crashed: ended,
    upstream_reset: ended,
    load_error: ({ message }) => ({ errorType: 'Runtime.InitError', errorMessage: message }),
    function_error: ({ message }) => ({ errorType: 'Error', errorMessage: message }),
  }),
);

export function meaningOf(failure: GatewayFailure, how: Failed): LambdaFailure | FunctionFailure {
  return (MEANING.get(failure.reason) ?? refuse(500, 'ServiceException'))(failure, how);
}

/** A failure of the gateway's own is short. */
const MAX_BODY = 64 * 1024;

/** What the gateway says of a failure; undefined when the answer is somebody else's. Beyond so many bytes it is no failure. */
export function readFailure(body: Buffer): GatewayFailure | undefined {
  if (body.length > MAX_BODY) return undefined;
  try {
    const { component, reason, message, requestId } = JSON.parse(body.toString());
    const texts = [component, reason, message, requestId].every((value) => typeof value === 'string');
    return texts ? { reason, message } : undefined;
  } catch {
    return undefined;
  }
}

/** The whole answer. Throws `LambdaFailure` when it is longer than `limit`. */
export async function bodyOf(answer: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit)
      throw new LambdaFailure(413, 'RequestTooLargeException', `The answer is longer than ${limit} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
