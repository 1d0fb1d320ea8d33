/** The data plane of one thread: its listener, routes, revisions and connections. */
import { createServer, type Server } from 'node:net';
import { Deadlines } from '../base/deadlines.ts';
import { FieldTable } from '../base/http1/fields.ts';
import type { Logger } from '../base/log.ts';
import { ClientConnection, type ClientPlane } from './client.ts';
import type {
  MirrorCounts,
  PathRoute,
  RevisionCalls,
  RevisionEntry,
  RevisionFailure,
  RevisionOutcomes,
  RouteEntry,
  ServerEntry,
} from './contract.ts';
import type { RowRef } from './counters.ts';
import { type EntranceSurroundings, enter, handedTo, notReady, refused } from './entrance.ts';
import { failure, ownAnswer } from './failures.ts';
import { DetectingLink } from './h2/detect.ts';
import { LazyHttp2Link } from './h2/lazy-link.ts';
import { loadClientSession } from './h2/load.ts';
import { Http1Link } from './http1.ts';
import type { GatewayLimits } from './limits.ts';
import { MuxLink } from './mux-link.ts';
import { loadPaths } from './paths/load.ts';
import type { Paths } from './paths/paths.ts';
import type { Destination, Flushable, Terms } from './plane-types.ts';
import type { GatewayIdentity } from './policy/around.ts';
import type { RouteMemory } from './policy/memory.ts';
import type { RequestBlock } from './request-block.ts';
import type { RequestLine } from './request-line.ts';
import { ResponseWriter } from './response-writer.ts';
import {
  type EndpointPush,
  type EndpointState,
  type Link,
  type RevisionHooks,
  RevisionState,
} from './revision.ts';
import { parseFunctionPath, RouteTable } from './routes.ts';
import { Servers } from './servers.ts';

/** A change of state, as the main side sends it. Plain data: it crosses between threads. */
export type PlaneCommand =
  | {
      type: 'route';
      namespace: string;
      name: string;
      entry: RouteEntry | null;
      memory: RouteMemory | null;
    }
  | { type: 'path'; id: string; route: PathRoute | null; turn: SharedArrayBuffer | null }
  | { type: 'server'; id: string; entry: ServerEntry | null }
  | { type: 'revision'; key: string; entry: RevisionEntry | null; queue: RowRef | null }
  | { type: 'endpoints'; key: string; endpoints: EndpointPush[] }
  | { type: 'fail'; key: string; failure: RevisionFailure };

/** What happened to one revision in one thread since the last collection. */
export interface PlaneStats {
  key: string;
  /** Requests in flight or queued, integrated over time: request milliseconds. */
  integral: number;
  begun: number;
  outcomes?: RevisionOutcomes | undefined;
  mirror?: MirrorCounts | undefined;
  calls?: RevisionCalls[] | undefined;
}

/** What a plane tells the main side. */
export interface PlaneEvents {
  demand(key: string): void;
  endpointDown(key: string, endpointId: string, reason: string): void;
  /** Nothing here uses the row any more: its endpoint was left out and is idle, or its revision is gone. */
  released(row: number, turn: number): void;
  /** Another worker may have a use for a slot of the revision. */
  wake(key: string): void;
  /** A route was sent a token whose key it does not know. */
  keyMissing(namespace: string, name: string): void;
  /** Traffic began; `collect` is worth calling. */
  active(): void;
}

export interface PlaneOptions {
  worker: number;
  limits: GatewayLimits;
  identity: GatewayIdentity;
  log: Logger;
  events: PlaneEvents;
  /** Applies state that the main side has sent and that was not read yet; called before a request is read. */
  sync(): void;
}

/** What is read of a client at once at most. */
const INPUT_BYTES = 64 * 1024;

/** Answered without a look at routes. */
const HEALTH = '/_petrel/healthz';

/** A request that no path route has had a say in. */
const PLAIN = { revision: null, later: false, access: undefined, trusted: false, count: undefined };

/** A client's connection, whatever it speaks. */
interface PlaneClient {
  /** Ends it after what is under way; `gently` also an idle one only when its client knows. */
  drain(gently: boolean): void;
  /** Cuts it off. */
  destroy(): void;
}

