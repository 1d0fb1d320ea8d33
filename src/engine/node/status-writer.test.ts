import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import type { Pod, PodStatus } from '../../kinds/pod.ts';
import { PODS } from '../../kube/refs.ts';
import { createClient } from '../../kube/rest.ts';
import { createFakeApi } from '../../kube/testing.ts';
import { createStatusWriter } from './status-writer.ts';

async function setUp() {
  const api = createFakeApi();
  const client = createClient(api);
  const pod = await client.create<Pod>(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default' },
    spec: { containers: [] },
  });
  const clock = simulatedClock();
  let status: PodStatus = { phase: 'Pending' };
  const writer = createStatusWriter({ client, pod, clock, log: silentLogger, compute: () => status });
  const patches = () => api.writes.filter((write) => write.startsWith('PATCH')).length;
  const set = (next: PodStatus) => {
    status = next;
  };
  return { api, client, clock, writer, patches, set };
}

test('changes of one turn are one write, and nothing is written when nothing has changed', async () => {
  const { writer, patches, set, client } = await setUp();
  set({ phase: 'Running' });
  writer.report(true);
  set({ phase: 'Running', message: 'ready' });
  writer.report(true);
  await writer.flush();
  assert.equal(patches(), 1);
  writer.report(true);
  await writer.flush();
  assert.equal(patches(), 1);
  assert.equal((await client.get<Pod>(PODS, 'default', 'p')).status?.message, 'ready');
});

test('what is not urgent waits a moment for what follows', async () => {
  const { writer, patches, set, clock } = await setUp();
  set({ phase: 'Running' });
  writer.report(false);
  await clock.advance(10);
  assert.equal(patches(), 0);
  set({ phase: 'Running', message: 'more' });
  writer.report(false);
  await clock.advance(100);
  assert.equal(patches(), 1);
});

test('a write that fails is tried again with what is true then; a Pod that is gone is left alone', async () => {
  const { api, client, writer, patches, set, clock } = await setUp();
  api.fail = (request) => (request.method === 'PATCH' ? 500 : undefined);
  set({ phase: 'Running' });
  writer.report(true);
  await clock.advance(20);
  api.fail = undefined;
  set({ phase: 'Succeeded' });
  await clock.advance(20_000);
  assert.equal(patches(), 1);
  assert.equal((await client.get<Pod>(PODS, 'default', 'p')).status?.phase, 'Succeeded');
  await client.delete(PODS, 'default', 'p');
  set({ phase: 'Failed' });
  writer.report(true);
  await writer.flush();
  assert.equal(patches(), 1);
});
