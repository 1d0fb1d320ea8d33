import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { conditionOf } from '../../kinds/conditions.ts';
import { isBindable } from '../../kinds/eventing/bindings.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import type { ResourceRef } from '../../kube/client.ts';
import { CONTAINER_SOURCES, FUNCTIONS, JOBS, PODS, SINK_BINDINGS } from '../../kube/refs.ts';
import { createWorld, type World } from './testing.ts';

const SINK = { uri: 'http://sink.example.com/in' };
const DEPLOYMENTS: ResourceRef = {
  group: 'apps',
  version: 'v1',
  kind: 'Deployment',
  plural: 'deployments',
  namespaced: true,
};
const K = [
  { name: 'K_SINK', value: SINK.uri },
  { name: 'K_CE_OVERRIDES', value: '{"extensions":{"a":"b"}}' },
];

async function world(t: TestContext): Promise<World> {
  const made = await createWorld();
  t.after(made.close);
  return made;
}

const deployment = (made: World, name: string, labels: Record<string, string> = {}) =>
  made.create(
    DEPLOYMENTS,
    name,
    {
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: {
          initContainers: [{ name: 'i', image: 'x' }],
          containers: [{ name: 'c', image: 'x', env: [{ name: 'MINE', value: '1' }] }],
        },
      },
    },
    { labels },
  );
const envOf = ({ spec }: UntypedObject) => spec.template.spec.containers[0].env ?? [];

test('a Deployment is told where its events go, and not any more when the binding is gone', async (t) => {
  const made = await world(t);
  const { create, condition, get, until, remove, eventually, patch } = made;
  const subject = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' };
  await create(SINK_BINDINGS, 'b', { subject, sink: SINK, ceOverrides: { extensions: { a: 'b' } } });
  const lacking = await condition(SINK_BINDINGS, 'b', 'False SubjectMissing');
  assert.match(conditionOf(lacking, 'SinkBindingAvailable')?.message ?? '', /"d" not found/);
  await deployment(made, 'd');
  const { status } = await condition(SINK_BINDINGS, 'b', 'True');
  assert.equal(status.sinkUri, SINK.uri);
  const bound = await get(DEPLOYMENTS, 'd');
  assert.deepEqual(envOf(bound), [{ name: 'MINE', value: '1' }, ...K]);
  assert.deepEqual(bound.spec.template.spec.initContainers[0].env, K);
  await patch(SINK_BINDINGS, 'b', { spec: { sink: { uri: 'http://other.example.com' } } });
  await until(DEPLOYMENTS, 'd', (o) => envOf(o)[1]?.value === 'http://other.example.com');
  await remove(SINK_BINDINGS, 'b');
  await until(DEPLOYMENTS, 'd', (o) => envOf(o).length === 1);
  assert.equal((await get(DEPLOYMENTS, 'd')).spec.template.spec.initContainers[0].env?.length ?? 0, 0);
  await eventually('gone', async () =>
    (await get(SINK_BINDINGS, 'b').catch(() => undefined)) ? undefined : true,
  );
});

test('all that a selector means, but for what is excluded', async (t) => {
  const made = await world(t);
  const { create, condition, get, until, patch } = made;
  await deployment(made, 'one', { bind: 'me' });
  await deployment(made, 'out', { bind: 'me', 'bindings.knative.dev/exclude': 'true' });
  await deployment(made, 'other');
  const selector = { matchLabels: { bind: 'me' } };
  await create(SINK_BINDINGS, 'b', {
    subject: { apiVersion: 'apps/v1', kind: 'Deployment', selector },
    sink: SINK,
    ceOverrides: { extensions: { a: 'b' } },
  });
  await condition(SINK_BINDINGS, 'b', 'True');
  const lengths = await Promise.all(
    ['one', 'out', 'other'].map(async (name) => envOf(await get(DEPLOYMENTS, name)).length),
  );
  assert.deepEqual(lengths, [3, 1, 1]);
  await deployment(made, 'late', { bind: 'me' });
  await until(DEPLOYMENTS, 'late', (o) => envOf(o).length === 3);
  await patch(DEPLOYMENTS, 'one', { metadata: { labels: { 'bindings.knative.dev/exclude': 'true' } } });
  await until(DEPLOYMENTS, 'one', (o) => envOf(o).length === 1);
});

test('a Function is bound by its own variables', async (t) => {
  const { create, condition, get, remove, until } = await world(t);
  const digest = `sha256:${'0'.repeat(64)}`;
  await create(FUNCTIONS, 'f', { runtime: 'node', package: { digest }, env: [{ name: 'MINE', value: '1' }] });
  const subject = { apiVersion: 'petrel.dev/v1', kind: 'Function', name: 'f' };
  await create(SINK_BINDINGS, 'b', { subject, sink: SINK, ceOverrides: { extensions: { a: 'b' } } });
  await condition(SINK_BINDINGS, 'b', 'True');
  assert.deepEqual((await get(FUNCTIONS, 'f')).spec.env, [{ name: 'MINE', value: '1' }, ...K]);
  await remove(SINK_BINDINGS, 'b');
  await until(FUNCTIONS, 'f', (o) => o.spec.env.length === 1);
});

