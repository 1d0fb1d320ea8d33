/** Schemas of messages, as OpenAPI v3 writes them, with the `x-kubernetes-*` extensions that clients read. */
import { isMessage, type MessageType, messageDocs, messageType, type TypeField } from './type-table.ts';

export const OBJECT_META_PACKAGE = 'io.k8s.apimachinery.pkg.apis.meta.v1';

type Schema = Record<string, unknown>;

const SCALARS: Record<string, Schema> = {
  string: { type: 'string' },
  bool: { type: 'boolean' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  uint32: { type: 'integer', format: 'int64' },
  uint64: { type: 'integer', format: 'int64' },
  double: { type: 'number', format: 'double' },
  float: { type: 'number', format: 'float' },
  bytes: { type: 'string', format: 'byte' },
  any: { 'x-kubernetes-preserve-unknown-fields': true },
};

/** Types with a JSON form of their own: schema name → schema. */
const SPECIALS: Record<string, [name: string, schema: Schema]> = {
  time: [`${OBJECT_META_PACKAGE}.Time`, { type: 'string', format: 'date-time' }],
  microtime: [`${OBJECT_META_PACKAGE}.MicroTime`, { type: 'string', format: 'date-time' }],
  duration: [`${OBJECT_META_PACKAGE}.Duration`, { type: 'string' }],
  fields: [`${OBJECT_META_PACKAGE}.FieldsV1`, { type: 'object' }],
  raw: ['io.k8s.apimachinery.pkg.runtime.RawExtension', { type: 'object' }],
  quantity: [
    'io.k8s.apimachinery.pkg.api.resource.Quantity',
    { oneOf: [{ type: 'string' }, { type: 'number' }] },
  ],
  intorstring: [
    'io.k8s.apimachinery.pkg.util.intstr.IntOrString',
    { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] },
  ],
};

const META_TYPES = ['DeleteOptions', 'ListMeta', 'Status'].map((t) => `${OBJECT_META_PACKAGE}.${t}`);

/** Schemas of these messages and of everything they refer to. */
export function schemasFor(types: string[]): Record<string, Schema> {
  const schemas: Record<string, Schema> = {};
  const queue = [...types, ...META_TYPES];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (Object.hasOwn(schemas, name)) continue;
    const message = messageType(name);
    schemas[name] = message === undefined ? { type: 'object' } : messageSchema(message);
    for (const field of message?.json.values() ?? []) {
      const special = SPECIALS[field.type];
      if (special !== undefined) schemas[special[0]] = special[1];
      else if (isMessage(field.type)) queue.push(field.type);
    }
  }
  return schemas;
}

function messageSchema(message: MessageType): Schema {
  const docs = messageDocs(message.name);
  const description = docs[''] === undefined ? {} : { description: docs[''] };
  if (message.isList) {
    const items = message.json.get('items');
    return { ...description, ...(items === undefined ? { type: 'array' } : fieldSchema(items, undefined)) };
  }
  const required = [...message.json.values()].filter((f) => !f.optional).map((f) => f.name);
  return {
    ...description,
    type: 'object',
    ...(required.length === 0 ? {} : { required }),
    properties: Object.fromEntries(
      [...message.json].map(([name, field]) => [
        name,
        fieldSchema(field, docs[name] ?? inlinedDoc(message, name)),
      ]),
    ),
    ...(message.atomic ? { 'x-kubernetes-map-type': 'atomic' } : {}),
  };
}

const TYPE_META_DOCS = `${OBJECT_META_PACKAGE}.TypeMeta`;

/** The description of a field that stands here because its message is inlined. */
function inlinedDoc(message: MessageType, name: string): string | undefined {
  if (message.isKind && (name === 'apiVersion' || name === 'kind')) return messageDocs(TYPE_META_DOCS)[name];
  for (const field of message.fields) {
    const inlined = field.inline ? messageType(field.type) : undefined;
    if (inlined?.json.has(name)) return messageDocs(inlined.name)[name] ?? inlinedDoc(inlined, name);
  }
  return undefined;
}

function elementSchema(type: string): Schema {
  const name = SPECIALS[type]?.[0] ?? (isMessage(type) ? type : undefined);
  if (name !== undefined) return { allOf: [{ $ref: `#/components/schemas/${name}` }] };
  return SCALARS[type] ?? {};
}

function fieldSchema(field: TypeField, description: string | undefined): Schema {
  const element = elementSchema(field.type);
  let schema: Schema = element;
  if (field.list) schema = { type: 'array', items: element };
  else if (field.map) schema = { type: 'object', additionalProperties: element };
  return {
    ...(description === undefined ? {} : { description }),
    ...schema,
    ...(field.listType === undefined ? {} : { 'x-kubernetes-list-type': field.listType }),
    ...(field.listKeys.length === 0 ? {} : { 'x-kubernetes-list-map-keys': field.listKeys }),
    ...(field.mapType === undefined ? {} : { 'x-kubernetes-map-type': field.mapType }),
    ...(field.patchStrategy.length === 0
      ? {}
      : { 'x-kubernetes-patch-strategy': field.patchStrategy.join(',') }),
    ...(field.mergeKey === undefined ? {} : { 'x-kubernetes-patch-merge-key': field.mergeKey }),
  };
}
