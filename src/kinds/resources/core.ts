/** Core v1, and the small groups that belong with it. Source: kubernetes `pkg/registry/core`, 1.32. */
import {
  CONFIGMAP_COLUMNS,
  EVENT_COLUMNS,
  LEASE_COLUMNS,
  NAMESPACE_COLUMNS,
  NODE_COLUMNS,
  QUOTA_COLUMNS,
  SECRET_COLUMNS,
  SERVICE_COLUMNS,
  SERVICEACCOUNT_COLUMNS,
} from '../columns/core.ts';
import { ENDPOINTS_COLUMNS } from '../columns/network.ts';
import { POD_COLUMNS } from '../columns/pod.ts';
import { dns1035Label, dns1123Label } from '../name.ts';
import type { UntypedObject } from '../object.ts';
import type { ResourceDefinition } from '../resource.ts';
import {
  CORE_EVENT_STRATEGY,
  EVENT_STRATEGY,
  NAMESPACE_STRATEGY,
  SERVICE_STRATEGY,
} from '../strategies/cluster.ts';
import { CONFIGMAP_STRATEGY, SECRET_STRATEGY } from '../strategies/config.ts';
import { POD_STRATEGY } from '../strategies/pod.ts';
import { QUOTA_STRATEGY } from '../strategies/quota.ts';
import { byPath, rows } from './row.ts';

const joined = (values: { ip: string }[] | undefined): string => (values ?? []).map((v) => v.ip).join(',');
const reference = (field: 'involvedObject' | 'regarding', ...keys: string[]) =>
  byPath(...keys.map((key) => `${field}.${key}`));
const REFERENCE_KEYS = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'];

export const CORE_RESOURCES: ResourceDefinition[] = [
  ...rows('', 'v1', 'io.k8s.api.core.v1', [
    {
      kind: 'Pod',
      plural: 'pods',
      shortNames: ['po'],
      categories: ['all'],
      subresources: ['status', 'log', 'binding', 'eviction'],
      columns: POD_COLUMNS,
      strategy: POD_STRATEGY,
      selectable: {
        ...byPath(
          'spec.nodeName',
          'spec.restartPolicy',
          'spec.schedulerName',
          'spec.serviceAccountName',
          'status.phase',
          'status.podIP',
          'status.nominatedNodeName',
        ),
        'spec.hostNetwork': (o: UntypedObject) => String(o.spec?.hostNetwork ?? false),
        'status.podIPs': (o: UntypedObject) => joined(o.status?.podIPs),
      },
    },
    {
      kind: 'ConfigMap',
      plural: 'configmaps',
      shortNames: ['cm'],
      columns: CONFIGMAP_COLUMNS,
      strategy: CONFIGMAP_STRATEGY,
    },
    {
      kind: 'Secret',
      plural: 'secrets',
      columns: SECRET_COLUMNS,
      strategy: SECRET_STRATEGY,
      selectable: byPath('type'),
    },
    {
      kind: 'Namespace',
      plural: 'namespaces',
      shortNames: ['ns'],
      namespaced: false,
      subresources: ['status', 'finalize'],
      columns: NAMESPACE_COLUMNS,
      strategy: NAMESPACE_STRATEGY,
      selectable: byPath('status.phase'),
      nameRule: dns1123Label,
    },
    {
      kind: 'Event',
      plural: 'events',
      shortNames: ['ev'],
      columns: EVENT_COLUMNS,
      strategy: CORE_EVENT_STRATEGY,
      selectable: {
        ...reference('involvedObject', ...REFERENCE_KEYS),
        ...byPath('reason', 'reportingComponent', 'type'),
        source: (o: UntypedObject) => o.source?.component || o.reportingComponent || '',
      },
    },
    {
      kind: 'Node',
      plural: 'nodes',
      shortNames: ['no'],
      namespaced: false,
      subresources: ['status', 'proxy'],
      columns: NODE_COLUMNS,
      selectable: { 'spec.unschedulable': (o: UntypedObject) => String(o.spec?.unschedulable ?? false) },
    },
    {
      kind: 'ServiceAccount',
      plural: 'serviceaccounts',
      shortNames: ['sa'],
      columns: SERVICEACCOUNT_COLUMNS,
    },
    {
      kind: 'Service',
      plural: 'services',
      shortNames: ['svc'],
      categories: ['all'],
      subresources: ['status'],
      columns: SERVICE_COLUMNS,
      strategy: SERVICE_STRATEGY,
      selectable: byPath('spec.clusterIP', 'spec.type'),
      nameRule: dns1035Label,
    },
    {
      kind: 'ResourceQuota',
      plural: 'resourcequotas',
      shortNames: ['quota'],
      subresources: ['status'],
      columns: QUOTA_COLUMNS,
      strategy: QUOTA_STRATEGY,
    },
    { kind: 'Endpoints', plural: 'endpoints', shortNames: ['ep'], columns: ENDPOINTS_COLUMNS },
  ]),
  ...rows('coordination.k8s.io', 'v1', 'io.k8s.api.coordination.v1', [
    { kind: 'Lease', plural: 'leases', columns: LEASE_COLUMNS },
  ]),
  ...rows('events.k8s.io', 'v1', 'io.k8s.api.events.v1', [
    {
      kind: 'Event',
      plural: 'events',
      shortNames: ['ev'],
      columns: EVENT_COLUMNS,
      strategy: EVENT_STRATEGY,
      selectable: {
        ...reference('regarding', ...REFERENCE_KEYS),
        ...byPath('reason', 'reportingController', 'type'),
      },
    },
  ]),
];
