/** Knative Serving API v1, as its conformance suite sees it: the Service. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conditionOf } from '../../../../src/kinds/conditions.ts';
import type { Service } from '../../../../src/kinds/serving.ts';
import { KubeError } from '../../../../src/kube/client.ts';
import { KSERVICES } from '../../../../src/kube/refs.ts';
import { eventually } from '../../../lib/platform.ts';
import {
  assertAnnotations,
  assertControlPlane,
  assertLabels,
  assertPlaceholderAnnotations,
  assertPlaceholderLabels,
} from '../checks.ts';
import { freePort, imageOf, isReady, NAMESPACE, nameOf, suite, TEXTS, templateFor } from '../cluster.ts';
import { whileProbing } from '../traffic.ts';

await suite('Knative Serving API v1: Service', 6, (cluster) => {
  test('TestServiceCreateListAndDelete', async (t) => {
    const { metadata, status } = await cluster.readyService(t, 'pizzaplanetv1');
    await assertControlPlane(cluster, metadata.name, status?.latestReadyRevisionName ?? '', '1');
    const { items } = await cluster.api.list<Service>(KSERVICES, { namespace: NAMESPACE });
    assert.ok(
      items.some((one) => one.metadata.uid === metadata.uid),
      'it is in the list',
    );
    await cluster.api.delete(KSERVICES, NAMESPACE, metadata.name);
    await eventually('it is gone', () =>
      cluster.service(metadata.name).then(
        () => false,
        (error: KubeError) => error.code === 404,
      ),
    );
  });

  test('TestServiceCreateAndUpdate', async (t) => {
    const service = await cluster.readyService(t, 'pizzaplanetv1');
    const { name } = service.metadata;
    const url = service.status?.url;
    const first = service.status?.latestReadyRevisionName ?? '';
    await assertControlPlane(cluster, name, first, '1');
    await cluster.assertServes(url, TEXTS.pizzaplanetv1);
    await assertLabels(cluster, name, first);
    await assertAnnotations(cluster, name);

    await whileProbing(cluster, url, async () => {
      await cluster.useImage(name, 'pizzaplanetv2');
      const second = await cluster.nextRevision(service);
      const updated = await cluster.untilService({ name }, isReady);
      await assertControlPlane(cluster, name, second, '2');
      await cluster.assertServes(url, TEXTS.pizzaplanetv2);

      await cluster.changeService(name, ({ spec }) => {
        spec.template.metadata = {
          ...spec.template.metadata,
          labels: { 'label-x': 'abc', 'label-y': 'def' },
        };
      });
      const third = await cluster.nextRevision(updated);
      assert.equal((await cluster.revision(third)).metadata.labels?.['label-x'], 'abc');

      const labelled = await cluster.service(name);
      await cluster.changeService(name, ({ spec }) => {
        spec.template.metadata = {
          ...spec.template.metadata,
          annotations: { 'annotation-a': '123', 'annotation-b': '456' },
        };
      });
      const fourth = await cluster.nextRevision(labelled);
      await cluster.untilService({ name }, isReady);
      await assertControlPlane(cluster, name, fourth, '4');
      await cluster.assertServes(url, TEXTS.pizzaplanetv2);
    });
  });

  test('TestServiceBYOName', async (t) => {
    const chosen = `${nameOf(t)}-byoname`;
    const { metadata, status } = await cluster.readyService(t, 'pizzaplanetv1', {
      metadata: { name: chosen },
    });
    assert.equal(status?.latestReadyRevisionName, chosen);
    await assertControlPlane(cluster, metadata.name, chosen, '1');
    await cluster.assertServes(status?.url, TEXTS.pizzaplanetv1);
    await assertLabels(cluster, metadata.name, chosen);
    await assertAnnotations(cluster, metadata.name);
    await whileProbing(cluster, status?.url, async () => {
      await assert.rejects(
        cluster.useImage(metadata.name, 'pizzaplanetv2'),
        (error: KubeError) => error.code === 400 && /without a name change/.test(error.message),
      );
    });
  });

  test('TestServiceGenerateName', async (t) => {
    const generateName = 'service-generate-name-';
    const made = await cluster.readyService(t, 'helloworld', {}, { generateName });
    assert.match(made.metadata.name, /^service-generate-name-[a-zA-Z0-9\-.]+$/);
    await cluster.assertServes(made.status?.url, TEXTS.helloworld);
  });

  test('TestServiceAccountValidation', async (t) => {
    const template = templateFor('pizzaplanetv1', { spec: { serviceAccountName: 'foo@bar.baz' } });
    await assert.rejects(
      cluster.create(t, KSERVICES, { metadata: { name: nameOf(t) }, spec: { template } }),
      (error: KubeError) =>
        error instanceof KubeError &&
        error.message.includes(
          'foo@bar.baz: spec.template.spec.serviceAccountName\na lowercase RFC 1123 subdomain must consist of',
        ),
    );
  });

  test('TestAnnotationPropagation', async (t) => {
    const service = await cluster.readyService(t, 'pizzaplanetv1');
    const { name } = service.metadata;
    await assertControlPlane(cluster, name, service.status?.latestReadyRevisionName ?? '', '1');
    await assertAnnotations(cluster, name);
    await assertPlaceholderAnnotations(cluster, name);

    await cluster.changeService(name, ({ metadata }) => {
      metadata.annotations = { ...metadata.annotations, juicy: 'jamba' };
    });
    await cluster.useImage(name, 'pizzaplanetv2');
    await cluster.nextRevision(service);
    const second = await cluster.untilService({ name }, isReady);
    await assertAnnotations(cluster, name, 'juicy');
    await assertPlaceholderAnnotations(cluster, name, 'juicy');

    await cluster.changeService(name, ({ metadata }) => {
      delete metadata.annotations?.juicy;
    });
    await cluster.useImage(name, 'helloworld');
    await cluster.nextRevision(second);
    await cluster.untilService({ name }, isReady);
    await assertAnnotations(cluster, name);
    const children = [await cluster.configuration(name), await cluster.route(name)];
    assert.deepEqual(
      children.filter(({ metadata }) => metadata.annotations?.juicy),
      [],
    );
    // What it was once given, upstream leaves it.
    await assertPlaceholderAnnotations(cluster, name, 'juicy');
  });

  test('TestLabelPropagation', async (t) => {
    const service = await cluster.readyService(t, 'pizzaplanetv1');
    const { name } = service.metadata;
    const first = service.status?.latestReadyRevisionName ?? '';
    await assertControlPlane(cluster, name, first, '1');
    await assertLabels(cluster, name, first);
    await assertPlaceholderLabels(cluster, name);

    await cluster.changeService(name, ({ metadata }) => {
      metadata.labels = { ...metadata.labels, juicy: 'jamba' };
    });
    await cluster.useImage(name, 'pizzaplanetv2');
    const second = await cluster.nextRevision(service);
    const updated = await cluster.untilService({ name }, isReady);
    await assertLabels(cluster, name, second);
    for (const { metadata } of [await cluster.configuration(name), await cluster.route(name)])
      assert.equal(metadata.labels?.juicy, 'jamba');
    await assertPlaceholderLabels(cluster, name, 'juicy');

    await cluster.changeService(name, ({ metadata }) => {
      delete metadata.labels?.juicy;
    });
    await cluster.useImage(name, 'helloworld');
    const third = await cluster.nextRevision(updated);
    await cluster.untilService({ name }, isReady);
    await assertLabels(cluster, name, third);
    const children = [await cluster.configuration(name), await cluster.route(name)];
    assert.deepEqual(
      children.filter(({ metadata }) => metadata.labels?.juicy),
      [],
    );
    // What it was once given, upstream leaves it.
    await assertPlaceholderLabels(cluster, name, 'juicy');
  });

  test('TestServiceCreateWithMultipleContainers', async (t) => {
    const port = await freePort();
    const containers = [
      {
        image: imageOf('servingcontainer'),
        ports: [{ containerPort: 8881 }],
        env: [{ name: 'FORWARD_PORT', value: String(port) }],
      },
      {
        image: imageOf('sidecarcontainer'),
        env: [{ name: 'SIDECAR_PORT', value: String(port) }],
        readinessProbe: { tcpSocket: { port } },
      },
    ];
    const service = await cluster.readyService(t, 'servingcontainer', { spec: { containers } });
    await assertControlPlane(
      cluster,
      service.metadata.name,
      service.status?.latestReadyRevisionName ?? '',
      '1',
    );
    await cluster.assertServes(service.status?.url, TEXTS.sidecarcontainer);
    // PORT says where requests come in, so the container where none do has none.
    await cluster.assertServes(service.status?.url, 'undefined', '/port');
  });

  test('TestServiceCreateWithEmptyDir', async (t) => {
    const service = await cluster.readyService(t, 'volumes', {
      container: { volumeMounts: [{ name: 'data', mountPath: '/data' }] },
      spec: { volumes: [{ name: 'data', emptyDir: { medium: 'Memory', sizeLimit: '100M' } }] },
    });
    await assertControlPlane(
      cluster,
      service.metadata.name,
      service.status?.latestReadyRevisionName ?? '',
      '1',
    );
    await cluster.assertServes(service.status?.url, TEXTS.volumes);
    assert.equal(conditionOf(service, 'Ready')?.status, 'True');
  });
});
