/** Knative's runtime contract, as its conformance suite sees it: probes of a container, before and after it has become ready. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Pod } from '../../../../src/kinds/pod.ts';
import type { Service } from '../../../../src/kinds/serving.ts';
import { PODS } from '../../../../src/kube/refs.ts';
import { eventually } from '../../../lib/platform.ts';
import { type Cluster, NAMESPACE, suite, TEXTS } from '../cluster.ts';

const READINESS = '/healthz/readiness';
const LIVENESS = '/healthz/liveness';
/** How long the program takes before it is ready, or before it listens. */
const DELAY = '1s';
/** How often its liveness has been asked before, and again after, it failed. */
const CHECKS = 5;
/** A request that takes so long is taken to hang. */
const HANGS_MS = 5_000;
/** Kubernetes' own pace, which a probe without a period has: three times ten seconds, and the last one may just have been. */
const NOTICED_MS = 60_000;

const PROBES = [
  { name: 'httpGet', probe: { httpGet: { path: READINESS } }, delay: 'READY_DELAY' },
  { name: 'tcpSocket', probe: { tcpSocket: {} }, delay: 'LISTEN_DELAY' },
  { name: 'exec', probe: { exec: { command: ['/ko-app/readiness', 'probe'] } }, delay: 'READY_DELAY' },
];

async function podsOf(cluster: Cluster, { status }: Service): Promise<Pod[]> {
  const labelSelector = `serving.knative.dev/revision=${status?.latestReadyRevisionName}`;
  return (await cluster.api.list<Pod>(PODS, { namespace: NAMESPACE, labelSelector })).items;
}

const restarted = (pods: Pod[]) =>
  pods.some(({ status }) =>
    status?.containerStatuses?.some(
      ({ name, restartCount }) => name === 'user-container' && restartCount > 0,
    ),
  );

/** A Service that was ready and whose program was then told to fail its probes. */
async function failingService(
  cluster: Cluster,
  t: TestContext,
  container: Record<string, unknown>,
): Promise<Service> {
  const service = await cluster.readyService(t, 'readiness', { container });
  await cluster.assertServes(service.status?.url, TEXTS.helloworld, '/healthz');
  assert.equal(
    (await cluster.ask(service.status?.url, { method: 'POST', path: '/start-failing' })).status,
    200,
  );
  return service;
}

await suite('Knative runtime contract: probes', 6, (cluster) => {
  for (const { name, probe, delay } of PROBES) {
    for (const periodSeconds of [0, 1]) {
      test(`TestProbeRuntime/${name}${periodSeconds ? `-period=${periodSeconds}` : ''}`, async (t) => {
        const { status } = await cluster.readyService(t, 'readiness', {
          container: {
            env: [{ name: delay, value: DELAY }],
            readinessProbe: { ...probe, ...(periodSeconds ? { periodSeconds } : {}) },
          },
        });
        // Whoever is told that it is ready can use it at once.
        await cluster.assertServes(status?.url, TEXTS.helloworld, READINESS);
      });
    }
  }

  for (const periodSeconds of [0, 1]) {
    test(`TestProbeRuntimeAfterStartup/periodSeconds=${periodSeconds}`, async (t) => {
      const { status } = await failingService(cluster, t, {
        readinessProbe: { httpGet: { path: READINESS }, ...(periodSeconds ? { periodSeconds } : {}) },
      });
      // With nobody ready, requests wait, or are told that there is nobody.
      await eventually(
        'requests get no answer',
        async () => {
          const answer = await cluster
            .ask(status?.url, { timeoutMs: HANGS_MS })
            .catch((error: Error) => error);
          if (answer instanceof Error) {
            assert.match(`${answer.name} ${answer.cause ?? ''}`, /Abort|Timeout/);
            return true;
          }
          assert.ok([200, 503].includes(answer.status), JSON.stringify(answer));
          return answer.status === 503;
        },
        NOTICED_MS,
      );
    });
  }

  test('TestLivenessWithFail', async (t) => {
    const livenessProbe = {
      httpGet: { path: LIVENESS, port: 8080 },
      initialDelaySeconds: 2,
      periodSeconds: 1,
      failureThreshold: 3,
    };
    const service = await cluster.readyService(t, 'readiness', { container: { livenessProbe } });
    const { url } = service.status ?? {};
    const checked = () =>
      eventually(
        'liveness is asked about',
        async () => Number((await cluster.ask(url, { path: `${LIVENESS}Counter` })).body) >= CHECKS,
      );
    await checked();
    assert.ok(!restarted(await podsOf(cluster, service)), 'not restarted while it lives');
    await cluster.ask(url, { method: 'POST', path: '/start-failing' });
    await eventually('the container is restarted', async () => restarted(await podsOf(cluster, service)));
    await checked();
  });
});
