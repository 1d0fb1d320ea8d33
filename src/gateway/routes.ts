/** Which revision a request goes to: by host, or by path under `/fn/<namespace>/<name>`. */
import type { AccessTerms } from './access/access.ts';
import { loadAccess } from './access/load.ts';
import type { RouteAccess, RouteEntry } from './contract.ts';
import type { PolicySurroundings } from './policy/around.ts';
import { loadRouteTerms } from './policy/load.ts';
import { CELL, type RouteMemory } from './policy/memory.ts';
import type { RouteTerms } from './policy/route-terms.ts';
import { WeightedTargets } from './policy/sequence.ts';
import type { RevisionState } from './revision.ts';
import type { Servers } from './servers.ts';

export interface RouteState {
  entry: RouteEntry;
  targets: WeightedTargets;
  /** Undefined for a route without policy and tags. */
  terms: RouteTerms | undefined;
  /** Takes what is to be carried out later. */
  server: RevisionState | undefined;
  /** Undefined for a route that anybody may call, and of which browsers are told nothing. */
  access: AccessTerms | undefined;
}

export class RouteTable {
  readonly #around: PolicySurroundings;
  readonly #servers: Servers;
  readonly #keyMissing: (namespace: string, name: string) => void;
  readonly #byName = new Map<string, RouteState>();
  readonly #byHost = new Map<string, RouteState>();

  /** `keyMissing` is called when a route is sent a token whose key it does not know. */
  constructor(
    around: PolicySurroundings,
    servers: Servers,
    keyMissing: (namespace: string, name: string) => void,
  ) {
    this.#around = around;
    this.#servers = servers;
    this.#keyMissing = keyMissing;
  }

  /** `memory` is what the workers share about the route, see `memoryFor`. */
  set(namespace: string, name: string, entry: RouteEntry | null, memory: RouteMemory | null): void {
    const key = `${namespace}/${name}`;
    const old = this.#byName.get(key);
    const server = entry?.async === undefined ? undefined : this.#servers.take(entry.async);
    if (old !== undefined) {
      if (old.entry.async !== undefined) this.#servers.drop(old.entry.async);
      this.#byName.delete(key);
      for (const host of old.entry.hosts) if (this.#byHost.get(host) === old) this.#byHost.delete(host);
    }
    if (entry === null) return;
    const turns = memory === null ? undefined : new Int32Array(memory.cells);
    const targets = new WeightedTargets(entry.targets, turns, CELL.turn);
    const { policy, tags, tag } = entry;
    const asks = tags !== undefined || tag !== undefined || Object.keys(policy ?? {}).length > 0;
    const terms = asks ? new (loadRouteTerms().RouteTerms)(entry, targets, memory, this.#around) : undefined;
    const access = accessTerms(entry.access, () => this.#keyMissing(namespace, name));
    const state: RouteState = { entry, targets, terms, server, access };
    this.#byName.set(key, state);
    for (const host of entry.hosts) this.#byHost.set(host, state);
  }

  /** The route bound to a normalised host. */
  byHost(host: string): RouteState | undefined {
    return this.#byHost.get(host);
  }

  /** The route `/fn/<namespace>/<name>` of a path. */
  byName(namespace: string, name: string): RouteState | undefined {
    return this.#byName.get(`${namespace}/${name}`);
  }
}

/** What a route, or a path route, says of who may call; undefined for nothing. */
export function accessTerms(
  access: RouteAccess | undefined,
  keyMissing: () => void,
): AccessTerms | undefined {
  if (access?.cors === undefined && access?.auth === undefined) return undefined;
  return loadAccess().AccessTerms.of(access, keyMissing);
}

/** A path under `/fn/`, taken apart. */
export interface FunctionPath {
  namespace: string;
  name: string;
  /** `/fn/<namespace>/<name>`. */
  prefix: string;
  /** What the function sees: begins with `/`, query included. */
  rest: string;
}

const FUNCTION_PATH =
  /^\/fn\/([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)\/([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?=[/?]|$)/;

/** Takes `/fn/<namespace>/<name>/rest` apart; null for any other path. */
export function parseFunctionPath(target: string): FunctionPath | null {
  const match = FUNCTION_PATH.exec(target);
  if (match === null) return null;
  const prefix = match[0];
  const rest = target.slice(prefix.length);
  return {
    namespace: match[1]!,
    name: match[2]!,
    prefix,
    rest: rest.startsWith('/') ? rest : `/${rest}`,
  };
}
