/** Service → Configuration and Route of the same name, and their state back into the Service. */
import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../base/errors.ts';
import { type ConditionManager, conditionOf, conditionSet, readiness } from '../kinds/conditions.ts';
import type { Condition, KubeObject } from '../kinds/object.ts';
import type { Configuration, Route, Service, TrafficTarget } from '../kinds/serving.ts';
import type { ResourceRef } from '../kube/client.ts';
import { splitKey } from '../kube/indexed-store.ts';
import { controllerReference, isControlledBy } from '../kube/owners.ts';
import { CONFIGURATIONS, KSERVICES, ROUTES } from '../kube/refs.ts';
import { CANARY_ANNOTATION } from './canary/plan.ts';
import { revisionConflict } from './configurations.ts';
import type { ServingContext } from './context.ts';
import { LABELS, LAST_APPLIED, listOf, without } from './names.ts';
import { noReadyRevision } from './traffic.ts';

const conditions = conditionSet('ConfigurationsReady', 'RoutesReady');
const SERVING_GROUP_VERSION = 'serving.knative.dev/v1';

/** The Configuration that a Service asks for; that other Routes lead to the existing one is kept. */
function desiredConfiguration(service: Service, existing?: Configuration): Configuration {
  const { name, namespace, uid = '' } = service.metadata;
  const routes = new Set([...listOf(existing?.metadata.annotations, LABELS.routes), name]);
  return {
    apiVersion: SERVING_GROUP_VERSION,
    kind: 'Configuration',
    metadata: {
      name,
      namespace,
      labels: { ...service.metadata.labels, [LABELS.service]: name, [LABELS.serviceUID]: uid },
      annotations: {
        ...without(
          service.metadata.annotations,
          LAST_APPLIED,
          LABELS.rolloutDuration,
          LABELS.rolloutDurationAlias,
          CANARY_ANNOTATION,
        ),
        [LABELS.routes]: [...routes].sort().join(','),
      },
      ownerReferences: [controllerReference(service)],
    },
    spec: { template: service.spec.template },
  };
}

/** The Route that a Service asks for. */
function desiredRoute(service: Service): Route {
  const { name, namespace } = service.metadata;
  const traffic: TrafficTarget[] = service.spec.traffic?.length
    ? service.spec.traffic
    : [{ latestRevision: true, percent: 100 }];
  return {
    apiVersion: SERVING_GROUP_VERSION,
    kind: 'Route',
    metadata: {
      name,
      namespace,
      labels: { ...service.metadata.labels, [LABELS.service]: name },
      annotations: without(service.metadata.annotations, LAST_APPLIED, CANARY_ANNOTATION),
      ownerReferences: [controllerReference(service)],
    },
    spec: {
      traffic: traffic.map((target) =>
        target.revisionName ? target : { ...target, configurationName: name },
      ),
    },
  };
}

