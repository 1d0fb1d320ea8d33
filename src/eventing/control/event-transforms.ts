/** EventTransform: JSONata between events, in the engine. Source: knative.dev/eventing `pkg/reconciler/eventtransform`. */
import type { EventTransform } from '../../kinds/eventing/objects.ts';
import type { Json } from '../../kinds/object.ts';
import { EVENT_TRANSFORMS } from '../../kube/refs.ts';
import { addressUrl } from '../addresses.ts';
import type { ControlContext } from './context.ts';
import type { Kind } from './kind.ts';
import { markPolicies } from './marks.ts';

const READY = 'TransformationReady';

export function eventTransforms(context: ControlContext): Kind<EventTransform> {
  const { engine, base, stateOf } = context;
  const keyOf = (namespace: string, name: string) => `transform/${namespace}/${name}`;
  return {
    resource: EVENT_TRANSFORMS,
    dependents: [READY, 'Addressable', 'EventPoliciesReady'],
    async reconcile(pass) {
      const { object, namespace, name, status, conditions } = pass;
      const { jsonata, sink, reply } = object.spec;
      const key = keyOf(namespace, name);
      const address = { name: 'http', url: addressUrl(base, key) };
      markPolicies(conditions, context.config().features);
      for (const field of ['sinkUri', 'sinkCACerts', 'sinkAudience'] as const) delete status[field];
      status.address = address;
      status.addresses = [address];
      conditions.markTrue('Addressable');
      const found = sink && (await pass.resolve(sink));
      if (found?.ok === false || (found?.ok && found.target.url === address.url)) {
        engine.setSink(key, null);
        conditions.markFalse(
          READY,
          'NotFound',
          found.ok ? 'the sink is the transform itself' : found.message,
        );
        return undefined;
      }
      if (found?.ok) {
        status.sinkUri = found.address.url;
        if (found.address.CACerts) status.sinkCACerts = found.address.CACerts;
        if (found.address.audience) status.sinkAudience = found.address.audience;
      }
      engine.setSink(key, {
        key,
        uid: object.metadata.uid ?? '',
        type: 'transform',
        config: {
          expression: jsonata.expression,
          ...(found?.ok && { sink: found.target as unknown as Json }),
          ...(reply?.jsonata && { reply: reply.jsonata.expression }),
          ...(reply?.discard && { discard: true }),
        },
      });
      const state = stateOf(key);
      if (state === undefined || state.ready) conditions.markTrue(READY);
      else conditions.markFalse(READY, state.reason, state.message);
      return undefined;
    },
    gone: (namespace, name) => engine.setSink(keyOf(namespace, name), null),
  };
}
