/** Volumes of a Pod as directories of the host. */
import { chmodSync, lstatSync, mkdirSync, realpathSync, rmSync, statSync } from 'node:fs';
import { basename, join, normalize } from 'node:path';
import { ConfigError, expand } from '../../kinds/container-env.ts';
import type { Container, Pod, Volume } from '../../kinds/pod.ts';
import { writeFiles } from './atomic-files.ts';
import type { ContainerMount } from './drivers/driver.ts';
import { type VolumeSources, volumeFiles } from './volume-files.ts';

export interface VolumeSetup extends VolumeSources {
  dirs: VolumeDirs;
  handOver: (path: string, group?: number) => void;
}

/** Where volumes are. */
export interface VolumeDirs {
  /** Below it a directory per Pod. */
  disk: string;
  /** The same in memory, where this machine has a file system for it. */
  memory?: string;
}

function dirOf(dirs: VolumeDirs, pod: Pod, volume: Volume): string {
  const inMemory = volume.emptyDir?.medium === 'Memory' ? dirs.memory : undefined;
  return join(inMemory ?? dirs.disk, pod.metadata.uid!, volume.name);
}

const exists = (path: string) => statSync(path, { throwIfNoEntry: false }) !== undefined;

/** Brings all volumes of a Pod up to date; throws `ConfigError` when something they refer to is missing. */
export function prepareVolumes(pod: Pod, setup: VolumeSetup): void {
  const group = pod.spec.securityContext?.fsGroup;
  for (const volume of pod.spec.volumes ?? []) {
    const dir = dirOf(setup.dirs, pod, volume);
    const files = volumeFiles(pod, volume, setup);
    if (files) {
      mkdirSync(dir, { recursive: true, mode: 0o755 });
      writeFiles(dir, files, (path) => setup.handOver(path, group));
    } else if (volume.emptyDir) {
      if (exists(dir)) continue;
      if (volume.emptyDir.medium === 'Memory' && setup.dirs.memory !== undefined) claim(setup.dirs.memory);
      mkdirSync(dir, { recursive: true });
      // Any user the containers run as may write (kubelet: 0777).
      chmodSync(dir, 0o777);
      setup.handOver(dir, group);
    } else {
      const kind = Object.keys(volume).find((key) => key !== 'name') ?? 'none';
      throw new ConfigError(
        `volume "${volume.name}": type ${kind} is not supported by this node; use configMap, secret, projected, downwardAPI or emptyDir`,
      );
    }
  }
}

/** Makes the directory in memory ours alone: anybody may make directories where it lies. */
function claim(memory: string): void {
  mkdirSync(memory, { recursive: true, mode: 0o700 });
  const { uid, mode } = statSync(memory);
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0) {
    throw new ConfigError(
      `${memory} belongs to somebody else: remove it, it is where volumes in memory are to be`,
    );
  }
}

/** Removes everything that the Pod's volumes hold. */
export function removeVolumes({ disk, memory }: VolumeDirs, uid: string): void {
  for (const dir of memory === undefined ? [disk] : [disk, memory])
    rmSync(join(dir, uid), { recursive: true, force: true });
}

/** The bind mounts of one container; `env` is for `subPathExpr`. */
export function mountsOf(
  pod: Pod,
  container: Container,
  dirs: VolumeDirs,
  env: Record<string, string>,
): ContainerMount[] {
  return (container.volumeMounts ?? []).map(({ name, mountPath, subPath, subPathExpr, readOnly }) => {
    const volume = pod.spec.volumes?.find((candidate) => candidate.name === name);
    if (!volume) throw new ConfigError(`volume mount "${name}" has no volume`);
    const wanted = subPath || expand(subPathExpr ?? '', (key) => env[key]);
    return {
      source: sourceOf(volume, dirOf(dirs, pod, volume), wanted),
      target: normalize(mountPath).replace(/(.)\/$/, '$1'),
      readOnly: !volume.emptyDir || readOnly === true,
    };
  });
}

/** The volume, or what is at `subPath` in it. Containers write there too: a link that leads out of the volume is not followed. */
function sourceOf(volume: Volume, dir: string, subPath: string): string {
  if (subPath === '') return dir;
  const inside = normalize(subPath);
  if (inside.startsWith('/') || inside.split('/').includes('..'))
    throw new ConfigError(`invalid subPath ${subPath}`);
  const root = realpathSync(dir);
  let at = root;
  for (const segment of inside.split('/').filter(Boolean)) {
    const next = join(at, segment);
    const found = lstatSync(next, { throwIfNoEntry: false });
    if (!found) {
      if (!volume.emptyDir)
        throw new ConfigError(`subPath ${subPath} does not exist in volume "${volume.name}"`);
      mkdirSync(next);
      chmodSync(next, 0o777);
    }
    at = found?.isSymbolicLink() ? targetOf(next) : next;
    if (!at.startsWith(`${root}/`))
      throw new ConfigError(`subPath ${subPath} leads out of volume "${volume.name}"`);
  }
  return at;
}

function targetOf(link: string): string {
  try {
    return realpathSync(link);
  } catch {
    throw new ConfigError(`${basename(link)} in a subPath is a link that leads nowhere`);
  }
}
