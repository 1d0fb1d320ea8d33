import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CODE_ANNOTATIONS, FUNCTION_LABELS } from '../../kinds/function.ts';
import { NODE_ANNOTATIONS } from '../../kinds/pod.ts';
import type { Revision } from '../../kinds/serving.ts';
import { PODS, SECRETS } from '../../kube/refs.ts';
import type { Instance } from '../../serving/contract.ts';
import { createWorld, never, revisionOf, until } from '../testing/world.ts';

const FORKING = '  zygote: {command: ["$(NODE)", zygote.js], functions: true}\n';
const LOAD_MS = { heavy: 200, light: 5 };

async function started(t: TestContext, load: keyof typeof LOAD_MS = 'heavy', runtime = FORKING) {
  const world = await createWorld(t, { runtime });
  const { functions, node, pods, idle } = world;
  node.specialise = (_, { preloaded }) => ({
    shape: 'fetch',
    loadMs: preloaded === undefined ? LOAD_MS[load] : 1,
    transport: { kind: 'mux' },
  });
  node.preload = () => ({ loadMs: LOAD_MS[load] });
  await functions.start();
  await until(() => idle().length === 2, 'the pool is filled');
  const part = (name: string) =>
    pods().filter(({ metadata }) => metadata.labels?.[FUNCTION_LABELS.pool] === name);
  const standby = () =>
    until(
      () => part('standby').map(({ metadata }) => node.instances.get(metadata.uid ?? ''))[0],
      'an instance stands by',
    );
  const preloadedOf = ({ id }: Instance) => node.instances.get(id)?.preloaded;
  const acquire = (revision: Revision) => functions.source.acquire(revision, never());
  return { ...world, part, standby, preloadedOf, acquire };
}

const annotated = (revision: Revision, value: string): Revision => ({
  ...revision,
  metadata: {
    ...revision.metadata,
    annotations: { ...revision.metadata.annotations, [CODE_ANNOTATIONS.zygote]: value },
  },
});

/** Long enough for a zygote to have begun, had there been a reason. */
const quiet = () => new Promise((resolve) => setTimeout(resolve, 900));

test('code that took long to load is loaded once more, and instances are forked from there', async (t) => {
  const { acquire, digest, node, part, standby, preloadedOf } = await started(t);
  const revision = revisionOf(digest, { resources: { limits: { memory: '64Mi' } } });
  const first = await acquire(revision);
  assert.equal(preloadedOf(first), undefined);
  const waiting = await standby();
  assert.equal(waiting.preloaded, revision.metadata.name);
  const [zygote] = part('zygote');
  const [pod] = part('standby');
  assert.equal(pod?.metadata.annotations?.[NODE_ANNOTATIONS.zygoteRole], `child-of:${zygote?.metadata.uid}`);
  for (const each of [zygote, pod]) {
    assert.equal(each?.metadata.ownerReferences?.[0]?.uid, revision.metadata.uid);
    assert.match(each?.metadata.annotations?.[NODE_ANNOTATIONS.resources] ?? '', /64Mi/);
  }
  await until(() => node.instances.get(pod?.metadata.uid ?? ''));
  const second = await acquire(revision);
  assert.equal(second.id, waiting.uid);
  assert.equal(waiting.specialised.length, 1);
  // Another stands by, and more than one is forked for those who wait.
  const more = await Promise.all([1, 2, 3].map(() => acquire(revision)));
  assert.deepEqual(more.map(preloadedOf), Array(3).fill(revision.metadata.name));
  assert.equal(new Set([first, second, ...more].map(({ id }) => id)).size, 5);
  assert.equal(part('zygote').length, 1);
});

test('no zygote for code that loads quickly, unless it is asked for', async (t) => {
  const { acquire, digest, part, standby } = await started(t, 'light');
  await acquire(revisionOf(digest));
  await quiet();
  assert.deepEqual(part('zygote'), []);
  await acquire(annotated(revisionOf(digest), 'function'));
  await standby();
});

test('code that took long only the first time needs no zygote', async (t) => {
  const { acquire, digest, node, part } = await started(t);
  let tried = 0;
  node.preload = () => {
    tried++;
    return { loadMs: LOAD_MS.light };
  };
  const revision = revisionOf(digest);
  await acquire(revision);
  await until(() => tried === 1);
  await until(() => part('zygote').length === 0, 'it goes again');
  assert.deepEqual(part('standby'), []);
});

