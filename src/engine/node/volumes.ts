/** Volumes of a Pod as directories of the host. Files and modes as kubelet's `AtomicWriter` leaves them. */
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { ConfigError, type ConfigSource } from '../../kinds/container-env.ts';
import type { KeyToPath, Pod, Volume } from '../../kinds/pod.ts';
import type { ContainerMount } from './drivers/driver.ts';

interface VolumeFile {
  path: string;
  data: Buffer;
  mode: number;
}

const DEFAULT_MODE = 0o644;

function select(
  all: Map<string, Buffer>,
  items: KeyToPath[] | undefined,
  mode: number,
  optional: boolean,
): VolumeFile[] {
  if (!items) return [...all].map(([path, data]) => ({ path, data, mode }));
  return items.flatMap((item) => {
    const data = all.get(item.key);
    const path = normalize(item.path);
    if (path.startsWith('/') || path.split('/').includes('..'))
      throw new ConfigError(`invalid path ${item.path}`);
    if (data) return [{ path, data, mode: item.mode ?? mode }];
    if (optional) return [];
    throw new ConfigError(`references non-existent config key: ${item.key}`);
  });
}

/** Files of a configMap or secret volume; undefined for a volume that has none of its own. */
export function volumeFiles(volume: Volume, config: ConfigSource): VolumeFile[] | undefined {
  const { configMap, secret } = volume;
  if (configMap) {
    const found = config.configMap(configMap.name);
    if (!found && !configMap.optional) throw new ConfigError(`configmap "${configMap.name}" not found`);
    const all = new Map<string, Buffer>();
    for (const [key, text] of Object.entries(found?.data ?? {})) all.set(key, Buffer.from(text));
    for (const [key, text] of Object.entries(found?.binaryData ?? {}))
      all.set(key, Buffer.from(text, 'base64'));
    return select(all, configMap.items, configMap.defaultMode ?? DEFAULT_MODE, configMap.optional ?? false);
  }
  if (secret) {
    const found = config.secret(secret.secretName);
    if (!found && !secret.optional) throw new ConfigError(`secret "${secret.secretName}" not found`);
    const all = new Map<string, Buffer>();
    for (const [key, text] of Object.entries(found?.data ?? {})) all.set(key, Buffer.from(text, 'base64'));
    return select(all, secret.items, secret.defaultMode ?? DEFAULT_MODE, secret.optional ?? false);
  }
  return undefined;
}

/**
 * Writes the files so that a reader sees either all the old ones or all the new ones: a directory per version, a link
 * `..data` that is switched, and a link per file. Does nothing when nothing has changed.
 */
export function writeFiles(
  dir: string,
  files: VolumeFile[],
  version: string,
  handOver: (path: string) => void,
): boolean {
  const data = join(dir, '..data');
  const fresh = join(dir, `..${version}`);
  if (statSync(fresh, { throwIfNoEntry: false })) return false;
  mkdirSync(fresh, { recursive: true, mode: 0o755 });
  for (const { path, data: bytes, mode } of files) {
    const target = join(fresh, path);
    mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
    writeFileSync(target, bytes);
    chmodSync(target, mode);
    handOver(target);
  }
  const link = join(dir, '..data_tmp');
  rmSync(link, { force: true });
  symlinkSync(`..${version}`, link);
  renameSync(link, data);
  const names = new Set(files.map(({ path }) => path.split('/')[0]!));
  for (const name of names) {
    if (!statSync(join(dir, name), { throwIfNoEntry: false })) {
      rmSync(join(dir, name), { force: true });
      symlinkSync(`..data/${name}`, join(dir, name));
    }
  }
  for (const name of readdirSync(dir)) {
    if (name === '..data' || name === `..${version}` || names.has(name)) continue;
    rmSync(join(dir, name), { recursive: true, force: true });
  }
  return true;
}

/** Identifies the content of a volume, without telling it. */
function versionOf(files: VolumeFile[], hash: (text: string) => string): string {
  return hash(
    JSON.stringify(files.map(({ path, data, mode }) => [path, data.toString('base64'), mode])),
  ).slice(0, 16);
}

export interface VolumeSetup {
  /** Directory of this Pod's volumes. */
  dir: string;
  config: ConfigSource;
  hash: (text: string) => string;
  handOver: (path: string) => void;
}

/** Brings all volumes of a Pod up to date; throws `ConfigError` when something they refer to is missing. */
export function prepareVolumes(pod: Pod, setup: VolumeSetup): void {
  for (const volume of pod.spec.volumes ?? []) {
    const dir = join(setup.dir, volume.name);
    const files = volumeFiles(volume, setup.config);
    if (files) {
      mkdirSync(dir, { recursive: true, mode: 0o755 });
      writeFiles(dir, files, versionOf(files, setup.hash), setup.handOver);
    } else if (volume.emptyDir) {
      if (statSync(dir, { throwIfNoEntry: false })) continue;
      mkdirSync(dir, { recursive: true });
      // Any user the containers run as may write (kubelet: 0777).
      chmodSync(dir, 0o777);
      setup.handOver(dir);
    } else {
      const kind = Object.keys(volume).find((key) => key !== 'name') ?? 'none';
      throw new ConfigError(
        `volume "${volume.name}": type ${kind} is not supported by this node; use configMap, secret or emptyDir`,
      );
    }
  }
}

/** The bind mounts of one container. */
export function mountsOf(
  pod: Pod,
  container: Pod['spec']['containers'][number],
  dir: string,
): ContainerMount[] {
  return (container.volumeMounts ?? []).map(({ name, mountPath, subPath, readOnly }) => {
    const volume = pod.spec.volumes?.find((candidate) => candidate.name === name);
    if (!volume) throw new ConfigError(`volume mount "${name}" has no volume`);
    const inside = normalize(subPath ?? '');
    if (inside.startsWith('/') || inside.split('/').includes('..'))
      throw new ConfigError(`invalid subPath ${subPath}`);
    const source = join(dir, name, inside);
    if (subPath && volume.emptyDir && !statSync(source, { throwIfNoEntry: false })) {
      mkdirSync(source, { recursive: true });
      chmodSync(source, 0o777);
    }
    if (!statSync(source, { throwIfNoEntry: false }))
      throw new ConfigError(`subPath ${subPath} does not exist in volume "${name}"`);
    const ours = volume.configMap !== undefined || volume.secret !== undefined;
    return {
      source,
      target: normalize(mountPath).replace(/(.)\/$/, '$1'),
      readOnly: ours || readOnly === true,
    };
  });
}
