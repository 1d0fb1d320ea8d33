/** Scaling that is edited while a Service runs, through the API: its own annotations, its traffic, and `config-autoscaler`. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Service } from '../../kinds/serving.ts';
import { CONFIGMAPS, KSERVICES, REVISIONS } from '../../kube/refs.ts';
import { service, setUp } from '../testing/platform.ts';

test('a Service says at once how many instances its revisions have together', async (t) => {
  const { client, gateway, source, start, settle, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  const annotate = async (annotations: Record<string, string | null>) => {
    await client.patch(KSERVICES, 'default', 'hello', 'merge', { metadata: { annotations } });
    await settle();
  };
  const ups = () => [1, 2].map((number) => gateway.ids(`default/hello-0000${number}`).length);
  await annotate({ 'autoscaling.petrel.dev/min-scale': '4' });
  assert.deepEqual(ups(), [4, 0]);
  const changed = await client.get<Service>(KSERVICES, 'default', 'hello');
  changed.spec.template.spec.containers[0]!.image = 'petrel.dev/runtime/python';
  changed.spec.traffic = [
    { revisionName: 'hello-00001', percent: 75 },
    { latestRevision: true, percent: 25 },
  ];
  await client.update(KSERVICES, changed);
  await settle();
  assert.deepEqual(ups(), [4, 1], 'fewer are enough for the first, but not at once');
  await settle(200_000);
  assert.deepEqual(ups(), [3, 1]);
  assert.equal(source.starts.get('default/hello-00002'), 1);
  await annotate({ 'autoscaling.petrel.dev/min-scale': null });
  await settle(200_000);
  assert.deepEqual(ups(), [0, 0]);
  const revisions = await client.list(REVISIONS, { namespace: 'default' });
  assert.equal(revisions.items.length, 2, 'no revision for the sake of scaling');
});

test('config-autoscaler holds as soon as it is written, and what makes no sense changes nothing', async (t) => {
  const { client, gateway, start, settle, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await settle();
  const write = async (data: Record<string, string>) => {
    const metadata = { name: 'config-autoscaler', namespace: 'knative-serving' };
    const known = await client.get(CONFIGMAPS, metadata.namespace, metadata.name).catch(() => undefined);
    const map = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      ...known,
      metadata: known?.metadata ?? metadata,
      data,
    };
    await (known ? client.update(CONFIGMAPS, map) : client.create(CONFIGMAPS, map));
    await settle();
  };
  const ups = () => gateway.ids('default/hello-00001').length;
  await write({ 'min-scale': '3' });
  assert.equal(ups(), 3);
  await write({ 'min-scale': 'many' });
  await settle(200_000);
  assert.equal(ups(), 3);
  await write({});
  await settle(200_000);
  assert.equal(ups(), 0);
});
