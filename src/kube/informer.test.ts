import assert from 'node:assert/strict';
import test from 'node:test';
import { simulatedClock } from '../base/clock.ts';
import { silentLogger } from '../base/log.ts';
import type { ConfigMap } from '../kinds/pod.ts';
import { createInformer, type InformerOptions } from './informer.ts';
import { CONFIGMAPS } from './refs.ts';
import { createClient } from './rest.ts';
import { createFakeApi } from './testing.ts';

const map = (
  name: string,
  extra: Partial<ConfigMap['metadata']> = {},
  data: Record<string, string> = {},
): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', ...extra },
  data,
});

function setUp(options: Partial<InformerOptions<ConfigMap>> = {}) {
  const api = createFakeApi();
  const client = createClient(api);
  const clock = simulatedClock();
  const informer = createInformer<ConfigMap>({
    client,
    resource: CONFIGMAPS,
    log: silentLogger,
    clock,
    random: () => 0.5,
    freeze: true,
    ...options,
  });
  const seen: string[] = [];
  informer.addHandler({
    add: (object) => seen.push(`add ${object.metadata.name}`),
    update: (object, old) => seen.push(`update ${object.metadata.name} ${old.data?.x}→${object.data?.x}`),
    delete: (object) => seen.push(`delete ${object.metadata.name} ${object.data?.x}`),
  });
  const until = async (text: string) => {
    for (let step = 0; step < 1000 && !seen.includes(text); step++) await clock.advance(1000);
    assert.ok(seen.includes(text), `${text} is not among ${seen.join(', ')}`);
  };
  return { api, client, clock, informer, seen, until };
}

test('lists, then follows; reads are by name, namespace, owner and own index', async (t) => {
  const { client, informer, seen, until } = setUp({
    indexes: { x: (object) => (object.data?.x ? [object.data.x] : []) },
  });
  const owner = { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u1' };
  await client.create(CONFIGMAPS, map('a', { ownerReferences: [owner] }, { x: '1' }));
  assert.equal(informer.hasSynced, false);
  informer.start();
  t.after(() => informer.stop());
  await informer.synced;
  assert.deepEqual(seen, ['add a']);
  await client.patch(CONFIGMAPS, 'default', 'a', 'merge', { data: { x: '2' } });
  await until('update a 1→2');
  assert.deepEqual(informer.byIndex('x', '1'), []);
  assert.equal(informer.byIndex('x', '2')[0]?.metadata.name, 'a');
  assert.equal(informer.byIndex('owner', 'u1').length, 1);
  assert.equal(informer.byIndex('namespace', 'default').length, 1);
  assert.throws(() => {
    informer.get('default', 'a')!.metadata.name = 'changed';
  }, TypeError);
  await client.delete(CONFIGMAPS, 'default', 'a');
  await until('delete a 2');
  assert.equal(informer.get('default', 'a'), undefined);
  assert.deepEqual(informer.byIndex('owner', 'u1'), []);
});

test('a handler that is added late is told what exists', async (t) => {
  const { client, informer } = setUp();
  await client.create(CONFIGMAPS, map('a'));
  informer.start();
  t.after(() => informer.stop());
  await informer.synced;
  const late: string[] = [];
  informer.addHandler({ add: (object) => late.push(object.metadata.name) });
  assert.deepEqual(late, ['a']);
});

test('goes on after the server ended the watch, from where it was', async (t) => {
  const { api, client, informer, seen, until } = setUp();
  informer.start();
  t.after(() => informer.stop());
  await informer.synced;
  await client.create(CONFIGMAPS, map('a'));
  await until('add a');
  let lists = 0;
  api.fail = (request) => {
    if (request.method === 'GET' && !request.path.includes('watch=')) lists++;
    return undefined;
  };
  api.endWatches();
  await client.create(CONFIGMAPS, map('b'));
  await until('add b');
  assert.equal(lists, 0);
  assert.deepEqual(seen, ['add a', 'add b']);
});

test('after 410 it lists again and reports what it missed, recreated objects as delete and add', async (t) => {
  const { api, client, informer, seen, until } = setUp();
  await client.create(CONFIGMAPS, map('gone', {}, { x: '1' }));
  await client.create(CONFIGMAPS, map('same', {}, { x: '1' }));
  await client.create(CONFIGMAPS, map('reborn', {}, { x: '1' }));
  informer.start();
  t.after(() => informer.stop());
  await informer.synced;
  seen.length = 0;
  api.fail = (request) => (request.path.includes('watch=') ? 500 : undefined);
  api.endWatches();
  await client.delete(CONFIGMAPS, 'default', 'gone');
  await client.delete(CONFIGMAPS, 'default', 'reborn');
  await client.create(CONFIGMAPS, map('reborn', {}, { x: '2' }));
  api.compact();
  api.fail = undefined;
  await until('add reborn');
  assert.deepEqual(seen.toSorted(), ['add reborn', 'delete gone 1', 'delete reborn 1']);
  assert.equal(informer.list().length, 2);
});

test('waits longer with every failure, with jitter, and recovers', async (t) => {
  const { api, client, clock, informer } = setUp();
  const attempts: number[] = [];
  api.fail = () => {
    attempts.push(clock.now());
    return 503;
  };
  await client.create(CONFIGMAPS, map('a')).catch(() => {});
  attempts.length = 0;
  informer.start();
  t.after(() => informer.stop());
  await clock.advance(3_000);
  const waits = attempts.slice(1).map((at, index) => at - attempts[index]!);
  assert.deepEqual(waits.slice(0, 4), [75, 150, 300, 600]);
  api.fail = undefined;
  await clock.advance(60_000);
  await informer.synced;
});

test('a failing handler does not keep others from being called', async (t) => {
  const { client, informer, until } = setUp();
  informer.addHandler({
    add() {
      throw new Error('broken');
    },
  });
  const seen: string[] = [];
  informer.addHandler({ add: (object) => seen.push(object.metadata.name) });
  informer.start();
  t.after(() => informer.stop());
  await informer.synced;
  await client.create(CONFIGMAPS, map('a'));
  await until('add a');
  assert.deepEqual(seen, ['a']);
});
