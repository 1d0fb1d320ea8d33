import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { decodeRecord } from '../../../cloudevents/record.ts';
import { conditionOf } from '../../../kinds/conditions.ts';
import type { UntypedObject } from '../../../kinds/object.ts';
import { API_SERVER_SOURCES, CONFIGMAPS, EVENT_SOURCES, NAMESPACES } from '../../../kube/refs.ts';
import { createWorld, type World } from '../testing.ts';
import { watchConfig } from './config.ts';

async function world(t: TestContext): Promise<World> {
  const made = await createWorld();
  t.after(() => made.close());
  return made;
}

const SINK = { uri: 'http://sink.example.com/in' };
const RESOURCES = [{ apiVersion: 'v1', kind: 'ConfigMap', selector: { matchLabels: { watched: 'yes' } } }];
const KEY = 'apiserversource/default/s';

/** `add colours`, for each event that was brought. */
const told = ({ engine }: World): string[] =>
  engine.brought.map(([, record]) => {
    const { type, extensions } = decodeRecord(Buffer.from(record));
    return `${type.split('.').at(-1)} ${extensions.name}`;
  });

const until = (made: World, wanted: string[]) =>
  made
    .eventually(`${wanted}`, () => (told(made).join() === wanted.join() ? true : undefined))
    .catch((error) => {
      assert.deepEqual(told(made), wanted);
      throw error;
    });

function configMap(
  { client }: World,
  name: string,
  labels: Record<string, string> = { watched: 'yes' },
  metadata: object = {},
): Promise<UntypedObject> {
  return client.create(CONFIGMAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'default', labels, ...metadata },
    data: { a: '1' },
  } as unknown as UntypedObject);
}

test('changes of what is watched become events, others do not', async (t) => {
  const made = await world(t);
  await made.create(API_SERVER_SOURCES, 's', { resources: RESOURCES, sink: SINK });
  const ready = await made.condition(API_SERVER_SOURCES, 's', 'True');
  assert.deepEqual(ready.status.namespaces, ['default']);
  assert.deepEqual(
    ready.status.ceAttributes.map(({ type }: { type: string }) => type),
    ['add', 'delete', 'update'].map((what) => `dev.knative.apiserver.ref.${what}`),
  );
  assert.equal(made.engine.sources.get(KEY)?.type, 'brought');
  await configMap(made, 'a');
  await configMap(made, 'unwatched', {});
  await made.patch(CONFIGMAPS, 'a', { data: { a: '2' } });
  await made.remove(CONFIGMAPS, 'a');
  await until(made, ['add a', 'update a', 'delete a']);
  const { type, source, subject, extensions, data } = decodeRecord(
    Buffer.from(made.engine.brought[0]?.[1] ?? []),
  );
  assert.deepEqual(
    { type, source, subject, extensions },
    {
      type: 'dev.knative.apiserver.ref.add',
      source: 'https://kubernetes.default.svc',
      subject: '/apis/v1/namespaces/default/configmaps/a',
      extensions: { kind: 'ConfigMap', name: 'a', namespace: 'default', apiversion: 'v1' },
    },
  );
  assert.deepEqual(JSON.parse(String(data)), {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    name: 'a',
    namespace: 'default',
  });
});

test('Resource mode tells the whole object', async (t) => {
  const made = await world(t);
  await made.create(API_SERVER_SOURCES, 's', { mode: 'Resource', resources: RESOURCES, sink: SINK });
  await made.condition(API_SERVER_SOURCES, 's', 'True');
  await configMap(made, 'a');
  await until(made, ['add a']);
  const event = decodeRecord(Buffer.from(made.engine.brought[0]?.[1] ?? []));
  assert.equal(event.type, 'dev.knative.apiserver.resource.add');
  assert.deepEqual(JSON.parse(String(event.data)).data, { a: '1' });
});

test('what was there before a source is not told; what happened while nothing ran is, once', async (t) => {
  const made = await world(t);
  const { client } = made;
  await configMap(made, 'old');
  // The API tells times to the second.
  await new Promise((resolve) => setTimeout(resolve, 1_050 - (Date.now() % 1_000)));
  await made.create(API_SERVER_SOURCES, 's', { resources: RESOURCES, sink: SINK });
  await made.condition(API_SERVER_SOURCES, 's', 'True');
  for (const name of ['kept', 'changed', 'gone', 'replaced']) await configMap(made, name);
  await until(made, ['add kept', 'add changed', 'add gone', 'add replaced']);
  await made.controllers.stop();
  const checkpoint = made.engine.checkpoints.get(KEY);
  assert.ok(checkpoint, 'how far it is was written at the end');
  await made.patch(CONFIGMAPS, 'changed', { data: { a: '2' } });
  await made.remove(CONFIGMAPS, 'gone');
  await made.remove(CONFIGMAPS, 'replaced');
  await configMap(made, 'replaced');
  await configMap(made, 'new');
  const changes = ['update changed', 'delete gone', 'delete replaced', 'add replaced', 'add new'];

  const before = structuredClone(checkpoint) as { places: Record<string, { version: string }> };
  await made.restart({ [KEY]: checkpoint });
  await until(made, changes);

  // The API's history does not reach back: told from what was known.
  for (const place of Object.values(before.places)) place.version = '';
  await made.restart({ [KEY]: before as never });
  await made.eventually('all of them', () => (told(made).length === changes.length ? true : undefined));
  assert.deepEqual(told(made).sort(), [...changes].sort());
  assert.ok(client);
});

