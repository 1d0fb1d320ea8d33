/** One attempt: a request to the function through the gateway, or to a destination's address. */
import type { Agent as HttpAgent, IncomingMessage, RequestOptions } from 'node:http';
import { CALLBACK_FIELD } from '../../base/callback.ts';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { Agent, request as httpRequest } from '../../base/http.ts';
import type { OutsidePolicy } from '../../base/outside.ts';
import { ownBytes } from '../../durable/bytes.ts';
import { EVENT_FIELD } from '../services/contract.ts';
import { headerOf, type Tried } from './policy.ts';
import type { HeaderLine, InvocationRow, StoredRequest, StoredResult } from './types.ts';

/** Body bytes of an answer that are kept. */
const RESULT_LIMIT = 256 * 1024;
/** An attempt that takes longer has lost its connection without knowing, ms; the gateway ends a function's request long before. */
const ATTEMPT_LIMIT_MS = 15 * 60_000;
/** For a destination outside, ms. */
const URL_LIMIT_MS = 30_000;
/** Idle connections to the gateway are closed after this time, ms. */
const KEEP_ALIVE_MS = 2000;

/** How a handler's failure is told where its event is Lambda's own, with status 200. */
const EVENT_FAILED = 'x-amz-function-error';

const WITHOUT_BODY = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS']);

/** Where a function answers: the gateway's address and what it wants to see. */
export interface FunctionAddress {
  host: string;
  port: number;
  /** Host header; absent: the address. */
  name?: string;
  /** Before the request's own path. */
  prefix: string;
}

export interface Delivery {
  /**
   * Resolves with how the attempt ended, `'postponed'` when the gateway itself was not there, which is no attempt; rejects only
   * when `signal` aborts.
   */
  attempt(row: InvocationRow, request: StoredRequest, signal: AbortSignal): Promise<Tried | 'postponed'>;
  close(): void;
}

export function createDelivery(options: {
  clock: Clock;
  /** `event`: the value of `EVENT_FIELD`, when the request came with it. */
  address(target: string, event?: string): FunctionAddress;
  /** Where requests go whose address a stranger has named. */
  outside: OutsidePolicy;
}): Delivery {
  const { clock } = options;
  const agent: HttpAgent = new Agent({ keepAlive: true, timeout: KEEP_ALIVE_MS, maxSockets: Infinity });

  const own = ({ id, failures, depth }: InvocationRow): HeaderLine[] => [
    ['x-petrel-invocation-id', id],
    ['x-petrel-invocation-attempt', String(failures + 1)],
    ['x-petrel-invocation-depth', String(depth)],
  ];

  const target = async (row: InvocationRow, { path, headers }: StoredRequest) => {
    if (row.url === null) {
      const { host, port, name, prefix } = options.address(row.target, headerOf(headers, EVENT_FIELD));
      const where: RequestOptions = { host, port, path: prefix + path, agent };
      return { where, send: httpRequest, host: name ?? `${host}:${port}`, limitMs: ATTEMPT_LIMIT_MS };
    }
    const url = new URL(row.url);
    const { protocol, hostname, port, pathname, search } = url;
    const where: RequestOptions = { protocol, hostname, port, path: pathname + search, agent: false };
    if (headerOf(headers, CALLBACK_FIELD) !== undefined) {
      const problem = options.outside.problem(url);
      if (problem !== undefined) throw new Error(problem);
      const lookup = options.outside.lookup(url);
      if (lookup) where.lookup = lookup;
    }
    const send = protocol === 'https:' ? (await import('node:https')).request : httpRequest;
    if (url.username !== '')
      where.auth = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    return { where, send, host: url.host, limitMs: URL_LIMIT_MS };
  };

  const exchange = async (
    row: InvocationRow,
    request: StoredRequest,
    signal: AbortSignal,
  ): Promise<StoredResult> => {
    const { where, send, host, limitMs } = await target(row, request);
    signal.throwIfAborted();
    // Of its own: a timer that outlives its attempt by a quarter of an hour would be one of millions.
    const end = new AbortController();
    const limit = clock.after(limitMs, () => end.abort(new Error(`no answer within ${limitMs / 1000} s`)));
    const cancel = () => end.abort(signal.reason);
    signal.addEventListener('abort', cancel);
    try {
      const answered = Promise.withResolvers<IncomingMessage>();
      const outgoing = send(
        { ...where, method: request.method, setHost: false, signal: end.signal },
        answered.resolve,
      );
      outgoing.on('error', answered.reject);
      outgoing.setHeader('host', host);
      for (const [name, value] of [...request.headers, ...own(row)])
        if (name.toLowerCase() !== CALLBACK_FIELD) outgoing.appendHeader(name, value);
      if (request.body.length > 0 || !WITHOUT_BODY.has(request.method))
        outgoing.setHeader('content-length', request.body.length);
      outgoing.end(request.body);
      return await keep(await answered.promise);
    } catch (error) {
      end.abort(); // whatever failed, nothing of it stays open
      throw error;
    } finally {
      limit.cancel();
      signal.removeEventListener('abort', cancel);
    }
  };

  return {
    async attempt(row, request, signal) {
      const at = clock.now();
      const since = clock.monotonic();
      const took = () => Math.round(clock.monotonic() - since);
      try {
        const result = await exchange(row, request, signal);
        const failed = headerOf(request.headers, EVENT_FIELD) && headerOf(result.headers, EVENT_FAILED);
        const error = failed ? { error: `the function failed (${failed})` } : {};
        return { attempt: { at, ms: took(), status: result.status, ...error }, result };
      } catch (error) {
        signal.throwIfAborted();
        if (row.url === null && (error as NodeJS.ErrnoException).code === 'ECONNREFUSED') return 'postponed';
        return { attempt: { at, ms: took(), error: whyNot(error) } };
      }
    },
    close: () => agent.destroy(),
  };
}

/** Why there was no answer; of several addresses that refused, the error has no words but a code. */
function whyNot(error: unknown): string {
  const { cause, code } = error as { cause?: unknown; code?: string };
  return messageOf(cause ?? error) || (code ?? 'unknown');
}

/** Reads an answer to its end and keeps what may be kept. */
async function keep(response: IncomingMessage): Promise<StoredResult> {
  const parts: Buffer[] = [];
  let length = 0;
  let truncated = false;
  for await (const part of response as AsyncIterable<Buffer>) {
    const room = RESULT_LIMIT - length;
    if (part.length > room) truncated = true;
    if (room <= 0) continue;
    parts.push(part.subarray(0, room));
    length += Math.min(part.length, room);
  }
  const headers: HeaderLine[] = [];
  for (let i = 0; i + 1 < response.rawHeaders.length; i += 2)
    headers.push([(response.rawHeaders[i] ?? '').toLowerCase(), response.rawHeaders[i + 1] ?? '']);
  return { status: response.statusCode ?? 0, headers, body: ownBytes(parts), truncated };
}
