/** apps/v1. Source: kubernetes `pkg/registry/apps`, 1.32. */
import { DEPLOYMENT_COLUMNS, REPLICASET_COLUMNS } from '../columns/core.ts';
import type { ResourceDefinition } from '../resource.ts';
import { WORKLOAD_STRATEGY } from '../strategies/pod.ts';
import { byPath, rows } from './row.ts';

export const APPS_RESOURCES: ResourceDefinition[] = rows('apps', 'v1', 'io.k8s.api.apps.v1', [
  {
    kind: 'Deployment',
    plural: 'deployments',
    shortNames: ['deploy'],
    categories: ['all'],
    subresources: ['status'],
    columns: DEPLOYMENT_COLUMNS,
    strategy: WORKLOAD_STRATEGY,
    hasGeneration: true,
  },
  {
    kind: 'ReplicaSet',
    plural: 'replicasets',
    shortNames: ['rs'],
    categories: ['all'],
    subresources: ['status'],
    columns: REPLICASET_COLUMNS,
    strategy: WORKLOAD_STRATEGY,
    selectable: byPath('status.replicas'),
    hasGeneration: true,
  },
]);
