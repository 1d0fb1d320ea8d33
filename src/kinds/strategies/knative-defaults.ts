/** What Knative fills into its objects. Source: knative.dev/serving `pkg/apis/serving/v1/*_defaults.go`, `config/defaults.go`. */
import { isDeepStrictEqual } from 'node:util';
import type { UntypedObject } from '../object.ts';
import { textQuantities } from './pod-defaults.ts';
import { defaults, items, type Untyped } from './untyped.ts';

/** Knative's `config-defaults`, at its own values. */
export const SERVING_DEFAULTS = {
  timeoutSeconds: 300,
  maxTimeoutSeconds: 600,
  containerConcurrency: 0,
  maxContainerConcurrency: 1000,
  containerName: 'user-container',
  initContainerName: 'init-container',
} as const;

export const CREATOR = 'serving.knative.dev/creator';
export const LAST_MODIFIER = 'serving.knative.dev/lastModifier';

/** Defaults of a RevisionSpec, in place. */
export function defaultRevisionSpec(spec: Untyped, isCreate: boolean): void {
  spec.timeoutSeconds ||= SERVING_DEFAULTS.timeoutSeconds;
  defaults(spec, { containerConcurrency: SERVING_DEFAULTS.containerConcurrency });
  if (isCreate) defaults(spec, { enableServiceLinks: false });
  const containers = items(spec.containers);
  const taken = new Set([...containers, ...items(spec.initContainers)].map((c) => c.name ?? ''));
  nameContainers(containers, taken, SERVING_DEFAULTS.containerName);
  nameContainers(items(spec.initContainers), taken, SERVING_DEFAULTS.initContainerName);
  const writable = new Set(
    items(spec.volumes)
      .filter((v) => v.emptyDir || v.persistentVolumeClaim)
      .map((v) => v.name),
  );
  for (const container of containers) {
    textQuantities(container.resources);
    defaults(container, { resources: {} });
    if (containers.length === 1 || items(container.ports).length > 0)
      defaults(container, { readinessProbe: {} });
    if (container.readinessProbe)
      defaultReadiness(
        container.readinessProbe,
        containers.length === 1 || items(container.ports).length > 0,
      );
    for (const mount of items(container.volumeMounts)) if (!writable.has(mount.name)) mount.readOnly = true;
  }
}

/** One container is `user-container`; several are numbered, past names that are taken. */
function nameContainers(containers: Untyped[], taken: Set<string>, base: string): void {
  let next = 0;
  for (const container of containers) {
    if (container.name) continue;
    let name = base;
    if (containers.length > 1 || taken.has(base)) {
      do name = `${base}-${next++}`;
      while (taken.has(name));
    }
    container.name = name;
  }
}

/** Port 0 is the traffic port. `periodSeconds` 0 is Knative's own aggressive probing, so it is left alone. */
function defaultReadiness(probe: Untyped, serves: boolean): void {
  if (serves && !probe.tcpSocket && !probe.httpGet && !probe.exec && !probe.grpc)
    probe.tcpSocket = { port: 0 };
  probe.successThreshold ||= 1;
  if (probe.periodSeconds) {
    probe.failureThreshold ||= 3;
    probe.timeoutSeconds ||= 1;
  }
  if (probe.grpc) defaults(probe.grpc, { service: '' });
}

/** Defaults of `spec.template` of a Service or Configuration. A template whose own name and content stay is left alone. */
export function defaultTemplate(object: UntypedObject, old: UntypedObject | undefined): void {
  object.spec ??= {};
  object.spec.template ??= {};
  const { template } = object.spec;
  const before = old?.spec?.template;
  if (
    template.metadata?.name &&
    template.metadata.name === before?.metadata?.name &&
    isDeepStrictEqual(template, before)
  ) {
    return;
  }
  template.spec ??= {};
  defaultRevisionSpec(template.spec, old === undefined);
}

/** Defaults of `spec.traffic`; only a Service's traffic has a place to go by itself. */
export function defaultTraffic(object: UntypedObject, ofService: boolean): void {
  object.spec ??= {};
  if (ofService && items(object.spec.traffic).length === 0)
    object.spec.traffic = [{ latestRevision: true, percent: 100 }];
  for (const target of items(object.spec.traffic)) defaults(target, { latestRevision: !target.revisionName });
}

/** Who created the object, and who changed its spec last. Objects that a Service owns copy the Service's. */
export function recordUser(
  object: UntypedObject,
  old: UntypedObject | undefined,
  user: string | undefined,
): void {
  if (user === undefined || object.metadata.ownerReferences?.some((o) => o.kind === 'Service')) return;
  if (old !== undefined && isDeepStrictEqual(object.spec, old.spec)) return;
  const annotations: Record<string, string> = object.metadata.annotations ?? {};
  if (old === undefined) annotations[CREATOR] = user;
  annotations[LAST_MODIFIER] = user;
  object.metadata.annotations = annotations;
}
