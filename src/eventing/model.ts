/**
 * What crosses between the controllers of eventing (main thread, objects of the API) and the event engine (a thread of its own: streams,
 * subscriptions, sources). The controllers push what is to be, whole and resolved; the engine knows no API server. Everything here can be
 * cloned between threads.
 */
import type { Json } from '../kinds/object.ts';

/**
 * Names of addressable things, which are also their paths under `/events/`: `broker/<ns>/<name>`, `channel/<ns>/<name>`,
 * `sink/<ns>/<name>`, `transform/<ns>/<name>`, `job/<ns>/<name>`, `source/<ns>/<name>` (webhooks).
 */
export type AddressKey = string;

/** A durable sequence of events: a Broker, a Channel, or what a source that cannot be asked again has accepted. */
export interface StreamSpec {
  key: AddressKey;
  /** Of the object: a stream of the same name after a deletion is another one. */
  uid: string;
  /** Where its events are; absent: on this machine's disk. The classes `JetStream` and `Kafka` of Brokers. */
  backend?: { type: string; config: Record<string, Json> };
  /** Events older than this go, milliseconds. Never one that a subscription still needs, until `hardMaxBytes`. */
  maxAgeMs: number;
  /** Beyond this the oldest go that nobody needs, bytes. */
  maxBytes: number;
  /** Beyond this new events are refused with 507, bytes: what is acknowledged is not thrown away. */
  hardMaxBytes: number;
  /** An event whose (source, id) came within this time is accepted and not kept again; 0: no look. Milliseconds. */
  dedupMs: number;
  /** Largest event, data included, bytes; 413 beyond. */
  maxEventBytes: number;
  /** Brokers count down `knativebrokerttl` and stamp `knativearrivaltime`. */
  ttl: boolean;
  /** Whether unknown (type, source) pairs are reported as `seen-type`. */
  reportTypes: boolean;
}

/** Where events go, resolved. */
export interface Target {
  /** Absolute http or https URL. One under the engine's own base (`EngineOptions.base`) or of its cluster-local names never leaves the process. */
  url: string;
  /** Where to connect instead of what the URL's host resolves to: the Pods behind a Kubernetes Service. Empty: nobody is there now. */
  endpoints?: { host: string; port: number }[];
  /** PEM, for https. */
  caCerts?: string;
  audience?: string;
  /** The Knative Revision or Service behind it, `<ns>/<name>` of the Route: whose lag is whose (see `LagReport`). */
  route?: string;
  /** An answer that is no event is dropped; otherwise it fails the delivery, as upstream has it. */
  anyAnswer?: true;
  /** Where its answers go: one that is an event as it is, any other with a body as the data of one from `source`. */
  answers?: { to: Target; source: string };
}

/** `delivery` of Knative with defaults applied. Arithmetic of retries: knative.dev/pkg, `knative.md` §4.3. */
export interface DeliveryTerms {
  /** Further attempts after the first. */
  retry: number;
  backoffPolicy: 'linear' | 'exponential';
  backoffDelayMs: number;
  /** Share of a wait that is added at random, 0 to 1; 0 is upstream's exact arithmetic. */
  jitter: number;
  /** Of one attempt; 0 is none of its own. */
  timeoutMs: number;
  /** Retry-After of 429 and 503 is honoured up to this; 0: not at all. */
  retryAfterMaxMs: number;
  /** Absent: given up means gone from the stream into the dead letters (`petrel dlq`), which always get a copy. */
  deadLetter?: Target;
  /** Absent: as it came. */
  format?: 'json' | 'binary';
}

