/**
 * What decoding a request body finds wrong with it: duplicate keys, fields no type has, values of a wrong type. Messages
 * are upstream's. Source: sigs.k8s.io/json, apimachinery `runtime.strictDecodingError`, Go `encoding/json`.
 */
import { invalid } from './field.ts';
import type { FieldError, Json } from './object.ts';
import { isMessage, messageType, type TypeField } from './type-table.ts';

/** Deeper than any object nests; bounds the recursion of everything that later walks the value. */
const MAX_DEPTH = 512;

/**
 * Parses JSON and reports keys that occur twice in one object, as `duplicate field "spec.x"`. `JSON.parse` alone cannot
 * see them. Throws `SyntaxError` on what is no JSON and on nesting deeper than 512.
 */
export function strictDecode(text: string): { value: Json; duplicates: string[] } {
  const value: Json = JSON.parse(text);
  return { value, duplicates: duplicateKeys(text) };
}

interface Level {
  /** Keys seen, for objects; undefined for lists. */
  keys: Set<string> | undefined;
  /** The key or index being read. */
  at: string;
  index: number;
}

/** Scans text that is known to be valid JSON. */
function duplicateKeys(text: string): string[] {
  const found: string[] = [];
  const stack: Level[] = [];
  let expectKey = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    const top = stack.at(-1);
    if (c === 0x22) {
      const start = i++;
      let escaped = false;
      for (; text.charCodeAt(i) !== 0x22; i++) {
        if (text.charCodeAt(i) === 0x5c) {
          escaped = true;
          i++;
        }
      }
      if (!expectKey || top?.keys === undefined) continue;
      const key: string = escaped ? JSON.parse(text.slice(start, i + 1)) : text.slice(start + 1, i);
      top.at = key;
      expectKey = false;
      if (top.keys.has(key)) found.push(`duplicate field ${JSON.stringify(pathOf(stack))}`);
      else top.keys.add(key);
    } else if (c === 0x7b || c === 0x5b) {
      if (stack.length >= MAX_DEPTH) throw new SyntaxError('exceeded max depth');
      stack.push({ keys: c === 0x7b ? new Set() : undefined, at: '', index: 0 });
      expectKey = c === 0x7b;
    } else if (c === 0x7d || c === 0x5d) {
      stack.pop();
      expectKey = false;
    } else if (c === 0x2c && top !== undefined) {
      if (top.keys === undefined) top.index++;
      else expectKey = true;
    }
  }
  return [...new Set(found)];
}

function pathOf(stack: Level[]): string {
  let path = '';
  for (const { keys, at, index } of stack) {
    if (keys === undefined) path += `[${index}]`;
    else path += path === '' ? at : `.${at}`;
  }
  return path;
}

/** The message of a 400 answer (`fieldValidation=Strict`) that carries these problems. */
export function strictError(problems: string[]): string {
  return `strict decoding error: ${problems.join(', ')}`;
}

type Visitor = (value: Json, field: TypeField, path: string, owner: string) => void;

interface Walk {
  unknown?: (parent: { [key: string]: Json }, key: string, path: string) => void;
  value?: Visitor;
}

