/** InMemoryChannel: a stream with an address, durable here. Channel: one of those, made from a template. Source: knative.dev/eventing `pkg/reconciler/{inmemorychannel,channel}`. */
import { isDeepStrictEqual } from 'node:util';
import { conditionOf } from '../../kinds/conditions.ts';
import type {
  Channel,
  InMemoryChannel,
  PhysicalSubscription,
  SubscriberSpec,
  SubscriberStatus,
  Subscription,
} from '../../kinds/eventing/objects.ts';
import { WISH_GROUP } from '../../kinds/eventing/wishes.ts';
import type { Json, UntypedObject } from '../../kinds/object.ts';
import { CHANNELS, IN_MEMORY_CHANNELS, SUBSCRIPTIONS } from '../../kube/refs.ts';
import { addressUrl } from '../addresses.ts';
import { ensureChild } from './children.ts';
import type { ControlContext } from './context.ts';
import type { Kind, Pass } from './kind.ts';
import { markPolicies, propagate, resolveDeadLetterSink, setDeadLetterSink } from './marks.ts';
import { resourceOf } from './resources.ts';
import { deliveryTerms, streamSpec } from './terms.ts';

export const channelKey = (namespace: string, name: string): string => `channel/${namespace}/${name}`;

/** Subscribers that stand in a channel itself, without a Subscription: keys by channel, so that they can be taken away. */
const directKey = (namespace: string, name: string, uid: string): string =>
  `subscription/${namespace}/${name}/${uid}`;

/** Whether a Subscription says that it was added to that channel. */
function isAddedTo(namespace: string, name: string) {
  return ({ metadata, spec, status }: UntypedObject): boolean =>
    metadata.namespace === namespace &&
    (spec?.channel?.kind === 'InMemoryChannel' || spec?.channel?.kind === 'Channel') &&
    spec.channel.name === name &&
    conditionOf({ ...({ metadata } as Subscription), status }, 'AddedToChannel')?.status === 'True';
}

/** Subscribers that somebody wrote into the channel; those of Subscriptions have a name. */
const ownSubscribers = ({ spec }: InMemoryChannel): SubscriberSpec[] =>
  (spec.subscribers ?? []).filter(({ name }) => name === undefined);

/** A Subscription as its channel shows it. */
function asSubscriber({ metadata, status, spec }: UntypedObject): SubscriberSpec {
  const { subscriberUri, subscriberCACerts, replyUri, replyCACerts }: PhysicalSubscription =
    status?.physicalSubscription ?? {};
  return JSON.parse(
    JSON.stringify({
      name: metadata.name,
      uid: metadata.uid,
      generation: metadata.generation,
      subscriberUri,
      subscriberCACerts,
      replyUri,
      replyCACerts,
      delivery: spec?.delivery,
    }),
  );
}

/** What is in a channel is ready: it was set before it was written. */
const asReady = ({ uid, generation }: SubscriberSpec): SubscriberStatus => ({
  uid,
  ...(generation !== undefined && { observedGeneration: generation }),
  ready: 'True',
});

export function inMemoryChannels({ client, engine, base, config }: ControlContext): Kind<InMemoryChannel> {
  const direct = new Map<string, Set<string>>();

  /** Writes into the spec who the subscribers are (resolves whether that was a change), as upstream's Subscriptions do; here one writer does it for all of them. */
  const showSubscribers = async (
    object: InMemoryChannel,
    subscribers: SubscriberSpec[],
  ): Promise<boolean> => {
    if (isDeepStrictEqual(object.spec.subscribers ?? [], subscribers)) return false;
    const { subscribers: _, ...spec } = object.spec;
    await client.update(IN_MEMORY_CHANNELS, {
      ...object,
      spec: { ...spec, ...(subscribers.length > 0 && { subscribers }) },
    });
    return true;
  };

  /** What stands in `spec.subscribers` without being a Subscription's; those set themselves. */
  const setDirect = (pass: Pass<InMemoryChannel>, deadLetters: boolean): void => {
    const { object, namespace, name } = pass;
    const key = channelKey(namespace, name);
    const before = direct.get(key) ?? new Set();
    const now = new Set<string>();
    for (const subscriber of ownSubscribers(object)) {
      const own = directKey(namespace, name, subscriber.uid);
      now.add(own);
      engine.setSubscription(own, directSpec(own, key, subscriber, object, deadLetters));
    }
    for (const own of before) if (!now.has(own)) engine.setSubscription(own, null);
    if (now.size > 0) direct.set(key, now);
    else direct.delete(key);
  };

  return {
    resource: IN_MEMORY_CHANNELS,
    dependents: [
      'DispatcherReady',
      'ServiceReady',
      'EndpointsReady',
      'Addressable',
      'ChannelServiceReady',
      'DeadLetterSinkResolved',
      'EventPoliciesReady',
    ],
    async reconcile(pass) {
      const { object, namespace, name, status, conditions } = pass;
      const key = channelKey(namespace, name);
      const { features } = config();
      const reportTypes = features.eventTypeAutoCreate === 'Enabled';
      engine.setStream(key, streamSpec(key, object, { ttl: false, reportTypes }));
      for (const type of ['DispatcherReady', 'ServiceReady', 'EndpointsReady', 'ChannelServiceReady'])
        conditions.markTrue(type);
      const deadLetter = await resolveDeadLetterSink(
        pass,
        status,
        object.spec.delivery,
        "Unable to get the DeadLetterSink's URI",
      );
      status.address = { name: 'http', url: addressUrl(base, key) };
      conditions.markTrue('Addressable');
      markPolicies(conditions, features);
      setDirect(pass, deadLetter !== undefined);
      const added = await pass.reader.list(SUBSCRIPTIONS, namespace, isAddedTo(namespace, name));
      const subscribers = [...ownSubscribers(object), ...added.map(asSubscriber)].sort((a, b) =>
        a.uid < b.uid ? -1 : 1,
      );
      if (subscribers.length > 0) status.subscribers = subscribers.map(asReady);
      else delete status.subscribers;
      return (await showSubscribers(object, subscribers)) ? 'later' : undefined;
    },
    gone(namespace, name) {
      const key = channelKey(namespace, name);
      for (const own of direct.get(key) ?? []) engine.setSubscription(own, null);
      direct.delete(key);
      engine.setStream(key, null);
    },
  };
}

