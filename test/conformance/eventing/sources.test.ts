/** Port of what knative/eventing's suites say of sources and sinks; named as there. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { UntypedObject } from '../../../src/kinds/object.ts';
import type { ResourceRef } from '../../../src/kube/client.ts';
import { INTEGRATION_SINKS } from '../../../src/kube/refs.ts';
import { eventually } from '../../lib/platform.ts';
import { EventWorld, fullEvent } from './world.ts';

const world = new EventWorld();
before(() => world.start());
after(() => world.stop());

const DEFINITIONS: ResourceRef = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
};

describe('TestSourceCRDMetadata', () => {
  for (const plural of [
    'apiserversources',
    'containersources',
    'pingsources',
    'sinkbindings',
    'kafkasources',
  ]) {
    test(`${plural} has the labels and the category of sources`, async () => {
      const { metadata, spec } = await world.client.get<UntypedObject>(
        DEFINITIONS,
        undefined,
        `${plural}.sources.knative.dev`,
      );
      assert.equal(metadata.labels?.['duck.knative.dev/source'], 'true');
      assert.equal(metadata.labels?.['eventing.knative.dev/source'], 'true');
      assert.ok(spec.names.categories.includes('sources'));
      assert.equal(spec.scope, 'Namespaced');
    });
  }
});

test('TestIntegrationSinkLogSuccess', async () => {
  const name = world.name('sink');
  await world.create(INTEGRATION_SINKS, name, { log: { loggerName: 'rekt' } });
  await world.produce(await world.address(INTEGRATION_SINKS, name), fullEvent('logged'));
  await eventually('a line in the log', async () =>
    /"message":"rekt".*"ce-id":"logged"/.test(world.petrel.log()),
  );
});
