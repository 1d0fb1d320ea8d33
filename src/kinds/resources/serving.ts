/** Knative Serving v1. Names and columns are those of Knative's own CustomResourceDefinitions. */
import { NAME, pathColumn, READY_PATHS } from '../columns/common.ts';
import { dns1035Label } from '../name.ts';
import type { ResourceDefinition } from '../resource.ts';
import { SERVING_GROUP } from '../serving.ts';
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
    plural: 'services',
    shortNames: ['kservice', 'ksvc'],
    columns: [NAME, URL, ...LATEST, ...READY_PATHS],
    nameRule: dns1035Label,
  },
  {
    ...common,
    kind: 'Configuration',
    plural: 'configurations',
    shortNames: ['config', 'cfg'],
    columns: [NAME, ...LATEST, ...READY_PATHS],
    nameRule: dns1035Label,
  },
  {
    ...common,
    kind: 'Revision',
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
    plural: 'routes',
    shortNames: ['rt'],
    columns: [NAME, URL, ...READY_PATHS],
    nameRule: dns1035Label,
  },
]);
