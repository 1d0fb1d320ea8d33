/** Deliveries with everything around them in the test's hands: time, disk, and what targets answer. */
import { type SimulatedClock, simulatedClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import { type CloudEvent, type NewEvent, newEvent } from '../../cloudevents/event.ts';
import { allFromHttp } from '../../cloudevents/http.ts';
import type { Client, Result } from '../delivery/client.ts';
import type { Accepted } from '../delivery/contract.ts';
import { createDelivery, type Delivery } from '../delivery/index.ts';
import type { DeliveryTerms, LagReport, StreamSpec, SubscriptionSpec, SubscriptionState } from '../model.ts';
import {
  type Disk,
  type Faults,
  type MemoryLog,
  memoryEngineState,
  memoryEventLog,
  newDisk,
} from './memory-log.ts';

/** One request as a target sees it. */
export interface Received {
  host: string;
  path: string;
  headers: Record<string, string>;
  events: CloudEvent[];
  at: number;
}

/** What a target does: a status (with body and headers), no answer, or silence until it is told. */
export type Reaction =
  | number
  | { status: number; headers?: string[]; body?: string }
  | { failure: 'connect' | 'broken' | 'timeout'; message?: string };

export interface World {
  readonly clock: SimulatedClock;
  readonly disk: Disk;
  readonly log: MemoryLog;
  readonly faults: Faults;
  readonly delivery: Delivery;
  readonly received: Received[];
  readonly lags: LagReport[];
  readonly states: Map<string, SubscriptionState[]>;
  readonly types: string[];
  accept(key: string, ...events: Partial<NewEvent>[]): Promise<Accepted[]>;
  /** Ids that reached a path, in order. */
  ids(path: string): string[];
}

export const BASE = 'http://127.0.0.1:8080/events';

export const streamSpec = (key: string, over: Partial<StreamSpec> = {}): StreamSpec => ({
  key,
  uid: `uid-${key}`,
  maxAgeMs: 86_400_000,
  maxBytes: 1e9,
  hardMaxBytes: 1e9,
  dedupMs: 0,
  maxEventBytes: 1_000_000,
  ttl: key.startsWith('broker/'),
  reportTypes: false,
  ...over,
});

export const TERMS: DeliveryTerms = {
  retry: 3,
  backoffPolicy: 'exponential',
  backoffDelayMs: 200,
  jitter: 0,
  timeoutMs: 0,
  retryAfterMaxMs: 0,
};

/** Delivers to `http://sink/<name of the trigger>` unless told otherwise. */
export const trigger = (
  name: string,
  over: Partial<Omit<SubscriptionSpec, 'terms'>> & { terms?: Partial<DeliveryTerms> } = {},
): SubscriptionSpec => ({
  key: `trigger/ns/${name}`,
  uid: `uid-${name}`,
  stream: 'broker/ns/b',
  subscriber: { url: `http://sink/${name}` },
  concurrency: 10,
  paused: false,
  start: 'latest',
  ...over,
  terms: { ...TERMS, ...over.terms },
});

export interface WorldOptions {
  /** Answers requests; 202 where it is left out. */
  react?: (request: Received) => Reaction | Promise<Reaction>;
  /** What an earlier life left. */
  disk?: Disk;
  clock?: SimulatedClock;
  local?: (key: string) => ((event: CloudEvent) => Promise<Accepted>) | undefined;
  random?: () => number;
}

export function createWorld({
  react = () => 202,
  disk = newDisk(),
  clock = simulatedClock(),
  local = () => undefined,
  random = () => 0,
}: WorldOptions = {}): World {
  const faults: Faults = {};
  const received: Received[] = [];
  const lags: LagReport[] = [];
  const states = new Map<string, SubscriptionState[]>();
  const types: string[] = [];
  const waiting = new Set<(result: Result) => void>();
  const client: Client = {
    async send(_addresses, { head, body }, _timeoutMs, signal) {
      // A process that was killed sends nothing, though its timers go on here.
      if (faults.crashed) return new Promise<Result>(() => {});
      const request = readRequest(head, body, clock.now());
      received.push(request);
      const closed = new Promise<Result>((resolve) => waiting.add(resolve));
      signal?.addEventListener('abort', () => client.close());
      return Promise.race([closed, Promise.resolve(react(request)).then(resultOf)]);
    },
    connections: 0,
    close() {
      for (const resolve of waiting) resolve({ failure: 'aborted', message: 'closed' });
    },
  };
  const log = memoryEventLog(disk, faults);
  const delivery = createDelivery({
    log,
    state: memoryEngineState(disk, faults, clock),
    options: { base: BASE, gateway: { host: 'gateway', port: 80 } },
    reports: {
      source() {},
      subscription(key, state) {
        states.set(key, [...(states.get(key) ?? []), state]);
      },
      lag: (report) => lags.push(report),
      seenType: (stream, type, source) => types.push(`${stream} ${type} ${source}`),
    },
    clock,
    random,
    logger: silentLogger,
    local,
    client,
  });
  let made = 0;
  return {
    clock,
    disk,
    log,
    faults,
    delivery,
    received,
    lags,
    states,
    types,
    accept: (key, ...events) =>
      Promise.all(
        events.map((fields) =>
          delivery.acceptor.accept(
            key,
            newEvent({ type: 't', source: '/s', ...fields }, clock.now(), () => String(++made)),
          ),
        ),
      ),
    ids: (path) =>
      received.filter((one) => one.path === path).flatMap((one) => one.events.map((event) => event.id)),
  };
}

function resultOf(what: Reaction): Result {
  if (typeof what === 'number')
    return { answer: { status: what, headers: [], body: Buffer.alloc(0), truncated: false } };
  if ('failure' in what) return { failure: what.failure, message: what.message ?? what.failure };
  const { status, headers = [], body = '' } = what;
  return { answer: { status, headers, body: Buffer.from(body), truncated: false } };
}

function readRequest(head: string, body: Buffer | undefined, at: number): Received {
  const [line = '', ...lines] = head.trimEnd().split('\r\n');
  const flat = lines.flatMap((one) => {
    const colon = one.indexOf(':');
    return [one.slice(0, colon), one.slice(colon + 2)];
  });
  const headers: Record<string, string> = {};
  for (let i = 0; i < flat.length; i += 2) headers[flat[i]!] = flat[i + 1]!;
  return {
    host: headers.host ?? '',
    path: line.split(' ')[1] ?? '',
    headers,
    events: allFromHttp(flat, body),
    at,
  };
}
