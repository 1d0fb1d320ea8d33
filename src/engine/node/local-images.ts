/**
 * Container images that are directories of this machine: what `docker build` or `ko` would push stands, unpacked, at
 * `<images>/<registry>/<repository>/`, or `<images>/<repository>/` for all of these registries. `image.json` there holds keys of the OCI image configuration (`Entrypoint`, `Cmd`, `Env`,
 * `WorkingDir`, `User`, `ExposedPorts`), and what lies in `rootfs/` appears at its place in the container, read-only. Tags and
 * digests are ignored: a directory is one version. `$(NODE)` in `Entrypoint` and `Cmd` is the platform's own Node.
 */
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isLocal } from '../../base/oci/reference.ts';
import type { ContainerMount } from './drivers/driver.ts';

/** Components of a repository name. Source: OCI distribution specification, `<name>`. */
const COMPONENT = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
/** A tree that shadows the machine's own directories is shown entry by entry; this bounds how many. */
const MAX_MOUNTS = 256;

/** Keys of the OCI image configuration's `config` that mean something here. Source: OCI image specification, `config.md`. */
export interface ImageConfig {
  Entrypoint?: string[];
  Cmd?: string[];
  /** `NAME=value` */
  Env?: string[];
  WorkingDir?: string;
  /** `user`, `uid`, `user:group` or `uid:gid`. */
  User?: string;
  /** `8080/tcp` → {} */
  ExposedPorts?: Record<string, unknown>;
}

export interface LocalImage {
  config: ImageConfig;
  /** What of the machine the container sees differently. */
  mounts: ContainerMount[];
}

/** An image that cannot be used. `message` says what to do; `reason` is that of a waiting container. */
export class ImageError extends Error {
  readonly reason: 'ErrImagePull' | 'InvalidImageName';
  constructor(reason: ImageError['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Registry and repository of a reference to a local image; undefined for an image of another registry. Throws `ImageError`. */
export function localReference(image: string): { registry: string; repository: string } | undefined {
  const slash = image.indexOf('/');
  const registry = image.slice(0, slash);
  if (!isLocal(image)) return undefined;
  const [withTag = ''] = image.slice(slash + 1).split('@');
  const colon = withTag.lastIndexOf(':');
  const repository = colon > withTag.lastIndexOf('/') ? withTag.slice(0, colon) : withTag;
  if (!repository.split('/').every((component) => COMPONENT.test(component))) {
    throw new ImageError('InvalidImageName', `Failed to parse image reference "${image}"`);
  }
  return { registry, repository };
}

/**
 * Finds the image in the first of `dirs` that has it. Undefined for an image of another registry; throws `ImageError` for a
 * local one that is not there or not usable.
 */
export function findLocalImage(image: string, dirs: readonly string[]): LocalImage | undefined {
  const reference = localReference(image);
  if (!reference) return undefined;
  const { registry, repository } = reference;
  const wanted = dirs.flatMap((dir) => [join(dir, registry, repository), join(dir, repository)]);
  const found = wanted.find((dir) => statSync(join(dir, 'image.json'), { throwIfNoEntry: false })?.isFile());
  if (!found) {
    throw new ImageError(
      'ErrImagePull',
      `image "${image}" is not on this node: images of ${registry} are directories with an image.json ` +
        `({"Entrypoint": ["/app/server"]}) and, beside it, a rootfs/; looked for ${wanted.join(', ')}`,
    );
  }
  return { config: readConfig(join(found, 'image.json')), mounts: rootMounts(join(found, 'rootfs')) };
}

const isStrings = (value: unknown): boolean =>
  Array.isArray(value) && value.every((each) => typeof each === 'string');
const isText = (value: unknown): boolean => typeof value === 'string';

/** What each key has to be. */
const TYPES: Record<keyof ImageConfig, (value: unknown) => boolean> = {
  Entrypoint: isStrings,
  Cmd: isStrings,
  Env: (value) => isStrings(value) && (value as string[]).every((each) => each.indexOf('=') > 0),
  WorkingDir: isText,
  User: isText,
  ExposedPorts: (value) => typeof value === 'object' && !Array.isArray(value),
};

function readConfig(path: string): ImageConfig {
  let config: unknown;
  try {
    config = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ImageError('ErrImagePull', `${path} cannot be read: ${(error as Error).message}`);
  }
  return checkImageConfig(config, path);
}

/** The keys that mean something here. Throws `ImageError` naming `place` when one is not what it has to be. */
export function checkImageConfig(config: unknown, place: string): ImageConfig {
  if (typeof config !== 'object' || config === null)
    throw new ImageError('ErrImagePull', `${place} is no object`);
  const found: Record<string, unknown> = {};
  for (const [key, fits] of Object.entries(TYPES)) {
    const value = (config as Record<string, unknown>)[key];
    if (value === undefined || value === null) continue;
    if (!fits(value)) {
      throw new ImageError(
        'ErrImagePull',
        `${place}: ${key} is not what the OCI image configuration says it is`,
      );
    }
    found[key] = value;
  }
  return found as ImageConfig;
}

/**
 * A mount for every top-level entry of the tree; where the machine has a directory of that name, for what is inside it, so
 * that an image with an `etc/` of one file does not take away the rest of `/etc`.
 */
function rootMounts(root: string): ContainerMount[] {
  if (!statSync(root, { throwIfNoEntry: false })?.isDirectory()) return [];
  const base = realpathSync(root);
  const mounts: ContainerMount[] = [];
  const visit = (inside: string) => {
    for (const { name } of readdirSync(join(base, inside), { withFileTypes: true })) {
      const target = `${inside}/${name}`;
      const source = realpathSync(join(base, target));
      if (!source.startsWith(`${base}/`)) {
        throw new ImageError('ErrImagePull', `${join(root, target)} is a link that leaves the image`);
      }
      if (isDirectory(source) && isDirectory(target)) visit(target);
      else mounts.push({ source, target, readOnly: true });
      if (mounts.length > MAX_MOUNTS) {
        throw new ImageError(
          'ErrImagePull',
          `${root} has more than ${MAX_MOUNTS} entries in directories that this machine has too: keep the image's files in a directory of their own, such as /app`,
        );
      }
    }
  };
  visit('');
  return mounts;
}

const isDirectory = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
