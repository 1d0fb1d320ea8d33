/**
 * The environment of a container, resolved as a kubelet does: `envFrom` first, `env` over it, `$(NAME)` expanded from what
 * came before. Source: k8s.io/api core/v1 EnvVar; kubelet `makeEnvironmentVariables`.
 */
import type { ConfigMap, Container, EnvVar, Pod, Secret } from '../../kinds/pod.ts';

/** What references are looked up in. */
export interface EnvSources {
  configMap(name: string): ConfigMap | undefined;
  secret(name: string): Secret | undefined;
}

/** What `fieldRef` can name. */
export type FieldSource = Pick<Pod, 'metadata' | 'status'> & {
  spec: { nodeName?: string; serviceAccountName?: string };
};

const EMPTY: EnvSources = { configMap: () => undefined, secret: () => undefined };

/** Names of the Secrets and ConfigMaps that a container's environment needs. */
export function envReferences(container: Pick<Container, 'env' | 'envFrom'>): {
  secrets: Set<string>;
  configMaps: Set<string>;
} {
  const secrets = new Set<string>();
  const configMaps = new Set<string>();
  for (const { configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef) configMaps.add(configMapRef.name);
    if (secretRef) secrets.add(secretRef.name);
  }
  for (const { valueFrom } of container.env ?? []) {
    if (valueFrom?.configMapKeyRef) configMaps.add(valueFrom.configMapKeyRef.name);
    if (valueFrom?.secretKeyRef) secrets.add(valueFrom.secretKeyRef.name);
  }
  return { secrets, configMaps };
}

/** `$(NAME)` becomes the value of NAME when it is defined, `$$` a dollar; anything else stays. */
export function expand(value: string, env: Record<string, string>): string {
  return value.replace(/\$\$|\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)/g, (match, name?: string) => {
    if (name === undefined) return '$';
    return Object.hasOwn(env, name) ? (env[name] as string) : match;
  });
}

const decode = (base64: string) => Buffer.from(base64, 'base64').toString('utf8');

function field(path: string, pod: FieldSource): string | undefined {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (keyed) return pod.metadata[keyed[1] as 'labels' | 'annotations']?.[keyed[2] as string] ?? '';
  const known: Record<string, string | undefined> = {
    'metadata.name': pod.metadata.name,
    'metadata.namespace': pod.metadata.namespace,
    'metadata.uid': pod.metadata.uid,
    'spec.nodeName': pod.spec.nodeName ?? '',
    'spec.serviceAccountName': pod.spec.serviceAccountName ?? 'default',
    'status.hostIP': pod.status?.hostIP ?? '127.0.0.1',
    'status.podIP': pod.status?.podIP ?? '127.0.0.1',
  };
  return known[path];
}

/** Resolves a container's environment; `missing` says in words which reference that is not optional leads nowhere. */
export function resolveEnv(
  container: Pick<Container, 'env' | 'envFrom' | 'resources'>,
  pod: FieldSource,
  sources: EnvSources = EMPTY,
): { env: Record<string, string>; missing: string[] } {
  const env: Record<string, string> = {};
  const missing: string[] = [];

  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef) {
      const found = sources.configMap(configMapRef.name);
      if (!found && !configMapRef.optional) missing.push(`ConfigMap "${configMapRef.name}"`);
      for (const [key, value] of Object.entries(found?.data ?? {})) env[prefix + key] = value;
    }
    if (secretRef) {
      const found = sources.secret(secretRef.name);
      if (!found && !secretRef.optional) missing.push(`Secret "${secretRef.name}"`);
      for (const [key, value] of Object.entries(found?.data ?? {})) env[prefix + key] = decode(value);
    }
  }

  const referenced = ({ name, valueFrom }: EnvVar): string | undefined => {
    if (valueFrom?.secretKeyRef) {
      const { name: secret, key, optional } = valueFrom.secretKeyRef;
      const found = sources.secret(secret)?.data?.[key];
      if (found === undefined && !optional) missing.push(`key "${key}" of Secret "${secret}" (for ${name})`);
      return found === undefined ? undefined : decode(found);
    }
    if (valueFrom?.configMapKeyRef) {
      const { name: configMap, key, optional } = valueFrom.configMapKeyRef;
      const found = sources.configMap(configMap)?.data?.[key];
      if (found === undefined && !optional)
        missing.push(`key "${key}" of ConfigMap "${configMap}" (for ${name})`);
      return found;
    }
    if (valueFrom?.fieldRef) {
      const found = field(valueFrom.fieldRef.fieldPath, pod);
      if (found === undefined) missing.push(`field ${valueFrom.fieldRef.fieldPath} (for ${name})`);
      return found;
    }
    if (valueFrom?.resourceFieldRef) {
      const [kind, resource] = valueFrom.resourceFieldRef.resource.split('.');
      return container.resources?.[kind as 'limits' | 'requests']?.[resource ?? ''] ?? '0';
    }
    return '';
  };

  for (const variable of container.env ?? []) {
    const value = variable.valueFrom ? referenced(variable) : expand(variable.value ?? '', env);
    if (value !== undefined) env[variable.name] = value;
  }
  return { env, missing };
}
