/** Knative Serving API v1, as its conformance suite sees it: what a container may use and how long it may take, and what fails. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Service } from '../../../../src/kinds/serving.ts';
import { eventually } from '../../../lib/platform.ts';
import { assertExplained, hasFailedWithChildren } from '../checks.ts';
import { type Cluster, suite } from '../cluster.ts';

/** For how long one after another is asked of the program that takes one at a time. */
const SINGLE_MS = 5_000;
const CLIENTS = 5;

/** The Service has failed, and so have its children: each says why. */
async function assertFailed(cluster: Cluster, { metadata }: Service): Promise<void> {
  assertExplained(await cluster.untilService(metadata, hasFailedWithChildren));
  const configuration = await cluster.configuration(metadata.name);
  assertExplained(configuration);
  assertExplained(await cluster.revision(configuration.status?.latestCreatedRevisionName ?? ''));
  assertExplained(await cluster.route(metadata.name));
}

await suite('Knative Serving API v1: limits and failures', 8, (cluster) => {
  test('TestContainerErrorMsg', async (t) => {
    await assertFailed(cluster, await cluster.createService(t, 'invalidhelloworld'));
  });

  test('TestContainerExitingMsg', async (t) => {
    const env = [{ name: 'FAIL_AFTER', value: '500' }];
    await assertFailed(cluster, await cluster.createService(t, 'failing', { container: { env } }));
  });

  test('TestCustomResourcesLimits', { skip: cluster.lacks('petrel.dev/ResourceLimits') }, async (t) => {
    const resources = { limits: { memory: '350Mi' }, requests: { memory: '350Mi' } };
    const { status } = await cluster.readyService(t, 'autoscale', { container: { resources } });
    const bloat = (mebibytes: number) =>
      cluster.ask(status?.url, { method: 'POST', path: `/?bloat=${mebibytes}` }).catch(() => ({ status: 0 }));
    assert.equal((await cluster.ask(status?.url)).status, 200);
    assert.equal((await bloat(100)).status, 200);
    assert.equal((await bloat(200)).status, 200);
    assert.notEqual((await bloat(500)).status, 200);
    await eventually('it has recovered', async () => (await cluster.ask(status?.url)).status === 200);
  });

  // The limit is that of the whole answer. One that has begun is ended where it stands, and says why.
  const TIMEOUTS = [
    {
      name: 'does not exceed timeout seconds',
      initial: 500,
      rest: 0,
      status: 200,
      body: /^Slept for 0 mill/,
    },
    { name: 'exceeds timeout seconds', initial: 4_000, rest: 0, status: 504, body: /request timeout/ },
    {
      name: 'writes first byte before timeout',
      initial: 0,
      rest: 4_000,
      status: 200,
      body: /^request timeout$/,
    },
  ];
  for (const { name, initial, rest, status, body } of TIMEOUTS) {
    test(`TestRevisionTimeout/${name}`, async (t) => {
      const service = await cluster.readyService(t, 'timeout', { spec: { timeoutSeconds: 2 } });
      const { url } = service.status ?? {};
      assert.equal((await cluster.ask(url)).status, 200);
      const answer = await cluster.ask(url, { path: `/?initialTimeout=${initial}&timeout=${rest}` });
      assert.equal(answer.status, status);
      assert.match(answer.body, body);
    });
  }

  test('TestSingleConcurrency', async (t) => {
    const { status } = await cluster.readyService(t, 'singlethreaded', { spec: { containerConcurrency: 1 } });
    const over = sleep(SINGLE_MS).then(() => true);
    const client = async () => {
      const statuses: number[] = [];
      do statuses.push((await cluster.ask(status?.url)).status);
      while (!(await Promise.race([over, false])));
      return statuses;
    };
    const statuses = (await Promise.all(Array.from({ length: CLIENTS }, client))).flat();
    assert.deepEqual([...new Set(statuses)], [200], `${statuses.length} answers`);
  });
});