export function createServiceReconciler(context: ServingContext) {
  const { client, caches, clock, events } = context;

  /** Creates or corrects a child. Undefined: it exists and is not ours. */
  const ensure = async <T extends KubeObject & { spec: unknown }>(
    service: Service,
    resource: ResourceRef,
    existing: T | undefined,
    desired: T,
  ): Promise<T | undefined> => {
    if (!existing) {
      const what = `${resource.kind} "${desired.metadata.name}"`;
      try {
        const created = await client.create(resource, desired);
        events.record(service, 'Normal', 'Created', `Created ${what}`);
        return created;
      } catch (error) {
        const message = messageOf(error);
        events.record(service, 'Warning', 'CreationFailed', `Failed to create ${what}: ${message}`);
        throw error;
      }
    }
    if (!isControlledBy(existing, service)) return undefined;
    const { metadata } = existing;
    const { labels = {}, annotations = {} } = desired.metadata;
    const asWanted =
      isDeepStrictEqual(existing.spec, desired.spec) &&
      isDeepStrictEqual(metadata.labels ?? {}, labels) &&
      isDeepStrictEqual(metadata.annotations ?? {}, annotations);
    if (asWanted) return existing;
    return client.update(resource, {
      ...existing,
      spec: desired.spec,
      metadata: { ...metadata, labels, annotations },
    });
  };

  return async (key: string): Promise<number | undefined> => {
    const { namespace, name } = splitKey(key);
    const service = caches.services.get(namespace, name);
    if (!service || service.metadata.deletionTimestamp) return undefined;
    const manager = conditions.manage(service.status?.conditions, clock.now());
    manager.initialize();
    const status: NonNullable<Service['status']> = { ...service.status };
    const finish = () => {
      status.conditions = manager.conditions;
      status.observedGeneration = service.metadata.generation;
      return context.writeStatus(KSERVICES, service, status);
    };

    const byoName = service.spec.template.metadata?.name;
    const existing = caches.configurations.get(namespace, name);
    const configuration = await ensure(
      service,
      CONFIGURATIONS,
      existing,
      desiredConfiguration(service, existing),
    );
    if (!configuration) {
      manager.markFalse('ConfigurationsReady', 'NotOwned', NOT_OWNED('Configuration', name));
      return finish();
    }
    const current = configuration.metadata.generation === configuration.status?.observedGeneration;
    if (current) {
      status.latestCreatedRevisionName = configuration.status?.latestCreatedRevisionName;
      status.latestReadyRevisionName = configuration.status?.latestReadyRevisionName;
    }
    // While the Configuration is at a new revision, what its Route says is still about the one before; and just after it became ready, too.
    const underWay = readiness(configuration) === 'Unknown';
    /** Marked last, so that `Ready` tells the cause, the failed revision, and not what follows from it. */
    const markConfiguration = () => {
      if (current) propagate(manager, 'ConfigurationsReady', conditionOf(configuration, 'Ready'));
      else manager.markUnknown('ConfigurationsReady', 'OutOfDate', OUT_OF_DATE('Configuration'));
    };
    if (byoName) {
      // A name given by the user must have been accepted by the Configuration before traffic may follow.
      const conflict = current && revisionConflict(configuration, caches.revisions.get(namespace, byoName));
      const taken = `The revision name "${byoName}" is taken by a conflicting Revision, so traffic will not be migrated`;
      if (conflict) manager.markFalse('RoutesReady', 'RevisionNameTaken', taken);
      if (conflict || !current) {
        markConfiguration();
        return finish();
      }
    }

    const route = await ensure(service, ROUTES, caches.routes.get(namespace, name), desiredRoute(service));
    if (!route) {
      manager.markFalse('RoutesReady', 'NotOwned', NOT_OWNED('Route', name));
      return finish();
    }
    if (route.metadata.generation !== route.status?.observedGeneration) {
      manager.markUnknown('RoutesReady', 'OutOfDate', OUT_OF_DATE('Route'));
    } else {
      status.url = route.status?.url;
      status.address = route.status?.address;
      status.traffic = route.status?.traffic;
      const ready = conditionOf(route, 'Ready');
      const outdated =
        status.latestReadyRevisionName !== undefined && ready?.message === noReadyRevision(name);
      const stale = ready?.status === 'False' && (outdated || (underWay && follows(route, configuration)));
      if (stale || (ready?.status === 'True' && !trafficMigrated(route, configuration))) {
        manager.markUnknown(
          'RoutesReady',
          'TrafficNotMigrated',
          'Traffic is not yet migrated to the latest revision.',
        );
      } else propagate(manager, 'RoutesReady', ready);
    }
    markConfiguration();
    return finish();
  };
}

const NOT_OWNED = (kind: string, name: string) =>
  `There is an existing ${kind} "${name}" that we do not own.`;
const OUT_OF_DATE = (kind: string) =>
  `The ${kind} is still working to reflect the latest desired specification.`;

function propagate(manager: ConditionManager, type: string, ready: Condition | undefined): void {
  if (!ready) return;
  const { status, reason = '', message = '' } = ready;
  if (status === 'True') manager.markTrue(type);
  else if (status === 'False') manager.markFalse(type, reason, message);
  else manager.markUnknown(type, reason, message);
}

/** Whether the Route takes its revision from the Configuration. */
function follows(route: Route, configuration: Configuration): boolean {
  return (route.spec.traffic ?? []).some(
    ({ configurationName }) => configurationName === configuration.metadata.name,
  );
}

/** Whether the Route's status is what its spec asks for, with the newest ready revision in place of the Configuration. */
function trafficMigrated(route: Route, configuration: Configuration): boolean {
  const wanted = (route.spec.traffic ?? []).map((target) => ({
    tag: target.tag ?? '',
    percent: target.percent ?? 0,
    revision:
      target.configurationName === configuration.metadata.name
        ? configuration.status?.latestReadyRevisionName
        : target.revisionName,
  }));
  const got = (route.status?.traffic ?? []).map((target) => ({
    tag: target.tag ?? '',
    percent: target.percent ?? 0,
    revision: target.revisionName,
  }));
  return isDeepStrictEqual(wanted, got);
}
