/** Which revision a request goes to: by host, or by path under `/fn/<namespace>/<name>`. */
import type { RevisionKey, RouteEntry } from './contract.ts';

/**
 * Picks targets by smooth weighted round robin: after any 100 requests each target has had exactly its percentage,
 * and the targets are interleaved rather than in runs.
 */
export class WeightedTargets {
  readonly #keys: RevisionKey[];
  readonly #weights: number[];
  readonly #credit: number[];
  readonly #sum: number;

  constructor(targets: readonly { revision: RevisionKey; percent: number }[]) {
    const live = targets.filter((t) => t.percent > 0);
    this.#keys = live.map((t) => t.revision);
    this.#weights = live.map((t) => t.percent);
    this.#credit = live.map(() => 0);
    this.#sum = this.#weights.reduce((a, b) => a + b, 0);
  }

  /** The target of the next request, or null when there is none. */
  next(): RevisionKey | null {
    const keys = this.#keys;
    if (keys.length <= 1) return keys[0] ?? null;
    let best = 0;
    for (let i = 0; i < keys.length; i++) {
      this.#credit[i]! += this.#weights[i]!;
      if (this.#credit[i]! > this.#credit[best]!) best = i;
    }
    this.#credit[best]! -= this.#sum;
    return keys[best]!;
  }
}

export interface RouteState {
  entry: RouteEntry;
  targets: WeightedTargets;
}

export class RouteTable {
  readonly #byName = new Map<string, RouteState>();
  readonly #byHost = new Map<string, RouteState>();

  set(namespace: string, name: string, entry: RouteEntry | null): void {
    const key = `${namespace}/${name}`;
    const old = this.#byName.get(key);
    if (old !== undefined) {
      this.#byName.delete(key);
      for (const host of old.entry.hosts) if (this.#byHost.get(host) === old) this.#byHost.delete(host);
    }
    if (entry === null) return;
    // An update that keeps the split keeps its position in the sequence.
    const same = old !== undefined && JSON.stringify(old.entry.targets) === JSON.stringify(entry.targets);
    const state: RouteState = { entry, targets: same ? old.targets : new WeightedTargets(entry.targets) };
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
