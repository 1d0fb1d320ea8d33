/** What is in the files of a volume that the API server knows the content of. Pure. Source of the rules: kubelet's volume plugins. */
import { normalize } from 'node:path';
import {
  ConfigError,
  type ConfigSource,
  fieldValue,
  type NodeFacts,
  resourceValue,
} from '../../kinds/container-env.ts';
import type {
  ConfigMap,
  DownwardFile,
  KeyToPath,
  Pod,
  Secret,
  Volume,
  VolumeProjection,
} from '../../kinds/pod.ts';
import type { VolumeFile } from './atomic-files.ts';

/** Where the content comes from. */
export interface VolumeSources {
  config: ConfigSource;
  facts: NodeFacts;
  /** A token for the Pod's service account; without an audience it is for the API server. */
  token(audience: string | undefined, expirationSeconds: number): string;
}

const DEFAULT_MODE = 0o644;
const DEFAULT_EXPIRATION_S = 3600;

function inside(path: string): string {
  const clean = normalize(path);
  if (clean.startsWith('/') || clean.split('/').includes('..')) throw new ConfigError(`invalid path ${path}`);
  return clean;
}

interface KeySelection {
  items?: KeyToPath[];
  optional?: boolean;
}

function select(all: Map<string, Buffer>, { items, optional }: KeySelection, mode: number): VolumeFile[] {
  if (!items) return [...all].map(([path, data]) => ({ path, data, mode }));
  return items.flatMap((item) => {
    const data = all.get(item.key);
    const path = inside(item.path);
    if (data) return [{ path, data, mode: item.mode ?? mode }];
    if (optional) return [];
    throw new ConfigError(`references non-existent config key: ${item.key}`);
  });
}

function fromConfigMap(
  found: ConfigMap | undefined,
  name: string,
  how: KeySelection,
  mode: number,
): VolumeFile[] {
  if (!found && !how.optional) throw new ConfigError(`configmap "${name}" not found`);
  const all = new Map<string, Buffer>();
  for (const [key, text] of Object.entries(found?.data ?? {})) all.set(key, Buffer.from(text));
  for (const [key, text] of Object.entries(found?.binaryData ?? {}))
    all.set(key, Buffer.from(text, 'base64'));
  return select(all, how, mode);
}

function fromSecret(found: Secret | undefined, name: string, how: KeySelection, mode: number): VolumeFile[] {
  if (!found && !how.optional) throw new ConfigError(`secret "${name}" not found`);
  const all = new Map<string, Buffer>();
  for (const [key, text] of Object.entries(found?.data ?? {})) all.set(key, Buffer.from(text, 'base64'));
  return select(all, how, mode);
}

function fromPod(pod: Pod, facts: NodeFacts, items: DownwardFile[] = [], mode: number): VolumeFile[] {
  return items.map(({ path, fieldRef, resourceFieldRef, mode: own }) => {
    const text = fieldRef
      ? fieldValue(pod, facts, fieldRef.fieldPath)
      : resourceFieldRef
        ? resourceValue(pod, undefined, facts, resourceFieldRef)
        : '';
    return { path: inside(path), data: Buffer.from(text), mode: own ?? mode };
  });
}

function projected(pod: Pod, source: VolumeProjection, sources: VolumeSources, mode: number): VolumeFile[] {
  const { configMap, secret, downwardAPI, serviceAccountToken } = source;
  const { config, facts } = sources;
  if (configMap) return fromConfigMap(config.configMap(configMap.name), configMap.name, configMap, mode);
  if (secret) return fromSecret(config.secret(secret.name), secret.name, secret, mode);
  if (downwardAPI) return fromPod(pod, facts, downwardAPI.items, mode);
  if (serviceAccountToken) {
    const { path, audience, expirationSeconds = DEFAULT_EXPIRATION_S } = serviceAccountToken;
    return [{ path: inside(path), data: Buffer.from(sources.token(audience, expirationSeconds)), mode }];
  }
  const kind = Object.keys(source)[0] ?? 'none';
  throw new ConfigError(
    `projected volumes take configMap, secret, downwardAPI and serviceAccountToken here, not ${kind}`,
  );
}

/** Files of a volume; undefined for one that has none of its own. Throws `ConfigError` when something it refers to is missing. */
export function volumeFiles(pod: Pod, volume: Volume, sources: VolumeSources): VolumeFile[] | undefined {
  const { configMap, secret, downwardAPI } = volume;
  const { config, facts } = sources;
  const mode = (of: { defaultMode?: number }) => of.defaultMode ?? DEFAULT_MODE;
  if (configMap)
    return fromConfigMap(config.configMap(configMap.name), configMap.name, configMap, mode(configMap));
  if (secret) return fromSecret(config.secret(secret.secretName), secret.secretName, secret, mode(secret));
  if (downwardAPI) return fromPod(pod, facts, downwardAPI.items, mode(downwardAPI));
  if (!volume.projected) return undefined;
  // The later source wins where two have a file of the same name.
  const files = new Map<string, VolumeFile>();
  for (const source of volume.projected.sources ?? []) {
    for (const file of projected(pod, source, sources, mode(volume.projected))) files.set(file.path, file);
  }
  return [...files.values()];
}

/** Whether the files say something about the Pod itself, which changes with it. */
export const tellsOfPod = (pod: Pod): boolean =>
  (pod.spec.volumes ?? []).some(
    ({ downwardAPI, projected: of }) => downwardAPI ?? of?.sources?.some((source) => source.downwardAPI),
  );
