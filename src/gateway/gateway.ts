/**
 * The gateway as the platform sees it: keeps the desired state, starts the workers, hands every change to all of
 * them, and merges what they report. The request path itself is in `Plane`.
 */

import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { Logger } from '../base/log.ts';
import type {
  Endpoint,
  Gateway,
  GatewayEvents,
  PathRoute,
  RevisionEntry,
  RevisionFailure,
  RevisionStats,
  RouteEntry,
  ServerEntry,
} from './contract.ts';
import { Counter, MAX_WORKERS, RowAllocator, type RowRef } from './counters.ts';
import { guarded } from './guard.ts';
import { DEFAULT_LIMITS, type GatewayLimits } from './limits.ts';
import type { PlaneLink } from './links.ts';
import { listenError } from './listening.ts';
import { loadCalls, loadPathCheck } from './paths/load.ts';
import type { PlaneCommand, PlaneEvents, PlaneStats } from './plane.ts';
import type { GatewayIdentity } from './policy/around.ts';
import { inFlightRow, memoryFor, type RouteMemory } from './policy/memory.ts';
import { addMirror, addOutcomes } from './policy/outcomes.ts';
import { Workers } from './workers.ts';

export interface GatewayOptions {
  host: string;
  /** 0 is any. */
  port: number;
  /** Threads; 0 runs in the calling thread. Default: 1 on up to two cores, else one less than cores, at most 4. */
  workers?: number;
  events: GatewayEvents;
  log: Logger;
  limits?: Partial<GatewayLimits>;
  /** Zone of this machine, for balancing that prefers its own; absent is none. */
  zone?: string;
  /** Keys what cookies say; without one, sessions end with this gateway. */
  secret?: string;
}

/** Demand of one revision is reported at most this often. */
const DEMAND_INTERVAL_MS = 1;
const STATS_INTERVAL_MS = 1000;
/** How long a worker that was replaced may go on with what it has, milliseconds: the longest time limit Knative allows. */
const REPLACED_GRACE_MS = 600_000;

interface EndpointRecord {
  endpoint: Endpoint;
  ref: RowRef;
  slots: Counter;
  /** Reported since it was pushed last. */
  down: boolean;
  /** How often it was left out and brought back before its requests had ended. */
  turn: number;
  /** Who waits for it to be drained. */
  done: (() => void)[];
}

interface RevisionRecord {
  entry: RevisionEntry;
  queue: Counter;
  endpoints: Map<string, EndpointRecord>;
  demandAt: number;
  demandTimer: NodeJS.Timeout | null;
}

/** A row that the workers still have to let go of. */
interface Retiring {
  ref: RowRef;
  /** `<revision>/<endpoint id>`; `''` for the queue of a removed revision. */
  name: string;
  slots: Counter;
  waitsFor: Set<PlaneLink>;
  done: (() => void)[];
  /** Null for a queue. */
  record: EndpointRecord | null;
}

