/** Environment of a container. Pure; semantics of kubelet's `makeEnvironmentVariables` and `expansion.Expand`. */
import type { ConfigMap, Container, EnvVar, Pod, Secret } from './pod.ts';
import { formatDivided, parseQuantity } from './quantity.ts';

/** Objects that a container's environment refers to; undefined when absent. */
export interface ConfigSource {
  secret(name: string): Secret | undefined;
  configMap(name: string): ConfigMap | undefined;
}

/** Something that the container needs is missing; it may appear later. Becomes `CreateContainerConfigError`. */
export class ConfigError extends Error {}

/** Values of `fieldRef` that no object holds. */
export interface NodeFacts {
  nodeName: string;
  hostIP: string;
  podIP: string;
  /** Allocatable of the node, for `resourceFieldRef` without a limit. */
  cpuMillis: number;
  memoryBytes: number;
}

const decodeBase64 = (text: string): string => Buffer.from(text, 'base64').toString('utf8');

/** Replaces `$(NAME)` where NAME is known; `$$` is a dollar sign. */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  return text.replace(/\$\$|\$\(([^)]*)\)/g, (whole, name?: string) =>
    name === undefined ? '$' : (lookup(name) ?? whole),
  );
}

function subscript(path: string, map: Record<string, string> | undefined): string | undefined {
  const match = /^metadata\.(?:labels|annotations)\['([^']+)'\]$/.exec(path);
  return match ? (map?.[match[1]!] ?? '') : undefined;
}

/** Value of a downward API path. Throws for a path Kubernetes does not know. */
export function fieldValue(pod: Pod, facts: NodeFacts, path: string): string {
  const { metadata, spec } = pod;
  const plain: Record<string, string | undefined> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace ?? '',
    'metadata.uid': metadata.uid ?? '',
    'spec.nodeName': spec.nodeName ?? facts.nodeName,
    'spec.serviceAccountName': spec.serviceAccountName ?? 'default',
    'status.hostIP': facts.hostIP,
    'status.hostIPs': facts.hostIP,
    'status.podIP': facts.podIP,
    'status.podIPs': facts.podIP,
  };
  const lines = (map: Record<string, string> = {}) =>
    Object.entries(map)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
      .join('\n');
  if (path === 'metadata.labels') return lines(metadata.labels);
  if (path === 'metadata.annotations') return lines(metadata.annotations);
  const map = path.startsWith('metadata.labels') ? metadata.labels : metadata.annotations;
  const value = plain[path] ?? subscript(path, map);
  if (value === undefined) throw new ConfigError(`unsupported fieldPath: ${path}`);
  return value;
}

/** Value of a `resourceFieldRef`; `container` is meant where it names none. */
export function resourceValue(
  pod: Pod,
  container: Container | undefined,
  facts: NodeFacts,
  ref: { containerName?: string; resource: string; divisor?: string },
): string {
  const of = ref.containerName
    ? pod.spec.containers.find(({ name }) => name === ref.containerName)
    : container;
  const [kind, resource] = ref.resource.split('.') as ['limits' | 'requests', string];
  const given = of?.resources?.[kind]?.[resource];
  const node: Record<string, number> = { cpu: facts.cpuMillis / 1000, memory: facts.memoryBytes };
  const amount = given !== undefined ? parseQuantity(given) : kind === 'limits' ? (node[resource] ?? 0) : 0;
  return formatDivided(amount, ref.divisor);
}

/** The environment exactly as the Pod specifies it; throws `ConfigError` for a missing reference. */
export function containerEnv(
  pod: Pod,
  container: Container,
  base: Record<string, string>,
  config: ConfigSource,
  facts: NodeFacts,
): Record<string, string> {
  const env: Record<string, string> = { ...base };
  const namespace = pod.metadata.namespace;
  const missing = (kind: string, name: string) => new ConfigError(`${kind} "${name}" not found`);
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef) {
      const found = config.configMap(configMapRef.name);
      if (!found && !configMapRef.optional) throw missing('configmap', configMapRef.name);
      for (const [key, value] of Object.entries(found?.data ?? {})) env[prefix + key] = value;
    }
    if (secretRef) {
      const found = config.secret(secretRef.name);
      if (!found && !secretRef.optional) throw missing('secret', secretRef.name);
      for (const [key, value] of Object.entries(found?.data ?? {})) env[prefix + key] = decodeBase64(value);
    }
  }
  const resolve = ({ value, valueFrom }: EnvVar): string | undefined => {
    if (!valueFrom) return expand(value ?? '', (name) => env[name]);
    const { configMapKeyRef, secretKeyRef, fieldRef, resourceFieldRef } = valueFrom;
    if (fieldRef) return fieldValue(pod, facts, fieldRef.fieldPath);
    if (resourceFieldRef) return resourceValue(pod, container, facts, resourceFieldRef);
    const kind = configMapKeyRef ? 'ConfigMap' : 'Secret';
    const ref = configMapKeyRef ?? secretKeyRef;
    if (!ref) return '';
    const found = configMapKeyRef ? config.configMap(ref.name) : config.secret(ref.name);
    if (!found) {
      if (ref.optional) return undefined;
      throw missing(kind.toLowerCase(), ref.name);
    }
    const raw = found.data?.[ref.key];
    if (raw === undefined) {
      if (ref.optional) return undefined;
      throw new ConfigError(`couldn't find key ${ref.key} in ${kind} ${namespace}/${ref.name}`);
    }
    return configMapKeyRef ? raw : decodeBase64(raw);
  };
  for (const variable of container.env ?? []) {
    const value = resolve(variable);
    if (value !== undefined) env[variable.name] = value;
  }
  return env;
}

/** Names of the Secrets and ConfigMaps that a Pod refers to anywhere. */
export function references(pod: Pick<Pod, 'spec'>): { secrets: Set<string>; configMaps: Set<string> } {
  const secrets = new Set<string>();
  const configMaps = new Set<string>();
  for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
    for (const { secretRef, configMapRef } of container.envFrom ?? []) {
      if (secretRef) secrets.add(secretRef.name);
      if (configMapRef) configMaps.add(configMapRef.name);
    }
    for (const { valueFrom } of container.env ?? []) {
      if (valueFrom?.secretKeyRef) secrets.add(valueFrom.secretKeyRef.name);
      if (valueFrom?.configMapKeyRef) configMaps.add(valueFrom.configMapKeyRef.name);
    }
  }
  for (const { secret, configMap, projected } of pod.spec.volumes ?? []) {
    if (secret) secrets.add(secret.secretName);
    if (configMap) configMaps.add(configMap.name);
    for (const source of projected?.sources ?? []) {
      if (source.secret) secrets.add(source.secret.name);
      if (source.configMap) configMaps.add(source.configMap.name);
    }
  }
  return { secrets, configMaps };
}
