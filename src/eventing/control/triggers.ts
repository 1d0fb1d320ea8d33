/** Trigger: a subscription of a Broker's stream. Source: knative.dev/eventing `pkg/reconciler/broker/trigger`. */
import { conditionOf, readiness } from '../../kinds/conditions.ts';
import type { Broker, Trigger } from '../../kinds/eventing/objects.ts';
import type { Json } from '../../kinds/object.ts';
import { BROKERS, TRIGGERS } from '../../kube/refs.ts';
import { addressUrl } from '../addresses.ts';
import type { Target } from '../model.ts';
import { brokerKey, isOurs } from './brokers.ts';
import type { ControlContext } from './context.ts';
import type { Kind, Pass } from './kind.ts';
import { markNoIdentity, propagate, resolveDeadLetterSink, setDeadLetterSink } from './marks.ts';
import { NoSuchKind } from './objects.ts';
import { notFound, resourceOf } from './resources.ts';
import { createDefaultBroker } from './sugar.ts';
import { deliveryTerms, subscriptionTerms } from './terms.ts';

const DEPENDENCY = 'knative.dev/dependency';

const triggerKey = (namespace: string, name: string): string => `trigger/${namespace}/${name}`;

/** Where a subscriber was that cannot be resolved now: nobody is there, so its events are tried again, and are safe in the end. */
export const nowhere = (uri: string | undefined): Target => ({
  url: uri ?? 'http://unresolved.invalid/',
  endpoints: [],
});

export function triggers(context: ControlContext): Kind<Trigger> {
  const { engine, base, config } = context;

  /** A reference to the Broker of another namespace counts where the feature is on. */
  const brokerOf = ({ spec }: Trigger, namespace: string): [namespace: string, name: string] => {
    const foreign = config().features.crossNamespaceEventLinks === 'Enabled' && spec.brokerRef;
    return foreign
      ? [foreign.namespace ?? namespace, foreign.name]
      : [namespace, spec.broker || spec.brokerRef?.name || ''];
  };

  return {
    resource: TRIGGERS,
    dependents: [
      'BrokerReady',
      'SubscriptionReady',
      'DependencyReady',
      'SubscriberResolved',
      'DeadLetterSinkResolved',
      'OIDCIdentityCreated',
    ],
    async reconcile(pass) {
      const { object, namespace, name, status, conditions } = pass;
      const key = triggerKey(namespace, name);
      const [brokerNamespace, brokerName] = brokerOf(object, namespace);
      const broker = (await pass.reader.get(BROKERS, brokerNamespace, brokerName)) as unknown as
        | Broker
        | undefined;
      markNoIdentity(conditions);
      if (broker === undefined) {
        engine.setSubscription(key, null);
        const message = `Broker ${JSON.stringify(brokerName)} does not exist`;
        conditions.markFalse('BrokerReady', 'BrokerDoesNotExist', message);
        createDefaultBroker(context, object);
        return undefined;
      }
      if (!isOurs(broker)) {
        engine.setSubscription(key, null);
        return 'foreign';
      }
      propagate(conditions, 'BrokerReady', conditionOf(broker, 'Ready'), {
        reason: 'BrokerNotConfigured',
        message: 'Broker has not yet been reconciled.',
      });
      const subscriber = await pass.resolve(object.spec.subscriber);
      const before = status.subscriberUri;
      for (const field of ['subscriberUri', 'subscriberCACerts', 'subscriberAudience'] as const)
        delete status[field];
      if (subscriber.ok) {
        const { url, CACerts, audience } = subscriber.address;
        status.subscriberUri = url;
        if (CACerts) status.subscriberCACerts = CACerts;
        if (audience) status.subscriberAudience = audience;
        conditions.markTrue('SubscriberResolved');
      } else
        conditions.markFalse('SubscriberResolved', "Unable to get the Subscriber's URI", subscriber.message);
      const deadLetter = await deadLetterSink(pass, broker);
      await checkDependency(pass);
      // One that was subscribed keeps its place, also while its subscriber is not to be found.
      const subscribed = conditionOf(object, 'SubscriptionReady')?.status === 'True';
      if (!subscriber.ok && !subscribed) {
        engine.setSubscription(key, null);
        return undefined;
      }
      const { jitter, anyAnswer, ...terms } = subscriptionTerms(object);
      const target = subscriber.ok ? subscriber.target : nowhere(before);
      engine.setSubscription(key, {
        key,
        uid: object.metadata.uid ?? '',
        stream: brokerKey(brokerNamespace, brokerName),
        ...(object.spec.filters?.length && { filters: object.spec.filters as Json[] }),
        ...(object.spec.filter?.attributes && { attributes: object.spec.filter.attributes }),
        subscriber: anyAnswer ? { ...target, anyAnswer: true } : target,
        reply: { url: addressUrl(base, brokerKey(brokerNamespace, brokerName)) },
        terms: deliveryTerms(object.spec.delivery ?? broker.spec.delivery, deadLetter, jitter),
        ...terms,
      });
      conditions.markTrue('SubscriptionReady');
      return undefined;
    },
    gone: (namespace, name) => engine.setSubscription(triggerKey(namespace, name), null),
  };
}

/** The Trigger's own dead letter sink, or that of its Broker. */
async function deadLetterSink(pass: Pass<Trigger>, broker: Broker): Promise<Target | undefined> {
  const { object, status, conditions } = pass;
  if (object.spec.delivery?.deadLetterSink !== undefined || !broker.spec.delivery?.deadLetterSink)
    return resolveDeadLetterSink(pass, status, object.spec.delivery);
  const found = await pass.resolve(broker.spec.delivery.deadLetterSink);
  setDeadLetterSink(status, found.ok ? found.address : undefined);
  if (found.ok) {
    conditions.markTrue('DeadLetterSinkResolved');
    return found.target;
  }
  const reason = `Broker ${broker.metadata.name} didn't set status.deadLetterSinkURI`;
  conditions.markFalse('DeadLetterSinkResolved', reason, '');
  return undefined;
}

/** `knative.dev/dependency` names an object that must be ready before the Trigger is. */
async function checkDependency({ object, namespace, conditions, reader }: Pass<Trigger>): Promise<void> {
  const type = 'DependencyReady';
  const text = object.metadata.annotations?.[DEPENDENCY];
  if (text === undefined) return conditions.markTrue(type);
  const { apiVersion = '', kind = '', name = '' } = JSON.parse(text) as Record<string, string>;
  const resource = resourceOf(apiVersion, kind);
  try {
    const found = await reader.get(resource, namespace, name);
    if (found === undefined) {
      const message = `Dependency does not exist: ${notFound(resource, name)}`;
      return conditions.markFalse(type, 'DependencyDoesNotExist', message);
    }
    const { generation = 0 } = found.metadata;
    const observed: number | undefined = found.status?.observedGeneration;
    if (readiness(found) === 'Unknown' && generation !== observed) {
      const message = `The dependency's metadata.generation, "${generation}", is not equal to its status.observedGeneration, "${observed ?? 0}".`;
      return conditions.markUnknown(type, 'GenerationNotEqual', message);
    }
    propagate(conditions, type, conditionOf(found, 'Ready'), {
      reason: 'DependencyNotConfigured',
      message: 'Dependency has not yet been reconciled.',
    });
  } catch (error) {
    if (!(error instanceof NoSuchKind)) throw error;
    conditions.markUnknown(type, 'ListerDoesNotExist', `Failed to retrieve lister: ${error.message}`);
  }
}