const isObject = (value: Json | undefined): value is { [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Visits every field of an object with what the table knows of it. */
function walk(object: Json, typeName: string, path: string, visit: Walk): void {
  const type = messageType(typeName);
  if (type === undefined || !isObject(object)) return;
  if (type.isList) return;
  for (const [key, value] of Object.entries(object)) {
    const at = path === '' ? key : `${path}.${key}`;
    const field = type.json.get(key);
    if (field === undefined) {
      visit.unknown?.(object, key, at);
      continue;
    }
    if (value === null) continue;
    visit.value?.(value, field, at, typeName);
    if (!isMessage(field.type)) continue;
    if (field.list && Array.isArray(value)) {
      for (const [i, item] of value.entries()) walk(item, field.type, `${at}[${i}]`, visit);
    } else if (field.map && isObject(value)) {
      for (const [k, item] of Object.entries(value)) walk(item, field.type, `${at}.${k}`, visit);
    } else walk(value, field.type, at, visit);
  }
}

/** Fields the type does not have, as `unknown field "spec.x"`. A type that is not in the table has no unknown fields. */
export function unknownFields(object: Json | object, typeName: string): string[] {
  const found: string[] = [];
  walk(object as Json, typeName, '', {
    unknown: (_, __, path) => found.push(`unknown field ${JSON.stringify(path)}`),
  });
  return found;
}

/** Removes fields the type does not have, as decoding into a struct would; returns the messages of `unknownFields`. */
export function pruneUnknownFields(object: Json | object, typeName: string): string[] {
  const found: string[] = [];
  walk(object as Json, typeName, '', {
    unknown: (parent, key, path) => {
      delete parent[key];
      found.push(`unknown field ${JSON.stringify(path)}`);
    },
  });
  return found;
}

const GO_TYPES: Record<string, string> = {
  double: 'float64',
  float: 'float32',
  bytes: '[]uint8',
  time: 'v1.Time',
  microtime: 'v1.MicroTime',
  quantity: 'resource.Quantity',
  intorstring: 'intstr.IntOrString',
  duration: 'v1.Duration',
};

const shortName = (typeName: string): string => typeName.slice(typeName.lastIndexOf('.') + 1);

function goType(field: TypeField): string {
  const [version = 'v1', name = ''] = field.type.split('.').slice(-2);
  const element = isMessage(field.type) ? `${version}.${name}` : (GO_TYPES[field.type] ?? field.type);
  if (field.list) return `[]${element}`;
  return field.map ? `map[string]${element}` : element;
}

function jsonType(value: Json): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

const RFC3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;
const QUANTITY = /^[+-]?(\d+\.?\d*|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$/;
const isText = (value: Json): boolean => typeof value === 'string';
const integer = (bits: 32 | 64, signed: boolean) => {
  const limit = 2 ** (signed ? bits - 1 : bits);
  return (value: Json): boolean =>
    Number.isInteger(value) && (value as number) < limit && (value as number) >= (signed ? -limit : 0);
};
const isInt32 = integer(32, true);

/** Whether a JSON value can be a scalar of that type. */
const FITS: Record<string, (value: Json) => boolean> = {
  string: isText,
  bytes: isText,
  duration: isText,
  bool: (value) => typeof value === 'boolean',
  int32: isInt32,
  int64: integer(64, true),
  uint32: integer(32, false),
  uint64: integer(64, false),
  double: (value) => typeof value === 'number',
  float: (value) => typeof value === 'number',
  time: (value) => isText(value) && RFC3339.test(value as string),
  microtime: (value) => isText(value) && RFC3339.test(value as string),
  quantity: (value) =>
    typeof value === 'number' ? Number.isFinite(value) : isText(value) && QUANTITY.test(value as string),
  intorstring: (value) => isText(value) || isInt32(value),
};

/** What is wrong with text whose JSON type is right. */
const FORMATS: Record<string, (value: string) => string> = {
  time: (v) =>
    `parsing time ${JSON.stringify(v)} as "2006-01-02T15:04:05Z07:00": cannot parse ${JSON.stringify(v)} as "2006"`,
  quantity: () =>
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
};
FORMATS.microtime = FORMATS.time as (value: string) => string;

function goMessage(value: Json, field: TypeField, type: string, path: string, owner: string): string {
  const format = FORMATS[field.type];
  if (format !== undefined && typeof value === 'string') return format(value);
  const shown =
    typeof value === 'number' && FITS[field.type] === FITS.int32 ? `number ${value}` : jsonType(value);
  // Go names the struct by its innermost type and the field by its path without indexes.
  return `json: cannot unmarshal ${shown} into Go struct field ${shortName(owner)}.${path.replace(/\[\d+\]/g, '')} of type ${type}`;
}

interface Mismatch {
  value: Json;
  field: TypeField;
  /** Go type that was expected here: the field's, or its element's. */
  type: string;
  path: string;
  owner: string;
}

function mismatches(object: Json, typeName: string): Mismatch[] {
  const found: Mismatch[] = [];
  walk(object, typeName, '', {
    value: (value, field, path, owner) => {
      const add = (v: Json, at: string, type: string) =>
        found.push({ value: v, field, type, path: at, owner });
      const items: [Json, string][] = [];
      const isListMessage = isMessage(field.type) && (messageType(field.type)?.isList ?? false);
      if (field.list) {
        if (!Array.isArray(value)) return add(value, path, goType(field));
        items.push(...value.map((item, i): [Json, string] => [item, `${path}[${i}]`]));
      } else if (field.map) {
        if (!isObject(value)) return add(value, path, goType(field));
        items.push(...Object.entries(value).map(([key, item]): [Json, string] => [item, `${path}.${key}`]));
      } else items.push([value, path]);
      const element = goType({ ...field, list: false, map: false });
      const fits = isListMessage ? Array.isArray : isMessage(field.type) ? isObject : FITS[field.type];
      for (const [item, at] of items) {
        if (item !== null && fits !== undefined && !fits(item)) add(item, field.map ? path : at, element);
      }
    },
  });
  return found;
}

/**
 * Values of a wrong type, in the words of Go's decoder; upstream reports the first. The answer is 400 with
 * `cannotBeHandled(kind, version, message)`.
 */
export function typeErrors(object: Json | object, typeName: string): string[] {
  return mismatches(object as Json, typeName).map((m) =>
    goMessage(m.value, m.field, m.type, m.path, m.owner),
  );
}

/** The message of a 400 answer to a body whose values do not fit its type. */
export function cannotBeHandled(kind: string, version: string, message: string): string {
  return `${kind} in version ${JSON.stringify(version)} cannot be handled as a ${kind}: ${message}`;
}

const SCHEMA_TYPES: Record<string, string> = {
  bool: 'boolean',
  int32: 'integer',
  int64: 'integer',
  double: 'number',
};

/** The same for custom resources, in the words of schema validation; the answer is 422 Invalid with these causes. */
export function schemaErrors(object: Json | object, typeName: string): FieldError[] {
  return mismatches(object as Json, typeName).map(({ value, field, type, path }) => {
    const actual = jsonType(value) === 'bool' ? 'boolean' : jsonType(value);
    const expected = type.startsWith('[]')
      ? 'array'
      : type.startsWith('map[') || isMessage(field.type)
        ? 'object'
        : (SCHEMA_TYPES[field.type] ?? 'string');
    return invalid(path, actual, `${path} in body must be of type ${expected}: ${JSON.stringify(actual)}`);
  });
}
