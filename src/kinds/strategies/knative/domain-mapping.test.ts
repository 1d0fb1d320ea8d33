import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UntypedObject } from '../../object.ts';
import { builtinRegistry } from '../../registry.ts';
import { context, PREFIX } from './testing.ts';

const { strategy } = builtinRegistry().find('serving.knative.dev', 'v1beta1', 'domainmappings')!;
const mapping = (ref: object, metadata: object = {}): UntypedObject => ({
  apiVersion: 'serving.knative.dev/v1beta1',
  kind: 'DomainMapping',
  metadata: { name: 'hello.example.com', namespace: 'default', ...metadata },
  spec: { ref: structuredClone(ref) },
});
function denied(object: UntypedObject, old?: UntypedObject, user?: string): string {
  strategy.setDefaults?.(object, old, { ...context, user });
  return (strategy.deny?.(object, old, context) ?? '').slice(PREFIX.length);
}

test('a reference is completed: the namespace always, the rest where it is clear', () => {
  const refs: [object, object][] = [
    [{ name: 's' }, { name: 's', kind: 'Service', apiVersion: 'serving.knative.dev/v1' }],
    [
      { name: 'f', kind: 'Function' },
      { name: 'f', kind: 'Function', apiVersion: 'petrel.dev/v1' },
    ],
    [
      { name: 's', kind: 'Service', apiVersion: 'v1' },
      { name: 's', kind: 'Service', apiVersion: 'v1' },
    ],
  ];
  for (const [given, expected] of refs) {
    const object = mapping(given);
    assert.equal(denied(object), '');
    assert.deepEqual(object.spec.ref, { ...expected, namespace: 'default' });
  }
});

const good = { name: 's', kind: 'Service', apiVersion: 'serving.knative.dev/v1' };
const about = (name: string, why: string) => `invalid name "${name}": ${why}: metadata.name`;
const wrong: [string, UntypedObject, string][] = [
  [
    'one segment',
    mapping(good, { name: 'invalid' }),
    about(
      'invalid',
      'name: Invalid value: "invalid": should be a domain with at least two segments separated by dots',
    ),
  ],
  [
    'generated name',
    mapping(good, { name: 'a.b', generateName: 'a.' }),
    'must not set the field(s): metadata.generateName',
  ],
  [
    'long segment',
    mapping(good, { name: `${'x'.repeat(64)}.com` }),
    about(
      `${'x'.repeat(64)}.com`,
      `name: Invalid value: "${'x'.repeat(64)}": must be no more than 63 characters`,
    ),
  ],
  [
    'inside the cluster',
    mapping(good, { name: 'notallowed.svc.cluster.local' }),
    about('notallowed.svc.cluster.local', 'must not be a subdomain of cluster local domain "cluster.local"'),
  ],
  [
    'another namespace',
    mapping({ ...good, namespace: 'bar' }),
    'mismatched namespaces: spec.ref.namespace\nparent namespace: "default" does not match ref: "bar"',
  ],
  ['no kind', mapping({ ...good, kind: '' }), 'missing field(s): spec.ref.kind'],
  ['no version', mapping({ name: 's', kind: 'Broker' }), 'missing field(s): spec.ref.apiVersion'],
  ['no name', mapping({ ...good, name: '' }), 'missing field(s): spec.ref.name'],
  [
    'group',
    mapping({ name: 's', kind: 'Service', group: 'g' }),
    'missing field(s): spec.ref.apiVersion\nmust not set the field(s): spec.ref.group',
  ],
];
for (const [what, object, expected] of wrong) {
  test(`DomainMapping refused: ${what}`, () => assert.equal(denied(object), expected));
}

test('who created and who changed', () => {
  const [creator, modifier] = ['serving.knative.dev/creator', 'serving.knative.dev/lastModifier'];
  const old = mapping(good);
  denied(old, undefined, 'ann');
  assert.deepEqual(old.metadata.annotations, { [creator]: 'ann', [modifier]: 'ann' });
  const edited = (annotations: object) =>
    mapping(good, { annotations: { ...old.metadata.annotations, ...annotations } });
  assert.equal(
    denied(edited({ [creator]: 'eve' }), old, 'eve'),
    `annotation value is immutable: metadata.annotations.${creator}`,
  );
  assert.equal(
    denied(edited({ [modifier]: 'eve' }), old, 'eve'),
    `invalid value: eve: metadata.annotations.${modifier}`,
  );
  const moved = mapping({ ...good, name: 'other' }, { annotations: old.metadata.annotations });
  assert.equal(denied(moved, old, 'bob'), '');
  assert.equal(moved.metadata.annotations?.[modifier], 'bob');
});
