/** What the gateway has been told of each Route, and which revisions Routes lead to. In memory, at once. */
import type { Gateway, RevisionKey, RouteEntry } from '../gateway/contract.ts';
import { objectKey } from '../kube/indexed-store.ts';

export interface RouteTableOptions {
  gateway: Gateway;
  /** Whether a Route of that name exists: it is more than another Route's tag. */
  routeExists(namespace: string, name: string): boolean;
  /** Called when routes begin or cease to lead to the Revision behind `key`. */
  onReachability(key: RevisionKey): void;
}

export interface RouteTable {
  /**
   * Makes the gateway's entries of a Route exactly these; the first is the Route's own, the others those of its tags.
   * `also`: revisions that nothing of the split leads to, but rules, mirrors or tag headers do.
   */
  set(key: string, namespace: string, entries: RouteEntry[], also?: Iterable<RevisionKey>): void;
  /** Whether any route leads to the Revision behind `key`. */
  reachable(key: RevisionKey): boolean;
  /** Key of the Route that answers a host. */
  answers(host: string): string | undefined;
}

export function createRouteTable({ gateway, routeExists, onReachability }: RouteTableOptions): RouteTable {
  /** Route key → the entries of it and its tags that the gateway has, by name, as text. */
  const published = new Map<string, Map<string, string>>();
  /** Host → key of the Route that answers it. */
  const hosts = new Map<string, string>();
  const hostsOf = new Map<string, Set<string>>();
  /** Route key → Revision keys. */
  const targetsOf = new Map<string, Set<RevisionKey>>();
  /** Revision key → number of routes that lead there. */
  const references = new Map<RevisionKey, number>();

  const refer = (key: string, revisions: Set<RevisionKey>) => {
    const before = targetsOf.get(key) ?? new Set<RevisionKey>();
    if (revisions.size === 0) targetsOf.delete(key);
    else targetsOf.set(key, revisions);
    for (const revision of revisions.difference(before)) {
      const count = references.get(revision) ?? 0;
      references.set(revision, count + 1);
      if (count === 0) onReachability(revision);
    }
    for (const revision of before.difference(revisions)) {
      const count = (references.get(revision) ?? 1) - 1;
      if (count > 0) references.set(revision, count);
      else {
        references.delete(revision);
        onReachability(revision);
      }
    }
  };

  const host = (key: string, now: Set<string>) => {
    for (const one of hostsOf.get(key) ?? []) if (!now.has(one) && hosts.get(one) === key) hosts.delete(one);
    for (const one of now) hosts.set(one, key);
    if (now.size > 0) hostsOf.set(key, now);
    else hostsOf.delete(key);
  };

  return {
    set(key, namespace, entries, also = []) {
      const before = published.get(key) ?? new Map<string, string>();
      const now = new Map<string, string>();
      for (const entry of entries) {
        if (entry !== entries[0] && routeExists(namespace, entry.name)) continue;
        const text = JSON.stringify(entry);
        if (before.get(entry.name) !== text) gateway.setRoute(namespace, entry.name, entry);
        now.set(entry.name, text);
      }
      for (const name of before.keys()) {
        const another = key !== objectKey(namespace, name) && routeExists(namespace, name);
        if (!now.has(name) && !another) gateway.setRoute(namespace, name, null);
      }
      if (now.size > 0) published.set(key, now);
      else published.delete(key);
      host(key, new Set(entries.flatMap((entry) => (now.has(entry.name) ? entry.hosts : []))));
      const split = entries.flatMap(({ targets }) => targets.map(({ revision }) => revision));
      refer(key, new Set([...split, ...also]));
    },
    reachable: (key) => references.has(key),
    answers: (host) => hosts.get(host),
  };
}
