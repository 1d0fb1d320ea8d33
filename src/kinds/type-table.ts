/**
 * What is known of object types: fields, protobuf numbers, merge keys, list kinds. One table drives protobuf decoding,
 * unknown-field detection, strategic merge and OpenAPI. Kubernetes' types are generated, one JSON file per package under
 * `generated/`, read when first asked for; Knative's and ours are written by hand in the same form.
 *
 * Form of a message: JSON field name → `<protobuf number> <type> <flags>`.
 * - Type: `[]T` list, `{}T` map from string; T is a scalar (`string`, `bool`, `int32`, `int64`, `double`, `bytes` …), one
 *   of the types with a JSON form of their own (`time`, `microtime`, `duration`, `quantity`, `intorstring`, `raw`,
 *   `fields`, `any`), the name of a message in the same package, or a full message name.
 * - Flags: `*` a Go pointer (a zero is a value), `o` omitempty, `?` optional, `inline` (the fields stand in the parent),
 *   `s=` patch strategy, `k=` merge key, `l=` list type, `lk=` list map keys, `m=` map or struct type.
 * - The field named `` carries flags of the message: `kind` (has apiVersion and kind), `list` (its JSON form is the list
 *   `items`), `m=atomic`.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { FUNCTION_PART_DOCS, FUNCTION_PART_TYPES } from './types-function.ts';
import { PETREL_DOCS, PETREL_TYPES } from './types-petrel.ts';
import { SERVING_DOCS, SERVING_TYPES } from './types-serving.ts';
import * as internal from './types-serving-internal.ts';
import { TRAFFIC_POLICY_DOCS, TRAFFIC_POLICY_TYPES } from './types-traffic-policy.ts';

/** Messages of one package, in the form above. */
export type TypeTexts = Record<string, Record<string, string>>;

/** One field of a message. */
export interface TypeField {
  /** JSON name; for inlined fields the protobuf name. */
  name: string;
  /** Protobuf number; 0 for types that never travel as protobuf. */
  number: number;
  /** Scalar or special type name as in the table, or a full message name. */
  type: string;
  list: boolean;
  map: boolean;
  inline: boolean;
  pointer: boolean;
  omitempty: boolean;
  /** Marked optional, or left out when empty. */
  optional: boolean;
  /** `merge`, `replace`, `retainKeys`; strategic merge patch. */
  patchStrategy: string[];
  mergeKey: string | undefined;
  listType: 'map' | 'set' | 'atomic' | undefined;
  listKeys: string[];
  mapType: string | undefined;
}

/** One message. */
export interface MessageType {
  name: string;
  /** Has apiVersion and kind. */
  isKind: boolean;
  /** Its JSON form is the list of its one field. */
  isList: boolean;
  atomic: boolean;
  fields: TypeField[];
  byNumber: Map<number, TypeField>;
  /** Fields by JSON name, those of inlined messages included, and apiVersion and kind where it has them. */
  json: Map<string, TypeField>;
}

const SCALARS = new Set(['string', 'bool', 'int32', 'int64', 'uint32', 'uint64', 'bytes', 'double', 'float']);
const SPECIALS = new Set([
  'time',
  'microtime',
  'duration',
  'quantity',
  'intorstring',
  'raw',
  'fields',
  'any',
]);

/** Whether a field's `type` names a message (and not a scalar or a type with its own JSON form). */
export const isMessage = (type: string): boolean => !SCALARS.has(type) && !SPECIALS.has(type);

const packages = new Map<string, TypeTexts | undefined>([
  ['dev.petrel.v1', { ...PETREL_TYPES, ...FUNCTION_PART_TYPES, ...TRAFFIC_POLICY_TYPES }],
  ['dev.knative.serving.v1', SERVING_TYPES],
  ['dev.knative.serving.v1beta1', internal.SERVING_BETA_TYPES],
  ['dev.knative.autoscaling.v1alpha1', internal.AUTOSCALING_TYPES],
  ['dev.knative.networking.v1alpha1', internal.NETWORKING_TYPES],
  ['dev.knative.caching.v1alpha1', internal.CACHING_TYPES],
]);
const docPackages = new Map<string, TypeTexts | undefined>([
  ['dev.petrel.v1', { ...PETREL_DOCS, ...FUNCTION_PART_DOCS, ...TRAFFIC_POLICY_DOCS }],
  ['dev.knative.serving.v1', SERVING_DOCS],
  ['dev.knative.serving.v1beta1', internal.SERVING_BETA_DOCS],
  ['dev.knative.autoscaling.v1alpha1', internal.AUTOSCALING_DOCS],
  ['dev.knative.networking.v1alpha1', internal.NETWORKING_DOCS],
  ['dev.knative.caching.v1alpha1', internal.CACHING_DOCS],
]);
const messages = new Map<string, MessageType | undefined>();

