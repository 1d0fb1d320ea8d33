/** One exchange: events as a request, to an address of ours without one. */
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { type CloudEvent, InvalidEvent } from '../../cloudevents/event.ts';
import { type HttpMessage, toHttp, toHttpBatch } from '../../cloudevents/http.ts';
import { localAddress } from '../addresses.ts';
import type { EngineOptions, Target } from '../model.ts';
import type { Client, Result } from './client.ts';
import type { Address } from './connection.ts';
import type { Accepted, Acceptor, Outcome, Sender } from './contract.ts';

/** Longest attempt where the terms name none, ms. */
const LONGEST_MS = 600_000;
/** Names that the gateway answers: routes of Serving and of functions. */
const CLUSTER_LOCAL = /\.svc(?:\.cluster\.local)?$/;
const NOTHING = Buffer.alloc(0);

/** How a target is reached; worked out once for each. */
interface Plan {
  local?: string;
  /** Request line and host. */
  start: string;
  addresses: Address[];
  gateway: boolean;
  /** Why it cannot be reached at all. */
  problem?: string;
}

export interface SenderOptions {
  client: Client;
  acceptor: Acceptor;
  /** Whether an address of ours is answered in this process. */
  answers(key: string): boolean;
  options: Pick<EngineOptions, 'base' | 'gateway'>;
  clock: Clock;
}

export function createSender({ client, acceptor, answers, options, clock }: SenderOptions): Sender {
  const plans = new WeakMap<Target, Plan>();

  const planOf = (target: Target): Plan => {
    const known = plans.get(target);
    if (known !== undefined) return known;
    const plan = makePlan(target, options);
    plans.set(target, plan);
    return plan;
  };

  const outcomeOf = (result: Result, plan: Plan, began: number): Outcome => {
    const ms = clock.monotonic() - began;
    if ('answer' in result) return { ...result.answer, ms };
    const outcome: Outcome = { headers: [], body: NOTHING, truncated: false, error: result.message, ms };
    if (plan.gateway && result.failure === 'connect') outcome.unreachable = true;
    return outcome;
  };

  return {
    async send(target, events, { timeoutMs, format, wantsReply, headers, signal, toBroker }) {
      const began = clock.monotonic();
      const plan = planOf(target);
      if (plan.local !== undefined && answers(plan.local)) {
        const passed = plan.local.startsWith('broker/') ? (toBroker?.() ?? events) : events;
        return toOurs(acceptor, plan.local, passed, () => clock.monotonic() - began);
      }
      const none = (error: string): Outcome => ({
        headers: [],
        body: NOTHING,
        truncated: false,
        error,
        ms: 0,
      });
      if (plan.problem !== undefined) return none(plan.problem);
      let message: HttpMessage;
      try {
        message =
          events.length === 1 && format !== undefined
            ? toHttp(events[0]!, format === 'json' ? 'structured' : 'binary')
            : events.length === 1
              ? toHttp(events[0]!)
              : toHttpBatch(events);
      } catch (error) {
        if (!(error instanceof InvalidEvent)) throw error;
        return { ...none(error.message), status: 400, body: Buffer.from(messageOf(error)) };
      }
      const head = plan.start + fields(message.headers, events, wantsReply, headers);
      const most = timeoutMs > 0 ? Math.min(timeoutMs, LONGEST_MS) : LONGEST_MS;
      return outcomeOf(
        await client.send(plan.addresses, { head, body: message.body }, most, signal),
        plan,
        began,
      );
    },
    async close() {
      client.close();
    },
  };
}

/** The lines of the head. Values of events are safe by their encoding; those of traces are checked here. */
function fields(
  lines: readonly string[],
  events: readonly CloudEvent[],
  wantsReply: boolean,
  more: readonly string[] | undefined,
): string {
  let head = wantsReply ? 'prefer: reply\r\n' : '';
  for (let i = 0; i + 1 < lines.length; i += 2) head += `${lines[i]}: ${lines[i + 1]}\r\n`;
  const [event] = events;
  if (events.length === 1 && event !== undefined) {
    // The distributed tracing extension: the trace goes on with the delivery.
    const { traceparent, tracestate } = event.extensions;
    if (typeof traceparent === 'string' && TRACEPARENT.test(traceparent)) {
      head += `traceparent: ${traceparent}\r\n`;
      if (typeof tracestate === 'string' && PRINTABLE.test(tracestate))
        head += `tracestate: ${tracestate}\r\n`;
    }
  }
  if (more !== undefined)
    for (let i = 0; i + 1 < more.length; i += 2)
      if (PRINTABLE.test(more[i + 1]!)) head += `${more[i]}: ${more[i + 1]}\r\n`;
  return head;
}

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x21-\x7e]{0,100})?$/;
const PRINTABLE = /^[\x20-\x7e]+$/;

/** How a target is reached. */
function makePlan(target: Target, options: Pick<EngineOptions, 'base' | 'gateway'>): Plan {
  const unusable = (problem: string): Plan => ({ start: '', addresses: [], gateway: false, problem });
  let url: URL;
  let authorization = '';
  try {
    url = new URL(target.url);
    if (url.username !== '') {
      const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
      authorization = `authorization: Basic ${Buffer.from(pair).toString('base64')}\r\n`;
    }
  } catch {
    return unusable('its address is not a URL');
  }
  const secure = url.protocol === 'https:';
  if (!secure && url.protocol !== 'http:') return unusable('its address is neither http nor https');
  const local = localAddress(target.url, options.base);
  const start = `POST ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\nuser-agent: petrel\r\n${authorization}`;
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const tls = secure ? { servername: host, ...(target.caCerts ? { ca: target.caCerts } : {}) } : undefined;
  if (target.endpoints !== undefined) {
    const addresses = target.endpoints.map((one) => ({ ...one, tls }));
    return addresses.length === 0
      ? { ...unusable('nobody is behind its address now (no ready endpoints)'), local }
      : { local, start, addresses, gateway: false };
  }
  if (!secure && (target.route !== undefined || CLUSTER_LOCAL.test(host) || local !== undefined))
    return { local, start, addresses: [{ ...options.gateway }], gateway: true };
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  return { local, start, addresses: [{ host, port, tls }], gateway: false };
}

/** Hands events to an address of ours: one after the other, so that they stand there in order. */
async function toOurs(
  acceptor: Acceptor,
  key: string,
  events: readonly CloudEvent[],
  ms: () => number,
): Promise<Outcome> {
  let last: Accepted | undefined;
  for (const one of events.length === 1
    ? [acceptor.accept(key, events[0]!)]
    : events.map((event) => acceptor.accept(key, event))) {
    const accepted = await one;
    if (last === undefined || !accepted.accepted) last = accepted;
    if (!accepted.accepted) break;
  }
  if (last === undefined) return { status: 202, headers: [], body: NOTHING, truncated: false, ms: ms() };
  if (last.accepted) {
    const outcome: Outcome = { status: 202, headers: [], body: NOTHING, truncated: false, ms: ms() };
    if (last.reply !== undefined) outcome.reply = last.reply;
    return outcome;
  }
  const { status, message, retryAfterMs } = last;
  const headers =
    retryAfterMs === undefined ? [] : ['retry-after', String(Math.max(1, Math.ceil(retryAfterMs / 1000)))];
  return { status, headers, body: Buffer.from(message), truncated: false, ms: ms() };
}
