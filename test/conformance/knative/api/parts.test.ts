/** Knative Serving API v1, as its conformance suite sees it: Configurations, Revisions and Routes, with a Service and without. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { KubeObject } from '../../../../src/kinds/object.ts';
import type { Configuration, Revision, Route } from '../../../../src/kinds/serving.ts';
import type { ResourceRef } from '../../../../src/kube/client.ts';
import { CONFIGURATIONS, REVISIONS, ROUTES } from '../../../../src/kube/refs.ts';
import { type Cluster, imageOf, isReady, NAMESPACE, nameOf, suite, TEXTS, templateFor } from '../cluster.ts';
import { whileProbing } from '../traffic.ts';

const GENERATED = {
  configuration: /^route-and-config-[a-zA-Z0-9\-.]+$/,
  route: /^route-and-config-[a-zA-Z0-9\-.]+$/,
};

/** The object of that name is there by itself and in the list. */
async function assertListed(cluster: Cluster, resource: ResourceRef, name: string): Promise<void> {
  const { metadata } = await cluster.get<KubeObject>(resource, name);
  const { items } = await cluster.api.list<KubeObject>(resource, { namespace: NAMESPACE });
  assert.ok(
    items.some((one) => one.metadata.uid === metadata.uid),
    `${resource.kind} ${name} is in the list`,
  );
}

function createConfiguration(
  cluster: Cluster,
  t: TestContext,
  image: string,
  metadata: Partial<KubeObject['metadata']>,
) {
  const spec = { template: templateFor(image) };
  return cluster.create<Configuration>(t, CONFIGURATIONS, {
    metadata: metadata as KubeObject['metadata'],
    spec,
  });
}

function createRoute(
  cluster: Cluster,
  t: TestContext,
  configurationName: string,
  metadata: Partial<KubeObject['metadata']>,
) {
  const spec = { traffic: [{ configurationName, percent: 100 }] };
  return cluster.create<Route>(t, ROUTES, { metadata: metadata as KubeObject['metadata'], spec });
}

await suite('Knative Serving API v1: Configuration, Revision, Route', 6, (cluster) => {
  test('TestConfigurationGetAndList', async (t) => {
    const { metadata } = await cluster.readyService(t, 'pizzaplanetv1');
    await assertListed(cluster, CONFIGURATIONS, metadata.name);
  });

  test('TestRevisionGetAndList', async (t) => {
    const { status } = await cluster.readyService(t, 'pizzaplanetv1');
    await assertListed(cluster, REVISIONS, status?.latestReadyRevisionName ?? '');
  });

  test('TestRouteGetAndList', async (t) => {
    const { metadata } = await cluster.readyService(t, 'pizzaplanetv1');
    await assertListed(cluster, ROUTES, metadata.name);
  });

  test('TestUpdateConfigurationMetadata', async (t) => {
    const { metadata } = await createConfiguration(cluster, t, 'pizzaplanetv1', { name: nameOf(t) });
    const { name } = metadata;
    const { status } = await cluster.until<Configuration>(CONFIGURATIONS, metadata, isReady);
    const revision = status?.latestReadyRevisionName ?? '';
    const added = { labels: { 'label-x': 'abc', 'label-y': 'def' }, annotations: { 'annotation-a': '123' } };
    for (const field of ['labels', 'annotations'] as const) {
      const changed = await cluster.change<Configuration>(CONFIGURATIONS, name, (one) => {
        one.metadata[field] = { ...one.metadata[field], ...added[field] };
      });
      const settled = await cluster.until<Configuration>(
        CONFIGURATIONS,
        changed.metadata,
        (one) => one.status?.observedGeneration === one.metadata.generation,
      );
      assert.deepEqual(settled.metadata[field], changed.metadata[field]);
      assert.equal(settled.status?.latestCreatedRevisionName, revision, 'no new revision');
      const made = (await cluster.revision(revision)).metadata[field] ?? {};
      assert.deepEqual(
        Object.keys(added[field]).filter((key) => key in made),
        [],
        'the revision has none of them',
      );
    }
  });

  test('TestRouteAndConfigGenerateName', async (t) => {
    const generateName = 'route-and-config-';
    const made = await createConfiguration(cluster, t, 'helloworld', { generateName });
    assert.match(made.metadata.name, GENERATED.configuration);
    await cluster.until<Configuration>(CONFIGURATIONS, made.metadata, isReady);
    const { metadata } = await createRoute(cluster, t, made.metadata.name, { generateName });
    assert.match(metadata.name, GENERATED.route);
    const route = await cluster.until<Route>(ROUTES, metadata, isReady);
    await cluster.assertServes(route.status?.url, TEXTS.helloworld);
  });

  test('TestRouteCreation', async (t) => {
    const name = nameOf(t);
    await createConfiguration(cluster, t, 'pizzaplanetv1', { name });
    await createRoute(cluster, t, name, { name });

    /** The revision after `old` that the Route has taken up; checks all that is to be true of it. */
    const takenUp = async (old: string, generation: string, text: string): Promise<string> => {
      const { status } = await cluster.until<Configuration>(
        CONFIGURATIONS,
        { name },
        (one) => (one.status?.latestCreatedRevisionName ?? old) !== old,
      );
      const revision = status?.latestCreatedRevisionName ?? '';
      await cluster.until<Revision>(
        REVISIONS,
        { name: revision },
        ({ metadata }) => metadata.labels?.['serving.knative.dev/routingState'] === 'active',
      );
      const route = await cluster.until<Route>(
        ROUTES,
        { name },
        (one) =>
          isReady(one) && (one.status?.traffic ?? []).every(({ revisionName }) => revisionName === revision),
      );
      await cluster.assertServes(route.status?.url, text);
      const made = await cluster.revision(revision);
      assert.ok(isReady(made));
      assert.equal(made.metadata.labels?.['serving.knative.dev/configurationGeneration'], generation);
      assert.equal((await cluster.configuration(name)).status?.latestReadyRevisionName, revision);
      return revision;
    };

    const first = await takenUp('', '1', TEXTS.pizzaplanetv1);
    const { status } = await cluster.route(name);
    await whileProbing(cluster, status?.url, async () => {
      const patch = [
        { op: 'replace', path: '/spec/template/spec/containers/0/image', value: imageOf('pizzaplanetv2') },
      ];
      await cluster.api.patch(CONFIGURATIONS, NAMESPACE, name, 'json', patch);
      await takenUp(first, '2', TEXTS.pizzaplanetv2);
    });
  });
});
