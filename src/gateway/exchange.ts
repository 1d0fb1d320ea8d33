/** One request on its way: what was asked, who works on it, and how the two sides reach each other. */
import type { Failure } from './failures.ts';
import type { RequestBlock } from './request-block.ts';
import type { ResponseBlock } from './response-block.ts';
import type { EndpointState, RevisionState } from './revision.ts';

/** How the request's body is framed. */
export const BODY = { none: 0, length: 1, chunked: 2, upgrade: 3 } as const;

/** Where an exchange stands. */
export const STATE = { queued: 0, connecting: 1, sent: 2, done: 3, paused: 4 } as const;

/** Time limits of a request, milliseconds: those of its revision unless its route has others. */
export interface RequestTimes {
  timeoutMs: number;
  responseStartTimeoutMs?: number;
  idleTimeoutMs?: number;
}

/** Answer of an exchange whose instance broke off; counts with those that had none. */
export const CUT_OFF = 1;

/** What the route's policy does with one request while it is under way. */
export interface Treatment {
  /** Gives the request to its revision, or says why not. */
  admit(x: Exchange): Failure | null;
  /** The endpoints that may take it now, in the order of preference by class; the first class with room is used. */
  preferred(usable: readonly EndpointState[]): readonly (readonly EndpointState[])[];
  /** It has an endpoint's slot and is about to be sent. */
  sent(x: Exchange, endpoint: EndpointState): void;
  /** Body bytes on their way to the instance; valid during the call. */
  body(chunk: Buffer): void;
  /** The body was complete. */
  bodyEnd(): void;
  /** It has ended, in whatever way; called once for every request that was admitted. */
  ended(x: Exchange, now: number): void;
}

/** The side towards the client, as an upstream sees it. */
export interface Front {
  /** The client's IP address, without port. */
  readonly address: string;
  /** The request is on its way: send its body. */
  dispatched(x: Exchange): void;
  /** The upstream can take more of the body. */
  resumeBody(x: Exchange): void;
  /** An interim response (103). */
  interim(x: Exchange, status: number, block: ResponseBlock): void;
  /** A whole response at once: the body is `buf` from `start` to `end`. */
  respond(x: Exchange, status: number, block: ResponseBlock, buf: Buffer, start: number, end: number): void;
  /** The head of a response whose body follows; `length` -1 when it is not known. */
  begin(x: Exchange, status: number, block: ResponseBlock, length: number): void;
  /** Body bytes. They are used before the read call ends, or `flushClients` says that they are retained. */
  data(x: Exchange, buf: Buffer, start: number, end: number): void;
  /** The response is complete. */
  end(x: Exchange, trailers: Buffer | null): void;
  /** The response cannot be completed: an error if it has not begun, else the connection is cut. */
  fail(x: Exchange, failure: Failure): void;
  /** Whether the client reads too slowly for more to be sent now; `Upstream.resume` is called when it caught up. */
  congested(): boolean;
}

/** The side towards an instance. */
export interface Upstream {
  /** Pieces of a body up to this size are not looked at any more when `sendBody` has returned; undefined: any may be. */
  readonly copies?: number;
  /** Body bytes; always taken. False when the caller has to stop until `Front.resumeBody`. */
  sendBody(x: Exchange, chunk: Buffer): boolean;
  /** The body is complete. */
  endBody(x: Exchange, trailers: Buffer | null): void;
  /** Nobody wants the answer (any more). Frees everything the exchange holds here. */
  cancel(x: Exchange, code: 'cancelled' | 'timeout'): void;
  /** The client reads again. */
  resume(x: Exchange): void;
}

/** Made once per request; fields are set in the constructor so that all have one shape. */
export class Exchange {
  /** Replaced when a policy stands between. */
  front: Front;
  readonly revision: RevisionState;
  /** Replaced when a policy adds fields. */
  block: RequestBlock;
  /** `METHOD SP target` to send, in `line` from `lineStart` to `lineEnd`. */
  readonly line: Buffer;
  readonly lineStart: number;
  readonly lineEnd: number;
  /** `/fn/<namespace>/<name>` when it was taken off the path, else `''`. */
  readonly prefix: string;
  readonly requestId: string;
  readonly body: number;
  readonly head: boolean;
  /** `performance.now()` when the head was complete. */
  readonly startedAt: number;
  times: RequestTimes;
  /** Null for routes without a policy. */
  treatment: Treatment | null = null;
  /** Status of the final answer; 0 while there is none, `CUT_OFF` when it broke off. */
  status = 0;
  /** Time limits count from the last byte either way. */
  byActivity: boolean;
  /** The client speaks HTTP/2. */
  http2 = false;
  state: number = STATE.queued;
  endpoint: EndpointState | null = null;
  upstream: Upstream | null = null;
  /** Neighbours in the revision's queue. */
  previous: Exchange | null = null;
  next: Exchange | null = null;
  /** Final response head seen. */
  begun = false;
  /** The body has been sent completely. */
  bodySent: boolean;
  /** Of the multiplexed protocol. */
  streamId = 0;
  sendWindow = 0;
  receiveWindow = 0;
  unacknowledged = 0;
  /** Body bytes that wait for a window. */
  pending: Buffer | null = null;
  pendingEnd = false;
  pendingTrailers: Buffer | null = null;

  constructor(
    front: Front,
    revision: RevisionState,
    block: RequestBlock,
    line: Buffer,
    lineStart: number,
    lineEnd: number,
    prefix: string,
    requestId: string,
    body: number,
    head: boolean,
    startedAt: number,
  ) {
    this.front = front;
    this.revision = revision;
    this.block = block;
    this.line = line;
    this.lineStart = lineStart;
    this.lineEnd = lineEnd;
    this.prefix = prefix;
    this.requestId = requestId;
    this.body = body;
    this.head = head;
    this.startedAt = startedAt;
    this.times = revision.entry;
    this.byActivity = block.grpc;
    this.bodySent = body === BODY.none;
  }

  /** Forgets the attempt that has failed, so that the request can be sent again. */
  restart(): void {
    this.begun = false;
    this.byActivity = this.block.grpc;
    this.status = 0;
    this.bodySent = this.body === BODY.none;
    this.streamId = this.sendWindow = this.receiveWindow = this.unacknowledged = 0;
    this.pending = this.pendingTrailers = null;
    this.pendingEnd = false;
  }
}
