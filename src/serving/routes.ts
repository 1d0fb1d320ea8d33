/** Route → the gateway's route table, and what was assigned back into the Route. */
import type { Gateway, RouteEntry } from '../gateway/contract.ts';
import { conditionSet } from '../kinds/conditions.ts';
import type { Route, TrafficTarget } from '../kinds/serving.ts';
import { objectKey, splitKey } from '../kube/indexed-store.ts';
import { ROUTES } from '../kube/refs.ts';
import type { ServingContext } from './context.ts';
import { type Domain, hostsOf, LABELS, tagName, urlOf } from './names.ts';
import { resolveTraffic, splitOf, type TrafficResult, type TrafficSources } from './traffic.ts';

const conditions = conditionSet('AllTrafficAssigned', 'IngressReady', 'CertificateProvisioned');

export interface RouteReconcilerOptions {
  context: ServingContext;
  gateway: Gateway;
  domain: Domain;
  /** Called when the set of revisions that a route leads to has changed. `key` is that of a Revision. */
  onReachability(key: string): void;
}

export interface RouteReconciler {
  reconcile(key: string): Promise<number | undefined>;
  /** The part of `reconcile` that concerns the gateway: in memory, at once. */
  publish(key: string): void;
  /** Whether any route leads to the Revision behind `key`. */
  reachable(key: string): boolean;
}

