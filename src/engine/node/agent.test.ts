/** The way of a Pod through API server, scheduler and node agent, with real processes. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Pod } from '../../kinds/pod.ts';
import { PODS } from '../../kube/refs.ts';
import { createTestCluster, type TestCluster } from './testing.ts';

let cluster: TestCluster;
before(async () => {
  cluster = await createTestCluster({ sandbox: 'plain' });
});
after(() => cluster.close());

const state = (pod: Pod) => pod.status?.containerStatuses?.[0]?.state;
const conditionOf = (pod: Pod, type: string) =>
  pod.status?.conditions?.find((condition) => condition.type === type);

test('a command runs to its end, its output is the log', async () => {
  await cluster.run('hello', {
    restartPolicy: 'Never',
    containers: [{ command: ['sh', '-c', 'echo out; echo err >&2'] }],
  });
  const pod = await cluster.until('hello', ({ status }) => status?.phase === 'Succeeded');
  assert.equal(state(pod)?.terminated?.reason, 'Completed');
  assert.equal(pod.spec.nodeName, 'here');
  assert.equal(conditionOf(pod, 'Ready')?.reason, 'PodCompleted');
  const { status, text } = await cluster.log('hello', 'c');
  assert.equal(status, 200);
  assert.deepEqual(text.split('\n').sort(), ['', 'err', 'out']);
});

test('a running Pod is ready, and ends within its grace when deleted', async () => {
  await cluster.run('server', {
    terminationGracePeriodSeconds: 10,
    containers: [
      { command: ['sh', '-c', 'trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.05; done'] },
    ],
  });
  const pod = await cluster.until('server', (each) => conditionOf(each, 'Ready')?.status === 'True');
  assert.equal(pod.status?.phase, 'Running');
  assert.equal(pod.status?.podIP, '127.0.0.1');
  assert.equal(conditionOf(pod, 'petrel.dev/Sandboxed')?.reason, 'SwitchedOff');
  const follow = await cluster.openLog('server', 'c', 'follow=true');
  await cluster.client.delete(PODS, 'default', 'server');
  const last = await cluster
    .until('server', (each) => state(each)?.terminated !== undefined)
    .catch(() => undefined);
  if (last) assert.equal(state(last)?.terminated?.exitCode, 0);
  await cluster.untilGone('server');
  assert.deepEqual((await follow.text()).trim().split('\n'), ['up', 'bye']);
});
