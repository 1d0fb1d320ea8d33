/** What the server fills into a pod spec. Source: kubernetes `pkg/apis/core/v1/defaults.go`, 1.32. */
import { defaults, items, type Untyped } from './untyped.ts';

const FILE_MODE = 0o644;

/** Defaults of a pod spec, in place: of a Pod, or of the template in a workload. */
export function defaultPodSpec(spec: Untyped): void {
  defaults(spec, {
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    securityContext: {},
    schedulerName: 'default-scheduler',
  });
  for (const volume of items(spec.volumes)) defaultVolume(volume);
  for (const list of [spec.initContainers, spec.containers, spec.ephemeralContainers]) {
    for (const container of items(list)) defaultContainer(container, spec.hostNetwork === true);
  }
}

/** Where a limit is given but no request, the request is the limit; for Pods, not for templates. */
export function defaultRequests(spec: Untyped): void {
  for (const container of [...items(spec.initContainers), ...items(spec.containers)]) {
    const limits: Record<string, unknown> | undefined = container.resources?.limits;
    if (limits === undefined || limits === null) continue;
    container.resources.requests ??= {};
    defaults(container.resources.requests, limits);
  }
}

/** Quantities may come as numbers and are kept as text, as clients expect to read them. */
export function textQuantities(resources: Untyped): void {
  for (const list of [resources?.limits, resources?.requests]) {
    for (const [name, quantity] of Object.entries(list ?? {})) {
      if (typeof quantity === 'number') list[name] = String(quantity);
    }
  }
}

/** `latest`, or no tag and no digest, is pulled every time. */
function pullPolicy(image: unknown): string {
  if (typeof image !== 'string') return 'IfNotPresent';
  if (image.includes('@')) return 'IfNotPresent';
  const tag = /:([^/:]+)$/.exec(image)?.[1];
  return tag === undefined || tag === 'latest' ? 'Always' : 'IfNotPresent';
}

function defaultContainer(container: Untyped, hostNetwork: boolean): void {
  textQuantities(container.resources);
  defaults(container, {
    resources: {},
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: pullPolicy(container.image),
  });
  for (const port of items(container.ports)) {
    defaults(port, { protocol: 'TCP' });
    if (hostNetwork) defaults(port, { hostPort: port.containerPort });
  }
  for (const { valueFrom } of items(container.env)) {
    if (valueFrom?.fieldRef) defaults(valueFrom.fieldRef, { apiVersion: 'v1' });
    if (valueFrom?.resourceFieldRef) defaults(valueFrom.resourceFieldRef, { divisor: '0' });
  }
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) {
    if (probe) defaultProbe(probe);
  }
  for (const hook of [container.lifecycle?.postStart, container.lifecycle?.preStop]) {
    if (hook) defaultHandler(hook);
  }
}

function defaultHandler(handler: Untyped): void {
  if (handler.httpGet) defaults(handler.httpGet, { path: '/', scheme: 'HTTP' });
  if (handler.httpGet?.path === '') handler.httpGet.path = '/';
  if (handler.grpc) defaults(handler.grpc, { service: '' });
}

/** Zero counts as not given: these fields are plain integers upstream. */
function defaultProbe(probe: Untyped): void {
  const values = { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 };
  for (const [key, value] of Object.entries(values)) probe[key] ||= value;
  defaultHandler(probe);
}

function defaultVolume(volume: Untyped): void {
  const sources = Object.keys(volume).filter((key) => key !== 'name' && volume[key] !== null);
  if (sources.length === 0) volume.emptyDir = {};
  for (const kind of ['secret', 'configMap', 'downwardAPI', 'projected']) {
    if (volume[kind]) defaults(volume[kind], { defaultMode: FILE_MODE });
  }
  if (volume.hostPath) defaults(volume.hostPath, { type: '' });
  for (const item of items(volume.downwardAPI?.items)) defaultDownward(item);
  for (const source of items(volume.projected?.sources)) {
    if (source.serviceAccountToken) defaults(source.serviceAccountToken, { expirationSeconds: 3600 });
    for (const item of items(source.downwardAPI?.items)) defaultDownward(item);
  }
}

function defaultDownward(item: Untyped): void {
  if (item.fieldRef) defaults(item.fieldRef, { apiVersion: 'v1' });
}
