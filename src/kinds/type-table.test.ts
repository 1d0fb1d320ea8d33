import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { builtinRegistry } from './registry.ts';
import { isMessage, type MessageType, messageDocs, messageType } from './type-table.ts';

const field = (type: string, name: string) => messageType(type)?.json.get(name);

test('knows merge keys, list kinds and pointers', () => {
  const ports = field('io.k8s.api.core.v1.Container', 'ports');
  assert.equal(ports?.mergeKey, 'containerPort');
  assert.deepEqual(ports?.listKeys, ['containerPort', 'protocol']);
  assert.equal(field('io.k8s.api.apps.v1.DeploymentSpec', 'replicas')?.pointer, true);
  assert.deepEqual(field('io.k8s.api.apps.v1.DeploymentSpec', 'strategy')?.patchStrategy, ['retainKeys']);
  assert.deepEqual(field('io.k8s.api.core.v1.PodSpec', 'volumes')?.patchStrategy, ['merge', 'retainKeys']);
  assert.equal(messageType('io.k8s.api.core.v1.ObjectReference')?.atomic, true);
});

test('inlined fields stand in their parent, as in JSON', () => {
  assert.equal(
    field('io.k8s.api.core.v1.Volume', 'configMap')?.type,
    'io.k8s.api.core.v1.ConfigMapVolumeSource',
  );
  assert.equal(field('io.k8s.api.core.v1.Volume', 'volumeSource'), undefined);
  assert.equal(field('dev.knative.serving.v1.RevisionSpec', 'containers')?.mergeKey, 'name');
  assert.equal(field('dev.knative.serving.v1.RevisionSpec', 'timeoutSeconds')?.type, 'int64');
});

test('every type that a resource or another type refers to is in the table', () => {
  const seen = new Set<string>();
  const visit = (name: string, from: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    const message: MessageType | undefined = messageType(name);
    assert.ok(message, `${name}, used by ${from}`);
    for (const f of message.fields) if (isMessage(f.type)) visit(f.type, `${name}.${f.name}`);
  };
  for (const resource of builtinRegistry().all) visit(resource.type, resource.plural);
  for (const file of readdirSync(new URL('generated/', import.meta.url))) {
    if (file.endsWith('.docs.json')) continue;
    const pkg = file.slice(0, -'.json'.length);
    for (const kind of ['Pod', 'Deployment', 'Status', 'Scale', 'TokenRequest', 'Eviction']) {
      if (messageType(`${pkg}.${kind}`)) visit(`${pkg}.${kind}`, file);
    }
  }
  assert.ok(seen.size > 200);
});

test('a name that is no type is undefined, whatever it looks like', () => {
  for (const name of [
    'io.k8s.api.core.v1.Nothing',
    'io.k8s.api.core.v1.constructor',
    'nothing',
    '../../x.y',
    'io.k8s.x.v1.Y',
  ]) {
    assert.equal(messageType(name), undefined, name);
  }
});

test('descriptions are there for explain', () => {
  assert.match(messageDocs('io.k8s.api.core.v1.Pod')[''] ?? '', /^Pod is a collection of containers/);
  for (const name of [
    'Function',
    'FunctionSpec',
    'Bounds',
    'FunctionStatus',
    'Runtime',
    'RuntimeSpec',
    'RuntimeStatus',
  ]) {
    const described = Object.keys(messageDocs(`dev.petrel.v1.${name}`)).filter((key) => key !== '');
    const fields = messageType(`dev.petrel.v1.${name}`)!.fields.map((f) => f.name);
    assert.deepEqual(described.sort(), fields.sort(), name);
  }
});

test('descriptions of eventing stand at types and fields that there are', async () => {
  const { EVENTING_DOCS } = await import('./types-eventing-docs.ts');
  for (const [pkg, types] of Object.entries(EVENTING_DOCS)) {
    for (const [name, fields] of Object.entries(types)) {
      const type = messageType(`${pkg}.${name}`);
      // Two versions of a group share their descriptions; not each has every kind.
      if (type === undefined) {
        assert.match(pkg, /v1beta/, `${pkg}.${name}`);
        continue;
      }
      for (const field of Object.keys(fields))
        assert.ok(field === '' || type.json.has(field), `${pkg}.${name}.${field}`);
    }
  }
  assert.match(messageDocs('dev.knative.eventing.v1.Broker')[''] ?? '', /^Broker takes events/);
});
