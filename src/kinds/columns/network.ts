/** What `kubectl get` prints of endpoints and autoscalers. Source: kubernetes `pkg/printers/internalversion`, 1.32. */
import type { UntypedObject } from '../object.ts';
import type { PrinterColumn } from '../resource.ts';
import { AGE, column, NAME, orNone } from './common.ts';

/** The first few of a list, and how many more there are. */
function firstOf(all: string[], max: number, separator = ','): string {
  const shown = all.slice(0, max).join(separator);
  return all.length > max ? `${shown} + ${all.length - max} more...` : shown;
}

const hostPort = (ip: string, port: number): string =>
  ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;

function endpointList({ subsets }: UntypedObject): string {
  const all: string[] = [];
  for (const { addresses, ports } of subsets ?? []) {
    const ips: string[] = (addresses ?? []).map((a: { ip: string }) => a.ip);
    if (!ports?.length) all.push(...ips);
    else for (const { port } of ports) all.push(...ips.map((ip) => hostPort(ip, port)));
  }
  return orNone(firstOf(all, 3));
}

export const ENDPOINTS_COLUMNS: PrinterColumn[] = [NAME, column('Endpoints', 'string', endpointList), AGE];

const orUnset = (text: string): string => text || '<unset>';
const slicePorts = ({ ports }: UntypedObject): string[] =>
  (ports ?? []).map((p: { port?: number; name?: string }) => String(p.port ?? p.name ?? '*'));
const sliceAddresses = ({ endpoints }: UntypedObject): string[] =>
  (endpoints ?? []).flatMap((e: { addresses?: string[] }) => e.addresses ?? []);

export const ENDPOINTSLICE_COLUMNS: PrinterColumn[] = [
  NAME,
  column('AddressType', 'string', (o) => o.addressType ?? ''),
  column('Ports', 'string', (o) => orUnset(firstOf(slicePorts(o), 3))),
  column('Endpoints', 'string', (o) => orUnset(firstOf(sliceAddresses(o), 3))),
  AGE,
];

interface Target {
  averageUtilization?: number;
  averageValue?: string;
  value?: string;
}
interface Metric {
  type: string;
  resource?: { name: string; target: Target };
  [source: string]: unknown;
}

const SOURCES: Record<string, string> = {
  Resource: 'resource',
  ContainerResource: 'containerResource',
  Pods: 'pods',
  External: 'external',
  Object: 'object',
};

/** `cpu: 10%/80%`, or `5/10 (avg)` for what is no resource of the Pods. */
function metricText(metric: Metric, status: { [source: string]: unknown } | undefined): string {
  const source = SOURCES[metric.type];
  if (source === undefined) return '<unknown type>';
  const { target, name } = metric[source] as { target: Target; name?: string };
  const current = (status?.[source] as { current?: Target } | undefined)?.current;
  const prefix = name === undefined ? '' : `${name}: `;
  const suffix =
    target.averageValue !== undefined && (source === 'external' || source === 'object') ? ' (avg)' : '';
  if (target.averageUtilization !== undefined) {
    const now = current?.averageUtilization;
    return `${prefix}${now === undefined ? '<unknown>' : `${now}%`}/${target.averageUtilization}%`;
  }
  const now = target.averageValue === undefined ? current?.value : current?.averageValue;
  return `${prefix}${now ?? '<unknown>'}/${target.averageValue ?? target.value}${suffix}`;
}

const metricList = ({ spec, status }: UntypedObject): string => {
  const texts = (spec?.metrics ?? []).map((m: Metric, i: number) =>
    metricText(m, status?.currentMetrics?.[i]),
  );
  return orNone(firstOf(texts, 2, ', '));
};

export const HPA_COLUMNS: PrinterColumn[] = [
  NAME,
  column('Reference', 'string', ({ spec }) => `${spec?.scaleTargetRef?.kind}/${spec?.scaleTargetRef?.name}`),
  column('Targets', 'string', metricList),
  column('MinPods', 'string', ({ spec }) => String(spec?.minReplicas ?? '<unset>')),
  column('MaxPods', 'integer', ({ spec }) => spec?.maxReplicas ?? 0),
  column('Replicas', 'integer', ({ status }) => status?.currentReplicas ?? 0),
  AGE,
];
