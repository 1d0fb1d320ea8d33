import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PetrelError } from '../../base/errors.ts';
import type { FunctionSpec } from '../../kinds/function.ts';
import { SECRETS } from '../../kube/refs.ts';
import { createClient } from '../../kube/rest.ts';
import { createFakeApi } from '../../kube/testing.ts';
import { checkReferences, references } from './references.ts';

const SPEC: FunctionSpec = {
  runtime: 'node',
  package: { digest: 'sha256:1' },
  env: [
    { name: 'A', value: '1' },
    { name: 'B', valueFrom: { secretKeyRef: { name: 'one', key: 'k' } } },
    { name: 'C', valueFrom: { configMapKeyRef: { name: 'two', key: 'k', optional: true } } },
  ],
  envFrom: [
    { secretRef: { name: 'one' } },
    { configMapRef: { name: 'three' } },
    { secretRef: { name: 'x', optional: true } },
  ],
  volumes: [
    { name: 'a', secret: { secretName: 'four' } },
    { name: 'b', configMap: { name: 'three' } },
    { name: 'c', emptyDir: {} },
  ],
};

test('everything named counts once, what is optional does not', () => {
  const named = references(SPEC).map(({ resource, name }) => `${resource.plural}/${name}`);
  assert.deepEqual(named.sort(), ['configmaps/three', 'secrets/four', 'secrets/one']);
});

test('so do the Secrets that say who may call', () => {
  const spec: FunctionSpec = {
    ...SPEC,
    access: {
      auth: { apiKey: { secret: 'keys' }, jwt: { jwksUrl: 'https://id.test/' }, hmac: { secret: 'one' } },
    },
  };
  const named = references(spec).map(({ name, need }) => `${name}: ${need}`);
  assert.ok(named.includes('keys: nobody is let in without it'), named.join('\n'));
  assert.ok(named.includes('one: no instance can start without it'), named.join('\n'));
  assert.equal(named.length, 4);
});

test('what is missing is named with the way to make it', async () => {
  const client = createClient(createFakeApi());
  const spec: FunctionSpec = {
    runtime: 'node',
    package: { digest: 'sha256:1' },
    envFrom: [{ secretRef: { name: 'db' } }],
  };
  await assert.rejects(
    checkReferences(client, 'default', spec),
    (error) =>
      error instanceof PetrelError &&
      error.code === 'NotFound' &&
      /"db"/.test(error.message) &&
      /create secret generic db/.test(error.fix),
  );
  await client.create(SECRETS, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'db', namespace: 'default' },
  });
  await checkReferences(client, 'default', spec);
});
