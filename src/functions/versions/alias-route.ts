/** A FunctionAlias as the Knative Route it owns, and the Route's state as the alias's. Pure. */

import { withCondition } from '../../kinds/conditions.ts';
import { FUNCTION_LABELS, type FunctionAlias } from '../../kinds/function.ts';
import type { Condition } from '../../kinds/object.ts';
import type { Route, TrafficTarget } from '../../kinds/serving.ts';

/** The targets that an alias stands for; percentages sum to 100. */
export function targetsOf({ spec }: FunctionAlias): TrafficTarget[] {
  const { secondary } = spec;
  const percent = 100 - (secondary?.percent ?? 0);
  const primary: TrafficTarget =
    spec.revisionName === undefined
      ? { configurationName: spec.function, latestRevision: true, percent }
      : { revisionName: spec.revisionName, latestRevision: false, percent };
  if (secondary === undefined) return [primary];
  const { revisionName } = secondary;
  return [primary, { revisionName, latestRevision: false, percent: secondary.percent }];
}

/** A new Route for an alias. */
export function routeOf(alias: FunctionAlias): Route {
  const { name, namespace, uid = '' } = alias.metadata;
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Route',
    metadata: {
      name,
      namespace,
      labels: { ...alias.metadata.labels, [FUNCTION_LABELS.function]: alias.spec.function },
      ownerReferences: [
        {
          apiVersion: alias.apiVersion,
          kind: alias.kind,
          name,
          uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: { traffic: targetsOf(alias) },
  };
}

const said = ({ configurationName, revisionName, percent }: TrafficTarget) => [
  configurationName ?? null,
  revisionName ?? null,
  percent ?? null,
];

/** The Route brought in line with its alias, or undefined when it is. */
export function alignedRoute(alias: FunctionAlias, route: Route): Route | undefined {
  const traffic = targetsOf(alias);
  const now = JSON.stringify((route.spec.traffic ?? []).map(said));
  return now === JSON.stringify(traffic.map(said))
    ? undefined
    : { ...route, spec: { ...route.spec, traffic } };
}

/** Status of an alias whose Route is there. */
export function aliasStatus(alias: FunctionAlias, route: Route, now: number): FunctionAlias['status'] {
  const { status, metadata } = route;
  const current = (status?.observedGeneration ?? 0) >= (metadata.generation ?? 1);
  const found = current ? status?.conditions?.find(({ type }) => type === 'Ready') : undefined;
  const ready: Condition = { type: 'Ready', status: found?.status ?? 'Unknown' };
  if (found?.reason) ready.reason = found.reason;
  if (found?.message) ready.message = found.message;
  return {
    ...withReady(alias, ready, now),
    ...(status?.url ? { url: status.url } : {}),
  };
}

/** Status with another Ready condition; everything else goes. */
export function withReady(alias: FunctionAlias, ready: Condition, now: number) {
  return {
    observedGeneration: alias.metadata.generation ?? 1,
    conditions: withCondition(alias.status?.conditions, ready, now),
  };
}
