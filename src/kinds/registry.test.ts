import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtinRegistry } from './registry.ts';

const registry = builtinRegistry();

test('finds by path and by kind', () => {
  assert.equal(registry.find('', 'v1', 'pods')?.kind, 'Pod');
  assert.equal(registry.byKind('serving.knative.dev', 'v1', 'Service')?.plural, 'services');
  assert.equal(registry.find('', 'v2', 'pods'), undefined);
});

test('no two resources claim the same path, kind or, within a group, name', () => {
  const unique = (names: string[]) => assert.equal(new Set(names).size, names.length, names.join(' '));
  unique(registry.all.map((r) => `${r.group}/${r.version}/${r.plural}`));
  unique(registry.all.map((r) => `${r.group}/${r.version}/${r.kind}`));
  const short = registry.all.filter((r) => r.group !== 'events.k8s.io').flatMap((r) => r.shortNames);
  unique(short);
});

test('every create is checked for its name, by the rule of its kind', () => {
  for (const resource of registry.all) {
    const object = {
      apiVersion: resource.group === '' ? resource.version : `${resource.group}/${resource.version}`,
      kind: resource.kind,
      metadata: { name: 'Not-A-Name', ...(resource.namespaced ? { namespace: 'default' } : {}) },
    };
    const errors = resource.strategy.validate?.(object) ?? [];
    assert.ok(
      errors.some(
        (e) => e.field === 'metadata.name' && e.message.startsWith('Invalid value: "Not-A-Name": '),
      ),
      resource.kind,
    );
  }
});

test('metadata that identifies an object cannot change', () => {
  const pods = registry.find('', 'v1', 'pods')!;
  const old = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'a', namespace: 'default', uid: '1', finalizers: ['a.b/c'] },
  };
  const errors =
    pods.strategy.validateUpdate?.({ ...old, metadata: { ...old.metadata, uid: '2' } }, old) ?? [];
  assert.deepEqual(
    errors.filter((e) => e.field.startsWith('metadata')),
    [
      {
        field: 'metadata.uid',
        reason: 'FieldValueInvalid',
        message: 'Invalid value: "2": field is immutable',
      },
    ],
  );
});
