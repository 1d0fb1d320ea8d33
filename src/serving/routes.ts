/** Route → the gateway's route table and placeholder Services, and what was assigned back into the Route. */
import type { EndpointAddress, RevisionKey, RouteEntry, RoutePolicy } from '../gateway/contract.ts';
import { conditionSet } from '../kinds/conditions.ts';
import { FUNCTION_LABELS } from '../kinds/function.ts';
import type { Route } from '../kinds/serving.ts';
import { keyOf, objectKey, splitKey } from '../kube/indexed-store.ts';
import { ROUTES } from '../kube/refs.ts';
import type { LiveAccess } from './access/access.ts';
import { markCertificate } from './certificate.ts';
import type { LiveConfig } from './config.ts';
import type { ServingContext } from './context.ts';
import { DomainError, type Domains, type RouteNames } from './domains.ts';
import { generationOf, LABELS } from './names.ts';
import type { Placeholders } from './placeholders.ts';
import type { RoutePolicies } from './policies.ts';
import { isDone, type Rollout } from './rollout.ts';
import type { Rollouts } from './rollouts.ts';
import type { RouteTable } from './route-table.ts';
import { FEATURES, NETWORK } from './settings.ts';
import {
  type ResolvedTarget,
  resolveTraffic,
  splitOf,
  type TrafficProblem,
  type TrafficSources,
  tagsOf,
  trafficStatus,
} from './traffic.ts';

const conditions = conditionSet('AllTrafficAssigned', 'IngressReady', 'CertificateProvisioned');

/** A Route's policy as the gateway takes it, and the revisions to which it leads requests beside the split. */
export interface AppliedPolicy {
  policy: RoutePolicy;
  revisions: RevisionKey[];
}

export interface RouteReconcilerOptions {
  context: ServingContext;
  config: LiveConfig;
  table: RouteTable;
  domains: Domains;
  placeholders: Placeholders;
  rollouts: Rollouts;
  policies: Pick<RoutePolicies, 'apply' | 'forget'>;
  access: Pick<LiveAccess, 'of' | 'forget'>;
  /** Takes requests to functions that are to be carried out later. */
  async?: EndpointAddress;
  /** Further hosts that lead to the Route: those of DomainMappings. */
  mappedHosts(route: Route): string[];
  /** Called when the gateway has been told of the Route, with what it was told. */
  onAssigned(assigned: AssignedRoute): void;
  onGone(namespace: string, name: string): void;
}

/** What the gateway does for a Route now. */
export interface AssignedRoute {
  route: Route;
  names: RouteNames;
  targets: readonly ResolvedTarget[];
  rollout: Rollout;
}

export interface RouteReconciler {
  reconcile(key: string): Promise<number | undefined>;
  /** The part of `reconcile` that concerns the gateway: in memory, at once. */
  publish(key: string): void;
}

/** The outcome of one look at a Route. */
interface Look {
  route: Route;
  names: RouteNames | undefined;
  problem?: TrafficProblem;
  /** Name of the placeholder that something else has. */
  taken?: string;
  assigned?: AssignedRoute;
  againMs?: number;
}

