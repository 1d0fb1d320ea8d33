/** What a callback is told: the answer itself, with what became of the request in fields. Source: openfaas/nats-queue-worker, `postResult`. */
import { CALLBACK_FIELD, type Callback } from '../../base/callback.ts';
import type { Outcome } from './destinations.ts';
import { headerOf } from './policy.ts';
import type { HeaderLine, StoredRequest } from './types.ts';

/** Fields of the answer that are about its connection or length, or would be read as ours. */
const NOT_TOLD =
  /^(connection|keep-alive|proxy-connection|transfer-encoding|content-length|trailer|upgrade|te|date|host|x-petrel-.*|x-duration-seconds|x-function-(status|name)|x-call-id)$/i;
/** Status of a function that gave no answer. */
const NO_ANSWER = 503;

export function callbackRequest({ url, name }: Callback, { request, tried, row }: Outcome): StoredRequest {
  const { attempt, result } = tried;
  const callId = headerOf(request.headers, 'x-call-id');
  const headers: HeaderLine[] = [
    ...(result?.headers ?? []).filter(([field]) => !NOT_TOLD.test(field)),
    ['X-Duration-Seconds', (attempt.ms / 1000).toFixed(6)],
    ['X-Function-Status', String(attempt.status ?? NO_ANSWER)],
    ['X-Function-Name', name],
    ...(callId === undefined ? [] : [['X-Call-Id', callId] satisfies HeaderLine]),
    ...(result?.truncated ? [['X-Petrel-Truncated', 'true'] satisfies HeaderLine] : []),
    ['X-Petrel-Source-Invocation', row.id],
    // Says to the delivery that a stranger has named the address.
    [CALLBACK_FIELD, url],
  ];
  return { method: 'POST', path: '/', headers, body: result?.body ?? new Uint8Array() };
}
