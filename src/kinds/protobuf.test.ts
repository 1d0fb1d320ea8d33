import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Json } from './object.ts';
import { decodeKubernetesProtobuf, ProtobufError } from './protobuf.ts';

interface Vector {
  name: string;
  protobuf: string;
  object: Json;
}
const vectors: Vector[] = JSON.parse(
  readFileSync(new URL('fixtures/protobuf-vectors.json', import.meta.url), 'utf8'),
);

/** Go writes null for empty lists and zero times that are not omitempty; we leave them out. */
function withoutNulls(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, v]) => (v === null ? [] : [[key, withoutNulls(v)]])),
  );
}

for (const { name, protobuf, object } of vectors) {
  test(`decodes ${name} as Go's JSON has it`, () => {
    assert.deepEqual(decodeKubernetesProtobuf(Buffer.from(protobuf, 'base64')), withoutNulls(object));
  });
}

test('a pointed-to zero is kept: replicas: 0', () => {
  // k8s\0, TypeMeta{apps/v1, Deployment}, raw{spec{replicas: 0}}
  const raw = Buffer.from([0x12, 0x02, 0x08, 0x00]);
  const typeMeta = Buffer.concat([
    Buffer.from([0x0a, 0x07]),
    Buffer.from('apps/v1'),
    Buffer.from([0x12, 0x0a]),
    Buffer.from('Deployment'),
  ]);
  const body = Buffer.concat([
    Buffer.from('k8s\0'),
    Buffer.from([0x0a, typeMeta.length]),
    typeMeta,
    Buffer.from([0x12, raw.length]),
    raw,
  ]);
  assert.deepEqual(decodeKubernetesProtobuf(body), {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    spec: { replicas: 0 },
  });
});

test('malformed bytes end in a ProtobufError, never in another failure', () => {
  const pod = Buffer.from(vectors.find((v) => v.name === 'v1 Pod, every field')?.protobuf ?? '', 'base64');
  assert.throws(() => decodeKubernetesProtobuf(Buffer.from('{}')), ProtobufError);
  let refused = 0;
  for (let length = 0; length < pod.length; length += 61) {
    try {
      decodeKubernetesProtobuf(pod.subarray(0, length));
    } catch (error) {
      assert.ok(error instanceof ProtobufError, `cut at ${length}: ${error}`);
      refused++;
    }
  }
  assert.ok(refused > pod.length / 61 - 3);
  for (let at = 4; at < pod.length; at += 29) {
    const damaged = Buffer.from(pod);
    damaged[at] = (damaged[at] ?? 0) ^ 0xff;
    try {
      decodeKubernetesProtobuf(damaged);
    } catch (error) {
      assert.ok(error instanceof ProtobufError, `byte ${at}: ${error}`);
    }
  }
});

test('keys of maps may be any string', () => {
  const configMap = vectors.find((v) => v.name === 'v1 ConfigMap, every field');
  const bytes = Buffer.from(configMap?.protobuf ?? '', 'base64');
  assert.equal(Object.getPrototypeOf(decodeKubernetesProtobuf(bytes).data), Object.prototype);
});

test('a kind that has no protobuf form is refused by name', () => {
  const typeMeta = Buffer.concat([
    Buffer.from([0x0a, 2]),
    Buffer.from('v1'),
    Buffer.from([0x12, 4]),
    Buffer.from('Nope'),
  ]);
  const body = Buffer.concat([Buffer.from('k8s\0'), Buffer.from([0x0a, typeMeta.length]), typeMeta]);
  assert.throws(() => decodeKubernetesProtobuf(body), /no kind "Nope" is registered for version "v1"/);
});
