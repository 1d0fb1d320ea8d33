/** What a SinkBinding says to programs, and where it stands in an object. Pure. Source: knative.dev/eventing `pkg/apis/sources/v1/sinkbinding_lifecycle.go`. */
import { isDeepStrictEqual } from 'node:util';
import type { Addressable, SourceObjectSpec } from '../../kinds/eventing/objects.ts';
import type { Json, UntypedObject } from '../../kinds/object.ts';

interface Variable {
  name: string;
  value?: string;
  [other: string]: Json | undefined;
}

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