export class Plane implements ClientPlane, RevisionHooks {
  readonly limits: GatewayLimits;
  readonly log: Logger;
  readonly deadlines = new Deadlines();
  readonly writer = new ResponseWriter();
  readonly input = Buffer.allocUnsafeSlow(INPUT_BYTES);
  readonly fields: FieldTable;
  readonly line: RequestLine = { start: 0, methodEnd: 0, targetStart: 0, targetEnd: 0, minor: 1 };
  readonly sync: () => void;
  /** Zone of the gateway; `''` when it has none. */
  readonly zone: string;
  closing = false;
  readonly #worker: number;
  readonly #events: PlaneEvents;
  readonly #routes: RouteTable;
  readonly #servers: Servers;
  readonly #entrance: EntranceSurroundings;
  /** Undefined while there is none. */
  #paths: Paths | undefined;
  readonly #revisions = new Map<string, RevisionState>();
  readonly #busy = new Set<RevisionState>();
  readonly #clients = new Set<PlaneClient>();
  #announced = false;
  #dirty: Flushable[] = [];
  #server: Server | null = null;
  #emptied: (() => void)[] = [];
  readonly #deaf = Promise.withResolvers<void>();
  readonly #revision = (key: string) => this.#revisions.get(key);
  readonly #flushAll = () => {
    const list = this.#dirty;
    this.#dirty = [];
    for (const item of list) item.flush();
  };

  constructor(options: PlaneOptions) {
    this.limits = options.limits;
    this.log = options.log;
    this.#worker = options.worker;
    this.#events = options.events;
    this.sync = options.sync;
    this.fields = new FieldTable(options.limits.maxHeaders);
    this.zone = options.identity.zone;
    this.#servers = new Servers(this);
    const around = {
      worker: options.worker,
      identity: options.identity,
      deadlines: this.deadlines,
      log: options.log,
      mirrors: { open: 0, bytes: 0 },
      revision: this.#revision,
    };
    this.#routes = new RouteTable(around, this.#servers, (namespace, name) =>
      this.#events.keyMissing(namespace, name),
    );
    this.#entrance = { revision: this.#revision, held: { bytes: 0 } };
  }

  /** Listens; rejects when the address is taken. Port 0 is any. */
  listen(host: string, port: number, reusePort: boolean): Promise<{ host: string; port: number }> {
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      this.#clients.add(new ClientConnection(socket, this));
    });
    server.maxConnections = this.limits.maxConnections;
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, reusePort, backlog: 4096 }, () => {
        server.off('error', reject);
        server.on('error', (error) => this.log.error('listener', { error: error.message }));
        const address = server.address();
        resolve(
          typeof address === 'object' && address !== null ? { host, port: address.port } : { host, port },
        );
      });
    });
  }

  /** Resolves when it is being closed and takes no new connections any more. */
  get deaf(): Promise<void> {
    return this.#deaf.promise;
  }

  apply(command: PlaneCommand): void {
    switch (command.type) {
      case 'route':
        this.#routes.set(command.namespace, command.name, command.entry, command.memory);
        break;
      case 'path':
        this.#setPath(command.id, command.route, command.turn);
        break;
      case 'server':
        this.#servers.set(command.id, command.entry);
        break;
      case 'revision':
        this.#setRevision(command.key, command.entry, command.queue);
        break;
      case 'endpoints':
        this.#revisions.get(command.key)?.setEndpoints(command.endpoints);
        break;
      case 'fail':
        this.#revisions.get(command.key)?.failQueued(command.failure);
        break;
    }
    this.writer.flush();
  }

  #setPath(id: string, route: PathRoute | null, turn: SharedArrayBuffer | null): void {
    const around = { ...this.#entrance, routes: this.#routes, servers: this.#servers };
    const paths = this.#paths ?? new (loadPaths().Paths)(around);
    paths.set(id, route, turn);
    this.#paths = paths.empty ? undefined : paths;
  }

  #setRevision(key: string, entry: RevisionEntry | null, queue: RowRef | null): void {
    const known = this.#revisions.get(key);
    if (entry === null || queue === null) {
      if (known === undefined) return;
      this.#revisions.delete(key);
      known.remove();
      this.#events.released(known.queue.id, 0);
    } else if (known !== undefined) {
      known.reconfigure(entry);
    } else this.#revisions.set(key, new RevisionState(entry, queue, this.#worker, this));
  }

  route(
    block: RequestBlock,
    address: string,
    buf: Buffer,
    targetStart: number,
    targetEnd: number,
  ): Destination {
    if (this.#paths?.concerns(block.hostKey, buf, targetStart, targetEnd)) {
      const byPath = this.#byPath(block, address, buf, targetStart, targetEnd);
      if (byPath !== null) return byPath;
    }
    const host = block.hostKey;
    let state = this.#routes.byHost(host);
    let prefix = '';
    if (state === undefined) {
      const target = buf.toString('latin1', targetStart, targetEnd);
      if (target === HEALTH) return refused(ownAnswer(200));
      const path = parseFunctionPath(target);
      if (path === null) {
        const server = this.#servers.for(host, target);
        return server === undefined ? refused(unknownHost(host)) : handedTo(server);
      }
      state = this.#routes.byName(path.namespace, path.name);
      if (state === undefined) return refused(unknownFunction(path.namespace, path.name));
      prefix = path.prefix;
    }
    if (block.later || state.access !== undefined) {
      const rest = buf.toString('latin1', targetStart + prefix.length, targetEnd);
      const target = rest.startsWith('/') ? rest : `/${rest}`;
      const method = this.#method(buf);
      const asked = { ...PLAIN, block, address, method, prefix, target };
      return enter(state, asked, this.#entrance);
    }
    let terms: Terms | null = null;
    let key: string | null;
    if (state.terms === undefined) key = state.targets.next();
    else {
      const target = () => buf.toString('latin1', targetStart + prefix.length, targetEnd);
      const direction = state.terms.direct(block, address, target);
      if (direction.failure !== null) return refused(direction.failure);
      ({ key, terms } = direction);
    }
    const revision = key === null ? undefined : this.#revisions.get(key);
    if (revision === undefined) return notReady(state);
    return { revision, prefix, failure: null, terms, target: null, block: null, lines: '' };
  }

  #byPath(
    block: RequestBlock,
    address: string,
    buf: Buffer,
    targetStart: number,
    targetEnd: number,
  ): Destination | null {
    const target = buf.toString('latin1', targetStart, targetEnd);
    if (target === HEALTH) return null;
    return this.#paths!.route({ block, address, method: this.#method(buf), target });
  }

  #method(buf: Buffer): string {
    return buf.toString('latin1', this.line.start, this.line.methodEnd);
  }

  speakHttp2(client: ClientConnection, first: Buffer): void {
    const { ClientSession } = loadClientSession();
    this.#clients.add(new ClientSession(client.socket, first, this));
    this.#clients.delete(client);
  }

  gone(client: PlaneClient): void {
    this.#clients.delete(client);
    if (this.#clients.size === 0) for (const done of this.#emptied.splice(0)) done();
  }

  flushLater(item: Flushable): void {
    if (this.#dirty.length === 0) setImmediate(this.#flushAll);
    this.#dirty.push(item);
  }

  flushClients(): boolean {
    return this.writer.flush();
  }

  demand(key: string): void {
    this.#events.demand(key);
  }

  endpointDown(key: string, endpointId: string, reason: string): void {
    this.#events.endpointDown(key, endpointId, reason);
  }

  released(endpoint: EndpointState): void {
    this.#events.released(endpoint.slots.ref.id, endpoint.turn);
  }

  wake(key: string): void {
    this.#events.wake(key);
  }

  /** Another worker has freed a slot. */
  woken(key: string): void {
    this.#revisions.get(key)?.woken();
    this.writer.flush();
  }

  connect(revision: RevisionState, endpoint: EndpointState): Link {
    const address = endpoint.endpoint.address;
    if (address.kind === 'mux') return new MuxLink(revision, endpoint, address.path, this);
    if (address.kind === 'http1-unix') return new Http1Link(revision, endpoint, { path: address.path }, this);
    const { host, port } = address;
    if (address.kind === 'h2c') return new LazyHttp2Link(revision, endpoint, host, port, this);
    if (address.detect === true) return new DetectingLink(revision, endpoint, host, port, this);
    return new Http1Link(revision, endpoint, { host, port }, this);
  }

  active(revision: RevisionState): void {
    this.#busy.add(revision);
    if (this.#announced) return;
    this.#announced = true;
    this.#events.active();
  }

  /** Counts since the last call. An empty answer means that traffic has ended: `active` is called when it begins again. */
  collect(): PlaneStats[] {
    const now = performance.now();
    const out: PlaneStats[] = [];
    for (const revision of this.#busy) {
      const stats = revision.collect(now);
      if (stats !== null) out.push({ key: revision.entry.key, ...stats });
      if (revision.level === 0) this.#busy.delete(revision);
    }
    if (out.length === 0 && this.#busy.size === 0) this.#announced = false;
    return out;
  }

  /**
   * Stops accepting, lets requests end for up to `graceMs`, then closes what is left. Idle connections end at once;
   * `gently` leaves them to end with the answer to their next request, or when they would have ended anyway: a client
   * cannot tell the difference from any other day.
   */
  async close(graceMs: number, gently = false): Promise<void> {
    this.closing = true;
    // a listener takes along what nobody has accepted yet
    if (gently) await quietTurn();
    this.#server?.close();
    this.#deaf.resolve();
    for (const client of this.#clients) client.drain(gently);
    if (this.#clients.size > 0) {
      const emptied = new Promise<void>((resolve) => this.#emptied.push(resolve));
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, graceMs);
      });
      await Promise.race([emptied, late]);
      clearTimeout(timer);
    }
    for (const client of this.#clients) client.destroy();
    for (const revision of this.#revisions.values()) revision.remove();
    this.#servers.close();
  }
}

/** A turn of the event loop counts as quiet below this, milliseconds. */
const QUIET_MS = 0.05;
const QUIET_WITHIN_MS = 500;

/** Resolves at the end of a turn that had next to nothing to do: whatever could be accepted was accepted just now. */
async function quietTurn(): Promise<void> {
  const began = performance.now();
  let from = Number.NEGATIVE_INFINITY;
  for (;;) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = performance.now();
    if (now - from < QUIET_MS || now - began > QUIET_WITHIN_MS) return;
    from = performance.now();
  }
}

function unknownHost(host: string) {
  const known = '`petrel list` shows what is deployed; `/fn/<namespace>/<name>/` works without DNS';
  return failure('no_route', `nothing answers for host "${host}": ${known}`);
}

function unknownFunction(namespace: string, name: string) {
  return failure(
    'no_route',
    `there is no function ${namespace}/${name}: \`petrel list -n ${namespace}\` shows what is deployed`,
  );
}
