/** Knative Serving v1. Names and columns are those of Knative's own CustomResourceDefinitions. */
import { NAME, pathColumn, READY_PATHS } from '../columns/common.ts';
import type { ResourceDefinition } from '../resource.ts';
import { SERVING_GROUP } from '../serving.ts';
import {
  CONFIGURATION_STRATEGY,
  KSERVICE_STRATEGY,
  REVISION_STRATEGY,
  ROUTE_STRATEGY,
} from '../strategies/knative/strategies.ts';
import { rows } from './row.ts';

const CATEGORIES = ['all', 'knative', 'serving'];
const LATEST = [
  pathColumn('LatestCreated', '.status.latestCreatedRevisionName'),
  pathColumn('LatestReady', '.status.latestReadyRevisionName'),
];
const URL = pathColumn('URL', '.status.url');
const common = { categories: CATEGORIES, subresources: ['status'], hasGeneration: true };

export const SERVING_RESOURCES: ResourceDefinition[] = rows(SERVING_GROUP, 'v1', 'dev.knative.serving.v1', [
  {
    ...common,
    kind: 'Service',
    strategy: KSERVICE_STRATEGY,
    plural: 'services',
    shortNames: ['kservice', 'ksvc'],
    columns: [NAME, URL, ...LATEST, ...READY_PATHS],
  },
  {
    ...common,
    kind: 'Configuration',
    strategy: CONFIGURATION_STRATEGY,
    plural: 'configurations',
    shortNames: ['config', 'cfg'],
    columns: [NAME, ...LATEST, ...READY_PATHS],
  },
  {
    ...common,
    kind: 'Revision',
    strategy: REVISION_STRATEGY,
    plural: 'revisions',
    shortNames: ['rev'],
    columns: [
      NAME,
      pathColumn('Config Name', ".metadata.labels['serving\\.knative\\.dev/configuration']"),
      pathColumn('Generation', ".metadata.labels['serving\\.knative\\.dev/configurationGeneration']"),
      ...READY_PATHS,
      pathColumn('Actual Replicas', '.status.actualReplicas', 'integer'),
      pathColumn('Desired Replicas', '.status.desiredReplicas', 'integer'),
    ],
  },
  {
    ...common,
    kind: 'Route',
    strategy: ROUTE_STRATEGY,
    plural: 'routes',
    shortNames: ['rt'],
    columns: [NAME, URL, ...READY_PATHS],
  },
]);
