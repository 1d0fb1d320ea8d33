/**
 * What Petrel can do with events beyond Knative's API, asked for by annotations: each with its reader, so that what is refused in admission and
 * what holds is one table.
 */
import { parseGoDuration } from '../go-duration.ts';
import { parseQuantity } from '../quantity.ts';
import { parseIsoDuration } from './iso-duration.ts';

export const WISH_GROUP = 'eventing.petrel.dev/';
/** Of Knative's Kafka broker; `ordered` means by `partitionkey`. */
export const KAFKA_ORDER = 'kafka.eventing.knative.dev/delivery.order';

/** Of a Broker, a Channel or an InMemoryChannel. Absent: the platform's default. */
export interface StreamWishes {
  /** Events older than this go, milliseconds. */
  retentionAge?: number;
  /** Beyond this the oldest go that nobody needs, bytes. */
  retentionBytes?: number;
  /** Beyond this new events are refused, bytes. */
  maxBytes?: number;
  /** An event seen within this time is accepted and not kept again, milliseconds. */
  dedupWindow?: number;
  /** Bytes. */
  maxEventSize?: number;
}

/** Of a Trigger or a Subscription. */
export interface SubscriptionWishes {
  /** Attribute by whose value events are kept in order; empty: all of them. */
  orderedBy?: string;
  concurrency?: number;
  batchSize?: number;
  /** Milliseconds. */
  batchWait?: number;
  paused?: boolean;
  /** Milliseconds since the epoch, where it is a time. */
  start?: 'latest' | 'earliest' | number;
  /** Share of a wait between retries that is added at random. */
  jitter?: number;
  /** An answer that is no event is dropped, and no failure. */
  anyAnswer?: boolean;
}

/** A value, or why there is none. */
type Read<T> = (text: string) => T | Error;

const DAY = 86_400_000;

function duration(low: number, high: number): Read<number> {
  return (text) => {
    const value = text.startsWith('P') ? parseIsoDuration(text) : parseGoDuration(text);
    if (value === undefined) return new Error('must be a duration such as "30m", "168h" or "P7D"');
    return value >= low && value <= high
      ? value
      : new Error(`must be between ${low / 1000}s and ${high / 1000}s`);
  };
}

function bytes(low: number, high: number): Read<number> {
  return (text) => {
    const value = parseQuantity(text);
    return value >= low && value <= high && Number.isInteger(value)
      ? value
      : new Error(`must be a whole number of bytes between ${low} and ${high}, such as "512Ki" or "10Gi"`);
  };
}

function whole(low: number, high: number): Read<number> {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    return value >= low && value <= high ? value : new Error(`must be a whole number from ${low} to ${high}`);
  };
}

const flag: Read<boolean> = (text) =>
  text === 'true' ? true : text === 'false' ? false : new Error('must be "true" or "false"');

const share: Read<number> = (text) => {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  return value >= 0 && value <= 1 ? value : new Error('must be a number from 0 to 1');
};

const attribute: Read<string> = (text) => {
  if (text === '*') return '';
  return /^[a-z0-9]{1,64}$/.test(text)
    ? text
    : new Error(
        'must be the name of an attribute of events, such as "subject", or "*" for all events in order',
      );
};

/** RFC 3339 with a zone. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const start: Read<'latest' | 'earliest' | number> = (text) => {
  if (text === 'latest' || text === 'earliest') return text;
  const value = TIME.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(value)
    ? new Error('must be "latest", "earliest" or a time such as "2026-01-31T12:00:00Z"')
    : value;
};

type Table<T> = { [K in keyof Required<T>]: [name: string, read: Read<Required<T>[K]>] };

const STREAM: Table<StreamWishes> = {
  retentionAge: ['retention-age', duration(1000, 3650 * DAY)],
  retentionBytes: ['retention-bytes', bytes(1 << 20, 2 ** 50)],
  maxBytes: ['max-bytes', bytes(1 << 20, 2 ** 50)],
  dedupWindow: ['dedup-window', duration(0, 7 * DAY)],
  maxEventSize: ['max-event-size', bytes(1024, 64 * (1 << 20))],
};

const SUBSCRIPTION: Table<SubscriptionWishes> = {
  orderedBy: ['ordered-by', attribute],
  concurrency: ['concurrency', whole(1, 10_000)],
  batchSize: ['batch-size', whole(1, 1000)],
  batchWait: ['batch-wait', duration(0, 300_000)],
  paused: ['paused', flag],
  start: ['start', start],
  jitter: ['jitter', share],
  anyAnswer: ['any-answer', flag],
};

type Annotations = Record<string, string> | undefined;

export interface WishProblem {
  annotation: string;
  value: string;
  why: string;
}

function read<T>(table: Table<T>, annotations: Annotations): { wishes: Partial<T>; problems: WishProblem[] } {
  const wishes: Partial<T> = {};
  const problems: WishProblem[] = [];
  for (const [field, [name, reader]] of Object.entries(table) as [keyof T, [string, Read<T[keyof T]>]][]) {
    const annotation = WISH_GROUP + name;
    const value = annotations?.[annotation];
    if (value === undefined) continue;
    const result = reader(value);
    if (result instanceof Error) problems.push({ annotation, value, why: result.message });
    else wishes[field] = result;
  }
  return { wishes, problems };
}

/** Annotations of our group that mean nothing there: a slip of the pen would otherwise wait to be found. */
function unknown<T>(table: Table<T>, annotations: Annotations): WishProblem[] {
  const names = Object.values(table as Record<string, [string, unknown]>).map(([name]) => name);
  return Object.entries(annotations ?? {}).flatMap(([annotation, value]) =>
    annotation.startsWith(WISH_GROUP) && !names.includes(annotation.slice(WISH_GROUP.length))
      ? [{ annotation, value, why: `there are: ${names.map((name) => WISH_GROUP + name).join(', ')}` }]
      : [],
  );
}

/** What is asked of a stream; what cannot be understood is left out (admission has refused it). */
export const streamWishes = (annotations: Annotations): StreamWishes => read(STREAM, annotations).wishes;

/** What is asked of a subscription; see `streamWishes`. */
export function subscriptionWishes(annotations: Annotations): SubscriptionWishes {
  const { wishes } = read(SUBSCRIPTION, annotations);
  if (wishes.orderedBy === undefined && annotations?.[KAFKA_ORDER] === 'ordered')
    return { ...wishes, orderedBy: 'partitionkey' };
  return wishes;
}

export const streamWishProblems = (annotations: Annotations): WishProblem[] => [
  ...read(STREAM, annotations).problems,
  ...unknown(STREAM, annotations),
];

export function subscriptionWishProblems(annotations: Annotations): WishProblem[] {
  const order = annotations?.[KAFKA_ORDER];
  const problems = [...read(SUBSCRIPTION, annotations).problems, ...unknown(SUBSCRIPTION, annotations)];
  if (order !== undefined && order !== 'ordered' && order !== 'unordered')
    problems.push({ annotation: KAFKA_ORDER, value: order, why: 'must be "ordered" or "unordered"' });
  return problems;
}
