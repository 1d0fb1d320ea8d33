/** What the controllers of serving share: caches, the client, and the one way of writing a status. */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { KubeObject } from '../kinds/object.ts';
import type { Configuration, Revision, Route, Service } from '../kinds/serving.ts';
import type { ClusterDomainClaim, CoreService, DomainMapping } from '../kinds/serving-internal.ts';
import type { TrafficPolicy } from '../kinds/traffic-policy.ts';
import type { KubeClient } from '../kube/client.ts';
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
import type { StatusWriter } from '../kube/status-writer.ts';
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
