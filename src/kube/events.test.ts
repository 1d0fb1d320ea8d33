import assert from 'node:assert/strict';
import test from 'node:test';
import { silentLogger } from '../base/log.ts';
import type { KubeObject } from '../kinds/object.ts';
import { createEventRecorder } from './events.ts';
import { EVENTS } from './refs.ts';
import { createClient } from './rest.ts';
import { createFakeApi } from './testing.ts';

const pod: KubeObject = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default', uid: 'u1' },
};

function setUp() {
  const api = createFakeApi();
  const client = createClient(api);
  const clock = { time: Date.UTC(2026, 0, 1) };
  const recorder = createEventRecorder({
    client,
    component: 'test',
    log: silentLogger,
    now: () => clock.time,
  });
  return { api, client, clock, recorder };
}

test('a repeated Event counts up; one that expired begins again', async () => {
  const { api, client, clock, recorder } = setUp();
  recorder.record(pod, 'Warning', 'Failed', 'it broke');
  clock.time += 5_000;
  recorder.record(pod, 'Warning', 'Failed', 'it broke');
  recorder.record(pod, 'Normal', 'Started', 'it runs');
  await recorder.flush();
  const [first, second] = api.objects('events');
  assert.equal(api.objects('events').length, 2);
  assert.equal(first?.count, 2);
  assert.equal(first?.lastTimestamp, '2026-01-01T00:00:05Z');
  assert.equal(first?.involvedObject.uid, 'u1');
  assert.equal(second?.reason, 'Started');
  await client.delete(EVENTS, 'default', first!.metadata.name);
  recorder.record(pod, 'Warning', 'Failed', 'it broke');
  await recorder.flush();
  assert.equal(api.objects('events').find((event) => event.reason === 'Failed')?.count, 1);
});

test('a flood about one object is cut and refills slowly', async () => {
  const { api, clock, recorder } = setUp();
  for (let index = 0; index < 100; index++) recorder.record(pod, 'Warning', 'Flood', `message ${index}`);
  await recorder.flush();
  assert.equal(api.objects('events').length, 25);
  clock.time += 2 * 300_000;
  for (let index = 0; index < 10; index++) recorder.record(pod, 'Warning', 'Flood', `later ${index}`);
  await recorder.flush();
  assert.equal(api.objects('events').length, 27);
});

test('an API that refuses does not disturb the caller', async () => {
  const { api, recorder } = setUp();
  api.fail = () => 500;
  recorder.record(pod, 'Normal', 'Started', 'it runs');
  await recorder.flush();
  api.fail = undefined;
  recorder.record(pod, 'Normal', 'Started', 'it runs');
  await recorder.flush();
  assert.equal(api.objects('events').length, 1);
});
