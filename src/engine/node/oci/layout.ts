/** Images that lie on this machine as OCI image layouts, as a build of ours writes them. Source: OCI image specification 1.1, `image-layout.md`. */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageSource } from '../../../base/oci/image.ts';
import type { Descriptor } from '../../../base/oci/registry.ts';

const SHA256 = /^sha256:[0-9a-f]{64}$/;
const REF_NAME = 'org.opencontainers.image.ref.name';

/** The images in `dir`; undefined where there is no such layout. */
export async function openLayout(dir: string): Promise<ImageSource | undefined> {
  const text = await readFile(join(dir, 'index.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const { manifests = [] } = JSON.parse(text) as { manifests?: Descriptor[] };
  const pathOf = (digest: string) => join(dir, 'blobs', 'sha256', digest.slice('sha256:'.length));
  return {
    async manifest(reference) {
      const found = SHA256.test(reference)
        ? { digest: reference, mediaType: '' }
        : manifests.find(({ annotations }) => annotations?.[REF_NAME] === reference);
      if (!found || !SHA256.test(found.digest)) return undefined;
      const body = await readFile(pathOf(found.digest), 'utf8').catch(() => undefined);
      return body === undefined
        ? undefined
        : { mediaType: found.mediaType, digest: found.digest, text: body };
    },
    async readBlob(digest) {
      if (!SHA256.test(digest)) return undefined;
      const path = pathOf(digest);
      const found = await stat(path).catch(() => undefined);
      return found && { bytes: found.size, stream: createReadStream(path) };
    },
  };
}
