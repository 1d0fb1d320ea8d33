/** Names, labels and addresses of what serving creates. Source: knative.dev/pkg `kmeta`, serving `register.go`. */
import { childName } from '../kinds/child-name.ts';
import type { Revision } from '../kinds/serving.ts';

export { childName };

const PREFIX = 'serving.knative.dev/';
/** What `kubectl apply` keeps on an object for itself: never passed on to children. */
export const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
/** Labels and annotations with upstream's names. */
export const LABELS = {
  configuration: `${PREFIX}configuration`,
  configurationGeneration: `${PREFIX}configurationGeneration`,
  configurationUID: `${PREFIX}configurationUID`,
  service: `${PREFIX}service`,
  serviceUID: `${PREFIX}serviceUID`,
  revision: `${PREFIX}revision`,
  revisionUID: `${PREFIX}revisionUID`,
  creator: `${PREFIX}creator`,
  lastModifier: `${PREFIX}lastModifier`,
  routes: `${PREFIX}routes`,
  routingState: `${PREFIX}routingState`,
  routingStateModified: `${PREFIX}routingStateModified`,
  rolloutDuration: `${PREFIX}rollout-duration`,
  rolloutDurationAlias: `${PREFIX}rolloutDuration`,
  route: `${PREFIX}route`,
  routeNamespace: `${PREFIX}routeNamespace`,
  noGc: `${PREFIX}no-gc`,
  /** On a Service or Configuration: how many revisions without traffic are kept, in place of what `config-gc` says. */
  retainRevisions: 'petrel.dev/retain-revisions',
  lastPinned: `${PREFIX}lastPinned`,
  rollout: 'networking.internal.knative.dev/rollout',
  visibility: 'networking.knative.dev/visibility',
} as const;

/** `<configuration>-00001`. */
export function revisionName(configuration: string, generation: number): string {
  return childName(configuration, `-${String(generation).padStart(5, '0')}`);
}

/** The generation of its Configuration that a revision was made from; larger is newer, 0 is unknown. */
export function generationOf(revision: Revision | undefined): number {
  return Number(revision?.metadata.labels?.[LABELS.configurationGeneration] ?? 0);
}

/** The entries of a map that are none of `keys`. */
export function without(map: Record<string, string> | undefined, ...keys: string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(map ?? {}).filter(([key]) => !keys.includes(key)));
}

/** The values of an annotation that is a list with commas. */
export function listOf(annotations: Record<string, string> | undefined, key: string): string[] {
  return annotations?.[key]?.split(',').filter(Boolean) ?? [];
}
