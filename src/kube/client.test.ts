import assert from 'node:assert/strict';
import test from 'node:test';
import type { ConfigMap } from '../kinds/pod.ts';
import { KubeError } from './client.ts';
import { CONFIGMAPS } from './refs.ts';
import { createClient } from './rest.ts';
import { createFakeApi } from './testing.ts';
import type { KubeTransport } from './transport.ts';

const map = (name: string, data: Record<string, string> = {}): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
  data,
});

test('an object is created, read, patched, replaced and deleted', async () => {
  const client = createClient(createFakeApi());
  const created = await client.create(CONFIGMAPS, map('a', { x: '1' }));
  assert.ok(created.metadata.uid);
  const patched = await client.patch<ConfigMap>(CONFIGMAPS, 'default', 'a', 'merge', {
    data: { x: null, y: '2' },
  });
  assert.deepEqual(patched.data, { y: '2' });
  await assert.rejects(
    client.update(CONFIGMAPS, created),
    (error: KubeError) => error.code === 409 && error.reason === 'Conflict',
  );
  const replaced = await client.update(CONFIGMAPS, { ...patched, data: { z: '3' } });
  assert.deepEqual((await client.get<ConfigMap>(CONFIGMAPS, 'default', 'a')).data, { z: '3' });
  assert.notEqual(replaced.metadata.resourceVersion, patched.metadata.resourceVersion);
  await client.delete(CONFIGMAPS, 'default', 'a', { propagationPolicy: 'Background' });
  await assert.rejects(
    client.get(CONFIGMAPS, 'default', 'a'),
    (error) => error instanceof KubeError && error.code === 404 && error.status?.kind === 'Status',
  );
});

test('a watch yields what happened after the list', async () => {
  const client = createClient(createFakeApi());
  await client.create(CONFIGMAPS, map('a'));
  const list = await client.list(CONFIGMAPS, { namespace: 'default' });
  await client.create(CONFIGMAPS, map('b'));
  await client.delete(CONFIGMAPS, 'default', 'a');
  const seen: string[] = [];
  for await (const event of client.watch(CONFIGMAPS, { resourceVersion: list.resourceVersion })) {
    assert.ok(event.type !== 'ERROR');
    seen.push(`${event.type} ${event.object.metadata.name}`);
    if (seen.length === 2) break;
  }
  assert.deepEqual(seen, ['ADDED b', 'DELETED a']);
});

test('watch lines are put together from chunks cut anywhere, also inside a character', async () => {
  const events = ['é', 'b'].map((name) => ({ type: 'ADDED', object: map(name) }));
  const bytes = Buffer.from(`${events.map((event) => JSON.stringify(event)).join('\n')}\n`);
  const transport: KubeTransport = {
    request: async () => ({
      status: 200,
      headers: {},
      body: (async function* () {
        for (const byte of bytes) yield Uint8Array.of(byte);
      })(),
    }),
    close() {},
  };
  const seen: unknown[] = [];
  for await (const event of createClient(transport).watch(CONFIGMAPS, {})) seen.push(event);
  assert.deepEqual(seen, events);
});

test('an answer that is not a Status keeps its code and text', async () => {
  const transport: KubeTransport = {
    request: async () => ({
      status: 502,
      headers: {},
      body: (async function* () {
        yield Buffer.from('<html>bad gateway');
      })(),
    }),
    close() {},
  };
  await assert.rejects(createClient(transport).get(CONFIGMAPS, 'default', 'a'), {
    code: 502,
    message: /bad gateway/,
  });
});
