/**
 * Servers of the platform that requests are handed to: an HTTP endpoint that is always there, so nobody is asked to start
 * it. One that does not answer ends what waits for it with 503, and is tried again by the next request.
 */

import type { Deadlines } from '../base/deadlines.ts';
import type { EndpointAddress, ServerEntry } from './contract.ts';
import { RowAllocator } from './counters.ts';
import { failure } from './failures.ts';
import {
  type EndpointPush,
  type EndpointState,
  type Link,
  type RevisionHooks,
  RevisionState,
} from './revision.ts';

/** Longest answer of a server, milliseconds; the longest a function may take. */
const TIMEOUT_MS = 600_000;
/** Requests that may wait for a connection. */
const QUEUE_DEPTH = 10_000;

export interface ServerSurroundings {
  readonly deadlines: Deadlines;
  connect(revision: RevisionState, endpoint: EndpointState): Link;
}

interface Known {
  state: RevisionState;
  uses: number;
}

export class Servers {
  readonly #around: ServerSurroundings;
  readonly #rows = new RowAllocator();
  readonly #known = new Map<string, Known>();
  /** What is handed over by host or path, see `ServerEntry`. */
  readonly #entries = new Map<string, { entry: ServerEntry; state: RevisionState }>();

  constructor(around: ServerSurroundings) {
    this.#around = around;
  }

  /** Begins to use a server; every `take` is given back with `drop`. */
  take(address: EndpointAddress): RevisionState {
    const key = JSON.stringify(address);
    const known = this.#known.get(key) ?? { state: this.#make(key, address), uses: 0 };
    known.uses++;
    this.#known.set(key, known);
    return known.state;
  }

  /** Requests in flight end as usual. */
  drop(address: EndpointAddress): void {
    const key = JSON.stringify(address);
    const known = this.#known.get(key);
    if (known === undefined || --known.uses > 0) return;
    this.#known.delete(key);
    known.state.remove();
  }

  /** Hands what is no route's over from now on; `null` ends that. */
  set(id: string, entry: ServerEntry | null): void {
    const old = this.#entries.get(id);
    if (entry === null) this.#entries.delete(id);
    else this.#entries.set(id, { entry, state: this.take(entry.address) });
    if (old !== undefined) this.drop(old.entry.address);
  }

  /** Who takes a request that is no route's; undefined: nobody. */
  for(host: string, target: string): RevisionState | undefined {
    for (const { entry, state } of this.#entries.values()) {
      for (const prefix of entry.prefixes) if (target.startsWith(prefix)) return state;
      if (entry.hosts?.test(host)) return state;
    }
    return undefined;
  }

  #make(key: string, address: EndpointAddress): RevisionState {
    const push: EndpointPush = {
      endpoint: { id: key, address },
      ref: this.#rows.allocate(),
      turn: 0,
    };
    const hooks: RevisionHooks = {
      deadlines: this.#around.deadlines,
      zone: '',
      demand: () => {},
      released: () => {},
      wake: () => {},
      active: () => {},
      connect: (revision, endpoint) => this.#around.connect(revision, endpoint),
      // after the request that found it out has gone back to the queue
      endpointDown: (_key, _id, reason) => queueMicrotask(() => this.#failed(key, state, push, reason)),
    };
    const entry = {
      key: `server:${key}`,
      containerConcurrency: 0,
      timeoutMs: TIMEOUT_MS,
      maxRequestBytes: 0,
      queueDepth: QUEUE_DEPTH,
    };
    const state = new RevisionState(entry, this.#rows.allocate(), 0, hooks);
    state.setEndpoints([push]);
    return state;
  }

  #failed(key: string, state: RevisionState, push: EndpointPush, reason: string): void {
    const message = `a part of the platform does not answer: ${reason}`;
    // It is back in a moment: its part of the platform starts it again.
    state.failQueued({ ...failure('not_ready', message), component: 'platform' }, 1);
    if (this.#known.get(key)?.state === state) state.setEndpoints([push]);
  }

  close(): void {
    for (const { state } of this.#known.values()) state.remove();
    this.#known.clear();
  }
}
