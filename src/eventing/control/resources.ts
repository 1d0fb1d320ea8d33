/** From what a reference says, `apiVersion` and `kind`, to the resource of the API. */

import { builtinRegistry, type Registry } from '../../kinds/registry.ts';
import type { ResourceRef } from '../../kube/client.ts';
import * as refs from '../../kube/refs.ts';

const KNOWN: readonly ResourceRef[] = [
  refs.SERVICES,
  refs.PODS,
  refs.CONFIGMAPS,
  refs.SECRETS,
  refs.NAMESPACES,
  refs.JOBS,
  refs.FUNCTIONS,
  refs.FUNCTION_ALIASES,
  refs.KSERVICES,
  refs.ROUTES,
  ...refs.EVENTING,
];

/** `<group>/<plural>` of those that every API of ours has. */
export const KNOWN_KINDS: ReadonlySet<string> = new Set(
  KNOWN.map(({ group, plural }) => `${group}/${plural}`),
);

const BY_KIND = new Map(KNOWN.map((resource) => [`${resource.group}/${resource.kind}`, resource]));

/** Group and version of an `apiVersion`. */
const groupVersion = (apiVersion: string): { group: string; version: string } => {
  const slash = apiVersion.indexOf('/');
  return { group: apiVersion.slice(0, Math.max(0, slash)), version: apiVersion.slice(slash + 1) };
};

let served: Registry | undefined;

/** As `resourceOf`, for kinds that are no addressable of ours: whether it has namespaces and how its plural is are known of all that Petrel serves. */
export function anyResourceOf(apiVersion: string, kind: string): ResourceRef {
  const { group, version } = groupVersion(apiVersion);
  served ??= builtinRegistry();
  const row = served.byKind(group, version, kind);
  if (row === undefined) return { ...resourceOf(apiVersion, kind), version };
  return { group, version, kind, plural: row.plural, namespaced: row.namespaced };
}

/** Which resource that is; the plural of an unknown kind is guessed as upstream guesses it (apimachinery `UnsafeGuessKindToResource`). */
export function resourceOf(apiVersion: string, kind: string): ResourceRef {
  const { group, version } = groupVersion(apiVersion);
  const known = BY_KIND.get(`${group}/${kind}`);
  if (known !== undefined) return known;
  const singular = kind.toLowerCase();
  const plural = singular.endsWith('endpoints')
    ? singular
    : singular.endsWith('s')
      ? `${singular}es`
      : singular.endsWith('y')
        ? `${singular.slice(0, -1)}ies`
        : `${singular}s`;
  return { group, version, kind, plural, namespaced: true };
}

/** What the API says of an object that is not there. */
export const notFound = ({ group, plural }: ResourceRef, name: string): string =>
  `${group === '' ? plural : `${plural}.${group}`} ${JSON.stringify(name)} not found`;
