/**
 * Spec directories of Fission's: objects in YAML, the archives they are made of, and the deployment's name and uid. The two kinds that
 * are only for the command are resolved here; what remains can be applied as it is.
 */
import { globSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import type { UntypedObject } from '../../kinds/object.ts';

/** Present in a folder, it says that the folder is a spec directory. */
export const DEPLOYMENT_CONFIG_FILE = 'fission-deployment-config.yaml';

/** An object and where it was found, for messages. */
export interface SpecDocument {
  object: UntypedObject;
  origin: string;
}

/** Files that make up an archive. */
export interface SpecArchive {
  name: string;
  /** Name in the archive → path on this machine. What a glob matches is at the top of the archive, by its last name. */
  files: Map<string, string>;
}

export interface SpecDirectory {
  documents: SpecDocument[];
  archives: Map<string, SpecArchive>;
}

const GROUP = 'fission.io/';
const ARCHIVE = 'archive://';
const only =
  (kind: string) =>
  ({ object }: SpecDocument): boolean =>
    object.apiVersion.startsWith(GROUP) && object.kind === kind;
const isConfig = only('DeploymentConfig');
const isUpload = only('ArchiveUploadSpec');

/** Whether there is anything among them that only Fission's own command understands. */
export const isSpec = (documents: readonly SpecDocument[]): boolean =>
  documents.some((document) => isConfig(document) || isUpload(document));

const isPlain = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

/** The files of globs, folders with everything in them. Throws `InvalidArgument` for none, and for two of one name. */
function filesOf(document: SpecDocument, directory: string): SpecArchive {
  const { name, rootdir, include = [], exclude = [] } = { ...document.object, ...document.object.spec };
  const archive: string = name ?? document.object.metadata?.name;
  const fail = (why: string): PetrelError =>
    new PetrelError('InvalidArgument', `${document.origin}: the archive ${archive} cannot be made`, {
      why,
      fix: 'correct include and rootdir; rootdir is relative to the folder that the spec directory is in',
    });
  // Relative to the project, which is the folder that the spec directory is in.
  const root = resolve(dirname(resolve(directory)), rootdir || '.');
  const matched = (globs: string[]) =>
    globs.flatMap((glob) => globSync(glob, { cwd: root }).map((path) => join(root, path)));
  const below = (path: string): string[] =>
    isPlain(path) ? [path] : globSync(join(path, '**')).filter(isPlain);
  const excluded = new Set(matched(exclude).flatMap(below));
  const files = new Map<string, string>();
  for (const path of [...new Set(matched(include))].sort()) {
    for (const file of below(path).sort()) {
      if (excluded.has(file)) continue;
      const inside = relative(dirname(path), file).split(sep).join('/');
      const other = files.get(inside);
      if (other !== undefined && other !== file) throw fail(`${other} and ${file} would both be ${inside}`);
      files.set(inside, file);
    }
  }
  if (files.size === 0) throw fail(`no file below ${root} is matched by ${include.join(', ') || 'nothing'}`);
  return { name: archive, files };
}

/** Fields of an Environment's runtime that older commands wrote and that nothing has ever read. */
const UNUSED = ['functionendpointport', 'loadendpointpath', 'loadendpointport'];

function withoutUnused(object: UntypedObject): UntypedObject {
  if (object.kind !== 'Environment' || !object.spec?.runtime) return object;
  const runtime = Object.fromEntries(
    Object.entries(object.spec.runtime).filter(([key]) => !UNUSED.includes(key)),
  );
  return { ...object, spec: { ...object.spec, runtime } };
}

/** Sorts a spec directory's documents into objects, marked as the deployment's, and archives. */
export function readSpec(documents: readonly SpecDocument[], directory: string): SpecDirectory {
  const config = documents.find(isConfig)?.object;
  const marks: Record<string, string> = config
    ? {
        'fission-name': config.name ?? config.spec?.name ?? '',
        'fission-uid': config.uid ?? config.spec?.uid ?? '',
      }
    : {};
  const archives = new Map(
    documents.filter(isUpload).map((document) => {
      const archive = filesOf(document, directory);
      return [archive.name, archive] as const;
    }),
  );
  const rest = documents.filter((document) => !isConfig(document) && !isUpload(document));
  return {
    archives,
    documents: rest.map(({ object, origin }) => {
      if (!object.apiVersion.startsWith(GROUP)) return { object, origin };
      const { creationTimestamp: _, ...metadata } = object.metadata as UntypedObject['metadata'];
      const annotations = { ...metadata.annotations, ...marks };
      return { origin, object: withoutUnused({ ...object, metadata: { ...metadata, annotations } }) };
    }),
  };
}

/** Names of the archives that a Package is made of. */
export function archivesOf(
  { object, origin }: SpecDocument,
  archives: SpecDirectory['archives'],
): SpecArchive[] {
  if (object.kind !== 'Package') return [];
  return ['source', 'deployment'].flatMap((part) => {
    const url: unknown = object.spec?.[part]?.url;
    if (typeof url !== 'string' || !url.startsWith(ARCHIVE)) return [];
    const name = url.slice(ARCHIVE.length);
    const found = archives.get(name);
    if (found) return [found];
    throw new PetrelError('InvalidArgument', `${origin}: there is no archive ${name}`, {
      why: `the Package ${object.metadata.name} refers to ${url}, and no ArchiveUploadSpec has that name`,
      fix: 'add the ArchiveUploadSpec, or correct the URL',
    });
  });
}

/** The documents with uploads in the place of archives, by archive name. Functions change when their package's content does. */
export function withUploads(
  documents: readonly SpecDocument[],
  uploads: ReadonlyMap<string, { archive: object; digest: string }>,
): SpecDocument[] {
  const contents = new Map<string, string>();
  const resolved = documents.map((document): SpecDocument => {
    const { object } = document;
    if (!object.apiVersion.startsWith(GROUP) || object.kind !== 'Package') return document;
    const spec = { ...object.spec };
    for (const part of ['source', 'deployment']) {
      const upload = uploads.get(String(spec[part]?.url ?? '').slice(ARCHIVE.length));
      if (!upload || !String(spec[part].url).startsWith(ARCHIVE)) continue;
      spec[part] = upload.archive;
      contents.set(
        `${object.metadata.namespace ?? 'default'}/${object.metadata.name}`,
        upload.digest.slice(0, 24),
      );
    }
    return { ...document, object: { ...object, spec } };
  });
  return resolved.map((document) => {
    const { object } = document;
    if (!object.apiVersion.startsWith(GROUP) || object.kind !== 'Function') return document;
    const reference = object.spec?.package?.packageref;
    const content = contents.get(
      `${reference?.namespace || object.metadata.namespace || 'default'}/${reference?.name}`,
    );
    if (content === undefined) return document;
    const packageref = { ...reference, resourceversion: content };
    return {
      ...document,
      object: { ...object, spec: { ...object.spec, package: { ...object.spec.package, packageref } } },
    };
  });
}
