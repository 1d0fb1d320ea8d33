/**
 * Which Routes lead to a Configuration or Revision, written on it: the annotation `routes`, on Revisions the label `routingState`
 * too. Rules of upstream's `reconciler/labeler`.
 */
import { timestamp } from '../base/clock.ts';
import { conditionOf, readiness } from '../kinds/conditions.ts';
import type { Json, KubeObject } from '../kinds/object.ts';
import type { Route } from '../kinds/serving.ts';
import { KubeError, type ResourceRef } from '../kube/client.ts';
import { splitKey } from '../kube/indexed-store.ts';
import { CONFIGURATIONS, REVISIONS } from '../kube/refs.ts';
import type { ServingContext } from './context.ts';
import { LABELS, listOf } from './names.ts';

/** The merge patch that adds or removes a Route; undefined when nothing changes. `state`: the object has a routing state. */
export function routingPatch(
  object: KubeObject,
  route: string,
  options: { state: boolean; remove: boolean; now: number },
): { metadata: Record<string, Json> } | undefined {
  const { labels = {}, annotations = {} } = object.metadata;
  const before = listOf(annotations, LABELS.routes);
  const after = options.remove
    ? before.filter((name) => name !== route)
    : [...new Set([...before, route])].sort();
  const changed: Record<string, Json> = {};
  if (after.length !== before.length) changed[LABELS.routes] = after.join(',') || null;
  const state = after.length > 0 ? 'active' : 'reserve';
  const restated = options.state && labels[LABELS.routingState] !== state;
  if (restated) {
    changed[LABELS.routingStateModified] = timestamp(options.now);
  }
  if (Object.keys(changed).length === 0) return undefined;
  return {
    metadata: { annotations: changed, ...(restated && { labels: { [LABELS.routingState]: state } }) },
  };
}

/** The Service that owns both; objects without one differ from all others. */
const serviceOf = ({ metadata }: KubeObject) => metadata.labels?.[LABELS.service] ?? metadata.uid;

interface Referred {
  revisions: Set<string>;
  configurations: Set<string>;
}

export function createLabeler({ client, caches, clock }: ServingContext) {
  /** What the Route names now or served last; a Configuration's newest revision too, so that it is no stranger when it is ready. */
  const referredBy = (route: Route): Referred => {
    const { namespace } = route.metadata;
    const found: Referred = { revisions: new Set(), configurations: new Set() };
    for (const target of [...(route.status?.traffic ?? []), ...(route.spec.traffic ?? [])]) {
      let configurationName = target.configurationName;
      if (target.revisionName) {
        const revision = caches.revisions.get(namespace, target.revisionName);
        if (!revision) continue;
        found.revisions.add(target.revisionName);
        const owner = revision.metadata.ownerReferences?.find(({ controller }) => controller);
        if (owner?.kind === 'Configuration') configurationName = owner.name;
      }
      const configuration = configurationName && caches.configurations.get(namespace, configurationName);
      if (!configuration) continue;
      found.configurations.add(configuration.metadata.name);
      const newest = configuration.status?.latestCreatedRevisionName;
      if (newest && target.latestRevision && caches.revisions.get(namespace, newest))
        found.revisions.add(newest);
    }
    return found;
  };

  return async (key: string): Promise<undefined> => {
    const { namespace = '', name } = splitKey(key);
    const known = caches.routes.get(namespace, name);
    const route = known?.metadata.deletionTimestamp ? undefined : known;
    const referred = route
      ? referredBy(route)
      : { revisions: new Set<string>(), configurations: new Set<string>() };

    const bring = async (resource: ResourceRef, object: KubeObject | undefined, remove: boolean) => {
      const state = resource === REVISIONS;
      const patch = object && routingPatch(object, name, { state, remove, now: clock.now() });
      if (!patch || !object) return;
      try {
        await client.patch(resource, namespace, object.metadata.name, 'merge', patch);
      } catch (error) {
        if (!(error instanceof KubeError && error.code === 404)) throw error;
      }
    };
    const set = (resource: ResourceRef, names: Set<string>, get: (name: string) => KubeObject | undefined) =>
      [...names].map((one) => bring(resource, get(one), false));
    const clear = (resource: ResourceRef, names: Set<string>, listed: KubeObject[]) =>
      listed
        .filter(({ metadata }) => !names.has(metadata.name))
        .map((object) => bring(resource, object, true));

    await Promise.all([
      ...set(REVISIONS, referred.revisions, (one) => caches.revisions.get(namespace, one)),
      ...set(CONFIGURATIONS, referred.configurations, (one) => caches.configurations.get(namespace, one)),
    ]);
    // What served until now keeps its mark until what comes next is settled.
    const settled = !route || readiness(route) === 'True' || conditionOf(route, 'Ready')?.status === 'False';
    if (!settled) return undefined;
    await Promise.all([
      ...clear(REVISIONS, referred.revisions, caches.revisions.byIndex('routes', key)),
      ...clear(
        CONFIGURATIONS,
        referred.configurations,
        // The Configuration beside the Route, of the same Service, carries its mark whatever the traffic is.
        caches.configurations
          .byIndex('routes', key)
          .filter((one) => !route || serviceOf(one) !== serviceOf(route)),
      ),
    ]);
    return undefined;
  };
}