/** Types that are read when somebody asks for them: most platforms never do. */
const LATER: Record<string, () => TypeTexts> = {
  'io.fission.v1': () => fission().FISSION_TYPES,
  'io.fission.v1.docs': () => fission().FISSION_DOCS,
};
/** Packages of eventing. */
const EVENTING =
  /^dev\.(?:knative\.(?:duck|eventing|messaging|flows|sources|sinks)|petrel\.events)\.v\w+(\.docs)?$/;

const fission = () =>
  createRequire(import.meta.url)('./types-fission.ts') as typeof import('./types-fission.ts');
const eventing = () =>
  createRequire(import.meta.url)('./types-eventing.ts') as typeof import('./types-eventing.ts');
const eventingDocs = () =>
  createRequire(import.meta.url)('./types-eventing-docs.ts') as typeof import('./types-eventing-docs.ts');

function load(file: string): TypeTexts | undefined {
  const later = own(LATER, file);
  if (later !== undefined) return later();
  const ofEventing = EVENTING.exec(file);
  if (ofEventing !== null) {
    const [, docs] = ofEventing;
    return docs === undefined
      ? own(eventing().EVENTING_PACKAGES, file)
      : own(eventingDocs().EVENTING_DOCS, file.slice(0, -docs.length));
  }
  if (!/^io\.k8s\.[\w.]+$/.test(file)) return undefined;
  try {
    return JSON.parse(readFileSync(new URL(`generated/${file}.json`, import.meta.url), 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function textsOf(
  cache: Map<string, TypeTexts | undefined>,
  pkg: string,
  suffix: string,
): TypeTexts | undefined {
  if (!cache.has(pkg)) cache.set(pkg, load(pkg + suffix));
  return cache.get(pkg);
}

const split = (name: string): [string, string] => {
  const dot = name.lastIndexOf('.');
  return [name.slice(0, dot), name.slice(dot + 1)];
};

function own<T>(record: Record<string, T> | undefined, key: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined;
}

/** The message of that full name, for example `io.k8s.api.core.v1.Pod`; undefined when the table has none. */
export function messageType(name: string): MessageType | undefined {
  if (!messages.has(name)) {
    const [pkg, short] = split(name);
    const texts = own(textsOf(packages, pkg, ''), short);
    messages.set(name, texts === undefined ? undefined : parseMessage(name, pkg, texts));
  }
  return messages.get(name);
}

/** One-line descriptions of a message: field → text, `` → the message itself. Read for OpenAPI only. */
export function messageDocs(name: string): Record<string, string> {
  const [pkg, short] = split(name);
  return own(textsOf(docPackages, pkg, '.docs'), short) ?? {};
}

function parseField(name: string, text: string, pkg: string): TypeField {
  const [number = '0', typeText = 'any', ...flags] = text.split(' ');
  const list = typeText.startsWith('[]');
  const map = typeText.startsWith('{}');
  const bare = list || map ? typeText.slice(2) : typeText;
  const flag = (key: string): string | undefined =>
    flags.find((f) => f.startsWith(`${key}=`))?.slice(key.length + 1);
  return {
    name,
    number: Number(number),
    type: !isMessage(bare) || bare.includes('.') ? bare : `${pkg}.${bare}`,
    list,
    map,
    inline: flags.includes('inline'),
    pointer: flags.includes('*'),
    omitempty: flags.includes('o'),
    optional: flags.includes('o') || flags.includes('?'),
    patchStrategy: flag('s')?.split(',') ?? [],
    mergeKey: flag('k'),
    listType: flag('l') as TypeField['listType'],
    listKeys: flag('lk')?.split(',') ?? [],
    mapType: flag('m'),
  };
}

const TYPE_META = ['apiVersion', 'kind'].map((name, i) => parseField(name, `${2 - i} string o ?`, ''));

function parseMessage(name: string, pkg: string, texts: Record<string, string>): MessageType {
  const flags = (texts[''] ?? '').split(' ');
  const fields = Object.entries(texts).flatMap(([key, text]) =>
    key === '' ? [] : [parseField(key, text, pkg)],
  );
  const json = new Map<string, TypeField>();
  if (flags.includes('kind')) for (const field of TYPE_META) json.set(field.name, field);
  for (const field of fields) {
    if (!field.inline) json.set(field.name, field);
    else for (const [key, inner] of messageType(field.type)?.json ?? []) json.set(key, inner);
  }
  return {
    name,
    isKind: flags.includes('kind'),
    isList: flags.includes('list'),
    atomic: flags.includes('m=atomic'),
    fields,
    byNumber: new Map(fields.map((f) => [f.number, f])),
    json,
  };
}
