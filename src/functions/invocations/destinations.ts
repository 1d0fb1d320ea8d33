/** What a destination is told of an outcome. Pure. */
import { timestamp } from '../../base/clock.ts';
import { ownText } from '../../durable/bytes.ts';
import type { FunctionInvocation } from '../../kinds/function.ts';
import { bodyAsJson } from './body.ts';
import { MAX_DEPTH, type Tried } from './policy.ts';
import type { InvocationRow, NewInvocation, StoredRequest } from './types.ts';

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
 * The invocations that follow from an outcome, at most one. What was told to an address has no destination of its own; a chain that
 * is too long ends, and `onLoop` is told.
 */
export function follow(
  spec: FunctionInvocation | undefined,
  outcome: Outcome,
  make: { id: () => string; onLoop: (target: string) => void },
): NewInvocation[] {
  const { row, state, now } = outcome;
  const destination = state === 'succeeded' ? spec?.onSuccess : spec?.onFailure;
  if (row.url !== null || destination === undefined) return [];
  const depth = row.depth + 1;
  if (depth > MAX_DEPTH) {
    make.onLoop(row.target);
    return [];
  }
  const namespace = row.target.split('/')[0];
  const { function: name, url } = destination;
  return [
    {
      id: make.id(),
      target: name === undefined ? row.target : `${namespace}/${name}`,
      url: name === undefined ? (url ?? null) : null,
      acceptedAt: now,
      due: now,
      depth,
      request: {
        method: 'POST',
        path: '/',
        headers: [
          ['content-type', 'application/json'],
          ['x-petrel-source-invocation', row.id],
        ],
        body: envelope(outcome),
      },
    },
  ];
}
