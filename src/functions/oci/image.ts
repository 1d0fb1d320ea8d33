/**
 * A function as an OCI image: its package as one layer at `/workspace` on top of a base, if one is given. Pure. Source: OCI image
 * specification 1.1, `manifest.md`, `config.md`.
 *
 * A program (`web` in its Procfile, `scripts.start` in package.json) is what the image runs, on `$PORT` 8080. A handler has no server of its
 * own: such an image keeps the entry point of its base, and says by labels how Petrel loads it.
 */
import { sha256Of } from '../../base/oci/image.ts';
import type { Descriptor } from '../../base/oci/registry.ts';

/** Where the package is in the image. */
export const IMAGE_WORKDIR = '/workspace';
export const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';
export const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const PORT = 8080;

/** The layer of a package. */
export interface Layer {
  /** SHA-256 of the compressed bytes, and of the tar in them, with `sha256:`. */
  digest: string;
  diffId: string;
  bytes: number;
}

/** What an image is built on. */
export interface Base {
  layers: Descriptor[];
  config: ImageConfigFile;
}

/** The parts of an image configuration that matter here; the others are kept. */
export interface ImageConfigFile {
  architecture: string;
  os: string;
  config?: {
    Env?: string[];
    Entrypoint?: string[];
    Cmd?: string[];
    WorkingDir?: string;
    Labels?: Record<string, string>;
    ExposedPorts?: Record<string, object>;
  };
  rootfs: { type: 'layers'; diff_ids: string[] };
  history?: object[];
}

export interface ImageRequest {
  layer: Layer;
  base?: Base;
  /** Command line of a program. */
  command?: string;
  labels: Record<string, string>;
  architecture: string;
}

/** Configuration and manifest; the same request gives the same bytes. */
export function imageOf({ layer, base, command, labels, architecture }: ImageRequest): {
  config: string;
  manifest: string;
  digest: string;
} {
  const below: ImageConfigFile = base?.config ?? {
    architecture,
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [] },
  };
  const own = below.config ?? {};
  const config = JSON.stringify({
    ...below,
    config: {
      ...own,
      WorkingDir: IMAGE_WORKDIR,
      Labels: { ...own.Labels, ...labels },
      ...(command === undefined
        ? {}
        : {
            Env: [...(own.Env ?? []).filter((entry) => !entry.startsWith('PORT=')), `PORT=${PORT}`],
            Entrypoint: ['/bin/sh', '-c', command],
            Cmd: [],
            ExposedPorts: { ...own.ExposedPorts, [`${PORT}/tcp`]: {} },
          }),
    },
    rootfs: { type: 'layers', diff_ids: [...below.rootfs.diff_ids, layer.diffId] },
    history: [...(below.history ?? []), { created_by: 'petrel', comment: 'the package' }],
  });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: CONFIG_TYPE, digest: sha256Of(config), size: Buffer.byteLength(config) },
    layers: [...(base?.layers ?? []), { mediaType: LAYER_TYPE, digest: layer.digest, size: layer.bytes }],
  });
  return { config, manifest, digest: sha256Of(manifest) };
}
