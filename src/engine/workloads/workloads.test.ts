import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { silentLogger } from '../../base/log.ts';
import { builtinRegistry } from '../../kinds/registry.ts';
import { createClient } from '../../kube/rest.ts';
import { inProcessTransport } from '../apiserver/in-process.ts';
import { ADMIN, createTestApi } from '../apiserver/testing.ts';
import { createGarbageCollector } from './garbage-collector.ts';
import { createNamespaceController } from './namespace-controller.ts';

const CM = '/api/v1/namespaces/default/configmaps';

async function engine(t: TestContext, begin: 'now' | 'later' = 'now') {
  const api = await createTestApi();
  const client = createClient(inProcessTransport(api.server, ADMIN));
  const options = { store: api.store, registry: builtinRegistry(), client, log: silentLogger };
  const controllers = [createGarbageCollector(options), createNamespaceController(options)];
  const start = () => Promise.all(controllers.map((c) => c.start()));
  t.after(async () => {
    for (const controller of controllers) await controller.stop();
    await api.close();
  });
  if (begin === 'now') await start();
  const create = async (
    name: string,
    owners: { name: string; uid: string; blocks?: boolean }[] = [],
    extra = {},
  ) =>
    (
      await api.call('POST', CM, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          name,
          ...extra,
          ownerReferences: owners.map((o) => ({
            apiVersion: 'v1',
            kind: 'ConfigMap',
            name: o.name,
            uid: o.uid,
            blockOwnerDeletion: o.blocks,
          })),
        },
      })
    ).body.metadata as { name: string; uid: string };
  const exists = async (path: string) => (await api.call('GET', path)).code === 200;
  /** Resolves when the condition holds after some commit; the test's own time-out is the limit. */
  const until = async (condition: () => Promise<boolean> | boolean) => {
    while (!(await condition())) {
      await new Promise<void>((resolve) => {
        const poll = setTimeout(done, 20);
        const stop = api.store.onCommit(done);
        function done() {
          clearTimeout(poll);
          stop();
          resolve();
        }
      });
    }
  };
  return { api, create, exists, until, start };
}

test('what an object owns goes with it, through all generations; what others own too stays without the reference', async (t) => {
  const { api, create, exists, until } = await engine(t);
  const owner = await create('owner');
  const other = await create('other');
  const child = await create('child', [owner]);
  await create('grandchild', [child]);
  await create('shared', [owner, other]);
  await api.call('DELETE', `${CM}/owner`, { propagationPolicy: 'Background' });
  await until(async () => !(await exists(`${CM}/grandchild`)));
  assert.equal(await exists(`${CM}/child`), false);
  await until(async () => (await api.call('GET', `${CM}/shared`)).body.metadata.ownerReferences.length === 1);
  assert.equal((await api.call('GET', `${CM}/shared`)).body.metadata.ownerReferences[0].uid, other.uid);
});

test('an object whose owner never existed, or has another uid, goes', async (t) => {
  const { create, exists, until } = await engine(t);
  const owner = await create('owner');
  await create('lost', [{ name: 'owner', uid: 'of-an-earlier-one' }]);
  await create('kept', [owner]);
  await until(async () => !(await exists(`${CM}/lost`)));
  assert.ok(await exists(`${CM}/kept`));
});

test('foreground deletion waits for dependents that block it', async (t) => {
  const { api, create, exists, until } = await engine(t);
  const owner = await create('owner');
  await create('child', [{ ...owner, blocks: true }], { finalizers: ['example.com/hold'] });
  const dying = await api.call('DELETE', `${CM}/owner`, { propagationPolicy: 'Foreground' });
  assert.deepEqual(dying.body.metadata.finalizers, ['foregroundDeletion']);
  await until(
    async () => (await api.call('GET', `${CM}/child`)).body.metadata.deletionTimestamp !== undefined,
  );
  assert.ok(await exists(`${CM}/owner`));
  await api.call(
    'PATCH',
    `${CM}/child`,
    { metadata: { finalizers: null } },
    { 'content-type': 'application/merge-patch+json' },
  );
  await until(async () => !(await exists(`${CM}/owner`)));
  assert.equal(await exists(`${CM}/child`), false);
});

test('orphaning leaves the dependents behind without the reference', async (t) => {
  const { api, create, exists, until } = await engine(t);
  const owner = await create('owner');
  await create('child', [owner]);
  await api.call('DELETE', `${CM}/owner`, { propagationPolicy: 'Orphan' });
  await until(async () => !(await exists(`${CM}/owner`)));
  const child = (await api.call('GET', `${CM}/child`)).body;
  assert.deepEqual(child.metadata.ownerReferences ?? [], []);
});

test('what lost its owner while no collector ran is found at the next start', async (t) => {
  const { api, create, exists, until, start } = await engine(t, 'later');
  const owner = await create('owner');
  await create('child', [owner]);
  await api.call('DELETE', `${CM}/owner`);
  assert.ok(await exists(`${CM}/child`));
  await start();
  await until(async () => !(await exists(`${CM}/child`)));
});

test('a namespace takes everything in it along, and waits for what is held', async (t) => {
  const { api, exists, until } = await engine(t);
  const ns = '/api/v1/namespaces/team';
  await api.call('POST', '/api/v1/namespaces', { metadata: { name: 'team' } });
  await api.call('POST', `${ns}/configmaps`, { metadata: { name: 'free' } });
  await api.call('POST', `${ns}/secrets`, { metadata: { name: 'held', finalizers: ['example.com/hold'] } });
  const dying = await api.call('DELETE', ns);
  assert.equal(dying.body.status.phase, 'Terminating');
  await until(async () => !(await exists(`${ns}/configmaps/free`)));
  const refused = await api.call('POST', `${ns}/configmaps`, { metadata: { name: 'late' } });
  assert.equal(refused.code, 403);
  assert.equal(refused.body.details.causes[0].reason, 'NamespaceTerminating');
  await until(
    async () => (await api.call('GET', `${ns}/secrets/held`)).body.metadata.deletionTimestamp !== undefined,
  );
  assert.ok(await exists(ns));
  await api.call(
    'PATCH',
    `${ns}/secrets/held`,
    { metadata: { finalizers: null } },
    { 'content-type': 'application/merge-patch+json' },
  );
  await until(async () => !(await exists(ns)));
  assert.equal((await api.call('DELETE', '/api/v1/namespaces/kube-system')).code, 403);
});
