/**
 * Writes what the API server knows of Kubernetes' own types, from the published Go modules' `.proto` files and struct
 * tags: `node scripts/generate-types/generate.ts`. The form of the result is described in `src/kinds/type-table.ts`.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type GoField, type GoStruct, parseGo } from './go.ts';
import { type GoModule, moduleFiles } from './module.ts';
import { type ProtoField, type ProtoFile, parseProto } from './proto.ts';

/** What is read. To raise Kubernetes' version: change these, run, and update NOTICE. */
const MODULES: GoModule[] = [
  { path: 'k8s.io/api', version: 'v0.32.4', sum: 'h1:kw8Y/G8E7EpNy7gjB8gJZl3KJkNz8HM2YHrZPtAZsF4=' },
  { path: 'k8s.io/apimachinery', version: 'v0.32.4', sum: 'h1:8EEksaxA7nd7xWJkkwLDN4SvWS5ot9g6Z/VZb3ju25I=' },
];
/** Packages that are read: stable API versions and the metadata they share. */
const PACKAGES = /^(\w+\/v\d+|pkg\/apis\/meta\/v1)$/;
/** Messages whose JSON form is not that of their fields; the table calls them by these names. */
const SPECIAL: Record<string, string> = {
  'k8s.io.apimachinery.pkg.apis.meta.v1.Time': 'time',
  'k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime': 'microtime',
  'k8s.io.apimachinery.pkg.apis.meta.v1.Duration': 'duration',
  'k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1': 'fields',
  'k8s.io.apimachinery.pkg.util.intstr.IntOrString': 'intorstring',
  'k8s.io.apimachinery.pkg.api.resource.Quantity': 'quantity',
  'k8s.io.apimachinery.pkg.runtime.RawExtension': 'raw',
};
/** Messages that nothing a client sends or reads refers to. */
const IGNORED = new Set([
  'k8s.io.api.core.v1.List',
  'k8s.io.apimachinery.pkg.apis.meta.v1.Patch',
  'k8s.io.apimachinery.pkg.apis.meta.v1.Timestamp',
]);
const SCALARS = new Set(['string', 'bool', 'int32', 'int64', 'uint32', 'uint64', 'bytes', 'double', 'float']);
const MAX_DOC = 140;

const target = join(import.meta.dirname, '../../src/kinds/generated');

/** `k8s.io.api.core.v1` → `io.k8s.api.core.v1`, the name OpenAPI uses. */
const openApiName = (name: string): string => name.replace(/^k8s\.io\./, 'io.k8s.');

function typeText(field: ProtoField, pkg: string): string {
  const absolute = SCALARS.has(field.type) || field.type.includes('.') ? field.type : `${pkg}.${field.type}`;
  let name = SPECIAL[absolute] ?? openApiName(absolute);
  const own = `${openApiName(pkg)}.`;
  if (name.startsWith(own) && !name.slice(own.length).includes('.')) name = name.slice(own.length);
  return `${field.map ? '{}' : field.repeated ? '[]' : ''}${name}`;
}

function fieldText(proto: ProtoField, go: GoField, pkg: string): string {
  const list = (name: string) => go.markers.get(name)?.join(',') ?? '';
  const parts = [`${proto.number}`, typeText(proto, pkg)];
  if (go.inline) parts.push('inline');
  if (go.goType.startsWith('*')) parts.push('*');
  if (go.omitempty) parts.push('o');
  if (go.markers.has('optional')) parts.push('?');
  if (go.patchStrategy) parts.push(`s=${go.patchStrategy}`);
  if (go.patchMergeKey) parts.push(`k=${go.patchMergeKey}`);
  if (list('listType')) parts.push(`l=${list('listType')}`);
  if (list('listMapKey')) parts.push(`lk=${list('listMapKey')}`);
  const struct = list('structType') || list('mapType');
  if (struct) parts.push(`m=${struct}`);
  return parts.join(' ');
}

function shorten(doc: string): string {
  return doc.length <= MAX_DOC ? doc : `${doc.slice(0, MAX_DOC - 1).replace(/\s+\S*$/, '')}…`;
}

type Texts = Record<string, string>;

interface Output {
  types: Record<string, Texts>;
  docs: Record<string, Texts>;
}

function convert(proto: ProtoFile, structs: Map<string, GoStruct>): Output {
  const output: Output = { types: {}, docs: {} };
  for (const [name, protoFields] of proto.messages) {
    const full = `${proto.package}.${name}`;
    if (SPECIAL[full] !== undefined || IGNORED.has(full)) continue;
    const struct = structs.get(name);
    if (struct === undefined) {
      // A Go type that is a list (`type Verbs []string`) travels as a message with one field.
      const [items] = protoFields;
      if (protoFields.length !== 1 || items?.name !== 'items')
        throw new Error(`${proto.package}.${name}: no Go type`);
      output.types[name] = { '': 'list', items: `1 ${typeText(items, proto.package)}` };
      continue;
    }
    const types: Texts = {};
    const docs: Texts = {};
    const isKind = struct.fields.some(
      (f) => f.goType === 'metav1.TypeMeta' || (f.goType === 'TypeMeta' && f.inline),
    );
    const atomic = struct.markers.get('structType')?.[0];
    const head = [isKind ? 'kind' : '', atomic ? `m=${atomic}` : ''].filter((w) => w !== '').join(' ');
    if (head !== '') types[''] = head;
    if (struct.doc !== '') docs[''] = shorten(struct.doc);
    for (const field of protoFields) {
      const go = struct.fields.find((f) => f.number === field.number);
      if (go === undefined)
        throw new Error(`${proto.package}.${name}.${field.name}: no such field in the Go type`);
      if (go.json === '-') continue;
      const key = go.inline ? field.name : go.json;
      types[key] = fieldText(field, go, proto.package);
      if (go.doc !== '' && !go.inline) docs[key] = shorten(go.doc);
    }
    output.types[name] = types;
    output.docs[name] = docs;
  }
  return output;
}

/** One message a line: small, and a change shows as one line in a diff. */
function write(file: string, messages: Record<string, Texts>): number {
  const lines = Object.keys(messages)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${JSON.stringify(messages[name])}`);
  const text = `{\n${lines.join(',\n')}\n}\n`;
  writeFileSync(join(target, file), text);
  return text.length;
}

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
let bytes = 0;
let count = 0;
for (const module of MODULES) {
  const files = await moduleFiles(module);
  for (const [path, text] of files) {
    const folder = dirname(path);
    if (!path.endsWith('/generated.proto') || !PACKAGES.test(folder)) continue;
    const go = [...files].filter(
      ([p]) => dirname(p) === folder && p.endsWith('.go') && !/(_test|generated[\w.]*)\.go$/.test(p),
    );
    const structs = new Map(go.flatMap(([, source]) => [...parseGo(source)]));
    const proto = parseProto(text);
    const { types, docs } = convert(proto, structs);
    if (Object.keys(types).length === 0) continue;
    const name = openApiName(proto.package);
    bytes += write(`${name}.json`, types) + write(`${name}.docs.json`, docs);
    count += Object.keys(types).length;
  }
}
console.log(`${count} types, ${bytes} bytes`);
