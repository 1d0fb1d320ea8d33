/**
 * What Knative Serving writes for itself, and DomainMapping. Names and columns are those of Knative's own
 * CustomResourceDefinitions.
 */
import { NAME, pathColumn, READY_PATHS } from '../columns/common.ts';
import type { ResourceDefinition } from '../resource.ts';
import { SERVING_GROUP } from '../serving.ts';
import {
  AUTOSCALING_INTERNAL_GROUP,
  CACHING_INTERNAL_GROUP,
  NETWORKING_INTERNAL_GROUP,
} from '../serving-internal.ts';
import { DOMAIN_MAPPING_STRATEGY } from '../strategies/knative/domain-mapping.ts';
import { rows } from './row.ts';

const common = (area: string) => ({
  categories: ['knative-internal', area],
  subresources: ['status'],
  hasGeneration: true,
});
const networking = common('networking');
const autoscaling = common('autoscaling');

export const SERVING_INTERNAL_RESOURCES: ResourceDefinition[] = [
  ...rows(SERVING_GROUP, 'v1beta1', 'dev.knative.serving.v1beta1', [
    {
      kind: 'DomainMapping',
      strategy: DOMAIN_MAPPING_STRATEGY,
      plural: 'domainmappings',
      shortNames: ['dm'],
      categories: ['all', 'knative', 'serving'],
      subresources: ['status'],
      hasGeneration: true,
      columns: [NAME, pathColumn('URL', '.status.url'), ...READY_PATHS],
    },
  ]),
  ...rows(AUTOSCALING_INTERNAL_GROUP, 'v1alpha1', 'dev.knative.autoscaling.v1alpha1', [
    {
      ...autoscaling,
      kind: 'PodAutoscaler',
      plural: 'podautoscalers',
      shortNames: ['kpa', 'pa'],
      columns: [
        NAME,
        pathColumn('DesiredScale', '.status.desiredScale', 'integer'),
        pathColumn('ActualScale', '.status.actualScale', 'integer'),
        ...READY_PATHS,
      ],
    },
    { ...autoscaling, kind: 'Metric', plural: 'metrics', columns: [NAME, ...READY_PATHS] },
  ]),
  ...rows(NETWORKING_INTERNAL_GROUP, 'v1alpha1', 'dev.knative.networking.v1alpha1', [
    {
      ...networking,
      kind: 'Ingress',
      plural: 'ingresses',
      shortNames: ['kingress', 'king'],
      columns: [NAME, ...READY_PATHS],
    },
    {
      ...networking,
      kind: 'ServerlessService',
      plural: 'serverlessservices',
      shortNames: ['sks'],
      columns: [
        NAME,
        pathColumn('Mode', '.spec.mode'),
        pathColumn('Activators', '.spec.numActivators', 'integer'),
        pathColumn('ServiceName', '.status.serviceName'),
        pathColumn('PrivateServiceName', '.status.privateServiceName'),
        ...READY_PATHS,
      ],
    },
    {
      ...networking,
      kind: 'Certificate',
      plural: 'certificates',
      shortNames: ['kcert'],
      columns: [NAME, ...READY_PATHS],
    },
    {
      ...networking,
      kind: 'ClusterDomainClaim',
      plural: 'clusterdomainclaims',
      shortNames: ['cdc'],
      namespaced: false,
      columns: [NAME],
    },
  ]),
  ...rows(CACHING_INTERNAL_GROUP, 'v1alpha1', 'dev.knative.caching.v1alpha1', [
    {
      ...common('caching'),
      kind: 'Image',
      plural: 'images',
      columns: [NAME, pathColumn('Image', '.spec.image')],
    },
  ]),
];
