/** What `kubectl get` prints of core kinds. Source: kubernetes `pkg/printers/internalversion`. */
import { humanDuration, since } from '../human.ts';
import type { UntypedObject } from '../object.ts';
import type { PrinterColumn } from '../resource.ts';
import { AGE, column, NAME, orNone, selectorText, templateColumns } from './common.ts';

const size = (map: object | undefined | null): number => Object.keys(map ?? {}).length;

export const CONFIGMAP_COLUMNS: PrinterColumn[] = [
  NAME,
  column('Data', 'string', (o) => size(o.data) + size(o.binaryData)),
  AGE,
];
export const SECRET_COLUMNS: PrinterColumn[] = [
  NAME,
  column('Type', 'string', (o) => o.type ?? ''),
  column('Data', 'string', (o) => size(o.data)),
  AGE,
];
export const NAMESPACE_COLUMNS: PrinterColumn[] = [
  NAME,
  column('Status', 'string', (o) => o.status?.phase ?? ''),
  AGE,
];
export const SERVICEACCOUNT_COLUMNS: PrinterColumn[] = [
  NAME,
  column('Secrets', 'string', (o) => (o.secrets ?? []).length),
  AGE,
];
export const LEASE_COLUMNS: PrinterColumn[] = [
  NAME,
  column('Holder', 'string', (o) => o.spec?.holderIdentity ?? ''),
  AGE,
];

// --- events ---------------------------------------------------------------------------------------------------------

interface EventTimes {
  first: string | undefined;
  last: string | undefined;
  count: number;
}

/** Events of both APIs: core fields, or `eventTime`/`series`, with core's kept as `deprecated*` in events.k8s.io. */
function eventTimes(event: UntypedObject): EventTimes {
  const eventTime: string | undefined = event.eventTime ?? undefined;
  const first: string | undefined = event.firstTimestamp ?? event.deprecatedFirstTimestamp ?? eventTime;
  const last: string | undefined = event.lastTimestamp ?? event.deprecatedLastTimestamp ?? undefined;
  if (event.series) {
    return {
      first,
      last: event.series.lastObservedTime ?? event.series.lastTimestamp ?? last,
      count: event.series.count ?? 1,
    };
  }
  return {
    first,
    last: last ?? first,
    count: event.count ?? event.deprecatedCount ?? (eventTime === undefined ? 0 : 1),
  };
}

/** `source.component, host`, or the reporting controller. */
function eventSource(event: UntypedObject): string {
  const source = event.source ?? event.deprecatedSource ?? {};
  const component: string = source.component || event.reportingComponent || event.reportingController || '';
  const host: string = source.host || event.reportingInstance || '';
  return [component, host].filter((part) => part !== '').join(', ');
}

const involved = (event: UntypedObject) => event.involvedObject ?? event.regarding ?? {};

export const EVENT_COLUMNS: PrinterColumn[] = [
  column('Last Seen', 'string', (o, now) => {
    const { first, last, count } = eventTimes(o);
    if (o.series && first !== undefined) {
      return `${since(last, now)} (x${count} over ${humanDuration(now - Date.parse(first))})`;
    }
    return since(last, now);
  }),
  column('Type', 'string', (o) => o.type ?? ''),
  column('Reason', 'string', (o) => o.reason ?? ''),
  column('Object', 'string', (o) => {
    const { kind = '', name = '' } = involved(o);
    return kind === '' ? name : `${String(kind).toLowerCase()}/${name}`;
  }),
  column('Subobject', 'string', (o) => involved(o).fieldPath ?? '', true),
  column('Source', 'string', eventSource, true),
  column('Message', 'string', (o) => String(o.message ?? o.note ?? '').trim()),
  column('First Seen', 'string', (o, now) => since(eventTimes(o).first, now), true),
  column('Count', 'string', (o) => eventTimes(o).count, true),
  { ...NAME, priority: 1 },
];

// --- nodes ----------------------------------------------------------------------------------------------------------

