/** What the controllers of serving share: caches, the client, and the one way of writing a status. */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { conditionOf } from '../kinds/conditions.ts';
import type { Condition, KubeObject } from '../kinds/object.ts';
import type { Configuration, Revision, Route, Service } from '../kinds/serving.ts';
import type { ClusterDomainClaim, CoreService, DomainMapping } from '../kinds/serving-internal.ts';
import type { TrafficPolicy } from '../kinds/traffic-policy.ts';
import type { KubeClient, ResourceRef } from '../kube/client.ts';
import type { EventRecorder } from '../kube/events.ts';
import { createInformer, type Informer } from '../kube/informer.ts';
import {
  CLUSTER_DOMAIN_CLAIMS,
  CONFIGURATIONS,
  DOMAIN_MAPPINGS,
  KSERVICES,
  REVISIONS,
  ROUTES,
  SERVICES,
  TRAFFIC_POLICIES,
} from '../kube/refs.ts';
import { LABELS, listOf } from './names.ts';

/** Read-only views of the four kinds. Everything in them is shared and must not be changed. */
export interface ServingCaches {
  services: Informer<Service>;
  /** Index `routes`: `<namespace>/<name>` of the Routes that its annotation tells of. */
  configurations: Informer<Configuration>;
  /** Indexes `configuration`: `<namespace>/<configuration name>`, and `routes` as above. */
  revisions: Informer<Revision>;
  /** Indexes `toConfiguration` and `toRevision`: `<namespace>/<name>` of what the traffic refers to. */
  routes: Informer<Route>;
  /** Kubernetes' own Services. */
  coreServices: Informer<CoreService>;
  /** Index `route`: `<namespace>/<name>` of the Route that it is about. */
  policies: Informer<TrafficPolicy>;
  /** Index `route`: `<namespace>/<name>` of the Route that it is for. */
  domainMappings: Informer<DomainMapping>;
  claims: Informer<ClusterDomainClaim>;
}

export interface ServingContext {
  client: KubeClient;
  caches: ServingCaches;
  clock: Clock;
  log: Logger;
  events: EventRecorder;
  /** See `createStatusWriter`. */
  writeStatus: StatusWriter;
}

const routesOf = ({ metadata }: KubeObject): string[] =>
  listOf(metadata.annotations, LABELS.routes).map((name) => `${metadata.namespace}/${name}`);

export function createCaches(options: { client: KubeClient; log: Logger; clock: Clock }): ServingCaches {
  return {
    services: createInformer<Service>({ ...options, resource: KSERVICES }),
    configurations: createInformer<Configuration>({
      ...options,
      resource: CONFIGURATIONS,
      indexes: { routes: routesOf },
    }),
    coreServices: createInformer<CoreService>({ ...options, resource: SERVICES }),
    domainMappings: createInformer<DomainMapping>({
      ...options,
      resource: DOMAIN_MAPPINGS,
      indexes: {
        route: ({ metadata, spec }) => [`${spec.ref.namespace || metadata.namespace}/${spec.ref.name}`],
      },
    }),
    claims: createInformer<ClusterDomainClaim>({ ...options, resource: CLUSTER_DOMAIN_CLAIMS }),
    policies: createInformer<TrafficPolicy>({
      ...options,
      resource: TRAFFIC_POLICIES,
      indexes: { route: ({ metadata, spec }) => [`${metadata.namespace}/${spec.targetRef.name}`] },
    }),
    revisions: createInformer<Revision>({
      ...options,
      resource: REVISIONS,
      indexes: {
        configuration: ({ metadata }) => {
          const name = metadata.labels?.[LABELS.configuration];
          return name ? [`${metadata.namespace}/${name}`] : [];
        },
        routes: routesOf,
      },
    }),
    routes: createInformer<Route>({
      ...options,
      resource: ROUTES,
      indexes: {
        toConfiguration: ({ metadata, spec }) =>
          (spec.traffic ?? []).flatMap(({ configurationName }) =>
            configurationName ? [`${metadata.namespace}/${configurationName}`] : [],
          ),
        toRevision: ({ metadata, spec }) =>
          (spec.traffic ?? []).flatMap(({ revisionName }) =>
            revisionName ? [`${metadata.namespace}/${revisionName}`] : [],
          ),
      },
    }),
  };
}

interface Conditioned extends KubeObject {
  status?: { conditions?: Condition[]; observedGeneration?: number };
}

/**
 * Writes the status of an object when it differs from the one in the cache. A status that only says "still working" is held
 * back for a moment: most deploys are over by then, and one write says it all. Resolves to the milliseconds after which
 * to reconcile again, when something was held back.
 */
export type StatusWriter = <T extends Conditioned>(
  resource: ResourceRef,
  object: T,
  status: NonNullable<T['status']>,
) => Promise<number | undefined>;

/** Milliseconds for which an intermediate status is not written. */
const HOLD_MS = 100;

export function createStatusWriter(client: KubeClient, clock: Clock): StatusWriter {
  const held = new Map<string, number>();
  return async (resource, object, status) => {
    const id = `${resource.plural}/${object.metadata.namespace}/${object.metadata.name}`;
    const next = JSON.parse(JSON.stringify(status)) as typeof status;
    if (isDeepStrictEqual(next, object.status)) {
      held.delete(id);
      return undefined;
    }
    if (conditionOf({ ...object, status: next }, 'Ready')?.status === 'Unknown') {
      const since = held.get(id) ?? clock.monotonic();
      held.set(id, since);
      const left = since + HOLD_MS - clock.monotonic();
      if (left > 0) return left;
    }
    held.delete(id);
    await client.updateStatus(resource, { ...object, status: next });
    return undefined;
  };
}
