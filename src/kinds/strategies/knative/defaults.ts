/** What Knative fills into revisions. Source: knative.dev/serving `pkg/apis/serving/v1/*_defaults.go`. */
import { isDeepStrictEqual } from 'node:util';
import { childName } from '../../child-name.ts';
import type { ServingConfig } from '../../config/index.ts';
import type { TemplateValues } from '../../go-template.ts';
import type { ObjectMeta, UntypedObject } from '../../object.ts';
import { textQuantities } from '../pod-defaults.ts';
import { defaults, items, type Untyped } from '../untyped.ts';
import { servesRequests } from './pod.ts';
import { defaultSecurityContext } from './security.ts';
import { WRITABLE_SOURCES } from './volumes.ts';

type Config = Pick<ServingConfig, 'defaults' | 'features'>;

const templateValues = (parent: Partial<ObjectMeta>): TemplateValues => ({
  Name: parent.name ?? '',
  GenerateName: parent.generateName ?? '',
  Namespace: parent.namespace ?? '',
  Labels: parent.labels,
  Annotations: parent.annotations,
});

/** Defaults of a RevisionSpec, in place. `parent` is the Service or Configuration that it is the template of. */
export function defaultRevisionSpec(
  spec: Untyped,
  isCreate: boolean,
  config: Config,
  parent: Partial<ObjectMeta> = {},
): void {
  const d = config.defaults;
  spec.timeoutSeconds ||= d.timeoutSeconds;
  // Only where they would end a request before the time-out of the whole does.
  for (const field of ['idleTimeoutSeconds', 'responseStartTimeoutSeconds'] as const) {
    if (d[field] !== 0 && d[field] < spec.timeoutSeconds) defaults(spec, { [field]: d[field] });
  }
  defaults(spec, { containerConcurrency: d.containerConcurrency });
  const containers = items(spec.containers);
  const init = items(spec.initContainers);
  const taken = new Set([...containers, ...init].map((c) => c.name ?? ''));
  const values = templateValues(parent);
  nameContainers(containers, taken, d.containerName(values));
  nameContainers(init, taken, d.initContainerName(values));
  if (isCreate && containers.length > 0 && d.enableServiceLinks !== undefined)
    defaults(spec, { enableServiceLinks: d.enableServiceLinks });
  const writable = new Set(
    items(spec.volumes)
      .filter((volume) => WRITABLE_SOURCES.some((source) => volume[source]))
      .map((volume) => volume.name),
  );
  for (const container of containers) {
    defaultResources(container, config);
    if (servesRequests(spec, container)) defaultHandler(container);
    if (container.readinessProbe) defaultTimes(container.readinessProbe);
    for (const kind of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
      if (container[kind]?.grpc) defaults(container[kind].grpc, { service: '' });
    }
    for (const mount of items(container.volumeMounts)) if (!writable.has(mount.name)) mount.readOnly = true;
  }
  for (const container of init) {
    textQuantities(container.resources);
    // Upstream leaves these to the user, and then refuses what the user left out.
    for (const mount of items(container.volumeMounts)) if (!writable.has(mount.name)) mount.readOnly = true;
  }
  for (const container of [...containers, ...init]) {
    defaultSecurityContext(spec.securityContext, container, config.features);
  }
}

/** A single container gets the name itself; several are numbered, past names that are taken. */
function nameContainers(containers: Untyped[], taken: Set<string>, base: string): void {
  let next = 0;
  for (const container of containers) {
    if (container.name) continue;
    let name = base;
    if (containers.length > 1 || taken.has(base)) {
      do name = childName(base, `-${next++}`);
      while (taken.has(name));
    }
    container.name = name;
  }
}

function defaultResources(container: Untyped, { defaults: d }: Config): void {
  textQuantities(container.resources);
  container.resources ??= {};
  for (const list of ['requests', 'limits'] as const) {
    if (Object.keys(d[list]).length === 0) continue;
    container.resources[list] ??= {};
    defaults(container.resources[list], d[list]);
  }
}

/** Port 0 is the traffic port. */
function defaultHandler(container: Untyped): void {
  container.readinessProbe ??= {};
  const probe = container.readinessProbe;
  if (!probe.tcpSocket && !probe.httpGet && !probe.exec && !probe.grpc) probe.tcpSocket = { port: 0 };
}

/** `periodSeconds` 0 is Knative's own eager probing, so it is left alone. */
function defaultTimes(probe: Untyped): void {
  probe.successThreshold ||= 1;
  if (!probe.periodSeconds) return;
  probe.failureThreshold ||= 3;
  probe.timeoutSeconds ||= 1;
}

/** Defaults of `spec.template` of a Service or Configuration. A template whose own name and content stay is left alone. */
export function defaultTemplate(object: UntypedObject, old: UntypedObject | undefined, config: Config): void {
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
  defaultRevisionSpec(template.spec, old === undefined, config, object.metadata);
}
