/** What ingress and sources know of streams and deliveries. */
import type { CloudEvent } from '../../cloudevents/event.ts';
import type { AddressKey, DeliveryTerms, Target } from '../model.ts';

/** What became of an event that was brought. */
export type Accepted =
  /** `reply`: what the address answers, an event of its own (a transform). `location`: a path of ours that tells what became of it. */
  | { accepted: true; offset?: number; duplicate?: boolean; reply?: CloudEvent; location?: string }
  /** `status` is the HTTP status for who brought it: 400, 404, 413, 429, 503, 507 …; `retryAfterMs` where waiting helps. */
  | { accepted: false; status: number; reason: string; message: string; retryAfterMs?: number };

/** Takes events for an address of ours. */
export interface Acceptor {
  /** Resolves when it is safe: on disk in the stream, or for the other addresses carried out. Never rejects. */
  accept(key: AddressKey, event: CloudEvent): Promise<Accepted>;
}

/** One exchange as it ended. */
export interface Outcome {
  /** Absent: there was no answer. */
  status?: number;
  /** Lower-case names, flat pairs. */
  headers: string[];
  /** At most 1 MiB; a longer one is cut, and `truncated`. */
  body: Buffer;
  truncated: boolean;
  error?: string;
  /** The platform's own gateway does not listen: no fault of the target, and no attempt at it. */
  unreachable?: boolean;
  /** The answer of an address of ours, which is no message: `headers` and `body` are empty. */
  reply?: CloudEvent;
  ms: number;
}

/** Carries one event (or a batch) to a target, once. Short-cuts to addresses of ours are taken here: they make no HTTP request. */
export interface Sender {
  send(
    target: Target,
    events: readonly CloudEvent[],
    options: {
      timeoutMs: number;
      format?: 'json' | 'binary';
      wantsReply: boolean;
      headers?: string[];
      signal?: AbortSignal;
      /** What goes there instead when the target is a broker of ours: with what is left of their time to live. */
      toBroker?: () => readonly CloudEvent[];
    },
  ): Promise<Outcome>;
  close(): Promise<void>;
}

/** Delivers one event to a target by terms, retries and dead letter included: what a source that can be asked again uses. */
export interface Courier {
  /** Resolves with what became of it in the end: `dead` when it is safe in the dead letters; rejects when `signal` aborts. */
  deliver(
    key: string,
    target: Target,
    terms: DeliveryTerms,
    event: CloudEvent,
    signal: AbortSignal,
  ): Promise<'delivered' | 'dead'>;
}
