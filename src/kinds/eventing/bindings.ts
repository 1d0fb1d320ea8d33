/** What a SinkBinding says to programs, whom it means, and where it stands in an object. Pure. Source: knative.dev/eventing `pkg/apis/sources/v1/sinkbinding_lifecycle.go`. */
import { isDeepStrictEqual } from 'node:util';
import type { Json, UntypedObject } from '../object.ts';
import { matchesLabels, requirementsOf } from '../selectors.ts';
import type { Addressable, SinkBinding, SourceObjectSpec } from './objects.ts';

interface Variable {
  name: string;
  value?: string;
  [other: string]: Json | undefined;
}

const INCLUDE = 'bindings.knative.dev/include';
const EXCLUDE = 'bindings.knative.dev/exclude';

const NAMES: ReadonlySet<string> = new Set(['K_SINK', 'K_CA_CERTS', 'K_CE_OVERRIDES']);

/** The variables that tell a program where its events go. */
export function sinkVariables(
  { url, CACerts }: Addressable,
  overrides: SourceObjectSpec['ceOverrides'],
): Variable[] {
  return [
    { name: 'K_SINK', value: url ?? '' },
    ...(CACerts ? [{ name: 'K_CA_CERTS', value: CACerts }] : []),
    { name: 'K_CE_OVERRIDES', value: overrides === undefined ? '' : JSON.stringify(overrides) },
  ];
}

/** A list of variables with these at its end, and none of the kind before. */
export const withVariables = (env: Variable[] | undefined, variables: readonly Variable[]): Variable[] => [
  ...(env ?? []).filter(({ name }) => !NAMES.has(name)),
  ...variables,
];

interface Container {
  env?: Variable[];
}

/** Containers with these variables. */
export const containersWith = <T extends Container>(containers: T[], variables: readonly Variable[]): T[] =>
  containers.map((container) => ({ ...container, env: withVariables(container.env, variables) }));

/**
 * The change of `spec` that gives the object's programs these variables, as a merge patch; undefined: they have them. A Function has one list,
 * anything else a template of Pods.
 */
export function bindingPatch(object: UntypedObject, variables: readonly Variable[]): Json | undefined {
  const { spec } = object;
  if (object.kind === 'Function') {
    const env = withVariables(spec?.env, variables);
    return isDeepStrictEqual(env, spec?.env ?? []) ? undefined : ({ env } as Json);
  }
  const pod = spec?.template?.spec ?? {};
  const changed: Record<string, Json> = {};
  for (const field of ['initContainers', 'containers']) {
    const before: Container[] = pod[field] ?? [];
    const bare = before.map(({ env = [], ...container }) => ({ ...container, env }));
    const after = containersWith(bare, variables);
    if (!isDeepStrictEqual(bare, after)) changed[field] = after as Json;
  }
  return Object.keys(changed).length === 0 ? undefined : { template: { spec: changed } };
}

/** Whether an object may be bound: everything that is not excluded, or nothing that is not included. */
export function isBindable(
  object: UntypedObject,
  namespace: UntypedObject | undefined,
  mode = process.env.SINK_BINDING_SELECTION_MODE,
): boolean {
  const says = (label: string) =>
    object.metadata.labels?.[label] === 'true' || namespace?.metadata.labels?.[label] === 'true';
  return mode === 'inclusion' ? says(INCLUDE) : !says(EXCLUDE);
}

/** Which objects of its kind and namespace a subject means: the one that it names, or those that it selects. */
export function meantBy({
  name,
  selector = {},
}: SinkBinding['spec']['subject']): (object: UntypedObject) => boolean {
  if (name !== undefined) return ({ metadata }) => metadata.name === name;
  const requirements = requirementsOf(selector);
  return ({ metadata }) => matchesLabels(requirements, metadata.labels);
}

/** Gives an object that is being made the variables of those bindings that mean it and know their sink; in place. */
export function bindNew(
  object: UntypedObject,
  bindings: readonly SinkBinding[],
  namespace: UntypedObject | undefined,
): void {
  if (!isBindable(object, namespace)) return;
  for (const { metadata, spec, status } of bindings) {
    const { apiVersion, kind } = spec.subject;
    if (metadata.deletionTimestamp !== undefined || status?.sinkUri === undefined) continue;
    if (apiVersion !== object.apiVersion || kind !== object.kind || !meantBy(spec.subject)(object)) continue;
    const address = { url: status.sinkUri, ...(status.sinkCACerts && { CACerts: status.sinkCACerts }) };
    const variables = sinkVariables(address, spec.ceOverrides);
    const pod = object.spec?.template?.spec;
    for (const field of ['initContainers', 'containers'])
      if (pod?.[field]) pod[field] = containersWith(pod[field], variables);
  }
}