/** A subscriber as it stands in the channel: resolved by whoever wrote it. */
function directSpec(
  key: string,
  stream: string,
  subscriber: SubscriberSpec,
  { metadata, status, spec }: InMemoryChannel,
  deadLetters: boolean,
) {
  const { uid, subscriberUri, subscriberCACerts, replyUri, replyCACerts, delivery } = subscriber;
  const target = (url: string, caCerts?: string) => ({ url, ...(caCerts && { caCerts }) });
  const sink = delivery?.deadLetterSink?.uri ?? (deadLetters ? status?.deadLetterSinkUri : undefined);
  return {
    key,
    uid: `${metadata.uid}/${uid}`,
    stream,
    ...(subscriberUri && { subscriber: target(subscriberUri, subscriberCACerts) }),
    ...(replyUri && { reply: target(replyUri, replyCACerts) }),
    terms: deliveryTerms(delivery ?? spec.delivery, sink ? target(sink) : undefined),
    concurrency: 100,
    paused: false,
    start: 'latest' as const,
  };
}

export function channels(context: ControlContext): Kind<Channel> {
  return {
    resource: CHANNELS,
    dependents: ['BackingChannelReady', 'Addressable', 'DeadLetterSinkResolved', 'EventPoliciesReady'],
    async reconcile(pass) {
      const { object, namespace, name, status, conditions } = pass;
      const { apiVersion, kind, spec } = object.spec.channelTemplate;
      const { delivery } = object.spec;
      const wishes = Object.entries(object.metadata.annotations ?? {}).filter(([key]) =>
        key.startsWith(WISH_GROUP),
      );
      const child = await ensureChild(context, pass, resourceOf(apiVersion, kind), {
        apiVersion,
        kind,
        metadata: { name, namespace, annotations: Object.fromEntries(wishes) },
        spec: { ...spec, ...(delivery && { delivery: delivery as unknown as Json }) },
      });
      markPolicies(conditions, context.config().features);
      if (!child.ok) {
        conditions.markFalse('BackingChannelReady', 'ChannelFailure', child.message);
        return undefined;
      }
      const backing: InMemoryChannel['status'] = child.object.status;
      status.channel = { kind, namespace, name, apiVersion };
      propagate(conditions, 'BackingChannelReady', conditionOf(child.object, 'Ready'), {
        reason: 'BackingChannelNotConfigured',
        message: 'BackingChannel has not yet been reconciled.',
      });
      if (backing?.address?.url) {
        status.address = backing.address;
        conditions.markTrue('Addressable');
      } else {
        delete status.address;
        conditions.markFalse('Addressable', 'EmptyHostname', 'hostname is the empty string');
      }
      if (backing?.subscribers) status.subscribers = backing.subscribers;
      else delete status.subscribers;
      if (!delivery?.deadLetterSink) {
        setDeadLetterSink(status, undefined);
        const message = 'No dead letter sink is configured.';
        conditions.markTrue('DeadLetterSinkResolved', 'DeadLetterSinkNotConfigured', message);
      } else if (backing?.deadLetterSinkUri) {
        setDeadLetterSink(status, {
          url: backing.deadLetterSinkUri,
          CACerts: backing.deadLetterSinkCACerts,
          audience: backing.deadLetterSinkAudience,
        });
        conditions.markTrue('DeadLetterSinkResolved');
      } else {
        setDeadLetterSink(status, undefined);
        const reason = `Backing Channel ${name} didn't set status.deadLetterSinkURI`;
        conditions.markFalse('DeadLetterSinkResolved', reason, '');
      }
      return undefined;
    },
    // Its stream is that of the channel that it owns, which goes with it.
    gone() {},
  };
}