test('a Job that stands cannot be bound, and says so', async (t) => {
  const { create, condition } = await world(t);
  const pod = { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x' }] };
  await create(JOBS, 'j', { template: { spec: pod } });
  await create(SINK_BINDINGS, 'b', {
    subject: { apiVersion: 'batch/v1', kind: 'Job', name: 'j' },
    sink: SINK,
  });
  await condition(SINK_BINDINGS, 'b', 'False BindingFailed');
});

test('a Job is bound as it is made', async (t) => {
  const { create, condition, get } = await world(t);
  const subject = { apiVersion: 'batch/v1', kind: 'Job', selector: { matchLabels: { bind: 'me' } } };
  await create(SINK_BINDINGS, 'b', { subject, sink: SINK, ceOverrides: { extensions: { a: 'b' } } });
  await condition(SINK_BINDINGS, 'b', 'True');
  const container = { name: 'c', image: 'x', env: [{ name: 'MINE', value: '1' }] };
  const template = { spec: { restartPolicy: 'Never', containers: [container] } };
  await create(JOBS, 'j', { template }, { labels: { bind: 'me' } });
  await create(JOBS, 'other', { template });
  assert.deepEqual(envOf(await get(JOBS, 'j')), [{ name: 'MINE', value: '1' }, ...K]);
  assert.equal(envOf(await get(JOBS, 'other')).length, 1);
  await condition(SINK_BINDINGS, 'b', 'True');
});

test('what may be bound, by labels of the object and of its namespace', () => {
  const labelled = (labels: Record<string, string>) => ({ metadata: { name: 'x', labels } }) as UntypedObject;
  const [none, include, exclude] = [
    labelled({}),
    labelled({ 'bindings.knative.dev/include': 'true' }),
    labelled({ 'bindings.knative.dev/exclude': 'true' }),
  ];
  assert.deepEqual(
    [none, include, exclude].map((one) => [
      isBindable(one, none, 'exclusion'),
      isBindable(one, none, 'inclusion'),
    ]),
    [
      [true, false],
      [true, true],
      [false, false],
    ],
  );
  assert.equal(isBindable(none, exclude), false);
  assert.equal(isBindable(none, include, 'inclusion'), true);
});

test('a ContainerSource keeps one Pod, which knows the sink', async (t) => {
  const made = await world(t);
  const { create, condition, client, until, patch, eventually } = made;
  const container = { name: 'c', image: 'petrel.dev/host', command: ['true'] };
  await create(CONTAINER_SOURCES, 's', {
    template: { metadata: { labels: { app: 'x' } }, spec: { containers: [container] } },
    sink: SINK,
    ceOverrides: { extensions: { a: 'b' } },
  });
  await condition(CONTAINER_SOURCES, 's', 'Unknown PodUnavailable');
  const pod = await client.get<UntypedObject>(PODS, 'default', 's-source');
  assert.deepEqual(pod.spec.containers[0].env, K);
  assert.equal(pod.spec.restartPolicy, 'Always');
  assert.equal(pod.metadata.labels?.app, 'x');
  assert.equal(pod.metadata.ownerReferences?.[0]?.kind, 'ContainerSource');
  const says = (condition: object) =>
    made.patchStatus(PODS, 's-source', { phase: 'Running', conditions: [{ type: 'Ready', ...condition }] });
  await says({ status: 'True' });
  const ready = await condition(CONTAINER_SOURCES, 's', 'True');
  assert.equal(ready.status.sinkUri, SINK.uri);
  await patch(CONTAINER_SOURCES, 's', { spec: { sink: { uri: 'http://other.example.com' } } });
  await until(PODS, 's-source', (o) => o.spec.containers[0].env[0].value === 'http://other.example.com');
  await says({ status: 'False' });
  await made.patchStatus(PODS, 's-source', {
    containerStatuses: [{ name: 'c', state: { waiting: { reason: 'CrashLoopBackOff', message: 'again' } } }],
  });
  await condition(CONTAINER_SOURCES, 's', 'False CrashLoopBackOff');
  const { uid } = (await client.get<UntypedObject>(PODS, 'default', 's-source')).metadata;
  await made.remove(PODS, 's-source');
  await eventually('another Pod', async () => {
    const now = await client.get<UntypedObject>(PODS, 'default', 's-source').catch(() => undefined);
    return now && now.metadata.uid !== uid ? true : undefined;
  });
});
