/**
 * Request bodies that typed clients send for built-in kinds (`application/vnd.kubernetes.protobuf`) → the object their
 * JSON form would give. Source: apimachinery `runtime/serializer/protobuf`, gogo-generated marshallers.
 */
import type { Json, UntypedObject } from './object.ts';
import { isMessage, type MessageType, messageType, type TypeField } from './type-table.ts';
import { BYTES, FIXED32, FIXED64, ProtobufError, VARINT, WireReader } from './wire.ts';

export { ProtobufError };

const MAGIC = [0x6b, 0x38, 0x73, 0x00];
const META_PACKAGE = 'io.k8s.apimachinery.pkg.apis.meta.v1';
/** Deeper than any built-in type nests; bounds the recursion of what a stranger sends. */
const MAX_DEPTH = 64;

/** Whether a body starts as Kubernetes protobuf does. */
function isKubernetesProtobuf(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, i) => bytes[i] === byte);
}

/**
 * Decodes `k8s\0` + `runtime.Unknown`. The object has `apiVersion` and `kind`; options (`DeleteOptions` …) decode too,
 * whatever group they are sent to. Throws `ProtobufError` on malformed bytes and on kinds the table does not know.
 */
export function decodeKubernetesProtobuf(bytes: Uint8Array): UntypedObject {
  if (!isKubernetesProtobuf(bytes)) {
    throw new ProtobufError(
      'provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]',
    );
  }
  return decodeUnknown(bytes, 0);
}

function decodeUnknown(bytes: Uint8Array, depth: number): UntypedObject {
  const reader = new WireReader(bytes.subarray(MAGIC.length));
  let apiVersion = '';
  let kind = '';
  let raw: Buffer = Buffer.alloc(0);
  let contentType = '';
  while (!reader.done) {
    const [number, wire] = reader.key();
    if (number === 1 && wire === BYTES) {
      const typeMeta = scalars(reader.bytes()).strings;
      apiVersion = typeMeta[1] ?? '';
      kind = typeMeta[2] ?? '';
    } else if (number === 2 && wire === BYTES) raw = reader.bytes();
    else if (number === 4 && wire === BYTES) contentType = reader.bytes().toString('utf8');
    else reader.skip(wire);
  }
  if (contentType === 'application/json') {
    return { ...(parseJson(raw) as Record<string, Json>), apiVersion, kind } as unknown as UntypedObject;
  }
  const type = typeOf(apiVersion, kind);
  if (type === undefined) {
    throw new ProtobufError(`no kind "${kind}" is registered for version "${apiVersion}" in protobuf form`);
  }
  const object = decodeMessage(type, raw, depth + 1) as Record<string, Json>;
  return { ...object, apiVersion, kind } as unknown as UntypedObject;
}

/** The message of a built-in kind: its group's first label names the package, options live in meta/v1. */
function typeOf(apiVersion: string, kind: string): MessageType | undefined {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['core', apiVersion];
  return (
    messageType(`io.k8s.api.${group?.split('.')[0]}.${version}.${kind}`) ??
    messageType(`${META_PACKAGE}.${kind}`)
  );
}

function decodeNamed(name: string, bytes: Uint8Array, depth: number): Record<string, Json> {
  const type = messageType(name);
  if (type === undefined) throw new ProtobufError(`no type ${name}`);
  return decodeMessage(type, bytes, depth) as Record<string, Json>;
}

function decodeMessage(type: MessageType, bytes: Uint8Array, depth: number): Json {
  if (depth > MAX_DEPTH) throw new ProtobufError('message nests too deep');
  const result: Record<string, Json> = {};
  const reader = new WireReader(bytes);
  while (!reader.done) {
    const [number, wire] = reader.key();
    const field = type.byNumber.get(number);
    if (field === undefined) reader.skip(wire);
    else if (field.inline)
      Object.assign(result, decodeNamed(field.type, expectBytes(reader, wire), depth + 1));
    else if (field.map) addEntry(result, field, expectBytes(reader, wire), depth + 1);
    else if (field.list) addItems(result, field, reader, wire, depth + 1);
    else {
      const value = decodeValue(field.type, reader, wire, depth + 1);
      if (isShown(field, value)) result[field.name] = value as Json;
    }
  }
  return type.isList ? (result.items ?? []) : result;
}

/** Go's rules: omitempty drops zeros, but never structs nor what a pointer points to; a zero time is no value. */
function isShown(field: TypeField, value: Json | undefined): boolean {
  if (value === undefined || value === null) return false;
  if (field.pointer || !field.omitempty) return true;
  return value !== 0 && value !== '' && value !== false;
}

function expectBytes(reader: WireReader, wire: number): Buffer {
  if (wire !== BYTES) throw new ProtobufError(`wrong wireType = ${wire}`);
  return reader.bytes();
}

function addItems(
  result: Record<string, Json>,
  field: TypeField,
  reader: WireReader,
  wire: number,
  depth: number,
): void {
  let list = result[field.name] as Json[] | undefined;
  if (list === undefined) {
    list = [];
    result[field.name] = list;
  }
  if (wire === BYTES && ['int32', 'int64', 'uint32', 'uint64', 'bool'].includes(field.type)) {
    const packed = new WireReader(reader.bytes());
    while (!packed.done) list.push(decodeValue(field.type, packed, VARINT, depth) ?? null);
    return;
  }
  list.push(decodeValue(field.type, reader, wire, depth) ?? null);
}

