/** Answers of the platform's own HTTP servers to clients of functions: JSON, and failures in the gateway's form. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { messageOf, PetrelError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { ownBytes } from '../../durable/bytes.ts';

/** A request that is refused: the closed list of reasons that these servers add to the gateway's. */
const REASONS = {
  bad_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  precondition_failed: 412,
  body_too_large: 413,
  range_not_satisfiable: 416,
  queue_full: 429,
  internal: 500,
  not_ready: 503,
  disk_full: 507,
  loop: 508,
} as const;
export type Reason = keyof typeof REASONS;

export class Refusal extends Error {
  readonly reason: Reason;
  readonly headers: Record<string, string>;

  constructor(reason: Reason, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.reason = reason;
    this.headers = headers;
  }
}

/** Answers with one JSON value. */
export function answerJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': body.length,
    ...headers,
  });
  response.end(body);
}

function refusalOf(error: unknown, log: Logger): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof PetrelError && error.code === 'DiskFull')
    return new Refusal('disk_full', `${error.message}; nothing of the request was kept`);
  if (error instanceof PetrelError && error.code === 'NotReady')
    return new Refusal('not_ready', error.message, { 'retry-after': '1' });
  log.error('a request could not be worked on', { error: String((error as Error)?.stack ?? error) });
  return new Refusal('internal', `the platform failed: ${messageOf(error)}`);
}

/** Ends a request that failed, reading what is left of its body so that its sender reads the answer. */
export function answerFailure(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  log: Logger,
): void {
  if (request.destroyed && !request.complete) return void response.destroy();
  const { reason, message, headers } = refusalOf(error, log);
  if (response.headersSent) return void response.destroy();
  const requestId = String(request.headers['x-request-id'] ?? '');
  const component = REASONS[reason] < 500 ? 'client' : 'platform';
  answerJson(response, REASONS[reason], { component, reason, requestId, message }, headers);
  request.resume();
}

/** Reads a body of at most `limit` bytes; `grown` hears of every part as it comes and may throw. */
export async function readBody(
  request: IncomingMessage,
  limit: number,
  grown: (bytes: number) => void = () => {},
): Promise<Buffer> {
  const tooLarge = () => new Refusal('body_too_large', `the body has more than ${limit} bytes`);
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge();
  const parts: Buffer[] = [];
  let length = 0;
  // Not an iteration: leaving one destroys the request, and the answer with it.
  const done = Promise.withResolvers<void>();
  const failed = (error: unknown) => {
    request.off('data', take);
    done.reject(error);
  };
  const take = (part: Buffer) => {
    length += part.length;
    if (length > limit) return failed(tooLarge());
    try {
      grown(part.length);
    } catch (error) {
      return failed(error);
    }
    parts.push(part);
  };
  request.on('data', take);
  request.once('end', done.resolve);
  request.once('error', failed);
  request.once('close', () => {
    if (!request.complete) failed(new Refusal('bad_request', 'the request ended before its body'));
  });
  await done.promise;
  const all = ownBytes(parts);
  return Buffer.from(all.buffer, 0, all.length);
}
