/** Broker: a stream with an address. Source: knative.dev/eventing `pkg/reconciler/broker`. */
import { CHANNEL_BASED_CLASS, PETREL_CLASS } from '../../kinds/config/eventing.ts';
import type { Broker } from '../../kinds/eventing/objects.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { BROKERS } from '../../kube/refs.ts';
import { addressUrl } from '../addresses.ts';
import { createAdviser } from './advice.ts';
import { backendOf, REMOTE_CLASSES } from './backends.ts';
import type { ControlContext } from './context.ts';
import type { Kind } from './kind.ts';
import { markPolicies, resolveDeadLetterSink } from './marks.ts';
import { streamSpec } from './terms.ts';

const BROKER_CLASS = 'eventing.knative.dev/broker.class';
const OURS: readonly (string | undefined)[] = [PETREL_CLASS, CHANNEL_BASED_CLASS, ...REMOTE_CLASSES];

/** Whether a Broker is served here; those of other classes belong to other controllers. */
export const isOurs = ({ metadata }: KubeObject): boolean =>
  OURS.includes(metadata.annotations?.[BROKER_CLASS]);

export const brokerKey = (namespace: string, name: string): string => `broker/${namespace}/${name}`;

export function brokers(context: ControlContext): Kind<Broker> {
  const { engine, base, config, stateOf } = context;
  const adviser = createAdviser(context);
  return {
    resource: BROKERS,
    dependents: [
      'IngressReady',
      'TriggerChannelReady',
      'FilterReady',
      'Addressable',
      'DeadLetterSinkResolved',
      'EventPoliciesReady',
    ],
    async reconcile(pass) {
      const { object, namespace, name, status, conditions } = pass;
      const key = brokerKey(namespace, name);
      if (!isOurs(object)) {
        engine.setStream(key, null);
        return 'foreign';
      }
      const { features } = config();
      const reportTypes = features.eventTypeAutoCreate === 'Enabled';
      const spec = streamSpec(key, object, { ttl: true, reportTypes });
      const brokerClass = object.metadata.annotations?.[BROKER_CLASS] ?? '';
      // Ingress, channel and filter are one engine, which is there.
      for (const type of ['IngressReady', 'TriggerChannelReady', 'FilterReady']) conditions.markTrue(type);
      if (REMOTE_CLASSES.includes(brokerClass)) {
        const found = await backendOf(pass.reader, object, brokerClass);
        if (found.ok) {
          engine.setStream(key, { ...spec, backend: found.backend });
          if (found.advice) adviser.tell(object, found.advice);
          if (found.question) adviser.ask(object, found.question);
        }
        const state = stateOf(key);
        if (!found.ok) conditions.markFalse('TriggerChannelReady', found.reason, found.message);
        else if (state === undefined)
          conditions.markUnknown(
            'TriggerChannelReady',
            'Starting',
            'The store of the events is being opened.',
          );
        else if (!state.ready) conditions.markFalse('TriggerChannelReady', state.reason, state.message);
      } else engine.setStream(key, spec);
      await resolveDeadLetterSink(pass, status, object.spec.delivery);
      markPolicies(conditions, features);
      status.address = { name: 'http', url: addressUrl(base, key) };
      conditions.markTrue('Addressable');
      return undefined;
    },
    gone(namespace, name) {
      engine.setStream(brokerKey(namespace, name), null);
      adviser.gone(namespace, name);
    },
  };
}