function addEntry(result: Record<string, Json>, field: TypeField, bytes: Buffer, depth: number): void {
  const reader = new WireReader(bytes);
  let key = '';
  let value: Json | undefined = zeroOf(field.type);
  while (!reader.done) {
    const [number, wire] = reader.key();
    if (number === 1) key = expectBytes(reader, wire).toString('utf8');
    else if (number === 2) value = decodeValue(field.type, reader, wire, depth);
    else reader.skip(wire);
  }
  if (result[field.name] === undefined) result[field.name] = {};
  const map = result[field.name] as Record<string, Json>;
  // A key may be any string, also __proto__.
  Object.defineProperty(map, key, {
    value: value ?? null,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

function zeroOf(type: string): Json {
  if (type === 'string' || type === 'bytes') return '';
  if (type === 'bool') return false;
  return isMessage(type) ? {} : 0;
}

const VARINTS: Record<string, (reader: WireReader) => Json> = {
  bool: (r) => r.uint() !== 0,
  int32: (r) => r.int(),
  int64: (r) => r.int(),
  uint32: (r) => r.uint(),
  uint64: (r) => r.uint(),
};

/** Types that travel as a message but whose JSON form is another. */
const SPECIALS: Record<string, (bytes: Buffer, depth: number) => Json | undefined> = {
  string: (bytes) => bytes.toString('utf8'),
  bytes: (bytes) => bytes.toString('base64'),
  time: (bytes) => timeText(bytes, 0),
  microtime: (bytes) => timeText(bytes, 6),
  quantity: (bytes) => scalars(bytes).strings[1] ?? '0',
  duration: (bytes) => goDuration(scalars(bytes).ints[1] ?? 0),
  intorstring: (bytes) => {
    const { ints, strings } = scalars(bytes);
    return ints[1] === 1 ? (strings[3] ?? '') : (ints[2] ?? 0);
  },
  fields: (bytes) => parseJson(scalars(bytes).raw[1] ?? Buffer.from('{}')),
  raw: (bytes, depth) => {
    const raw = scalars(bytes).raw[1];
    if (raw === undefined || raw.length === 0) return undefined;
    return isKubernetesProtobuf(raw) ? (decodeUnknown(raw, depth + 1) as unknown as Json) : parseJson(raw);
  },
};

function decodeValue(type: string, reader: WireReader, wire: number, depth: number): Json | undefined {
  const varint = VARINTS[type];
  if (varint !== undefined && wire === VARINT) return varint(reader);
  if (type === 'double' && wire === FIXED64) return reader.double();
  if (type === 'float' && wire === FIXED32) return reader.float();
  const bytes = expectBytes(reader, wire);
  const special = SPECIALS[type];
  if (special !== undefined) return special(bytes, depth);
  const message = messageType(type);
  if (message === undefined) throw new ProtobufError(`no type ${type}`);
  return decodeMessage(message, bytes, depth);
}

interface Scalars {
  ints: Record<number, number>;
  strings: Record<number, string>;
  raw: Record<number, Buffer>;
}

/** The fields of a small message by number. */
function scalars(bytes: Buffer): Scalars {
  const result: Scalars = { ints: {}, strings: {}, raw: {} };
  const reader = new WireReader(bytes);
  while (!reader.done) {
    const [number, wire] = reader.key();
    if (wire === VARINT) result.ints[number] = reader.int();
    else if (wire === BYTES) {
      const value = reader.bytes();
      result.raw[number] = value;
      result.strings[number] = value.toString('utf8');
    } else reader.skip(wire);
  }
  return result;
}

/** RFC 3339 in UTC; an empty message is Go's zero time, which is no value. */
function timeText(bytes: Buffer, digits: 0 | 6): string | undefined {
  if (bytes.length === 0) return undefined;
  const { ints } = scalars(bytes);
  const date = new Date((ints[1] ?? 0) * 1000);
  if (Number.isNaN(date.getTime())) throw new ProtobufError('time out of range');
  const seconds = date.toISOString().slice(0, 19);
  if (digits === 0) return `${seconds}Z`;
  return `${seconds}.${String(Math.trunc((ints[2] ?? 0) / 1000)).padStart(6, '0')}Z`;
}

/** Nanoseconds as Go's `time.Duration.String` shows them: `1h2m3.5s`, `150ms`. */
function goDuration(nanoseconds: number): string {
  const sign = nanoseconds < 0 ? '-' : '';
  const n = Math.abs(nanoseconds);
  if (n === 0) return '0s';
  if (n < 1e3) return `${sign}${n}ns`;
  if (n < 1e6) return `${sign}${n / 1e3}µs`;
  if (n < 1e9) return `${sign}${n / 1e6}ms`;
  const hours = Math.floor(n / 3.6e12);
  const minutes = Math.floor((n % 3.6e12) / 6e10);
  const seconds = `${(n % 6e10) / 1e9}s`;
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${sign}${minutes}m${seconds}` : `${sign}${seconds}`;
}

function parseJson(bytes: Buffer): Json {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new ProtobufError(`invalid JSON in a protobuf message: ${(error as Error).message}`);
  }
}
