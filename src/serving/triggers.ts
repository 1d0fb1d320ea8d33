/** What wakes which controller: every change of an object wakes those whose outcome depends on it. */
import type { KubeObject } from '../kinds/object.ts';
import type { Revision } from '../kinds/serving.ts';
import type { ClusterDomainClaim, CoreService, DomainMapping } from '../kinds/serving-internal.ts';
import type { TrafficPolicy } from '../kinds/traffic-policy.ts';
import type { Controller } from '../kube/controller.ts';
import { keyOf, objectKey } from '../kube/indexed-store.ts';
import type { Background } from './background.ts';
import type { LiveConfig } from './config.ts';
import type { ServingCaches } from './context.ts';
import { mappedRoute } from './domain-mappings.ts';
import { LABELS } from './names.ts';
import { routeKeyOf } from './policies.ts';
import { DOMAIN_MAP, FEATURES, GC, NETWORK } from './settings.ts';

type Queue = Pick<Controller, 'enqueue'>;

export interface WakeOptions {
  caches: ServingCaches;
  config: LiveConfig;
  background: Background;
  /** Keys of Revisions that have appeared while we were watching. */
  fresh: Set<string>;
  queues: {
    services: Queue;
    configurations: Queue;
    routes: Queue;
    revisions: Queue;
    labels: Queue;
    policies: Queue;
    mappings: Queue;
    collector: Queue;
  };
}

/** Wakes, for every change of an object, the controllers whose result depends on it. */
export function wake({ caches, config, background, fresh, queues }: WakeOptions): void {
  const { services, configurations, routes, revisions, labels, policies, mappings, collector } = queues;
  const routesTo = (index: 'toConfiguration' | 'toRevision', key: string) => {
    for (const route of caches.routes.byIndex(index, key)) routes.enqueue(keyOf(route));
  };
  const onService = (object: { metadata: { namespace?: string; name: string } }) => {
    background.busy();
    services.enqueue(objectKey(object.metadata.namespace, object.metadata.name));
  };
  /** Policies of the Route (or Service) of that key, and their rivals. */
  const policiesOf = (key: string) => {
    for (const policy of caches.policies.byIndex('route', key)) policies.enqueue(keyOf(policy));
  };
  const mappingsOf = (routeKey: string) => {
    for (const one of caches.domainMappings.byIndex('route', routeKey)) mappings.enqueue(keyOf(one));
  };
  const onMapping = (one: DomainMapping) => {
    mappings.enqueue(keyOf(one));
    const route = mappedRoute(one);
    if (route) routes.enqueue(route);
  };
  caches.domainMappings.addHandler({
    add: onMapping,
    update(one, before) {
      if (mappedRoute(one) !== mappedRoute(before)) onMapping(before);
      onMapping(one);
    },
    delete: onMapping,
  });
  const onClaim = ({ metadata, spec }: ClusterDomainClaim) => {
    const key = objectKey(spec.namespace, metadata.name);
    mappings.enqueue(key);
    for (const one of caches.domainMappings.list()) if (one.metadata.name === metadata.name) onMapping(one);
  };
  caches.claims.addHandler({ add: onClaim, update: onClaim, delete: onClaim });
  const about = ({ metadata: { namespace, name } }: KubeObject) => {
    policiesOf(objectKey(namespace, name));
    mappingsOf(objectKey(namespace, name));
  };
  const comesAndGoes = {
    add: about,
    update: (object: KubeObject) => mappingsOf(keyOf(object)),
    delete: about,
  };
  caches.services.addHandler(comesAndGoes);
  caches.routes.addHandler(comesAndGoes);
  const onPolicy = (policy: TrafficPolicy) => {
    routes.enqueue(routeKeyOf(policy));
    policies.enqueue(keyOf(policy));
    policiesOf(routeKeyOf(policy));
  };
  caches.policies.addHandler({
    add: onPolicy,
    update(policy, before) {
      if (routeKeyOf(policy) !== routeKeyOf(before)) onPolicy(before);
      onPolicy(policy);
    },
    delete: onPolicy,
  });
  caches.services.addHandler({ add: onService, update: onService, delete: onService });
  // A Configuration or Route is of interest to the Service of its name, whether that owns it or finds it in its way.
  const onConfiguration = (object: Parameters<typeof keyOf>[0]) => {
    configurations.enqueue(keyOf(object));
    collector.enqueue(keyOf(object));
    onService(object);
    routesTo('toConfiguration', keyOf(object));
    for (const route of caches.routes.byIndex('toConfiguration', keyOf(object))) labels.enqueue(keyOf(route));
  };
  caches.configurations.addHandler({
    add: onConfiguration,
    update: onConfiguration,
    delete: onConfiguration,
  });
  const onRoute = (object: Parameters<typeof keyOf>[0]) => {
    routes.enqueue(keyOf(object));
    labels.enqueue(keyOf(object));
    onService(object);
  };
  caches.routes.addHandler({ add: onRoute, update: onRoute, delete: onRoute });
  const onRevision = (revision: Revision) => {
    const key = keyOf(revision);
    revisions.enqueue(key);
    const configuration = revision.metadata.labels?.[LABELS.configuration];
    if (configuration) {
      const configurationKey = objectKey(revision.metadata.namespace, configuration);
      configurations.enqueue(configurationKey);
      collector.enqueue(configurationKey);
      routesTo('toConfiguration', configurationKey);
    }
    routesTo('toRevision', key);
  };
  caches.revisions.addHandler({
    add(revision) {
      if (caches.revisions.hasSynced) fresh.add(keyOf(revision));
      onRevision(revision);
      for (const route of caches.routes.byIndex('toRevision', keyOf(revision))) labels.enqueue(keyOf(route));
    },
    update: onRevision,
    delete(revision) {
      fresh.delete(keyOf(revision));
      onRevision(revision);
    },
  });

  // A placeholder is of interest to the Route that owns it; what is in the way of one, to the Route of its name or tag.
  const onPlaceholder = ({ metadata }: CoreService) => {
    const route = metadata.labels?.[LABELS.route] ?? metadata.name;
    for (const name of new Set([route, metadata.name])) {
      if (caches.routes.get(metadata.namespace, name)) routes.enqueue(objectKey(metadata.namespace, name));
    }
    for (const route of caches.routes.list(metadata.namespace)) {
      const tags = (route.spec.traffic ?? []).some(({ tag }) => tag && metadata.name.includes(tag));
      if (tags) routes.enqueue(keyOf(route));
    }
  };
  caches.coreServices.addHandler({
    add(service) {
      if (!service.metadata.ownerReferences?.some(({ kind }) => kind === 'Route')) onPlaceholder(service);
    },
    update: onPlaceholder,
    delete: onPlaceholder,
  });
  const everyRoute = () => {
    for (const route of caches.routes.list()) routes.enqueue(keyOf(route));
  };
  for (const name of [NETWORK.name, DOMAIN_MAP, FEATURES.name]) config.onChange(name, everyRoute);
  config.onChange(NETWORK.name, () => {
    for (const one of caches.domainMappings.list()) mappings.enqueue(keyOf(one));
  });
  config.onChange(GC.name, () => {
    for (const configuration of caches.configurations.list()) collector.enqueue(keyOf(configuration));
  });
}