/** A Trigger, or a Subscription of a Channel. */
export interface SubscriptionSpec {
  /** `trigger/<ns>/<name>`, `subscription/<ns>/<name>`. */
  key: string;
  uid: string;
  stream: AddressKey;
  /** Knative's filters as they stand in the object (`src/cloudevents/filter.ts` compiles them); absent: everything. */
  filters?: Json[];
  /** The legacy `filter.attributes`; overridden by `filters`. */
  attributes?: Record<string, string>;
  /** Absent (of a channel's Subscription): what would be the reply is the event itself. */
  subscriber?: Target;
  /** Where answers that are events go; absent: they are dropped. A trigger's is its broker. */
  reply?: Target;
  terms: DeliveryTerms;
  /** Events with the same value of this attribute (`subject`, `partitionkey` …) are delivered one after the other; `''`: all of them. Absent: in parallel. */
  orderedBy?: string;
  /** Deliveries under way at once; back-pressure beyond. */
  concurrency: number;
  /** More than one: `application/cloudevents-batch+json` with up to `size` events, waiting up to `waitMs` for more. */
  batch?: { size: number; waitMs: number };
  /** Nothing is delivered, everything is kept. */
  paused: boolean;
  /** Where a new subscription begins: now, with the oldest kept, or at a time (ms since the epoch). */
  start: 'latest' | 'earliest' | number;
}

/** Anything events come from. */
export interface SourceSpec {
  /** `<kind in lower case>/<ns>/<name>`: `pingsource/default/nightly`. */
  key: string;
  uid: string;
  /** Row of the table of source modules (`sources/modules.ts`): `ping`, `kafka`, `nats`, `webhook` … */
  type: string;
  /** As the module's own type says, validated by its `check`; Secrets are resolved in it. */
  config: Record<string, Json>;
  sink: Target;
  /** `ceOverrides.extensions`. */
  extensions: Record<string, string>;
  terms: DeliveryTerms;
  paused: boolean;
}

/** A sink that is not HTTP: a topic, a queue, a bucket. Its address is `sink/<ns>/<name>`. */
export interface SinkSpec {
  key: AddressKey;
  uid: string;
  /** Row of the table of sink modules. */
  type: string;
  config: Record<string, Json>;
}

/** What the controllers tell the engine; each whole and idempotent, `null` takes away. Removing a stream removes its events. */
export interface EngineControl {
  setStream(key: AddressKey, spec: StreamSpec | null): void;
  setSubscription(key: string, spec: SubscriptionSpec | null): void;
  setSource(key: string, spec: SourceSpec | null): void;
  setSink(key: AddressKey, spec: SinkSpec | null): void;
  /** Everything that exists has been set once: what the engine has on disk beyond that belongs to nobody and goes. Deliveries begin. */
  complete(): void;
  /** Resolves when the engine goes by everything that was set before: what is told to be ready from then on is. Rejects with `NotReady`. */
  applied(): Promise<void>;
  /** One question of the table below, answered by the engine. Rejects with `PetrelError`. */
  ask<K extends keyof Questions>(question: K, input: Questions[K]['input']): Promise<Questions[K]['answer']>;
  /**
   * Hands over an event, in the record form, for a source of type `brought`: one that works outside of the engine, because it needs the API.
   * Waits until the source has begun. Resolves when the event is safe; rejects with `NotReady` when the engine ends before.
   */
  bring(key: string, record: Uint8Array): Promise<Handed>;
  /** Small state that lasts, of a source of type `brought`. */
  checkpoint(key: string): Promise<Json | undefined>;
  /** Durable when resolved. */
  saveCheckpoint(key: string, value: Json): Promise<void>;
  /** Answers what modules in the engine ask for with `callMain`: what needs the API. One handler for each name. */
  serve(name: string, handler: (input: Json) => Promise<Json>): void;
}

/** What became of an event that a source handed over. */
export type Handed = 'accepted' | 'delivered' | 'dead' | 'duplicate';

/** What the engine tells the controllers; bounded in rate: at most one report a second for each key, `lag` at once when it rises from 0. */
export interface EngineReports {
  /** Whether a source works now, for its conditions. `reason` is CamelCase. */
  source(key: string, state: SourceReport): void;
  subscription(key: string, state: SubscriptionState): void;
  /** What waits for a subscription or a source; scaling's `queue-lag` of the route behind its target. */
  lag(report: LagReport): void;
  /** A (type, source) pair that the stream has not seen before. */
  seenType(stream: AddressKey, type: string, source: string, schema?: string): void;
}

