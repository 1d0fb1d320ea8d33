/** Instances come with requests, go when there are none, and a new version takes over without a failed request. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FUNCTION_LABELS } from '../../src/kinds/function.ts';
import type { Pod } from '../../src/kinds/pod.ts';
import type { Service } from '../../src/kinds/serving.ts';
import { KSERVICES, PODS } from '../../src/kube/refs.ts';
import { type Answer, call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;
let api: Awaited<ReturnType<Petrel['api']>>;

before(async () => {
  platform = await petrel.up();
  api = await petrel.api();
});
after(async () => {
  api?.close();
  await petrel.stop();
  scratch.dispose();
});

const instances = async (name: string) => {
  const { items } = await api.list<Pod>(PODS, {
    namespace: 'default',
    labelSelector: `${FUNCTION_LABELS.function}=${name}`,
  });
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
};
const ask = (name: string, path = '/') => call(platform.gateway, `/fn/default/${name}${path}`);

test('to zero and back, twice', async () => {
  scratch.write({
    'idle.mjs': 'export default { fetch: () => new Response(`${process.pid} ${Math.random()}`) };',
  });
  // The shortest window Knative allows, so that the test need not wait a minute.
  await api.create<Service>(KSERVICES, await short('idle'));
  await eventually('the route', async () => (await ask('idle')).status === 200);
  for (let round = 0; round < 2; round++) {
    assert.equal((await ask('idle')).status, 200);
    await eventually('one instance', async () => (await instances('idle')).length === 1);
    await eventually('no instance', async () => (await instances('idle')).length === 0, 60_000);
  }
  assert.equal((await ask('idle')).status, 200);
});

/** A Service like the one a Function makes, with the annotations that shorten its window. */
async function short(name: string): Promise<Service> {
  await petrel.deploy(scratch.path(`${name}.mjs`), '--name', `${name}-source`);
  const made = await api.get<Service>(KSERVICES, 'default', `${name}-source`);
  const { annotations, labels } = made.spec.template.metadata ?? {};
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: {
      template: {
        ...made.spec.template,
        metadata: {
          labels: { ...labels, [FUNCTION_LABELS.function]: name },
          annotations: {
            ...annotations,
            'autoscaling.knative.dev/window': '6s',
            'autoscaling.knative.dev/scale-to-zero-pod-retention-period': '0s',
          },
        },
      },
    },
  };
}

test('a burst gets the instances that its concurrency asks for, and no more than max', async () => {
  scratch.write({
    'busy.mjs':
      'export default async () => { await new Promise((resolve) => setTimeout(resolve, 300)); return new Response(String(process.env.K_REVISION)); };',
  });
  await petrel.deploy(scratch.path('busy.mjs'), '-c', '2', '--max', '3');
  const answers = await Promise.all(Array.from({ length: 12 }, () => ask('busy')));
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  const seen = (await instances('busy')).length;
  assert.ok(seen >= 1 && seen <= 3, `${seen} instances`);
});

test('a new version takes over under load without a failed request', async () => {
  const version = (n: number) =>
    scratch.write({
      'roll.mjs': `export default async () => { await new Promise((resolve) => setTimeout(resolve, 5)); return new Response('v${n}'); };`,
    });
  version(1);
  await petrel.deploy(scratch.path('roll.mjs'));
  const bad: Answer[] = [];
  const seen = new Set<string>();
  let running = true;
  const load = Array.from({ length: 4 }, async () => {
    while (running) {
      const answer = await ask('roll');
      seen.add(answer.body);
      if (answer.status !== 200) bad.push(answer);
    }
  });
  for (let n = 2; n <= 4; n++) {
    version(n);
    await petrel.deploy(scratch.path('roll.mjs'));
    await eventually(`version ${n}`, async () => (await ask('roll')).body === `v${n}`);
  }
  running = false;
  await Promise.all(load);
  assert.deepEqual(bad, []);
  assert.ok(seen.has('v1') && seen.has('v4'));
});

test('min keeps instances; deleting the function ends them', async () => {
  scratch.write({ 'kept.mjs': 'export default { fetch: () => new Response("kept") };' });
  await petrel.deploy(scratch.path('kept.mjs'), '--min', '2');
  await eventually('two instances', async () => (await instances('kept')).length === 2);
  await petrel.json(['delete', 'kept']);
  await eventually('no instance', async () => (await instances('kept')).length === 0);
});
