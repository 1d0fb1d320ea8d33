import assert from 'node:assert/strict';
import test from 'node:test';
import { type GcConfig, parseConfigGc } from '../kinds/config/index.ts';
import type { Configuration, Revision } from '../kinds/serving.ts';
import { CONFIGMAPS, KSERVICES } from '../kube/refs.ts';
import { collectable } from './gc.ts';
import { service, setUp } from './testing/platform.ts';

const HOUR = 3_600_000;
const NOW = Date.parse('2026-06-01T00:00:00Z');
const ago = (hours: number) => new Date(NOW - hours * HOUR).toISOString();

/** Created so many hours ago, last used so many hours ago. */
const revision = (
  name: string,
  created: number,
  active: number,
  more: { state?: string; noGc?: string } = {},
) =>
  ({
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Revision',
    metadata: {
      name,
      creationTimestamp: ago(created),
      labels: { 'serving.knative.dev/routingState': more.state ?? 'reserve' },
      annotations: {
        'serving.knative.dev/routingStateModified': ago(active),
        ...(more.noGc && { 'serving.knative.dev/no-gc': more.noGc }),
      },
    },
    spec: { containers: [] },
  }) as Revision;

const configuration = (latestReadyRevisionName: string) =>
  ({ metadata: { name: 'c' }, status: { latestReadyRevisionName } }) as Configuration;

const settings = (changes: Partial<GcConfig>): GcConfig => ({ ...parseConfigGc(), ...changes });

test('what is deleted, and when there is something to look at again', () => {
  const old = [revision('a', 100, 90), revision('b', 99, 80), revision('c', 98, 70)];
  const young = [revision('d', 40, 10), revision('e', 30, 5)];
  const table: [string, Revision[], Partial<GcConfig>, string[], number | undefined][] = [
    ['no more than are kept anyway', old, {}, [], undefined],
    [
      'stale ones, oldest first, down to those that are kept',
      old,
      { minNonActiveRevisions: 1 },
      ['a', 'b'],
      undefined,
    ],
    ['all of them', old, { minNonActiveRevisions: 0 }, ['a', 'b', 'c'], undefined],
    [
      'one that was used lately is not stale',
      [revision('a', 100, 10), revision('b', 99, 16)],
      { minNonActiveRevisions: 0 },
      ['b'],
      5,
    ],
    ['nor one that is young', young, { minNonActiveRevisions: 0 }, [], 8],
    ['too many, oldest first', young, { minNonActiveRevisions: 0, maxNonActiveRevisions: 1 }, ['d'], 18],
    [
      'stale and too many',
      [...old, ...young],
      { minNonActiveRevisions: 1, maxNonActiveRevisions: 1 },
      ['a', 'b', 'c', 'd'],
      undefined,
    ],
    [
      'nothing is stale',
      old,
      {
        minNonActiveRevisions: 0,
        retainSinceCreateTimeMs: undefined,
        retainSinceLastActiveTimeMs: undefined,
        maxNonActiveRevisions: undefined,
      },
      [],
      undefined,
    ],
    [
      'the time of creation does not count',
      [revision('a', 20, 16), revision('b', 20, 14)],
      { minNonActiveRevisions: 0, retainSinceCreateTimeMs: undefined },
      ['a'],
      1,
    ],
    [
      'those in use, unmarked, kept by the user, and the newest that works',
      [
        revision('a', 100, 90, { state: 'active' }),
        revision('b', 100, 90, { state: 'pending' }),
        revision('c', 100, 90, { noGc: 'true' }),
        revision('ready', 100, 90),
      ],
      { minNonActiveRevisions: 0 },
      [],
      undefined,
    ],
  ];
  for (const [what, revisions, changes, names, hours] of table) {
    const { doomed, againMs } = collectable(configuration('ready'), revisions, settings(changes), NOW);
    assert.deepEqual(
      doomed.map(({ metadata }) => metadata.name),
      names,
      what,
    );
    assert.equal(againMs === undefined ? undefined : againMs / HOUR, hours, what);
  }
});

test('revisions go when their time has come, and those in use stay', async (t) => {
  const { api, client, clock, start, settle, ready, stop } = setUp();
  t.after(stop);
  await client.create(CONFIGMAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'config-gc', namespace: 'knative-serving' },
    data: {
      'min-non-active-revisions': '1',
      'retain-since-create-time': 'disabled',
      'retain-since-last-active-time': '1h',
    },
  } as never);
  await start();
  await client.create(KSERVICES, service('hello'));
  for (let version = 2; version <= 4; version++) {
    await settle();
    await client.patch(KSERVICES, 'default', 'hello', 'merge', {
      spec: { template: { metadata: { annotations: { 'petrel.dev/package': `sha256:${version}` } } } },
    });
  }
  await settle();
  const names = () => api.objects('revisions').map(({ metadata }) => metadata.name);
  assert.equal(names().length, 4);
  await clock.advance(HOUR);
  await settle();
  assert.deepEqual(names(), ['hello-00003', 'hello-00004']);
  assert.equal(ready('services', 'hello'), 'True');
});

test('a Service with a number of its own keeps so many old revisions, whatever their age', async (t) => {
  const { api, client, start, settle, stop } = setUp();
  t.after(stop);
  await start();
  const hello = service('hello');
  hello.metadata.annotations = { ...hello.metadata.annotations, 'petrel.dev/retain-revisions': '1' };
  await client.create(KSERVICES, hello);
  for (let version = 2; version <= 4; version++) {
    await settle();
    await client.patch(KSERVICES, 'default', 'hello', 'merge', {
      spec: { template: { metadata: { annotations: { 'petrel.dev/package': `sha256:${version}` } } } },
    });
  }
  await settle();
  assert.deepEqual(
    api.objects('revisions').map(({ metadata }) => metadata.name),
    ['hello-00003', 'hello-00004'],
  );
});