test('a history that the API has thrown away is made up for', async (t) => {
  const made = await world(t);
  await made.create(API_SERVER_SOURCES, 's', { resources: RESOURCES, sink: SINK });
  await made.condition(API_SERVER_SOURCES, 's', 'True');
  await configMap(made, 'a');
  await until(made, ['add a']);
  await made.controllers.stop();
  const checkpoint = made.engine.checkpoints.get(KEY) as { places: Record<string, { version: string }> };
  await made.remove(CONFIGMAPS, 'a');
  await configMap(made, 'b');
  for (const place of Object.values(checkpoint.places)) place.version = '1';
  await made.restart({ [KEY]: checkpoint as never });
  await until(made, ['delete a', 'add b']);
});

test('events of one change have one id', async (t) => {
  const made = await world(t);
  await made.create(API_SERVER_SOURCES, 's', { resources: RESOURCES, sink: SINK });
  await made.condition(API_SERVER_SOURCES, 's', 'True');
  await configMap(made, 'a');
  await until(made, ['add a']);
  const id = () => decodeRecord(Buffer.from(made.engine.brought[0]?.[1] ?? [])).id;
  const first = id();
  // A crash before it was written how far it is.
  await made.restart();
  await until(made, ['add a']);
  assert.equal(id(), first);
});

test('namespaces by their labels, as they come', async (t) => {
  const made = await world(t);
  const { client } = made;
  const namespace = (name: string, labels: object) =>
    client.create(NAMESPACES, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels },
    } as unknown as UntypedObject);
  await namespace('one', { env: 'test' });
  await namespace('other', {});
  await made.create(API_SERVER_SOURCES, 's', {
    resources: RESOURCES,
    sink: SINK,
    namespaceSelector: { matchLabels: { env: 'test' } },
  });
  const { status } = await made.condition(API_SERVER_SOURCES, 's', 'True');
  assert.deepEqual(status.namespaces, ['one']);
  await configMap(made, 'in-one', undefined, { namespace: 'one' });
  await configMap(made, 'in-other', undefined, { namespace: 'other' });
  await namespace('two', { env: 'test' });
  await configMap(made, 'in-two', undefined, { namespace: 'two' });
  await until(made, ['add in-one', 'add in-two']);
});

test('an empty selector is every namespace; owner and filters narrow', async (t) => {
  const made = await world(t);
  const owner = { apiVersion: 'batch/v1', kind: 'Job' };
  await made.create(API_SERVER_SOURCES, 's', {
    resources: RESOURCES,
    owner,
    sink: SINK,
    namespaceSelector: {},
    filters: [{ not: { suffix: { type: '.update' } } }],
  });
  await made.condition(API_SERVER_SOURCES, 's', 'True');
  const owned = (name: string, more: object) =>
    configMap(made, name, undefined, { ownerReferences: [{ ...owner, name: 'j', uid: 'u', ...more }] });
  await configMap(made, 'free');
  await owned('not-controlled', {});
  await owned('other', { kind: 'CronJob', controller: true });
  await owned('mine', { controller: true });
  await made.patch(CONFIGMAPS, 'mine', { data: { a: '2' } });
  await made.remove(CONFIGMAPS, 'mine');
  await until(made, ['add mine', 'delete mine']);
});

test('a source without a sink rests, and loses nothing meanwhile', async (t) => {
  const made = await world(t);
  const ref = { apiVersion: 'v1', kind: 'Service', name: 'later' };
  await made.create(API_SERVER_SOURCES, 's', { resources: RESOURCES, sink: { ref } });
  await made.condition(API_SERVER_SOURCES, 's', 'False NotFound');
  await configMap(made, 'early');
  assert.deepEqual(told(made), []);
  await made.client.create(
    { group: '', version: 'v1', kind: 'Service', plural: 'services', namespaced: true },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'later', namespace: 'default' },
      spec: { selector: { a: 'b' }, ports: [{ port: 80 }] },
    } as unknown as UntypedObject,
  );
  await made.condition(API_SERVER_SOURCES, 's', 'True');
  await until(made, ['add early']);
});

test('an EventSource of type kubernetes selects by fields, and tells of what is there when asked', async (t) => {
  const made = await world(t);
  await configMap(made, 'a', {});
  await configMap(made, 'b', {});
  await made.create(EVENT_SOURCES, 'k', {
    type: 'kubernetes',
    config: { kind: 'ConfigMap', fieldSelector: 'metadata.name=b', existing: true },
    sink: SINK,
  });
  await made.condition(EVENT_SOURCES, 'k', 'True');
  await until(made, ['add b']);
  await made.patch(EVENT_SOURCES, 'k', { spec: { config: { mode: 'All' } } });
  const wrong = await made.condition(EVENT_SOURCES, 'k', 'False InvalidConfiguration');
  assert.match(conditionOf(wrong, 'SourceReady')?.message ?? '', /^mode: must be one of Reference, Resource/);
});

test('what is wrong with a configuration is said with its place', () => {
  const cases: [object, RegExp][] = [
    [{}, /^resources: must name/],
    [{ resources: [{ apiVersion: 'v1' }] }, /^resources\[0\]\.kind: must be a text/],
    [{ kind: 'Pod', selector: 'a b' }, /^config\.selector: /],
    [{ kind: 'Pod', fieldSelector: 'a' }, /^config\.fieldSelector: /],
    [
      { kind: 'Pod', selector: { matchExpressions: [{ key: 'a', operator: 'Is' }] } },
      /^config\.selector: "Is"/,
    ],
    [{ kind: 'Pod', filters: [{ cesql: 'a =' }] }, /^filters\[0\]/],
  ];
  for (const [config, message] of cases) assert.match(watchConfig(config as never) as string, message);
});
