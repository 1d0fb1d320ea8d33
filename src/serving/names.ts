/** Names, labels and addresses of what serving creates. Source: knative.dev/pkg `kmeta`, serving `register.go`. */
import { createHash } from 'node:crypto';
import type { KubeObject, OwnerReference } from '../kinds/object.ts';

const PREFIX = 'serving.knative.dev/';
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

/** Where routes are reachable from outside. */
export interface Domain {
  /** Suffix of every host name, for example `localhost`. */
  name: string;
  /** Port that clients use. */
  port: number;
}

/** Host names by which a route, or with `tag` one of its targets, is known; the first is the one in its URL. */
export function hostsOf(namespace: string, name: string, domain: Domain, clusterLocal: boolean): string[] {
  const local = [
    `${name}.${namespace}.svc.cluster.local`,
    `${name}.${namespace}.svc`,
    `${name}.${namespace}`,
  ];
  return clusterLocal ? local : [`${name}.${namespace}.${domain.name}`, ...local];
}

export function urlOf(namespace: string, name: string, domain: Domain, clusterLocal: boolean): string {
  const host = hostsOf(namespace, name, domain, clusterLocal)[0]!;
  return clusterLocal || domain.port === 80 ? `http://${host}` : `http://${host}:${domain.port}`;
}

/** Name of the host, and of the path, of a tagged target. */
export function tagName(route: string, tag: string): string {
  return `${tag}-${route}`;
}
