/** Knative Serving API v1beta1, as its conformance suite sees it: DomainMapping. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { conditionOf } from '../../../../src/kinds/conditions.ts';
import type { KubeObject } from '../../../../src/kinds/object.ts';
import type { DuckStatus, Service } from '../../../../src/kinds/serving.ts';
import { DOMAIN_MAPPINGS } from '../../../../src/kube/refs.ts';
import { nameOf, OTHER_NAMESPACE, suite, TEXTS } from '../cluster.ts';

interface DomainMapping extends KubeObject {
  status?: DuckStatus & { url?: string };
}

await suite('Knative Serving API v1beta1', 1, (cluster) => {
  test('TestDomainMapping', async (t) => {
    const domain = `${nameOf(t)}.example.org`;
    const map = (context: TestContext, { metadata: { name, namespace } }: Service) =>
      cluster.create<DomainMapping>(context, DOMAIN_MAPPINGS, {
        metadata: { name: domain, namespace },
        spec: { ref: { apiVersion: 'serving.knative.dev/v1', kind: 'Service', name, namespace } },
      });
    const until = (namespace: string | undefined, wanted: (mapping: DomainMapping) => boolean) =>
      cluster.until<DomainMapping>(DOMAIN_MAPPINGS, { name: domain, namespace }, wanted);
    const ready = (mapping: DomainMapping) => conditionOf(mapping, 'Ready')?.status === 'True';

    const first = await cluster.readyService(t, 'pizzaplanetv1');
    const mapping = await map(t, first);
    const { status } = await until(mapping.metadata.namespace, ready);
    assert.equal(new URL(status?.url ?? '').hostname, domain);
    await cluster.assertServes(status?.url, TEXTS.pizzaplanetv1);

    // The name is taken: who comes second is told so, and changes nothing.
    const second = await cluster.readyService(
      t,
      'pizzaplanetv2',
      {},
      { name: nameOf(t), namespace: OTHER_NAMESPACE },
    );
    await map(t, second);
    await until(
      OTHER_NAMESPACE,
      (one) =>
        one.status?.observedGeneration === one.metadata.generation &&
        conditionOf(one, 'DomainClaimed')?.status === 'False',
    );
    await cluster.assertServes(status?.url, TEXTS.pizzaplanetv1);

    // It is the second's as soon as the first gives it up.
    await cluster.remove(DOMAIN_MAPPINGS, mapping);
    const taken = await until(OTHER_NAMESPACE, ready);
    await cluster.assertServes(taken.status?.url, TEXTS.pizzaplanetv2);
  });
});
