/** `petrel deploy` of a Fission spec directory: archives are packed and uploaded, the rest is applied as it is. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { cp, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { archivesOf, isSpec, readSpec, type SpecArchive, withUploads } from '../../dialects/fission/spec.ts';
import { packDirectory } from '../../functions/pack.ts';
import { type UploadSource, uploadPackage } from '../../functions/packages/client.ts';
import type { Document } from './documents.ts';

/** Larger archives do not fit into a Package, bytes. */
const LITERAL_MAX = 256 * 1024;
const ARCHIVE = /\.(zip|tar|tgz|tar\.gz)$/;

interface Upload {
  archive: object;
  digest: string;
}

/** The documents without the kinds that only Fission's command knows. Throws what packing and uploading throw. */
export async function resolveFissionSpec(
  documents: readonly Document[],
  directory: string,
  socket: string,
): Promise<Document[]> {
  if (!isSpec(documents)) return [...documents];
  const spec = readSpec(documents, directory);
  const used = new Map(
    spec.documents.flatMap((document) =>
      archivesOf(document, spec.archives).map((archive) => [archive.name, archive]),
    ),
  );
  const uploads = new Map<string, Upload>();
  for (const archive of used.values()) uploads.set(archive.name, await upload(archive, socket));
  return withUploads(spec.documents, uploads);
}

const literalOf = (bytes: Buffer): Upload => ({
  archive: { type: 'literal', literal: bytes.toString('base64') },
  digest: createHash('sha256').update(bytes).digest('hex'),
});

/** A file as it is. */
async function sourceOf(path: string): Promise<UploadSource> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(path)) hash.update(part as Buffer);
  const digest = `sha256:${hash.digest('hex')}` as const;
  return { digest, bytes: (await stat(path)).size, stream: () => createReadStream(path) };
}

async function uploaded(source: UploadSource, socket: string): Promise<Upload> {
  await uploadPackage(socket, source);
  return {
    archive: { type: 'url', url: `package:${source.digest}` },
    digest: source.digest.slice('sha256:'.length),
  };
}

/** One small file stays the file that it is; everything else becomes one archive. */
async function upload({ files }: SpecArchive, socket: string): Promise<Upload> {
  const [only] = files.values();
  if (files.size === 1 && only !== undefined && (await stat(only)).size <= LITERAL_MAX)
    return literalOf(await readFile(only));
  if (files.size === 1 && only !== undefined && ARCHIVE.test(only))
    return uploaded(await sourceOf(only), socket);
  const folder = await mkdtemp(join(tmpdir(), 'petrel-spec-'));
  try {
    for (const [name, path] of files)
      await cp(path, join(folder, name), { dereference: true, recursive: true });
    const packed = await packDirectory(folder);
    try {
      if (packed.bytes > LITERAL_MAX) return await uploaded(packed, socket);
      const parts: Uint8Array[] = [];
      for await (const part of packed.stream()) parts.push(part);
      return literalOf(Buffer.concat(parts));
    } finally {
      await packed.dispose();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