export function createRouteReconciler(options: RouteReconcilerOptions): RouteReconciler {
  const { context, config, table, domains, placeholders, rollouts } = options;
  const { caches, clock } = context;
  /** Route key → uid of the route whose traffic has been assigned as asked since this process began. */
  const assigned = new Map<string, string | undefined>();

  const entriesFor = (
    { route, names, targets, rollout }: AssignedRoute,
    applied: AppliedPolicy | undefined,
  ): RouteEntry[] => {
    const namespace = route.metadata.namespace ?? '';
    const tags = tagsOf(targets);
    const { async } = options;
    const later = async && route.metadata.labels?.[FUNCTION_LABELS.function] ? { async } : undefined;
    const entry = (tag: string): RouteEntry => ({
      ...later,
      namespace,
      name: names.hostname(tag),
      hosts: names.hosts(tag),
      targets: [...splitOf(targets, rollout, tag)].map(([revision, percent]) => ({
        revision: `${namespace}/${revision}`,
        percent,
      })),
    });
    const main = entry('');
    main.hosts.push(...options.mappedHosts(route));
    if (tags.length > 0 && config.read(FEATURES).tagHeaderBasedRouting === 'Enabled') {
      main.tags = Object.fromEntries(
        targets.flatMap(({ tag, revisionName }) => (tag ? [[tag, `${namespace}/${revisionName}`]] : [])),
      );
    }
    const led = servicesOf(namespace, targets);
    const { access, rateLimit } = options.access.of(keyOf(route), led);
    const policy = rateLimit ? { rateLimit, ...applied?.policy } : applied?.policy;
    const entries = [main, ...tags.map(entry)].map((one) => (access ? { ...one, access } : one));
    if (!policy) return entries;
    // Who asks for a tag by its name has chosen: nothing may lead the request elsewhere.
    const { rules, affinity, mirror, ...always } = policy;
    return entries.map((one, i) => ({ ...one, policy: i === 0 ? policy : always }));
  };

  /** Services whose revisions these are: what they say of who may call holds on every way to them. */
  const servicesOf = (namespace: string, targets: readonly ResolvedTarget[]): Set<string> => {
    const names = targets.map(({ revisionName }) => {
      const revision = caches.revisions.get(namespace, revisionName);
      return revision?.metadata.labels?.[LABELS.service];
    });
    return new Set(names.flatMap((name) => (name ? [objectKey(namespace, name)] : [])));
  };

  const tell = (key: string, what: AssignedRoute) => {
    const namespace = what.route.metadata.namespace ?? '';
    const applied = options.policies.apply(what.route, what.targets);
    const targets = what.targets.map(({ revisionName }) => `${namespace}/${revisionName}`);
    table.set(key, namespace, entriesFor(what, applied), [...targets, ...(applied?.revisions ?? [])]);
  };

  /**
   * Where to send requests while the traffic cannot be assigned and the gateway knows nothing of the route: to what was
   * assigned before the platform's restart, else to the newest revision of all. Its requests wait until it is ready, or
   * end with the reason why it cannot start, instead of with 404.
   */
  const provisional = (route: Route, sources: TrafficSources): ResolvedTarget[] => {
    const before = (route.status?.traffic ?? []).flatMap(({ tag, revisionName = '', percent = 0 }) =>
      sources.revision(revisionName)
        ? [{ ...(tag && { tag }), revisionName, percent, latestRevision: false }]
        : [],
    );
    if (before.some(({ percent }) => percent > 0)) return before;
    for (const { configurationName, revisionName } of route.spec.traffic ?? []) {
      const configuration = configurationName ? sources.configuration(configurationName) : undefined;
      const name =
        revisionName ?? configuration?.status?.latestCreatedRevisionName ?? newest(route, configurationName);
      if (name && sources.revision(name))
        return [{ revisionName: name, percent: 100, latestRevision: false }];
    }
    return [];
  };

  const newest = (route: Route, configurationName = ''): string | undefined => {
    const all = caches.revisions.byIndex('configuration', `${route.metadata.namespace}/${configurationName}`);
    return all.sort((a, b) => generationOf(b) - generationOf(a))[0]?.metadata.name;
  };

  const namesOf = (route: Route): RouteNames | TrafficProblem => {
    try {
      const names = domains.of(route);
      for (const tag of ['', ...tagsOf(route.spec.traffic ?? [])]) names.host(tag);
      return names;
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      return { status: 'False', reason: 'ErrorConfig', message: error.message };
    }
  };

  /** Resolves the traffic of a route and pushes it to the gateway; undefined when the route is gone. */
  const push = (key: string): Look | undefined => {
    const { namespace = '', name } = splitKey(key);
    const route = caches.routes.get(namespace, name);
    if (!route || route.metadata.deletionTimestamp) {
      table.set(key, namespace, []);
      assigned.delete(key);
      rollouts.forget(key);
      options.policies.forget(key);
      options.access.forget(key);
      options.onGone(namespace, name);
      return undefined;
    }
    const names = namesOf(route);
    if ('message' in names) return { route, names: undefined, problem: names };
    const sources: TrafficSources = {
      configuration: (wanted) => caches.configurations.get(namespace, wanted),
      revision: (wanted) => caches.revisions.get(namespace, wanted),
    };
    const result = resolveTraffic(route, sources);
    if ('problem' in result) {
      const known = assigned.get(key) === route.metadata.uid;
      const targets = known ? [] : provisional(route, sources);
      if (targets.length > 0) tell(key, { route, names, targets, rollout: { configurations: [] } });
      return { route, names, problem: result.problem };
    }
    const { targets } = result;
    const taken = placeholders.taken(route, names, tagsOf(targets));
    if (taken !== undefined) return { route, names, taken };
    const { rollout, againMs } = rollouts.advance(route, targets);
    const now: AssignedRoute = { route, names, targets, rollout };
    tell(key, now);
    assigned.set(key, route.metadata.uid);
    return { route, names, assigned: now, againMs };
  };

  const statusOf = ({ route, names, problem, taken, assigned: now }: Look): NonNullable<Route['status']> => {
    const manager = conditions.manage(route.status?.conditions, clock.now());
    manager.initialize();
    const status: NonNullable<Route['status']> = { ...route.status };
    const { name, namespace } = route.metadata;
    if (names) status.url = names.url();
    markCertificate(manager, config.read(NETWORK), route.metadata, {
      certificate: `route-${route.metadata.uid}`,
      clusterLocal: names?.clusterLocal(),
    });
    if (!now && route.metadata.generation !== route.status?.observedGeneration) {
      manager.markUnknown('IngressReady', 'IngressNotConfigured', 'Ingress has not yet been reconciled.');
    }
    if (problem?.status === 'False') manager.markFalse('AllTrafficAssigned', problem.reason, problem.message);
    else if (problem) manager.markUnknown('AllTrafficAssigned', problem.reason, problem.message);
    else manager.markTrue('AllTrafficAssigned');
    if (taken !== undefined) {
      const message = `There is an existing placeholder Service "${taken}" that we do not own.`;
      manager.markFalse('IngressReady', 'NotOwned', message);
    }
    if (now) {
      status.traffic = trafficStatus(now.targets, now.rollout, now.names.url);
      status.address = { url: `http://${name}.${namespace}.svc.cluster.local` };
      if (isDone(now.rollout)) manager.markTrue('IngressReady');
      else {
        const message = 'A gradual rollout of the latest revision(s) is in progress.';
        manager.markUnknown('IngressReady', 'RolloutInProgress', message);
      }
    }
    status.conditions = manager.conditions;
    status.observedGeneration = route.metadata.generation;
    return status;
  };

  return {
    publish: push,
    async reconcile(key) {
      const look = push(key);
      if (!look) return undefined;
      const { route, names, assigned: now, taken } = look;
      if (names && taken === undefined) {
        await placeholders.ensure(route, names, tagsOf(now?.targets ?? []), now !== undefined);
      }
      if (now) options.onAssigned(now);
      const held = await context.writeStatus(ROUTES, route, statusOf(look));
      const again = [held, look.againMs].filter((ms) => ms !== undefined);
      return again.length > 0 ? Math.min(...again) : undefined;
    },
  };
}
