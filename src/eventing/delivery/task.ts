/** An event on its way to one subscriber. */
import { type CloudEvent, makeEvent, withAttributes } from '../../cloudevents/event.ts';
import { decodeRecord, encodeRecord } from '../../cloudevents/record.ts';

/** An event as it stands in a stream, shared by all who deliver it. */
export interface Item {
  /** -1: it stands in no stream. */
  readonly offset: number;
  /** When it was accepted, milliseconds since the epoch. */
  readonly at: number;
  readonly event: CloudEvent;
  /** Undefined: not encoded yet. */
  readonly record: Buffer | undefined;
  /** About what it takes in memory. */
  readonly bytes: number;
}

/** Why the last attempt failed. */
export interface LastFailure {
  /** Where it was to go. */
  destination: string;
  status?: number;
  body?: Buffer;
  message: string;
}

/** A record that is no event that we know. */
export function itemOfUnreadable(offset: number, at: number, record: Buffer): Item {
  const event = makeEvent('', '', '', undefined, undefined, undefined, undefined, {}, undefined);
  return { offset, at, event, record, bytes: record.length + OVERHEAD };
}

export interface Task {
  item: Item;
  /** Value of the attribute that orders; undefined: in any order. */
  order: string | undefined;
  /** Row in the state that it came from, 0: it is none. */
  parked: number;
  /** Whom it goes to now. A reply that waits is in memory alone: after a crash the subscriber is asked again. */
  phase: 'subscriber' | 'reply' | 'deadLetter';
  /** Failed attempts in this phase. */
  failures: number;
  /** In phase `reply`: what is still to be passed on. */
  replies: readonly CloudEvent[] | undefined;
  last: LastFailure | undefined;
  /** Nothing is to be done any more, as far as the position is concerned. */
  resolved: boolean;
  /** It counts for the position: it came from the stream, for the first time. */
  counts: boolean;
  /** Who waits for its end. */
  done: ((how: 'delivered' | 'dead') => void) | undefined;
}

/** What an event weighs besides its record: objects, strings. */
const OVERHEAD = 512;

export function itemOf(offset: number, at: number, record: Buffer): Item {
  return { offset, at, event: decodeRecord(record), record, bytes: record.length + OVERHEAD };
}

export function itemOfEvent(event: CloudEvent, at: number): Item {
  return { offset: -1, at, event, record: undefined, bytes: (event.data?.length ?? 0) + 2 * OVERHEAD };
}

export function taskOf(item: Item, order: string | undefined, counts: boolean): Task {
  return {
    item,
    order,
    parked: 0,
    phase: 'subscriber',
    failures: 0,
    replies: undefined,
    last: undefined,
    resolved: false,
    counts,
    done: undefined,
  };
}

export const recordOf = (item: Item): Buffer => item.record ?? encodeRecord(item.event);

/** The same item in memory of its own: it will be held for long, and may be a small part of a large piece read from disk. */
export function owned(item: Item): Item {
  const { record } = item;
  if (record === undefined || record.buffer.byteLength <= 2 * record.length + OVERHEAD) return item;
  const copy = Buffer.allocUnsafeSlow(record.length);
  copy.set(record);
  return itemOf(item.offset, item.at, copy);
}

/** Attributes of the broker's own that no subscriber sees. */
const OWN = { knativebrokerttl: undefined, knativearrivaltime: undefined };
/** What an event that came from outside starts with. Source: knative/eventing, `pkg/broker/ttl.go`. */
const MAX_TTL = 255;

/** The event as a subscriber of a broker gets it. */
export function withoutOwn(event: CloudEvent): CloudEvent {
  const { extensions } = event;
  if (extensions.knativebrokerttl === undefined && extensions.knativearrivaltime === undefined) return event;
  return withAttributes(event, OWN);
}

/** How often an event may still go through a broker; one that says nothing came from outside. NaN: it says nonsense. */
export function ttlOf(event: CloudEvent): number {
  const value = event.extensions.knativebrokerttl;
  if (value === undefined) return MAX_TTL;
  return typeof value === 'number' || /^-?\d{1,9}$/.test(String(value)) ? Number(value) : Number.NaN;
}

/** What follows from an event (its reply, its dead letter) goes on where that stopped: a loop comes to its end. */
export function following(event: CloudEvent, next: CloudEvent): CloudEvent {
  return withAttributes(next, { knativebrokerttl: ttlOf(event) - 1 });
}