export interface SourceReport {
  ready: boolean;
  reason: string;
  message: string;
  /** What waits at its origin; absent: that is not known. */
  lag?: number;
}

export interface LagReport {
  key: string;
  /** `Target.route`. */
  route?: string;
  /** Events that are accepted and not yet delivered. */
  waiting: number;
}

export interface SubscriptionState {
  /** Since the engine started. */
  delivered: number;
  failed: number;
  retried: number;
  dead: number;
  filteredOut: number;
  waiting: number;
  /** The newest failure, for people. */
  lastError?: { at: number; message: string };
}

/** Where one event is: what `petrel event history` shows. Times are milliseconds since the epoch. */
export interface EventPath {
  stream: AddressKey;
  offset: number;
  acceptedAt: number;
  event: EventHead;
  steps: {
    at: number;
    subscription: string;
    what: 'matched' | 'delivered' | 'retried' | 'replied' | 'dead' | 'filtered';
    status?: number;
    attempt?: number;
    message?: string;
  }[];
}

/** An event as people see it: text where it is text. */
export interface EventHead {
  attributes: Record<string, string | number | boolean>;
  /** UTF-8, or base64 where it is not; cut at 64 KiB. */
  data?: string;
  base64?: boolean;
  bytes: number;
}

export interface DeadLetter {
  id: number;
  subscription: string;
  stream: AddressKey;
  at: number;
  attempts: number;
  /** The last status; absent: there was no answer. */
  status?: number;
  reason: string;
  event: EventHead;
}

/** Questions to the engine and their answers. */
export interface Questions {
  history: {
    input: {
      stream?: string;
      type?: string;
      id?: string;
      source?: string;
      /** As a Trigger has them; all must hold. */
      filters?: Json[];
      since?: number;
      limit: number;
    };
    answer: EventPath[];
  };
  /**
   * Events as they come, for who looks on: those from `from` on (absent: of that time or later; absent too: new ones) that pass the filters.
   * Answered when there are some, or after `waitMs` (25 s at most); the next question begins with `next`.
   */
  follow: {
    input: {
      stream: string;
      from?: number;
      since?: number;
      filters?: Json[];
      limit: number;
      waitMs: number;
    };
    answer: { events: { offset: number; at: number; event: EventHead }[]; next: number };
  };
  /** Delivers stored events to a subscription (or all of the stream's) again. Answers how many. */
  replay: {
    input: { stream: string; subscription?: string; since?: number; until?: number; id?: string };
    answer: number;
  };
  dead: {
    /** `after` that id, oldest first; `newest`: the other way round, from the newest on. */
    input: { subscription?: string; namespace?: string; limit: number; after?: number; newest?: boolean };
    answer: DeadLetter[];
  };
  redrive: { input: { ids?: number[]; subscription?: string; namespace?: string }; answer: number };
  purge: { input: { ids?: number[]; subscription?: string; namespace?: string }; answer: number };
  subscriptions: { input: { namespace?: string }; answer: Record<string, SubscriptionState> };
  streams: {
    input: { namespace?: string };
    answer: Record<
      string,
      {
        events: number;
        bytes: number;
        oldest?: number;
        accepted: number;
        refused: number;
        /** Why, as the answers have it: `not_an_event`, `too_large`, `disk_full` …; together `refused`. */
        refusals: Record<string, number>;
      }
    >;
  };
  engine: {
    input: { namespace?: string };
    answer: {
      /** Requests that were refused and meant no stream, by reason, since the engine began. */
      refusals: Record<string, number>;
      /** What sources, sinks and remote stores said of themselves last, by key. */
      states: Record<string, SourceReport>;
    };
  };
}

export interface EngineOptions {
  /** Files that last: `<home>/events`. */
  dir: string;
  /** The unix socket on which the gateway hands requests to `/events/…` over, in the multiplexed protocol. */
  socket: string;
  /** `http://127.0.0.1:8080/events`: the prefix of all addresses, without a slash at the end. */
  base: string;
  /** Where Routes and cluster-local names of Serving are answered. */
  gateway: { host: string; port: number };
}
