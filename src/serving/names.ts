/** Names, labels and addresses of what serving creates. Source: knative.dev/pkg `kmeta`, serving `register.go`. */
import { createHash } from 'node:crypto';
import type { KubeObject, OwnerReference } from '../kinds/object.ts';

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
  lastPinned: `${PREFIX}lastPinned`,
  rollout: 'networking.internal.knative.dev/rollout',
  visibility: 'networking.knative.dev/visibility',
} as const;

const MAX_NAME = 63;
const DIGEST = 32;

/** A name for a child of `parent` that never exceeds a DNS label. Upstream's `kmeta.ChildName`. */
export function childName(parent: string, suffix: string): string {
  if (parent.length <= MAX_NAME - suffix.length) return parent + suffix;
  const md5 = (text: string) => createHash('md5').update(text).digest('hex');
  const head = MAX_NAME - DIGEST;
  if (suffix.length < head) return shorten(parent, head - suffix.length, md5(parent)) + suffix;
  const name = shorten(parent, head, md5(parent + suffix));
  return (name + suffix.slice(0, MAX_NAME - name.length)).replace(/[^a-z0-9]+$/i, '');
}

function shorten(parent: string, length: number, digest: string): string {
  return parent.slice(0, Math.max(0, length)) + digest;
}

/** `<configuration>-00001`. */
export function revisionName(configuration: string, generation: number): string {
  return childName(configuration, `-${String(generation).padStart(5, '0')}`);
}

/** The reference by which `owner` controls what it creates. */
export function controllerReference(owner: KubeObject): OwnerReference {
  const { apiVersion, kind, metadata } = owner;
  return {
    apiVersion,
    kind,
    name: metadata.name,
    uid: metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
  return (object.metadata.ownerReferences ?? []).some(
    (ref) => ref.controller && ref.uid === owner.metadata.uid,
  );
}

/** The entries of a map that are none of `keys`. */
export function without(map: Record<string, string> | undefined, ...keys: string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(map ?? {}).filter(([key]) => !keys.includes(key)));
}

/** The values of an annotation that is a list with commas. */
export function listOf(annotations: Record<string, string> | undefined, key: string): string[] {
  return annotations?.[key]?.split(',').filter(Boolean) ?? [];
}
