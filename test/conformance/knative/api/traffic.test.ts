/** Knative Serving API v1, as its conformance suite sees it: traffic divided between revisions, and tags. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service, TrafficTarget } from '../../../../src/kinds/serving.ts';
import { assertAnnotations } from '../checks.ts';
import { type Cluster, isReady, suite, TEXTS } from '../cluster.ts';
import { assertDistribution } from '../traffic.ts';

const urlOf = ({ status }: Service, tag: string) =>
  status?.traffic?.find((target) => target.tag === tag)?.url;

/** The Service's own URL is answered with `texts`, and each of its tags' with the one of `tagged`; it has no other tags. */
async function assertDomains(
  cluster: Cluster,
  service: Service,
  texts: string[],
  tagged: Record<string, string>,
): Promise<void> {
  const tags = service.status?.traffic?.flatMap(({ tag }) => tag ?? []) ?? [];
  assert.deepEqual(tags.toSorted(), Object.keys(tagged).toSorted());
  await Promise.all([
    assertDistribution(cluster, service.status?.url, texts),
    ...Object.entries(tagged).map(([tag, text]) => assertDistribution(cluster, urlOf(service, tag), [text])),
  ]);
}

/** What of a target of the status counts, by tag. */
function shape(service: Service): Record<string, string> {
  const line = ({ revisionName, percent = 0, latestRevision = false }: TrafficTarget) =>
    `${revisionName} ${percent} %${latestRevision ? ' latest' : ''}`;
  return Object.fromEntries(
    (service.status?.traffic ?? []).map((target) => [target.tag ?? '', line(target)]),
  );
}

await suite('Knative Serving API v1: traffic', 2, (cluster) => {
  test('TestBlueGreenRoute', async (t) => {
    const first = await cluster.readyService(t, 'pizzaplanetv1');
    const { name } = first.metadata;
    const blue = first.status?.latestReadyRevisionName;
    await cluster.useImage(name, 'pizzaplanetv2');
    const green = await cluster.nextRevision(first);
    await cluster.changeService(name, ({ spec }) => {
      spec.traffic = [
        { tag: 'blue', revisionName: blue, percent: 50 },
        { tag: 'green', revisionName: green, percent: 50 },
      ];
    });
    const service = await cluster.untilService({ name }, isReady);
    await assertDomains(cluster, service, [TEXTS.pizzaplanetv1, TEXTS.pizzaplanetv2], {
      blue: TEXTS.pizzaplanetv1,
      green: TEXTS.pizzaplanetv2,
    });
  });

  test('TestServiceWithTrafficSplit', async (t) => {
    const [one, two, three] = [TEXTS.pizzaplanetv1, TEXTS.pizzaplanetv2, TEXTS.helloworld];
    let service = await cluster.readyService(t, 'pizzaplanetv1');
    const { name } = service.metadata;
    const first = service.status?.latestReadyRevisionName ?? '';
    assert.equal(service.status?.traffic?.[0]?.revisionName, first);
    await assertAnnotations(cluster, name);

    const becomes = async (wanted: Record<string, string>) => {
      service = await cluster.untilService(
        { name },
        (now) =>
          isReady(now) &&
          JSON.stringify(Object.entries(shape(now)).toSorted()) ===
            JSON.stringify(Object.entries(wanted).toSorted()),
      );
    };
    const split = (traffic: TrafficTarget[]) =>
      cluster.changeService(name, ({ spec }) => {
        spec.traffic = traffic;
      });

    // One revision is named, and it is the latest.
    await split([{ tag: 'current', revisionName: first, percent: 100 }, { tag: 'latest' }]);
    await becomes({ current: `${first} 100 %`, latest: `${first} 0 % latest` });
    await assertDomains(cluster, service, [one], { current: one, latest: one });

    // One is named, and it is no longer the latest.
    await cluster.useImage(name, 'pizzaplanetv2');
    const second = await cluster.nextRevision(service);
    await becomes({ current: `${first} 100 %`, latest: `${second} 0 % latest` });
    await assertDomains(cluster, service, [one], { current: one, latest: two });

    // Two are named, and the candidate is the latest.
    await split([
      { tag: 'current', revisionName: first, percent: 50 },
      { tag: 'candidate', revisionName: second, percent: 50 },
      { tag: 'latest' },
    ]);
    await becomes({ current: `${first} 50 %`, candidate: `${second} 50 %`, latest: `${second} 0 % latest` });
    await assertDomains(cluster, service, [one, two], { current: one, candidate: two, latest: two });

    // Two are named, and neither is the latest.
    await cluster.useImage(name, 'helloworld');
    const third = await cluster.nextRevision(service);
    await becomes({ current: `${first} 50 %`, candidate: `${second} 50 %`, latest: `${third} 0 % latest` });
    await assertDomains(cluster, service, [one, two], { current: one, candidate: two, latest: three });

    // The candidate is whatever is the latest.
    await split([
      { tag: 'current', revisionName: first, percent: 50 },
      { tag: 'candidate', percent: 50 },
      { tag: 'latest' },
    ]);
    await assertAnnotations(cluster, name);
    await becomes({
      current: `${first} 50 %`,
      candidate: `${third} 50 % latest`,
      latest: `${third} 0 % latest`,
    });
    await assertDomains(cluster, service, [one, three], { current: one, candidate: three, latest: three });
  });
});