export function createRouteReconciler({
  context,
  gateway,
  domain,
  onReachability,
}: RouteReconcilerOptions): RouteReconciler {
  const { caches, clock } = context;
  /** Route key → the entries of it and its tags that the gateway has, by name, as text. */
  const published = new Map<string, Map<string, string>>();
  /** Route key → Revision keys. */
  const targetsOf = new Map<string, Set<string>>();
  /** Revision key → number of routes that lead there. */
  const references = new Map<string, number>();
  /** Route key → uid of the route whose traffic has been assigned as asked since this process began. */
  const assigned = new Map<string, string | undefined>();

  const refer = (key: string, revisions: Set<string>) => {
    const before = targetsOf.get(key) ?? new Set<string>();
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

  /** Makes the gateway's entries of this route exactly these. */
  const setEntries = (key: string, namespace: string, entries: RouteEntry[]) => {
    const before = published.get(key) ?? new Map<string, string>();
    const now = new Map<string, string>();
    for (const entry of entries) {
      // A route of that very name is more than another route's tag.
      if (entry !== entries[0] && caches.routes.get(namespace, entry.name)) continue;
      const text = JSON.stringify(entry);
      if (before.get(entry.name) !== text) gateway.setRoute(namespace, entry.name, entry);
      now.set(entry.name, text);
    }
    for (const name of before.keys()) {
      const another = key !== objectKey(namespace, name) && caches.routes.get(namespace, name);
      if (!now.has(name) && !another) gateway.setRoute(namespace, name, null);
    }
    if (now.size > 0) published.set(key, now);
    else published.delete(key);
    refer(key, new Set(entries.flatMap(({ targets }) => targets.map(({ revision }) => revision))));
  };

  const entriesFor = (route: Route, targets: TrafficTarget[], clusterLocal: boolean): RouteEntry[] => {
    const { name } = route.metadata;
    const namespace = route.metadata.namespace ?? '';
    const entry = (entryName: string, split: Iterable<[string, number]>): RouteEntry => ({
      namespace,
      name: entryName,
      hosts: hostsOf(namespace, entryName, domain, clusterLocal),
      targets: [...split].map(([revision, percent]) => ({ revision: `${namespace}/${revision}`, percent })),
    });
    const tagged = targets.filter(({ tag }) => tag);
    return [
      entry(name, splitOf(targets)),
      ...tagged.map(({ tag = '', revisionName = '' }) => entry(tagName(name, tag), [[revisionName, 100]])),
    ];
  };

  /**
   * Where to send requests while the traffic cannot be assigned and the gateway knows nothing of the route: to what was
   * assigned before the platform's restart, else to the newest revision of all. Its requests wait until it is ready, or
   * end with the reason why it cannot start, instead of with 404.
   */
  const provisional = (route: Route, sources: TrafficSources): TrafficTarget[] => {
    const assigned = (route.status?.traffic ?? []).filter(({ revisionName = '' }) =>
      sources.revision(revisionName),
    );
    if (assigned.some(({ percent = 0 }) => percent > 0)) return assigned;
    for (const { configurationName, revisionName } of route.spec.traffic ?? []) {
      const configuration = configurationName ? sources.configuration(configurationName) : undefined;
      const name =
        revisionName ?? configuration?.status?.latestCreatedRevisionName ?? newest(route, configurationName);
      if (name && sources.revision(name)) return [{ revisionName: name, percent: 100 }];
    }
    return [];
  };

  const newest = (route: Route, configurationName = ''): string | undefined => {
    const all = caches.revisions.byIndex('configuration', `${route.metadata.namespace}/${configurationName}`);
    const age = (labels: Record<string, string> = {}) => Number(labels[LABELS.configurationGeneration] ?? 0);
    return all.sort((a, b) => age(b.metadata.labels) - age(a.metadata.labels))[0]?.metadata.name;
  };

  /** Resolves the traffic of a route and pushes it to the gateway; undefined when the route is gone. */
  const push = (key: string): { route: Route; clusterLocal: boolean; result: TrafficResult } | undefined => {
    const { namespace = '', name } = splitKey(key);
    const route = caches.routes.get(namespace, name);
    if (!route || route.metadata.deletionTimestamp) {
      setEntries(key, namespace, []);
      assigned.delete(key);
      return undefined;
    }
    const sources: TrafficSources = {
      configuration: (wanted) => caches.configurations.get(namespace, wanted),
      revision: (wanted) => caches.revisions.get(namespace, wanted),
    };
    const clusterLocal = route.metadata.labels?.[LABELS.visibility] === 'cluster-local';
    const result = resolveTraffic(route, sources);
    if ('targets' in result) {
      setEntries(key, namespace, entriesFor(route, result.targets, clusterLocal));
      assigned.set(key, route.metadata.uid);
    } else if (assigned.get(key) !== route.metadata.uid) {
      const targets = provisional(route, sources);
      if (targets.length > 0) setEntries(key, namespace, entriesFor(route, targets, clusterLocal));
    }
    return { route, clusterLocal, result };
  };

  const reconcile = async (key: string): Promise<number | undefined> => {
    const pushed = push(key);
    if (!pushed) return undefined;
    const { route, clusterLocal, result } = pushed;
    const { namespace = '', name } = splitKey(key);
    const manager = conditions.manage(route.status?.conditions, clock.now());
    manager.initialize();
    const status: NonNullable<Route['status']> = { ...route.status };
    status.url = urlOf(namespace, name, domain, clusterLocal);
    manager.markTrue('CertificateProvisioned', 'TLSNotEnabled', 'external-domain-tls is not enabled');
    if ('problem' in result) {
      const { status: verdict, reason, message } = result.problem;
      if (route.metadata.generation !== route.status?.observedGeneration) {
        manager.markUnknown('IngressReady', 'IngressNotConfigured', 'Ingress has not yet been reconciled.');
      }
      if (verdict === 'False') manager.markFalse('AllTrafficAssigned', reason, message);
      else manager.markUnknown('AllTrafficAssigned', reason, message);
    } else {
      status.traffic = result.targets.map((target) =>
        target.tag
          ? { ...target, url: urlOf(namespace, tagName(name, target.tag), domain, clusterLocal) }
          : target,
      );
      status.address = { url: `http://${name}.${namespace}.svc.cluster.local` };
      manager.markTrue('AllTrafficAssigned');
      manager.markTrue('IngressReady');
    }
    status.conditions = manager.conditions;
    status.observedGeneration = route.metadata.generation;
    return context.writeStatus(ROUTES, route, status);
  };

  return { reconcile, publish: push, reachable: (key) => references.has(key) };
}