for (const [why, runtime, of] of [
  [
    'the runtime’s zygote cannot do it',
    '  zygote: {command: ["$(NODE)", zygote.js]}\n',
    (revision: Revision) => revision,
  ],
  ['the function does not want it', FORKING, (revision: Revision) => annotated(revision, 'runtime')],
  [
    'each Pod has variables of its own',
    FORKING,
    (revision: Revision) => {
      revision.spec.containers[0]!.env = [
        { name: 'ME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      ];
      return revision;
    },
  ],
] as const) {
  test(`no zygote where ${why}`, async (t) => {
    const { acquire, digest, part } = await started(t, 'heavy', runtime);
    await acquire(of(revisionOf(digest)));
    await quiet();
    assert.deepEqual(part('zygote'), []);
  });
}

test('a function that wants no zygote at all has a Pod that says so', async (t) => {
  const { acquire, digest, client } = await started(t);
  const instance = await acquire(annotated(revisionOf(digest), 'off'));
  const pod = await client.get(PODS, 'default', instance.podName);
  assert.equal(pod.metadata.annotations?.[NODE_ANNOTATIONS.zygote], 'off');
});

test('code that cannot be forked is loaded one by one, and not tried again', async (t) => {
  const { acquire, digest, node, part, preloadedOf } = await started(t);
  let tried = 0;
  node.preload = () => {
    tried++;
    return { loadMs: 100, problem: 'it has started a thread' };
  };
  const revision = revisionOf(digest);
  await acquire(revision);
  await until(() => tried === 1);
  await until(() => part('zygote').length === 0, 'its Pod goes');
  assert.equal(preloadedOf(await acquire(revision)), undefined);
  await quiet();
  assert.equal(tried, 1);
});

test('what was loaded with a Secret as it was is not used once it has changed', async (t) => {
  const { acquire, digest, client, node, part, standby, preloadedOf } = await started(t);
  const data = (text: string) => ({ token: Buffer.from(text).toString('base64') });
  await client.create(SECRETS, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's', namespace: 'default' },
    data: data('old'),
  } as never);
  const env = [{ name: 'TOKEN', valueFrom: { secretKeyRef: { name: 's', key: 'token' } } }];
  const revision = revisionOf(digest, { env });
  await acquire(revision);
  await standby();
  const old = part('zygote')[0]?.metadata.uid;
  await client.patch(SECRETS, 'default', 's', 'merge', { data: data('new') } as never);
  const next = await until(async () => {
    const instance = await acquire(revision);
    const { specialised } = node.instances.get(instance.id)!;
    return specialised[0]?.env.TOKEN === 'new' && instance;
  });
  assert.equal(preloadedOf(next), undefined);
  await until(
    () => part('zygote').some(({ metadata }) => metadata.uid !== old),
    'one that knows the new one',
  );
});

test('the end of a zygote harms nobody: what was forked lives on, what comes next is loaded', async (t) => {
  const { acquire, digest, client, node, part, standby, preloadedOf } = await started(t);
  const revision = revisionOf(digest);
  await acquire(revision);
  await standby();
  const forked = await acquire(revision);
  assert.equal(preloadedOf(forked), revision.metadata.name);
  const [zygote] = part('zygote');
  await client.delete(PODS, 'default', zygote?.metadata.name ?? '', { gracePeriodSeconds: 0 });
  await until(() => !part('zygote').some(({ metadata }) => metadata.uid === zygote?.metadata.uid));
  await until(() => part('standby').length === 0, 'what stood by goes with it');
  assert.ok(node.instances.has(forked.id));
  assert.equal(preloadedOf(await acquire(revision)), undefined);
});

test('where the Pod of a zygote does not come up, none is tried for a while', async (t) => {
  const { acquire, digest, client, node, part } = await started(t);
  node.paused = true;
  await acquire(revisionOf(digest));
  const [pod] = await until(() => part('zygote').length > 0 && part('zygote'));
  await client.delete(PODS, 'default', pod?.metadata.name ?? '', { gracePeriodSeconds: 0 });
  await until(() => part('zygote').length === 0);
  node.resume();
  await acquire(revisionOf(digest));
  await quiet();
  assert.deepEqual(part('zygote'), []);
});