function nodeStatus(node: UntypedObject): string {
  const ready = (node.status?.conditions ?? []).find((c: { type: string }) => c.type === 'Ready');
  const words = [ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady'];
  if (node.spec?.unschedulable) words.push('SchedulingDisabled');
  return words.join(',');
}

const ROLE_PREFIX = 'node-role.kubernetes.io/';

function nodeRoles(node: UntypedObject): string {
  const roles = Object.entries(node.metadata.labels ?? {}).flatMap(([key, value]) => {
    if (key.startsWith(ROLE_PREFIX) && key.length > ROLE_PREFIX.length)
      return [key.slice(ROLE_PREFIX.length)];
    return key === 'kubernetes.io/role' && value !== '' ? [value] : [];
  });
  return orNone([...new Set(roles)].sort().join(','));
}

const nodeAddress = (node: UntypedObject, type: string): string =>
  orNone(
    (node.status?.addresses ?? []).find((a: { type: string; address: string }) => a.type === type)?.address,
  );
const nodeInfo = (node: UntypedObject, field: string): string =>
  node.status?.nodeInfo?.[field] || '<unknown>';

export const NODE_COLUMNS: PrinterColumn[] = [
  NAME,
  column('Status', 'string', nodeStatus),
  column('Roles', 'string', nodeRoles),
  AGE,
  column('Version', 'string', (o) => o.status?.nodeInfo?.kubeletVersion ?? ''),
  column('Internal-IP', 'string', (o) => nodeAddress(o, 'InternalIP'), true),
  column('External-IP', 'string', (o) => nodeAddress(o, 'ExternalIP'), true),
  column('OS-Image', 'string', (o) => nodeInfo(o, 'osImage'), true),
  column('Kernel-Version', 'string', (o) => nodeInfo(o, 'kernelVersion'), true),
  column('Container-Runtime', 'string', (o) => nodeInfo(o, 'containerRuntimeVersion'), true),
];

// --- quotas ---------------------------------------------------------------------------------------------------------

/** `pods: 1/5, requests.cpu: 1/2`: what is used of what. */
const quotaUse = (quota: UntypedObject, limits: boolean): string =>
  Object.keys(quota.status?.hard ?? {})
    .filter((name) => name.startsWith('limits.') === limits)
    .sort()
    .map((name) => `${name}: ${quota.status.used?.[name] ?? '0'}/${quota.status.hard[name]}`)
    .join(', ');

export const QUOTA_COLUMNS: PrinterColumn[] = [
  NAME,
  AGE,
  column('Request', 'string', (o) => quotaUse(o, false)),
  column('Limit', 'string', (o) => quotaUse(o, true)),
];

// --- services and workloads -----------------------------------------------------------------------------------------

function servicePorts(service: UntypedObject): string {
  const ports: { port: number; nodePort?: number; protocol?: string }[] = service.spec?.ports ?? [];
  const text = ports.map((p) => `${p.port}${p.nodePort ? `:${p.nodePort}` : ''}/${p.protocol ?? 'TCP'}`);
  return orNone(text.join(','));
}

function externalAddress(service: UntypedObject): string {
  const spec = service.spec ?? {};
  const ips: string[] = spec.externalIPs ?? [];
  if (spec.type === 'ExternalName') return orNone(spec.externalName);
  if (spec.type !== 'LoadBalancer') return orNone(ips.join(','));
  const ingress: { ip?: string; hostname?: string }[] = service.status?.loadBalancer?.ingress ?? [];
  const all = [...ingress.map((i) => i.ip || i.hostname || '').filter((a) => a !== ''), ...ips];
  return all.length === 0 ? '<pending>' : all.join(',');
}

export const SERVICE_COLUMNS: PrinterColumn[] = [
  NAME,
  column('Type', 'string', (o) => o.spec?.type ?? ''),
  column('Cluster-IP', 'string', (o) => orNone(o.spec?.clusterIPs?.[0] ?? o.spec?.clusterIP)),
  column('External-IP', 'string', externalAddress),
  column('Port(s)', 'string', servicePorts),
  AGE,
  column('Selector', 'string', (o) => selectorText({ matchLabels: o.spec?.selector }), true),
];

export const DEPLOYMENT_COLUMNS: PrinterColumn[] = [
  NAME,
  column('Ready', 'string', (o) => `${o.status?.readyReplicas ?? 0}/${o.spec?.replicas ?? 0}`),
  column('Up-to-date', 'string', (o) => o.status?.updatedReplicas ?? 0),
  column('Available', 'string', (o) => o.status?.availableReplicas ?? 0),
  AGE,
  ...templateColumns,
  column('Selector', 'string', (o) => selectorText(o.spec?.selector), true),
];

export const REPLICASET_COLUMNS: PrinterColumn[] = [
  NAME,
  column('Desired', 'integer', (o) => o.spec?.replicas ?? 0),
  column('Current', 'integer', (o) => o.status?.replicas ?? 0),
  column('Ready', 'integer', (o) => o.status?.readyReplicas ?? 0),
  AGE,
  ...templateColumns,
  column('Selector', 'string', (o) => selectorText(o.spec?.selector), true),
];
