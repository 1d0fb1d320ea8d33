/** What ingress answers: made once where it is always the same. */
import type { ErrorCode } from '../../base/errors.ts';
import { MAX_FRAME } from '../../base/mux/frames.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import { toHttp } from '../../cloudevents/http.ts';
import { snakeCase } from '../delivery/acceptor.ts';
import type { Accepted } from '../delivery/contract.ts';
import type { SourceAnswer } from '../sources/contract.ts';
import { type Answer, answer } from './mux-server.ts';

/** Why an event was not taken. */
export interface Refusal {
  status: number;
  code: ErrorCode;
  /** For programs: lower case with underscores. */
  reason: string;
  message: string;
  fix?: string;
  /** The attribute at fault. */
  attribute?: string;
  retryAfterMs?: number;
}

/** Everything was taken and is on disk. */
export const ACCEPTED: Answer = answer(202, '');

/** Taken; what became of it is told there. */
export const seeAt = (location: string): Answer => answer(202, `location: ${location}\r\n`);

/** Data of an event that is an answer, bytes: its attributes fit into the frame beside it. */
const MAX_REPLY = MAX_FRAME - 256 * 1024;

const ALLOW = 'allow: POST, OPTIONS\r\n';

/** Abuse protection of webhooks: anybody may send as much as they like, as upstream's ingress says. */
export const OPTIONS: Answer = answer(
  200,
  `${ALLOW}webhook-allowed-origin: *\r\nwebhook-allowed-rate: *\r\n`,
);

/** A refusal as JSON. */
export function refuse(why: Refusal, lines = ''): Answer {
  const { status, code, reason, message, fix, attribute, retryAfterMs } = why;
  const body = { component: 'events', reason, code, message, fix, attribute };
  const retry =
    retryAfterMs === undefined ? '' : `retry-after: ${Math.max(1, Math.ceil(retryAfterMs / 1000))}\r\n`;
  return answer(status, `content-type: application/json\r\n${retry}${lines}`, `${JSON.stringify(body)}\n`);
}

export const NOT_POST: Answer = refuse(
  {
    status: 405,
    code: 'InvalidArgument',
    reason: 'method_not_allowed',
    message: 'events are brought with POST',
  },
  ALLOW,
);

/** More is waiting to be written than there may be. */
export const BUSY: Answer = refuse({
  status: 503,
  code: 'NotReady',
  reason: 'overloaded',
  message: 'more events wait to be written than fit into memory',
  fix: 'Send the event again after a moment.',
  retryAfterMs: 1000,
});

export const STARTING: Answer = refuse({
  status: 503,
  code: 'NotReady',
  reason: 'starting',
  message: 'it is not known yet where this event belongs: the engine has just started',
  fix: 'Send the event again after a moment.',
  retryAfterMs: 1000,
});

/** Status → code, for what has none of its own. */
const CODES: Record<number, ErrorCode> = {
  404: 'NotFound',
  429: 'NotReady',
  503: 'NotReady',
  504: 'Timeout',
  507: 'DiskFull',
};

/** What an acceptor said no with. */
export function refuseAccepted(no: Extract<Accepted, { accepted: false }>): Answer {
  const { status, reason, message, retryAfterMs } = no;
  const code = CODES[status] ?? (status < 500 ? 'InvalidArgument' : 'Internal');
  return refuse({
    status,
    code,
    reason: snakeCase(reason),
    message,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** An event as the answer. One that no answer can carry, because it is larger than a frame, is refused. */
export function replyAnswer(event: CloudEvent): Answer {
  const { headers, body } = toHttp(event);
  if (body !== undefined && body.length > MAX_REPLY)
    return refuse({
      status: 500,
      code: 'Internal',
      reason: 'reply_too_large',
      message: 'the answer is too large',
    });
  let block = '';
  for (let at = 0; at < headers.length; at += 2) block += `${headers[at]}: ${headers[at + 1]}\r\n`;
  return answer(200, block, body);
}

const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** What a source answers a request of its own with. Header values that no header can carry are left out. */
export function sourceAnswer({ status, headers = {}, body = '' }: SourceAnswer): Answer {
  let block = '';
  for (const [name, value] of Object.entries(headers))
    if (FIELD_NAME.test(name) && /^[\t\x20-\x7e]*$/.test(value))
      block += `${name.toLowerCase()}: ${value}\r\n`;
  return answer(status, block, body);
}
