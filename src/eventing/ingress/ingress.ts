/**
 * Requests that bring events: which address they mean, whether they may, and what becomes of them.
 * Source of the rules: knative/eventing, `pkg/broker/ingress/ingress_handler.go`, `pkg/channel/message_receiver.go`.
 */
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { type CloudEvent, DEFAULT_LIMITS, InvalidEvent, withAttributes } from '../../cloudevents/event.ts';
import { allFromHttp } from '../../cloudevents/http.ts';
import { type Address, type NoAddress, parseAddress } from '../addresses.ts';
import type { Accepted, Acceptor } from '../delivery/contract.ts';
import type { AddressKey } from '../model.ts';
import type { SourceAnswer, SourceRequest } from '../sources/contract.ts';
import {
  ACCEPTED,
  BUSY,
  NOT_POST,
  OPTIONS,
  type Refusal,
  refuse,
  refuseAccepted,
  replyAnswer,
  STARTING,
  seeAt,
  sourceAnswer,
} from './answers.ts';
import { allHeaders, type EventHeaders, readHead } from './head.ts';
import type { Answer, MuxHandler, MuxRequest } from './mux-server.ts';

/** What ingress knows of addresses. */
export interface Addresses {
  /** Largest event that this address takes, bytes; undefined: there is none of that key. */
  limit(key: AddressKey): number | undefined;
  /** False while not everything that exists has been told: what is unknown may be known in a moment. */
  complete(): boolean;
  /** Takes requests to `source/<ns>/<name>`, and what is asked below other addresses; undefined: nobody does. */
  requests(address: Address): ((request: SourceRequest) => Promise<SourceAnswer>) | undefined;
  /** Counts a request that was refused here; of the address, where there is one. */
  refused(key: AddressKey | undefined, reason: string): void;
}

export interface IngressOptions {
  addresses: Addresses;
  acceptor: Acceptor;
  log: Logger;
  /** Bytes of requests that may be under way at once. */
  maxBytes?: number;
}

/** Bytes of requests that may be under way at once. */
const MAX_BYTES = 64 * 1024 * 1024;
/** What a request takes besides its body: an event is at least this large for the bound above. */
const OVERHEAD = 1024;
/** What a body may have at first, bytes: who tells of much and sends little takes room from nobody. */
const FIRST = 16 * 1024;
/** Largest body that a source is given, bytes. */
const MAX_SOURCE_BODY = 1024 * 1024;
/** Addresses that are remembered as they were written. */
const REMEMBERED = 1000;
/** Digits of a trace context that say it is being recorded (W3C Trace Context, §3.2.2.5): the last one is odd. */
const SAMPLED = /[13579bdf]$/;

interface Context {
  head: string;
  headers: EventHeaders;
  address: Address;
  /** Largest body, bytes. */
  limit: number;
  /** Of the bound on bytes under way. */
  held: number;
}

/** The handler of all requests that come to the engine's socket. */
export class Ingress implements MuxHandler {
  readonly #addresses: Addresses;
  readonly #acceptor: Acceptor;
  readonly #log: Logger;
  readonly #maxBytes: number;
  readonly #remembered = new Map<string, Address | NoAddress>();
  #bytes = 0;

  constructor({ addresses, acceptor, log, maxBytes = MAX_BYTES }: IngressOptions) {
    this.#addresses = addresses;
    this.#acceptor = acceptor;
    this.#log = log;
    this.#maxBytes = maxBytes;
  }

  /** Bytes under way now, about. */
  get bytes(): number {
    return this.#bytes;
  }