/** Starts the data plane; resolves when it listens. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const cores = availableParallelism();
  const count = Math.min(options.workers ?? (cores <= 2 ? 1 : Math.min(cores - 1, 4)), MAX_WORKERS);
  const control = new GatewayControl(options);
  try {
    await control.start(count);
  } catch (error) {
    await control.close(0);
    throw listenError(error as NodeJS.ErrnoException, options);
  }
  return control;
}

export class GatewayControl implements Gateway {
  readonly #control: GatewayEvents;
  readonly #workers: Workers;
  readonly #rows = new RowAllocator();
  readonly #routes = new Map<
    string,
    { namespace: string; name: string; entry: RouteEntry; memory: RouteMemory | null }
  >();
  readonly #paths = new Map<string, { route: PathRoute; turn: SharedArrayBuffer | null }>();
  readonly #servers = new Map<string, ServerEntry>();
  readonly #revisions = new Map<string, RevisionRecord>();
  readonly #retiring = new Map<number, Retiring>();
  #statsTimer: NodeJS.Timeout | null = null;
  #statsFrom = 0;
  #closed = false;

  constructor(options: GatewayOptions) {
    this.#control = guarded(options.events, options.log);
    const identity: GatewayIdentity = {
      zone: options.zone ?? '',
      secret: options.secret ?? randomBytes(32).toString('hex'),
    };
    const { host, port, log } = options;
    this.#workers = new Workers(
      {
        host,
        limits: { ...DEFAULT_LIMITS, ...options.limits },
        identity,
        log,
        state: () => this.#state(),
        events: (index) => this.#events(index),
        gone: (index, link) => this.#gone(index, link),
      },
      port,
    );
  }

  get address(): { host: string; port: number } {
    return this.#workers.address;
  }

  /** The workers, for diagnosis. */
  get links(): readonly (PlaneLink | null)[] {
    return this.#workers.links;
  }

  start(count: number): Promise<void> {
    return this.#workers.start(count);
  }

  restart(graceMs = REPLACED_GRACE_MS): Promise<void> {
    return this.#workers.restart(graceMs);
  }

  /** A worker has ended: what it held is free again. */
  #gone(index: number, link: PlaneLink): void {
    for (const record of this.#revisions.values()) {
      new Counter(record.queue.ref, index).forget();
      if (record.queue.total === 0) record.queue.resetReport();
      for (const endpoint of record.endpoints.values()) new Counter(endpoint.ref, index).forget();
    }
    for (const retiring of this.#retiring.values()) new Counter(retiring.ref, index).forget();
    for (const { memory } of this.#routes.values())
      if (memory !== null) new Counter(inFlightRow(memory), index).forget();
    for (const id of [...this.#retiring.keys()]) this.#released(id, link);
    for (const key of this.#revisions.keys()) for (const other of this.links) other?.wake(key);
  }

  #events(index: number): PlaneEvents {
    return {
      demand: (key) => this.#demand(key),
      endpointDown: (key, id, reason) => this.#endpointDown(key, id, reason),
      released: (row, turn) => {
        const link = this.links[index];
        // word of an earlier time, sent before the worker knew that the endpoint is back, counts no more
        if (link && turn === (this.#retiring.get(row)?.record?.turn ?? 0)) this.#released(row, link);
      },
      keyMissing: (namespace, name) => this.#control.keyMissing?.(namespace, name),
      wake: () => {},
      active: () => this.#active(),
    };
  }

  /** Everything a new worker has to know. */
  *#state(): Generator<PlaneCommand> {
    for (const [key, record] of this.#revisions) {
      yield this.#revisionCommand(key, record);
      yield this.#endpointsCommand(key, record);
    }
    for (const route of this.#routes.values()) yield { type: 'route', ...route };
    for (const [id, path] of this.#paths) yield { type: 'path', id, ...path };
    for (const [id, entry] of this.#servers) yield { type: 'server', id, entry };
  }

  #broadcast(command: PlaneCommand): void {
    this.#workers.broadcast(command);
  }

  setRoute(namespace: string, name: string, entry: RouteEntry | null): void {
    const key = `${namespace}/${name}`;
    const memory = entry === null ? null : memoryFor(entry, this.#routes.get(key));
    if (entry === null) this.#routes.delete(key);
    else this.#routes.set(key, { namespace, name, entry, memory });
    this.#broadcast({ type: 'route', namespace, name, entry, memory });
  }

  /** Throws `InvalidArgument` for a path, a header or a target that cannot be. */
  setPathRoute(id: string, route: PathRoute | null): void {
    if (route === null) {
      if (this.#paths.delete(id)) this.#broadcast({ type: 'path', id, route, turn: null });
      return;
    }
    loadPathCheck().checkPathRoute(id, route);
    const several = Array.isArray(route.to) && route.to.length > 1;
    const turn = several ? (this.#paths.get(id)?.turn ?? new SharedArrayBuffer(4)) : null;
    this.#paths.set(id, { route, turn });
    this.#broadcast({ type: 'path', id, route, turn });
  }

  setServer(id: string, entry: ServerEntry | null): void {
    if (entry === null && !this.#servers.delete(id)) return;
    if (entry !== null) this.#servers.set(id, entry);
    this.#broadcast({ type: 'server', id, entry });
  }

  setRevision(key: string, entry: RevisionEntry | null): void {
    const known = this.#revisions.get(key);
    if (entry === null) {
      if (known === undefined) return;
      this.#revisions.delete(key);
      if (known.demandTimer !== null) clearTimeout(known.demandTimer);
      for (const endpoint of known.endpoints.values()) this.#retire(key, endpoint);
      this.#retireRow(known.queue.ref, '', null);
      this.#broadcast({ type: 'revision', key, entry: null, queue: null });
      return;
    }
    let record = known;
    if (record === undefined) {
      const queue = new Counter(this.#rows.allocate(), 0);
      record = { entry, queue, endpoints: new Map(), demandAt: Number.NEGATIVE_INFINITY, demandTimer: null };
      this.#revisions.set(key, record);
    }
    record.entry = entry;
    this.#broadcast(this.#revisionCommand(key, record));
  }

  /** Every worker sees its share of the requests, so a surge shows in its share of them. */
  #revisionCommand(key: string, { entry, queue }: RevisionRecord): PlaneCommand {
    const surge = entry.surge && Math.ceil(entry.surge / Math.max(1, this.#workers.count));
    return { type: 'revision', key, entry: surge ? { ...entry, surge } : entry, queue: queue.ref };
  }

  #endpointsCommand(key: string, record: RevisionRecord): PlaneCommand {
    const endpoints = [...record.endpoints.values()].map(({ endpoint, ref, turn }) => ({
      endpoint,
      ref,
      turn,
    }));
    return { type: 'endpoints', key, endpoints };
  }

  setEndpoints(key: string, endpoints: Endpoint[]): void {
    const record = this.#revisions.get(key);
    if (record === undefined) return;
    const before = record.endpoints;
    record.endpoints = new Map();
    for (const endpoint of endpoints) {
      const old = before.get(endpoint.id);
      if (old !== undefined && sameAddress(old.endpoint, endpoint)) {
        before.delete(endpoint.id);
        old.down = false;
        old.endpoint = endpoint;
        record.endpoints.set(endpoint.id, old);
      } else record.endpoints.set(endpoint.id, this.#revived(key, endpoint) ?? this.#newEndpoint(endpoint));
    }
    for (const gone of before.values()) this.#retire(key, gone);
    this.#broadcast(this.#endpointsCommand(key, record));
  }

  #newEndpoint(endpoint: Endpoint): EndpointRecord {
    const ref = this.#rows.allocate();
    return { endpoint, ref, slots: new Counter(ref, 0), down: false, turn: 0, done: [] };
  }

  /** An endpoint that is back before its last request has ended keeps its row: what it works on still counts. */
  #revived(key: string, endpoint: Endpoint): EndpointRecord | null {
    const name = `${key}/${endpoint.id}`;
    for (const [id, { name: other, record, done }] of this.#retiring) {
      if (other !== name || record === null || !sameAddress(record.endpoint, endpoint)) continue;
      this.#retiring.delete(id);
      return Object.assign(record, { endpoint, done, down: false, turn: record.turn + 1 });
    }
    return null;
  }

  failRevision(key: string, failure: RevisionFailure): void {
    this.#broadcast({ type: 'fail', key, failure });
  }

  #retire(key: string, record: EndpointRecord): void {
    this.#retireRow(record.ref, `${key}/${record.endpoint.id}`, record);
  }

  #retireRow(ref: RowRef, name: string, record: EndpointRecord | null): void {
    const waitsFor = new Set(this.links.filter((link) => link !== null));
    this.#retiring.set(ref.id, {
      ref,
      name,
      slots: new Counter(ref, 0),
      waitsFor,
      done: record?.done ?? [],
      record,
    });
    if (waitsFor.size === 0) this.#finishRow(ref.id);
  }

  #released(row: number, link: PlaneLink): void {
    const retiring = this.#retiring.get(row);
    if (retiring === undefined || !retiring.waitsFor.delete(link)) return;
    if (retiring.waitsFor.size === 0) this.#finishRow(row);
  }

  #finishRow(row: number): void {
    const retiring = this.#retiring.get(row)!;
    this.#retiring.delete(row);
    this.#rows.release(retiring.ref);
    for (const done of retiring.done) done();
  }

  async drained(key: string, endpointId: string, timeoutMs: number): Promise<void> {
    const name = `${key}/${endpointId}`;
    const waits = [...this.#retiring.values()].filter((r) => r.name === name);
    if (waits.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    const all = waits.map((r) => new Promise<void>((resolve) => r.done.push(resolve)));
    await Promise.race([Promise.all(all), timeout]);
    clearTimeout(timer);
  }

  #inFlight(key: string, record: RevisionRecord): number {
    let sum = 0;
    for (const endpoint of record.endpoints.values()) sum += endpoint.slots.total;
    for (const r of this.#retiring.values()) if (r.name.startsWith(`${key}/`)) sum += r.slots.total;
    return sum;
  }

  #demand(key: string): void {
    const record = this.#revisions.get(key);
    if (record === undefined || record.demandTimer !== null) return;
    const wait = record.demandAt + DEMAND_INTERVAL_MS - performance.now();
    if (wait <= 0) {
      this.#raise(key, record);
      return;
    }
    record.demandTimer = setTimeout(() => {
      record.demandTimer = null;
      const wanted = record.queue.total > 0 || record.entry.surge !== undefined;
      if (!this.#closed && wanted) this.#raise(key, record);
    }, Math.ceil(wait));
  }

  #raise(key: string, record: RevisionRecord): void {
    record.demandAt = performance.now();
    this.#control.demand(key, record.queue.total, this.#inFlight(key, record));
  }

  #endpointDown(key: string, id: string, reason: string): void {
    const record = this.#revisions.get(key);
    const endpoint = record?.endpoints.get(id);
    if (record === undefined || endpoint === undefined || endpoint.down) return;
    endpoint.down = true;
    this.#control.endpointDown(key, id, reason);
    if (record.queue.total > 0) this.#demand(key); // what waits was reported while the endpoint counted
  }

  #active(): void {
    if (this.#statsTimer !== null || this.#closed) return;
    this.#statsFrom = performance.now();
    this.#statsTimer = setTimeout(() => void this.#report(), STATS_INTERVAL_MS);
  }

  async #report(): Promise<void> {
    const parts = await Promise.all(this.links.map((link) => link?.collect() ?? Promise.resolve([])));
    this.#statsTimer = null;
    if (this.#closed) return;
    const now = performance.now();
    const interval = now - this.#statsFrom;
    this.#statsFrom = now;
    const merged = this.#merge(parts, interval);
    if (merged.length === 0) return;
    this.#statsTimer = setTimeout(() => void this.#report(), STATS_INTERVAL_MS);
    this.#control.stats(merged, interval);
  }

  #merge(parts: PlaneStats[][], interval: number): RevisionStats[] {
    const merged = new Map<string, RevisionStats>();
    for (const { key, integral, begun, outcomes, mirror, calls } of parts.flat()) {
      const record = this.#revisions.get(key);
      if (record === undefined) continue;
      let entry = merged.get(key);
      if (entry === undefined) {
        const inFlight = this.#inFlight(key, record);
        entry = { key, averageConcurrency: 0, requestCount: 0, inFlight, queued: record.queue.total };
        merged.set(key, entry);
      }
      entry.averageConcurrency += integral / interval;
      entry.requestCount += begun;
      if (outcomes !== undefined) entry.outcomes = addOutcomes(entry.outcomes, outcomes);
      if (calls !== undefined) entry.calls = loadCalls().addCalls([...(entry.calls ?? []), ...calls]);
      if (mirror !== undefined) entry.mirror = addMirror(entry.mirror, mirror);
    }
    return [...merged.values()];
  }

  /** What a revision has in flight and waiting now, over all workers; null when it is not known. For diagnosis. */
  counts(key: string): { inFlight: number; queued: number } | null {
    const record = this.#revisions.get(key);
    if (record === undefined) return null;
    return { inFlight: this.#inFlight(key, record), queued: record.queue.total };
  }

  async close(graceMs: number): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#statsTimer !== null) clearTimeout(this.#statsTimer);
    for (const record of this.#revisions.values())
      if (record.demandTimer !== null) clearTimeout(record.demandTimer);
    await this.#workers.close(graceMs);
  }
}

function sameAddress(a: Endpoint, b: Endpoint): boolean {
  return JSON.stringify(a.address) === JSON.stringify(b.address);
}
