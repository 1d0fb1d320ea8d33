/** Images for tests: layers byte by byte, programs of this machine with the libraries that they need, pushed to a registry of the test's own. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, realpathSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { ARCHITECTURE } from '../../src/base/oci/image.ts';
import type { ImageConfig } from '../../src/engine/node/local-images.ts';
import { type RawEntry, rawTar } from '../../src/functions/testing/archives.ts';
import type { startRegistry } from '../../src/functions/testing/registry.ts';

type TestRegistry = Awaited<ReturnType<typeof startRegistry>>;

const sha256 = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Directories of a tree, owned by root. */
export const folders = (...names: string[]): RawEntry[] =>
  names.map((name) => ({ name: `${name}/`, flag: '5', mode: 0o755, owner: 0 }));

/** These programs, at the same paths, and what they are linked with. Undefined: the machine lacks one. */
export function programs(...paths: string[]): RawEntry[] | undefined {
  const files = new Set<string>();
  for (const path of paths) {
    const { stdout } = spawnSync('ldd', [path], { encoding: 'utf8' });
    files.add(path);
    for (const [file] of (stdout ?? '').matchAll(/\/[^\s:)]+/g)) files.add(file);
  }
  try {
    return [...files].map((file) => ({
      name: file.slice(1),
      mode: 0o755,
      owner: 0,
      body: readFileSync(realpathSync(file)),
    }));
  } catch {
    return undefined;
  }
}

/** Puts an image into the registry and returns its reference with the digest. */
export function pushImage(
  registry: TestRegistry,
  name: string,
  layers: readonly RawEntry[][],
  config: ImageConfig = {},
  /** Zeros behind each tar, as some tools write them. */
  padding = 0,
): { reference: string; digest: string } {
  const tars = layers.map((entries) => Buffer.concat([rawTar(entries), Buffer.alloc(padding)]));
  const blobs = tars.map((tar) => gzipSync(tar, { level: 1 }));
  const body = Buffer.from(
    JSON.stringify({
      architecture: ARCHITECTURE,
      os: 'linux',
      config,
      rootfs: { type: 'layers', diff_ids: tars.map(sha256) },
    }),
  );
  for (const blob of [...blobs, body]) registry.blobs.set(sha256(blob), blob);
  const describe = (blob: Buffer, mediaType: string) => ({
    mediaType,
    digest: sha256(blob),
    size: blob.length,
  });
  const type = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: type,
      config: describe(body, 'application/vnd.oci.image.config.v1+json'),
      layers: blobs.map((blob) => describe(blob, 'application/vnd.oci.image.layer.v1.tar+gzip')),
    }),
  );
  const digest = sha256(manifest);
  registry.manifests.set(digest, { type, body: manifest });
  registry.tags.set(name.split(':')[1] ?? 'latest', digest);
  return { reference: `${registry.host}/${name}`, digest };
}
