/** Kubernetes objects in files: which paths hold them, and reading them. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import type { UntypedObject } from '../../kinds/object.ts';

const EXTENSIONS = new Set(['.yaml', '.yml', '.json']);
/** Files of projects that look like manifests and are none. */
const NO_MANIFESTS = new Set([
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'pnpm-lock.yaml',
  'func.yaml',
]);
const STDIN = '-';
/** A folder with this file is a spec directory of Fission's. */
const FISSION_SPEC = 'fission-deployment-config.yaml';

/** An object and where it was found, for messages. */
export interface Document {
  object: UntypedObject;
  /** `web.yaml`, or `web.yaml (document 2)`. */
  origin: string;
}

const isManifest = (name: string) => EXTENSIONS.has(extname(name)) && !NO_MANIFESTS.has(name);

/** Whether the path holds manifests, not code: stdin, a YAML or JSON file, or a folder with nothing else in it. */
export function isManifests(path: string): boolean {
  if (path === STDIN) return true;
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats?.isDirectory()) return isManifest(path.split('/').at(-1) ?? '');
  const names = readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isFile() && !/^(readme|license)|^\./i.test(entry.name))
    .map(({ name }) => name);
  return names.includes(FISSION_SPEC) || (names.length > 0 && names.every(isManifest));
}

/** All objects at the path, in the order of file names. Throws `FileNotFound` or `InvalidArgument`, naming file and line. */
export async function readDocuments(path: string): Promise<Document[]> {
  if (path === STDIN) {
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
    return parseDocuments(Buffer.concat(chunks).toString(), 'stdin');
  }
  const found: Document[] = [];
  for (const file of filesAt(path)) {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      throw new PetrelError('FileNotFound', `${file} cannot be read`, {
        why: (error as Error).message,
        fix: 'give the path of a readable YAML file, of a folder with some, or - for stdin',
        cause: error,
      });
    }
    found.push(...(await parseDocuments(text, file)));
  }
  return found;
}

function filesAt(path: string): string[] {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [path];
  return readdirSync(path)
    .filter(isManifest)
    .sort()
    .map((name) => join(path, name));
}

/** The objects of a text; Lists become what is in them. */
export async function parseDocuments(text: string, file: string): Promise<Document[]> {
  const { parseAllDocuments } = await import('yaml');
  const documents = parseAllDocuments(text, { uniqueKeys: true });
  const parsed = Array.isArray(documents) ? documents : [];
  const many = parsed.length > 1;
  const found = parsed.flatMap((document, index): Document[] => {
    const origin = many ? `${file} (document ${index + 1})` : file;
    const [error] = document.errors;
    if (error) {
      const line = error.linePos?.[0].line;
      throw new PetrelError('InvalidArgument', `${file}${line ? `:${line}` : ''} is no YAML`, {
        why: (error.message.split('\n')[0] ?? '').replace(/ at line \d+, column \d+:$/, ''),
        fix: 'correct the file and deploy it again',
      });
    }
    const value: unknown = document.toJS();
    if (value === null || value === undefined) return [];
    return objectsIn(value, origin);
  });
  if (found.length > 0) return found;
  throw new PetrelError('InvalidArgument', `${file} holds no object`, {
    fix: 'give a file with objects that have apiVersion, kind and metadata.name',
  });
}

function objectsIn(value: unknown, origin: string): Document[] {
  const object = value as UntypedObject;
  if (typeof value === 'object' && /List$/.test(object.kind ?? '') && Array.isArray(object.items))
    return object.items.flatMap((item: unknown) => objectsIn(item, origin));
  const missing =
    typeof value !== 'object' || Array.isArray(value)
      ? 'apiVersion, kind and metadata.name'
      : [
          ...(typeof object.apiVersion === 'string' ? [] : ['apiVersion']),
          ...(typeof object.kind === 'string' ? [] : ['kind']),
          ...(typeof object.metadata?.name === 'string' ? [] : ['metadata.name']),
        ].join(', ');
  if (missing === '') return [{ object, origin }];
  // Fission's command has two kinds of its own that are no objects: their name stands at the top.
  if (missing === 'metadata.name' && object.apiVersion === 'fission.io/v1' && typeof object.name === 'string')
    return [{ object: { ...object, metadata: { name: object.name } }, origin }];
  throw new PetrelError('InvalidArgument', `${origin} is no Kubernetes object`, {
    why: `it has no ${missing}`,
    fix: 'write apiVersion, kind and metadata.name; to deploy the file as code, name a source file or a folder',
  });
}
