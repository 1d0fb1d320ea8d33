/** Every resource the API knows, as rows. Adding a kind is adding a row under `resources/`. */
import type { ResourceDefinition } from './resource.ts';
import { APPS_RESOURCES } from './resources/apps.ts';
import { AUTOSCALING_RESOURCES } from './resources/autoscaling.ts';
import { BATCH_RESOURCES } from './resources/batch.ts';
import { CORE_RESOURCES } from './resources/core.ts';
import { EVENTING_RESOURCES } from './resources/eventing.ts';
import { FISSION_RESOURCES } from './resources/fission.ts';
import { PETREL_RESOURCES } from './resources/petrel.ts';
import { SERVING_RESOURCES } from './resources/serving.ts';
import { SERVING_INTERNAL_RESOURCES } from './resources/serving-internal.ts';

/** Resource definitions with look-up by path (plural) and by kind. */
export interface Registry {
  readonly all: readonly ResourceDefinition[];
  /** By path segment: `find('', 'v1', 'pods')`. */
  find(group: string, version: string, plural: string): ResourceDefinition | undefined;
  /** By type: `byKind('', 'v1', 'Pod')`. */
  byKind(group: string, version: string, kind: string): ResourceDefinition | undefined;
}

/** A registry of the given rows. */
export function createRegistry(all: readonly ResourceDefinition[]): Registry {
  const byPlural = new Map(all.map((r) => [`${r.group}/${r.version}/${r.plural}`, r]));
  const byKind = new Map(all.map((r) => [`${r.group}/${r.version}/${r.kind}`, r]));
  return {
    all,
    find: (group, version, plural) => byPlural.get(`${group}/${version}/${plural}`),
    byKind: (group, version, kind) => byKind.get(`${group}/${version}/${kind}`),
  };
}

/** The kinds Petrel serves itself. */
export function builtinRegistry(): Registry {
  return createRegistry([
    ...CORE_RESOURCES,
    ...APPS_RESOURCES,
    ...AUTOSCALING_RESOURCES,
    ...BATCH_RESOURCES,
    ...SERVING_RESOURCES,
    ...SERVING_INTERNAL_RESOURCES,
    ...EVENTING_RESOURCES,
    ...PETREL_RESOURCES,
    ...FISSION_RESOURCES,
  ]);
}