  begin(request: MuxRequest, head: string): number {
    const headers = readHead(head);
    const address = this.#address(headers);
    const refused = this.#objection(headers, address);
    if (refused !== undefined) {
      request.answer(refused);
      return 0;
    }
    const context = { head, headers, address: address as Address, limit: 0, held: 0 };
    request.context = context;
    const limit = this.#bodyLimit(context);
    if (limit === undefined) {
      this.#unknown(request, address as Address);
      return 0;
    }
    context.limit = limit;
    const { contentLength } = headers;
    if (contentLength >= 0 && contentLength < limit) context.limit = contentLength;
    const bytes = Math.min(FIRST, context.limit);
    if (contentLength > limit) this.#tooLarge(request, context);
    else if (!this.#hold(context, bytes + OVERHEAD)) this.#busy(request, context);
    return bytes;
  }

  /** A body is allowed twice as much each time. */
  more(request: MuxRequest): number {
    const context = request.context as Context;
    const bytes = Math.min(Math.max(2 * request.limit, request.received), context.limit);
    if (request.received > context.limit) this.#tooLarge(request, context);
    else if (!this.#hold(context, bytes - request.limit)) this.#busy(request, context);
    return bytes;
  }

  #address({ host, target }: EventHeaders): Address | NoAddress {
    const name = target.startsWith('/events/') ? target : `${host} ${target}`;
    let address = this.#remembered.get(name);
    if (address === undefined) {
      address = parseAddress(host, target);
      // Strangers choose what they ask for.
      if (this.#remembered.size >= REMEMBERED) this.#remembered.clear();
      this.#remembered.set(name, address);
    }
    return address;
  }

  #objection({ method }: EventHeaders, address: Address | NoAddress): Answer | undefined {
    if (method !== 'POST') {
      const open = 'key' in address && isRequest(method, address);
      if (method === 'OPTIONS' && !open) return OPTIONS;
      if (!open) {
        this.#addresses.refused(undefined, 'method_not_allowed');
        return NOT_POST;
      }
    }
    if ('key' in address) return undefined;
    const { status, message } = address;
    const [code, reason] =
      status === 404
        ? (['NotFound', 'no_address'] as const)
        : (['InvalidArgument', 'malformed_address'] as const);
    this.#addresses.refused(undefined, reason);
    return refuse({ status, code, reason, message });
  }

  #bodyLimit({ address, headers: { method } }: Context): number | undefined {
    if (isRequest(method, address)) return this.#addresses.requests(address) && MAX_SOURCE_BODY;
    const limit = this.#addresses.limit(address.key);
    // A structured event is larger than what it carries: base64 makes four bytes of three. The event itself is measured when it is read.
    return limit === undefined ? undefined : Math.ceil(limit * 1.4) + DEFAULT_LIMITS.attributes;
  }

