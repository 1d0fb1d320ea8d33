/** The messages of KEDA's `externalscaler.ExternalScaler` in protobuf. Pure. Source: kedacore/keda `pkg/scalers/externalscaler/externalscaler.proto`. */
import { BYTES, ProtobufError, WireReader } from '../../kinds/wire.ts';

/** What is to be scaled, and by what. */
export interface ScaledObjectRef {
  name: string;
  namespace: string;
  /** The trigger's `metadata`, without what names the scaler itself. */
  metadata: Map<string, string>;
}

function textOf(reader: WireReader, wire: number): string {
  if (wire !== BYTES) throw new ProtobufError(`wrong wireType = ${wire}`);
  return reader.bytes().toString('utf8');
}

/** @throws ProtobufError when the bytes are no such message. */
export function decodeScaledObjectRef(bytes: Uint8Array): ScaledObjectRef {
  const ref: ScaledObjectRef = { name: '', namespace: '', metadata: new Map() };
  const reader = new WireReader(bytes);
  while (!reader.done) {
    const [field, wire] = reader.key();
    if (field === 1) ref.name = textOf(reader, wire);
    else if (field === 2) ref.namespace = textOf(reader, wire);
    else if (field === 3 && wire === BYTES) {
      const [name, value] = decodeEntry(reader.bytes());
      ref.metadata.set(name, value);
    } else reader.skip(wire);
  }
  return ref;
}

function decodeEntry(bytes: Uint8Array): [name: string, value: string] {
  let name = '';
  let value = '';
  const reader = new WireReader(bytes);
  while (!reader.done) {
    const [field, wire] = reader.key();
    if (field === 1) name = textOf(reader, wire);
    else if (field === 2) value = textOf(reader, wire);
    else reader.skip(wire);
  }
  return [name, value];
}

/** @throws ProtobufError when the bytes are no such message. */
export function decodeMetricsRequest(bytes: Uint8Array): { ref: ScaledObjectRef; metricName: string } {
  let ref = decodeScaledObjectRef(new Uint8Array(0));
  let metricName = '';
  const reader = new WireReader(bytes);
  while (!reader.done) {
    const [field, wire] = reader.key();
    if (field === 1 && wire === BYTES) ref = decodeScaledObjectRef(reader.bytes());
    else if (field === 2) metricName = textOf(reader, wire);
    else reader.skip(wire);
  }
  return { ref, metricName };
}

/** `IsActiveResponse`. */
export function encodeActive(active: boolean): Buffer {
  return active ? Buffer.from([0x08, 0x01]) : Buffer.alloc(0);
}

/** `GetMetricSpecResponse` and `GetMetricsResponse` with one metric: both have a name, an integer and a double, by the same numbers. */
export function encodeMetric(name: string, value: number): Buffer {
  const double = Buffer.alloc(8);
  double.writeDoubleLE(value);
  const metric = Buffer.concat([
    lengthDelimited(1, Buffer.from(name)),
    Buffer.from([0x10]),
    varint(value),
    Buffer.from([0x19]),
    double,
  ]);
  return lengthDelimited(1, metric);
}

function lengthDelimited(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([varint(field * 8 + BYTES), varint(bytes.length), bytes]);
}

/** Of an integer from 0 to 2^53. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}
