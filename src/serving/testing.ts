/** A gateway and a source of instances that tests can look into and steer. */
import type { Clock } from '../base/clock.ts';
import type { Endpoint, Gateway, RevisionEntry, RevisionFailure, RouteEntry } from '../gateway/contract.ts';
import type { Revision } from '../kinds/serving.ts';
import { keyOf } from '../kube/indexed-store.ts';
import type { Instance, InstanceEvents, InstanceSource } from './contract.ts';

export interface FakeGateway extends Gateway {
  readonly routes: Map<string, RouteEntry>;
  readonly revisions: Map<string, RevisionEntry>;
  readonly endpoints: Map<string, Endpoint[]>;
  readonly failures: { key: string; failure: RevisionFailure }[];
  /** Every call that changed the route table, oldest first, as `<namespace>/<name>`. */
  readonly routeWrites: string[];
  /** Ids of the endpoints of a revision. */
  ids(key: string): string[];
  /** Traffic of a route as text, for example `a-00001=50 a-00002=50`. */
  traffic(route: string): string;
  /** While set, `drained` waits for it. */
  hold: Promise<void> | undefined;
}

export function createFakeGateway(): FakeGateway {
  const gateway: FakeGateway = {
    address: { host: '127.0.0.1', port: 8080 },
    routes: new Map(),
    revisions: new Map(),
    endpoints: new Map(),
    failures: [],
    routeWrites: [],
    hold: undefined,
    ids: (key) => (gateway.endpoints.get(key) ?? []).map(({ id }) => id),
    traffic: (route) =>
      (gateway.routes.get(route)?.targets ?? [])
        .map(({ revision, percent }) => `${revision.split('/')[1]}=${percent}`)
        .join(' '),
    setRoute(namespace, name, entry) {
      gateway.routeWrites.push(`${namespace}/${name}`);
      if (entry) gateway.routes.set(`${namespace}/${name}`, entry);
      else gateway.routes.delete(`${namespace}/${name}`);
    },
    setRevision(key, entry) {
      if (entry) gateway.revisions.set(key, entry);
      else gateway.revisions.delete(key);
    },
    setEndpoints: (key, endpoints) => gateway.endpoints.set(key, endpoints),
    failRevision: (key, failure) => gateway.failures.push({ key, failure }),
    async drained() {
      await gateway.hold;
    },
    async close() {},
  };
  return gateway;
}

export interface FakeSource extends InstanceSource {
  /** Ids of the instances alive, per revision. */
  readonly alive: Map<string, string[]>;
  /** Starts so far, per revision. */
  readonly starts: Map<string, number>;
  readonly released: string[];
  /** Milliseconds that a start takes. */
  startMs: number;
  /** When it yields an error, a start ends with it. */
  failure: ((revision: Revision) => Error | undefined) | undefined;
  /** Makes an instance go away, as a crash does. */
  crash(key: string, id: string): void;
  /** Says that it runs and is not ready. */
  unready(key: string, id: string): void;
  /** Brings it back. */
  revive(key: string, id: string): void;
}

export function createFakeSource(clock: Clock): FakeSource {
  const listeners: InstanceEvents[] = [];
  const known = new Map<string, Revision>();
  let sequence = 0;
  const instance = (revision: Revision, id: string): Instance => ({
    id,
    namespace: revision.metadata.namespace ?? '',
    podName: id,
    address: { kind: 'mux', path: `/run/${id}.sock` },
  });
  const source: FakeSource = {
    alive: new Map(),
    starts: new Map(),
    released: [],
    startMs: 0,
    failure: undefined,
    handles: () => true,
    async acquire(revision, signal) {
      const key = keyOf(revision);
      known.set(key, revision);
      source.starts.set(key, (source.starts.get(key) ?? 0) + 1);
      if (source.startMs > 0) await new Promise<void>((resolve) => clock.after(source.startMs, resolve));
      if (signal.aborted) throw new Error('aborted');
      const error = source.failure?.(revision);
      if (error) throw error;
      const id = `i${++sequence}`;
      source.alive.set(key, [...(source.alive.get(key) ?? []), id]);
      return instance(revision, id);
    },
    async release(revision, id) {
      const key = keyOf(revision);
      source.released.push(id);
      source.alive.set(
        key,
        (source.alive.get(key) ?? []).filter((one) => one !== id),
      );
    },
    async adopt(revision) {
      known.set(keyOf(revision), revision);
      return (source.alive.get(keyOf(revision)) ?? []).map((id) => instance(revision, id));
    },
    onEvent: (events) => listeners.push(events),
    crash(key, id) {
      for (const listener of listeners) listener.down(known.get(key)!, id, 'exit code 1', 'crashed');
    },
    unready(key, id) {
      for (const listener of listeners) listener.down(known.get(key)!, id, 'its Pod is not ready', 'unready');
    },
    revive(key, id) {
      for (const listener of listeners) listener.up(known.get(key)!, instance(known.get(key)!, id));
    },
  };
  return source;
}
