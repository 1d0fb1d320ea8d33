/** Serving against an API in memory, a gateway and a source of instances that tests can look into, and a clock of their own. */
import { simulatedClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import { conditionOf } from '../../kinds/conditions.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import type { Service, TrafficTarget } from '../../kinds/serving.ts';
import { createClient } from '../../kube/rest.ts';
import { createFakeApi, type FakeApi } from '../../kube/testing.ts';
import { createServing, type Serving } from '../serving.ts';
import { createFakeGateway, createFakeSource } from '../testing.ts';

export const service = (
  name: string,
  options: { image?: string; traffic?: TrafficTarget[]; revision?: string } = {},
): Service => ({
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Service',
  metadata: { name, namespace: 'default', annotations: { 'serving.knative.dev/creator': 'me' } },
  spec: {
    template: {
      metadata: options.revision ? { name: options.revision } : undefined,
      spec: { containers: [{ name: 'user-container', image: options.image ?? 'petrel.dev/runtime/node' }] },
    },
    ...(options.traffic && { traffic: options.traffic }),
  },
});

export function setUp(api: FakeApi = createFakeApi()) {
  const client = createClient(api);
  const clock = simulatedClock();
  const gateway = createFakeGateway();
  const source = createFakeSource(clock);
  const servings: Serving[] = [];
  const start = async () => {
    const serving = createServing({ client, sources: [source], log: silentLogger, clock, random: () => 0.5 });
    servings.push(serving);
    const started = serving.start(gateway);
    await clock.advance(0);
    await started;
    return serving;
  };
  /** Lets everything that is under way come to rest. */
  const settle = async (ms = 200) => {
    for (let step = 0; step < 10; step++) await clock.advance(ms / 10);
  };
  const one = (plural: string, name: string) =>
    api
      .objects(plural)
      .find(({ apiVersion, metadata }) => metadata.name === name && apiVersion !== 'v1') as UntypedObject;
  const placeholder = (name: string) =>
    api
      .objects('services')
      .find(({ apiVersion, metadata }) => metadata.name === name && apiVersion === 'v1') as
      | UntypedObject
      | undefined;
  const ready = (plural: string, name: string) => {
    const condition = conditionOf(one(plural, name), 'Ready');
    return [condition?.status, condition?.reason, condition?.message].filter(Boolean).join(' ');
  };
  const stop = () => Promise.all(servings.map((serving) => serving.stop()));
  return { api, client, clock, gateway, source, start, settle, one, placeholder, ready, stop };
}
