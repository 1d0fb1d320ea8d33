/** Kinds of our own. */
import { AGE_PATH, NAME, pathColumn, READY_PATHS } from '../columns/common.ts';
import { dns1035Label } from '../name.ts';
import type { ResourceDefinition } from '../resource.ts';
import { FUNCTION_ALIAS_STRATEGY } from '../strategies/function-alias.ts';
import { FUNCTION_STRATEGY, RUNTIME_STRATEGY } from '../strategies/petrel.ts';
import { TRAFFIC_POLICY_STRATEGY } from '../strategies/traffic-policy.ts';
import { rows } from './row.ts';

export const PETREL_RESOURCES: ResourceDefinition[] = rows('petrel.dev', 'v1', 'dev.petrel.v1', [
  {
    kind: 'Function',
    strategy: FUNCTION_STRATEGY,
    plural: 'functions',
    shortNames: ['fn'],
    categories: ['all'],
    subresources: ['status'],
    columns: [
      NAME,
      pathColumn('URL', '.status.url'),
      ...READY_PATHS,
      pathColumn('Runtime', '.spec.runtime'),
      AGE_PATH,
    ],
    hasGeneration: true,
    // A Function's name becomes a host name and the prefix of its revisions' names.
    nameRule: dns1035Label,
  },
  {
    kind: 'FunctionAlias',
    strategy: FUNCTION_ALIAS_STRATEGY,
    plural: 'functionaliases',
    shortNames: ['fnalias'],
    categories: ['all'],
    subresources: ['status'],
    columns: [
      NAME,
      pathColumn('Function', '.spec.function'),
      pathColumn('Revision', '.spec.revisionName'),
      pathColumn('Secondary', '.spec.secondary.revisionName'),
      pathColumn('Percent', '.spec.secondary.percent', 'integer'),
      pathColumn('URL', '.status.url'),
      ...READY_PATHS,
      AGE_PATH,
    ],
    hasGeneration: true,
    // The alias's name becomes a host name.
    nameRule: dns1035Label,
  },
  {
    kind: 'Runtime',
    strategy: RUNTIME_STRATEGY,
    plural: 'runtimes',
    shortNames: ['pruntime'],
    namespaced: false,
    subresources: ['status'],
    columns: [
      NAME,
      pathColumn('Language', '.spec.language'),
      pathColumn('Warm', '.status.warm', 'integer'),
      ...READY_PATHS,
      AGE_PATH,
    ],
    hasGeneration: true,
    nameRule: dns1035Label,
  },
  {
    kind: 'TrafficPolicy',
    strategy: TRAFFIC_POLICY_STRATEGY,
    plural: 'trafficpolicies',
    shortNames: ['tpol'],
    categories: ['all'],
    subresources: ['status'],
    columns: [
      NAME,
      pathColumn('Target', '.spec.targetRef.name'),
      pathColumn('Ready', ".status.conditions[?(@.type=='Ready')].status"),
      pathColumn('Canary', '.status.canary.phase'),
      pathColumn('Percent', '.status.canary.percent', 'integer'),
      AGE_PATH,
    ],
    hasGeneration: true,
  },
]);
