/** batch/v1. Source: kubernetes `pkg/registry/batch`, 1.32. */
import { JOB_COLUMNS } from '../columns/batch.ts';
import type { ResourceDefinition } from '../resource.ts';
import { JOB_STRATEGY } from '../strategies/job.ts';
import { byPath, rows } from './row.ts';

export const BATCH_RESOURCES: ResourceDefinition[] = rows('batch', 'v1', 'io.k8s.api.batch.v1', [
  {
    kind: 'Job',
    plural: 'jobs',
    categories: ['all'],
    subresources: ['status'],
    columns: JOB_COLUMNS,
    strategy: JOB_STRATEGY,
    selectable: byPath('status.successful'),
    hasGeneration: true,
  },
]);
