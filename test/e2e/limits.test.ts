/** What keeps a revision from having a Pod is told in its conditions, and passes: a quota that is used up, a node that takes no more. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { conditionOf } from '../../src/kinds/conditions.ts';
import type { Condition, KubeObject } from '../../src/kinds/object.ts';
import { KSERVICES, NAMESPACES, NODES, RESOURCE_QUOTAS, REVISIONS } from '../../src/kube/refs.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

interface Quota extends KubeObject {
  spec: { hard: Record<string, string> };
  status?: { used?: Record<string, string> };
}

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;
let api: Awaited<ReturnType<Petrel['api']>>;

before(async () => {
  platform = await petrel.up();
  api = await petrel.api();
  await api.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'small' } });
});
after(async () => {
  api?.close();
  await petrel.stop();
  scratch.dispose();
});

const SERVER =
  "require('node:http').createServer((q, r) => r.end('hello')).listen(process.env.PORT, '127.0.0.1')";
const deploy = (name: string, namespace: string) =>
  api.create<KubeObject>(KSERVICES, {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: {
      template: {
        spec: {
          containers: [{ image: 'petrel.dev/host', command: [process.execPath, '-e'], args: [SERVER] }],
        },
      },
    },
  } as KubeObject);
const resourcesAvailable = async (name: string, namespace: string): Promise<Condition | undefined> =>
  conditionOf(await api.get(REVISIONS, namespace, `${name}-00001`), 'ResourcesAvailable');
const isReady = async (name: string, namespace: string) =>
  conditionOf(await api.get(KSERVICES, namespace, name), 'Ready')?.status === 'True';

test('a Pod that a quota refuses: the revision says so in its words, and starts when there is room', async () => {
  await api.create<Quota>(RESOURCE_QUOTAS, {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'none', namespace: 'small' },
    spec: { hard: { pods: '0' } },
  });
  await deploy('tight', 'small');
  const refused = await eventually('the refusal is told', async () => {
    const condition = await resourcesAvailable('tight', 'small');
    return condition?.status === 'False' && condition;
  });
  assert.equal(refused.reason, 'FailedCreate');
  assert.match(
    refused.message ?? '',
    /^pods "tight-00001-\S+" is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0$/,
  );
  assert.match((await petrel.run(['list', '-n', 'small'])).stdout, /tight .*False/);
  await api.patch(RESOURCE_QUOTAS, 'small', 'none', 'merge', { spec: { hard: { pods: '1' } } });
  await eventually('it starts', () => isReady('tight', 'small'), 60_000);
  assert.equal((await call(platform.gateway, '/', { host: 'tight.small.localhost' })).body, 'hello');
  await eventually('the use is told', async () => {
    const { status } = await api.get<Quota>(RESOURCE_QUOTAS, 'small', 'none');
    return status?.used?.pods === '1';
  });
});

test('a function whose instances a quota refuses says so too, and starts when there is room', async () => {
  scratch.write({ 'hi.mjs': "export default () => new Response('hi');" });
  await petrel.run(['deploy', scratch.path('hi.mjs'), '-n', 'small', '--no-wait']);
  const refused = await eventually('the refusal is told', async () => {
    const condition = await resourcesAvailable('hi', 'small');
    return condition?.status === 'False' && condition;
  });
  assert.equal(refused.reason, 'FailedCreate');
  assert.match(refused.message ?? '', /is forbidden: exceeded quota: none, requested: pods=1, used: pods=1,/);
  await api.patch(RESOURCE_QUOTAS, 'small', 'none', 'merge', { spec: { hard: { pods: '9' } } });
  await eventually('it starts', () => isReady('hi', 'small'), 60_000);
});

test('a Pod that no node takes: the revision says what the scheduler says, and starts when one does', async () => {
  const [node] = (await api.list<KubeObject>(NODES)).items;
  const cordon = (unschedulable: boolean) =>
    api.patch(NODES, undefined, node?.metadata.name ?? '', 'merge', { spec: { unschedulable } });
  await cordon(true);
  await deploy('nowhere', 'default');
  const refused = await eventually('it is told', async () => {
    const condition = await resourcesAvailable('nowhere', 'default');
    return condition?.status === 'False' && condition;
  });
  assert.equal(refused.reason, 'Unschedulable');
  assert.match(refused.message ?? '', /^0\/1 nodes are available: 1 node\(s\) were unschedulable/);
  await cordon(false);
  await eventually('it starts', () => isReady('nowhere', 'default'), 60_000);
});