  #unknown(request: MuxRequest, { kind, namespace, name }: Address): void {
    const known = this.#addresses.complete();
    this.#addresses.refused(undefined, known ? 'no_address' : 'starting');
    const message = `there is no ${kind} ${namespace}/${name}`;
    request.answer(
      known ? refuse({ status: 404, code: 'NotFound', reason: 'no_address', message }) : STARTING,
    );
  }

  #tooLarge(request: MuxRequest, { address, limit }: Context): void {
    this.#addresses.refused(address.key, 'too_large');
    const event = this.#addresses.limit(address.key);
    request.answer(event === undefined ? tooLarge('a request', limit) : tooLarge('an event', event));
  }

  #busy(request: MuxRequest, { address }: Context): void {
    this.#addresses.refused(address.key, 'overloaded');
    request.answer(BUSY);
  }

  #hold(context: Context, bytes: number): boolean {
    // An event of a size that is allowed is taken when it is alone, however small the bound.
    if (this.#bytes + bytes > this.#maxBytes && this.#bytes > context.held) return false;
    context.held += bytes;
    this.#bytes += bytes;
    return true;
  }

  over(request: MuxRequest): void {
    const context = request.context as Context | undefined;
    if (context === undefined) return;
    this.#bytes -= context.held;
    request.context = undefined;
  }

  complete(request: MuxRequest, body: Buffer | undefined): void {
    const context = request.context as Context;
    const { address } = context;
    if (isRequest(context.headers.method, address)) {
      void this.#toSource(request, context, body ?? Buffer.alloc(0));
      return;
    }
    const limit = this.#addresses.limit(address.key);
    if (limit === undefined) {
      this.#unknown(request, address);
      return;
    }
    let events: CloudEvent[];
    try {
      const limits = { attributes: Math.min(DEFAULT_LIMITS.attributes, limit), data: limit };
      events = allFromHttp(context.headers.event, body, limits);
    } catch (error) {
      request.answer(this.#invalid(error, address.key));
      return;
    }
    const { traceparent } = context.headers;
    if (traceparent !== undefined && SAMPLED.test(traceparent))
      events = events.map((e) => traced(e, context));
    const taken =
      events.length === 1
        ? this.#acceptOne(request, address.key, events[0]!)
        : this.#acceptAll(request, address.key, events);
    taken.catch((error) => {
      this.#log.error('an event could not be answered', { address: address.key, error: messageOf(error) });
      const message = 'what became of the event cannot be told';
      request.answer(refuse({ status: 500, code: 'Internal', reason: 'defect', message }));
    });
  }

  async #acceptOne(request: MuxRequest, key: AddressKey, event: CloudEvent): Promise<void> {
    const accepted = await this.#acceptor.accept(key, event);
    if (!accepted.accepted) request.answer(refuseAccepted(accepted));
    else if (accepted.reply !== undefined) request.answer(replyAnswer(accepted.reply));
    else request.answer(accepted.location === undefined ? ACCEPTED : seeAt(accepted.location));
  }

  #invalid(error: unknown, key: AddressKey): Answer {
    if (!(error instanceof InvalidEvent)) {
      this.#addresses.refused(key, 'defect');
      this.#log.error('an event could not be read', { error: messageOf(error) });
      return refuse({
        status: 500,
        code: 'Internal',
        reason: 'defect',
        message: 'the event could not be read',
      });
    }
    const { status, message, fix, attribute, code } = error;
    const reason = status === 413 ? 'too_large' : status === 415 ? 'unsupported_form' : 'not_an_event';
    this.#addresses.refused(key, reason);
    return refuse({ status, code, reason, message, fix, ...(attribute === '' ? {} : { attribute }) });
  }

  async #acceptAll(request: MuxRequest, key: AddressKey, events: CloudEvent[]): Promise<void> {
    const all = await Promise.all(events.map((event) => this.#acceptor.accept(key, event)));
    const no = all.findIndex((one) => !one.accepted);
    if (no < 0) {
      request.answer(ACCEPTED);
      return;
    }
    const refused = all[no] as Extract<Accepted, { accepted: false }>;
    const taken = all.filter((one) => one.accepted).length;
    const message = `event ${no} of the batch: ${refused.message} (${taken} of ${all.length} were taken)`;
    request.answer(refuseAccepted({ ...refused, message }));
  }

  async #toSource(request: MuxRequest, { head, headers, address }: Context, body: Buffer): Promise<void> {
    const source = this.#addresses.requests(address);
    if (source === undefined) {
      this.#unknown(request, address);
      return;
    }
    try {
      const asked = { method: headers.method, path: address.rest, headers: allHeaders(head), body };
      request.answer(sourceAnswer(await source(asked)));
    } catch (error) {
      this.#log.warn('a source did not answer a request', { source: address.key, error: messageOf(error) });
      this.#addresses.refused(address.key, 'source_failed');
      const message = 'the source could not take the request';
      request.answer(
        refuse({ status: 503, code: 'NotReady', reason: 'source_failed', message, retryAfterMs: 1000 }),
      );
    }
  }
}

/** Whether somebody wants the request itself, not an event in it: a source does, and who asks what became of a job. */
const isRequest = (method: string, { kind, rest }: Address): boolean =>
  kind === 'source' || (kind === 'job' && method === 'GET' && rest.startsWith('/'));

/** The event with the trace of the request that brought it, where it has none of its own: extensions of the distributed tracing document. */
function traced(event: CloudEvent, { headers: { traceparent, tracestate } }: Context): CloudEvent {
  if (event.extensions.traceparent !== undefined) return event;
  return withAttributes(event, tracestate === undefined ? { traceparent } : { traceparent, tracestate });
}

function tooLarge(what: string, limit: number): Answer {
  const why: Refusal = {
    status: 413,
    code: 'InvalidArgument',
    reason: 'too_large',
    message: `${what} here has at most ${limit} bytes`,
    fix: 'Store the data elsewhere and send its address (dataref).',
  };
  return refuse(why);
}
