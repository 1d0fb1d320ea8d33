/** What a destination is told of an outcome. Pure. */
import { CALLBACK_FIELD, type Callback } from '../../base/callback.ts';
import { timestamp } from '../../base/clock.ts';
import { ownText } from '../../durable/bytes.ts';
import type { FunctionInvocation } from '../../kinds/function.ts';
import { bodyAsJson } from './body.ts';
import { callbackRequest } from './callbacks.ts';
import { headerOf, MAX_DEPTH, type Tried } from './policy.ts';
import type { HeaderLine, InvocationRow, NewInvocation, StoredRequest } from './types.ts';

/** Body bytes of the request that an envelope carries; a longer one is left out, and said to be. */
const ENVELOPE_BODY_LIMIT = 256 * 1024;

export interface Outcome {
  row: InvocationRow;
  state: 'succeeded' | 'failed' | 'dead';
  reason: string | null;
  request: StoredRequest;
  tried: Tried;
  now: number;
}

/** The JSON document that destinations get. */
export function envelope({ row, state, reason, request, tried, now }: Outcome): Uint8Array {
  const [namespace, name] = row.target.split('/');
  const { result } = tried;
  return ownText(
    JSON.stringify({
      version: 1,
      id: row.id,
      namespace,
      function: name,
      state,
      ...(reason === null ? {} : { reason }),
      attempts: row.failures + 1,
      acceptedAt: timestamp(row.acceptedAt),
      finishedAt: timestamp(now),
      request: {
        method: request.method,
        path: request.path,
        ...(request.body.length > ENVELOPE_BODY_LIMIT
          ? { truncated: true, bytes: request.body.length }
          : bodyAsJson(request.body)),
      },
      ...(result === undefined
        ? {}
        : {
            response: {
              status: result.status,
              headers: Object.fromEntries(result.headers),
              ...bodyAsJson(result.body),
              ...(result.truncated ? { truncated: true } : {}),
            },
          }),
    }),
  );
}

/**
 * The invocations that follow from an outcome: its destination, and whom its caller wants to be told. What was told to an address has no destination of its own; a chain that
 * is too long ends, and `onLoop` is told.
 */
export function follow(
  spec: FunctionInvocation | undefined,
  outcome: Outcome,
  make: {
    id: () => string;
    onLoop: (target: string) => void;
    /** Reads the field of a request that names a callback. */
    callback: (target: string, field: string) => Callback | undefined;
  },
): NewInvocation[] {
  const { row, state, now, request } = outcome;
  if (row.url !== null) return [];
  const destination = state === 'succeeded' ? spec?.onSuccess : spec?.onFailure;
  const field = headerOf(request.headers, CALLBACK_FIELD);
  const callback = field === undefined ? undefined : make.callback(row.target, field);
  if (destination === undefined && callback === undefined) return [];
  const depth = row.depth + 1;
  if (depth > MAX_DEPTH) {
    make.onLoop(row.target);
    return [];
  }
  const next = (target: string, url: string | null, told: StoredRequest): NewInvocation => ({
    id: make.id(),
    target,
    url,
    acceptedAt: now,
    due: now,
    depth,
    request: told,
  });
  const all: NewInvocation[] = [];
  if (destination !== undefined) {
    const { function: name, url } = destination;
    const target = name === undefined ? row.target : `${row.target.split('/')[0]}/${name}`;
    const headers: HeaderLine[] = [
      ['content-type', 'application/json'],
      ['x-petrel-source-invocation', row.id],
    ];
    all.push(
      next(target, name === undefined ? (url ?? null) : null, {
        method: 'POST',
        path: '/',
        headers,
        body: envelope(outcome),
      }),
    );
  }
  if (callback !== undefined) all.push(next(row.target, callback.url, callbackRequest(callback, outcome)));
  return all;
}
