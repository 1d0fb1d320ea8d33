/**
 * Placeholder Services: a Kubernetes Service for every name that a Route and its tags are known by, so that nobody else takes the
 * name. Source: upstream's `route/resources/service.go`.
 */
import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../base/errors.ts';
import type { Route } from '../kinds/serving.ts';
import type { CoreService } from '../kinds/serving-internal.ts';
import { type KubeClient, KubeError } from '../kube/client.ts';
import type { EventRecorder } from '../kube/events.ts';
import { keyOf } from '../kube/indexed-store.ts';
import type { Informer } from '../kube/informer.ts';
import { controllerReference, isControlledBy } from '../kube/owners.ts';
import { SERVICES } from '../kube/refs.ts';
import type { RouteNames } from './domains.ts';
import { LABELS, LAST_APPLIED, without } from './names.ts';

export interface Placeholders {
  /** The first of these names that something else has, as far as the cache knows. */
  taken(route: Route, names: RouteNames, tags: readonly string[]): string | undefined;
  /** Creates and corrects what is missing or different; with `whole` what is not asked for any more goes. */
  ensure(route: Route, names: RouteNames, tags: readonly string[], whole: boolean): Promise<void>;
  /** Whether the placeholder of that name carries the label that makes it local. */
  isLocal(namespace: string, name: string): boolean;
}

/** The placeholder for a tag, or without one for the Route itself. */
function desiredPlaceholder(route: Route, names: RouteNames, tag = ''): CoreService {
  const { metadata } = route;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: names.hostname(tag),
      namespace: metadata.namespace,
      // A tag may be local where its Route is not: the label belongs to whoever sets it on the placeholder.
      labels: { ...without(metadata.labels, LABELS.visibility), [LABELS.route]: metadata.name },
      annotations: without(metadata.annotations, LAST_APPLIED),
      ownerReferences: [controllerReference(route)],
    },
    spec: {
      type: 'ExternalName',
      externalName: names.host(tag),
      sessionAffinity: 'None',
      ports: [{ name: 'http2', appProtocol: 'kubernetes.io/h2c', port: 80, protocol: 'TCP', targetPort: 80 }],
    },
  };
}

/**
 * The existing placeholder as it should be; undefined when it is. Labels and annotations are only added, also those that the Route
 * has no more, as upstream's `updatePlaceholderServices` does: its conformance suite looks for what was taken away.
 */
function correctedPlaceholder(existing: CoreService, desired: CoreService): CoreService | undefined {
  const labels = { ...existing.metadata.labels, ...desired.metadata.labels };
  const annotations = { ...existing.metadata.annotations, ...desired.metadata.annotations };
  const same =
    isDeepStrictEqual(existing.metadata.labels ?? {}, labels) &&
    isDeepStrictEqual(existing.metadata.annotations ?? {}, annotations) &&
    existing.spec?.type === desired.spec?.type &&
    existing.spec?.externalName === desired.spec?.externalName &&
    existing.spec?.ports?.[0]?.name === desired.spec?.ports?.[0]?.name;
  if (same) return undefined;
  return { ...existing, metadata: { ...existing.metadata, labels, annotations }, spec: desired.spec };
}

export function createPlaceholders(options: {
  client: KubeClient;
  services: Informer<CoreService>;
  events: EventRecorder;
}): Placeholders {
  const { client, services, events } = options;
  /** Created, and not in the cache yet. */
  const underWay = new Set<string>();
  const arrived = (service: CoreService) => underWay.delete(keyOf(service));
  services.addHandler({ add: arrived, delete: arrived });

  const bring = async (route: Route, names: RouteNames, tag: string) => {
    const desired = desiredPlaceholder(route, names, tag);
    const { name, namespace } = desired.metadata;
    const existing = services.get(namespace, name);
    if (existing) {
      if (!isControlledBy(existing, route)) return;
      const corrected = correctedPlaceholder(existing, desired);
      if (corrected) await client.update(SERVICES, corrected);
      return;
    }
    if (underWay.has(keyOf(desired))) return;
    underWay.add(keyOf(desired));
    try {
      await client.create(SERVICES, desired);
      events.record(route, 'Normal', 'Created', `Created placeholder service "${name}"`);
    } catch (error) {
      underWay.delete(keyOf(desired));
      // Ours and not in the cache yet, or somebody else's: its arrival there decides.
      if (error instanceof KubeError && error.reason === 'AlreadyExists') return;
      const message = messageOf(error);
      events.record(
        route,
        'Warning',
        'CreationFailed',
        `Failed to create placeholder service "${name}": ${message}`,
      );
      throw error;
    }
  };

  return {
    taken: (route, names, tags) =>
      ['', ...tags]
        .map((tag) => names.hostname(tag))
        .find((name) => {
          const existing = services.get(route.metadata.namespace, name);
          return existing && !isControlledBy(existing, route);
        }),
    async ensure(route, names, tags, whole) {
      await Promise.all(['', ...tags].map((tag) => bring(route, names, tag)));
      if (!whole) return;
      const wanted = new Set(['', ...tags].map((tag) => names.hostname(tag)));
      const owned = services.byIndex('owner', route.metadata.uid ?? '');
      await Promise.all(
        owned
          .filter(({ metadata }) => !wanted.has(metadata.name))
          .map(({ metadata }) =>
            client.delete(SERVICES, metadata.namespace, metadata.name).catch(ignoreGone),
          ),
      );
    },
    isLocal: (namespace, name) =>
      services.get(namespace, name)?.metadata.labels?.[LABELS.visibility] === 'cluster-local',
  };
}

function ignoreGone(error: unknown): void {
  if (!(error instanceof KubeError && error.code === 404)) throw error;
}
