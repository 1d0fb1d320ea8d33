/**
 * Packages in a repository of an OCI registry. Each is a blob with a manifest of its own (registries remove blobs that nothing names), tagged
 * with its digest; what was built from which inputs is a manifest tagged `build-<inputs>`.
 */
import { createHash } from 'node:crypto';
import { INDEX_TYPE, MANIFEST_TYPE, type Registry } from '../../../base/oci/registry.ts';
import type { ArchiveDriver, KeptArchive } from '../driver.ts';

const PACKAGE_TYPE = 'application/vnd.petrel.package.v1';
const EMPTY_TYPE = 'application/vnd.oci.empty.v1+json';
const EMPTY = '{}';
const sha256 = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const EMPTY_DESCRIPTOR = { mediaType: EMPTY_TYPE, digest: sha256(EMPTY), size: EMPTY.length };
/** Annotations of the manifests. */
const NOTE = 'dev.petrel.note';
const CREATED = 'org.opencontainers.image.created';
const BUILD_TAG = 'build-';

interface Manifest {
  annotations?: Record<string, string>;
  layers?: { size: number }[];
}

/** `exclusive`: no other platform keeps packages in that repository. */
export function createOciDriver(
  registry: Registry,
  options: { exclusive: boolean; now?: () => number },
): ArchiveDriver {
  const now = options.now ?? Date.now;
  const manifestOf = (type: string, layers: object[], annotations: Record<string, string>): string =>
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      artifactType: type,
      config: EMPTY_DESCRIPTOR,
      layers,
      annotations,
    });
  const write = async (tag: string, text: string): Promise<void> => {
    await registry.putBlob(EMPTY_DESCRIPTOR.digest, EMPTY);
    await registry.putManifest(tag, MANIFEST_TYPE, text);
  };
  const packageManifest = (hex: string, bytes: number): string =>
    manifestOf(
      PACKAGE_TYPE,
      [{ mediaType: `${PACKAGE_TYPE}+archive`, digest: `sha256:${hex}`, size: bytes }],
      {
        [CREATED]: new Date(now()).toISOString(),
      },
    );
  const read = async (tag: string): Promise<Manifest | undefined> => {
    const found = await registry.manifest(tag);
    return found === undefined || found.mediaType === INDEX_TYPE
      ? undefined
      : (JSON.parse(found.text) as Manifest);
  };
  const remove = async (tag: string): Promise<void> => {
    const found = await registry.manifest(tag);
    if (found) await registry.deleteManifest(found.digest);
  };
  const driver: ArchiveDriver = {
    exclusive: options.exclusive,
    // Without its manifest a blob is about to go.
    bytesOf: async (hex) => (await read(hex))?.layers?.[0]?.size,
    async put(hex, path, bytes) {
      await registry.putBlob(`sha256:${hex}`, { path, bytes });
      await write(hex, packageManifest(hex, bytes));
    },
    read: (hex) => registry.readBlob(`sha256:${hex}`),
    async touch(hex) {
      const bytes = options.exclusive ? await driver.bytesOf(hex) : undefined;
      if (bytes !== undefined) await write(hex, packageManifest(hex, bytes));
    },
    async *list() {
      for await (const tag of registry.tags()) {
        if (!/^[0-9a-f]{64}$/.test(tag)) continue;
        const found = await read(tag);
        if (!found) continue;
        yield {
          hex: tag,
          bytes: found.layers?.[0]?.size ?? 0,
          modifiedMs: Date.parse(found.annotations?.[CREATED] ?? ''),
        } satisfies KeptArchive;
      }
    },
    remove,
    note: async (name) => (await read(BUILD_TAG + name))?.annotations?.[NOTE],
    putNote: (name, text) =>
      write(BUILD_TAG + name, manifestOf(`${PACKAGE_TYPE}.build`, [EMPTY_DESCRIPTOR], { [NOTE]: text })),
    async dropNotes(keep) {
      for await (const tag of registry.tags()) {
        if (!tag.startsWith(BUILD_TAG)) continue;
        const text = (await read(tag))?.annotations?.[NOTE] ?? '';
        if (!(await keep(text))) await remove(tag);
      }
    },
  };
  return driver;
}
