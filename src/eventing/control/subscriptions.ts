/** Subscription: a subscription of a channel's stream. Source: knative.dev/eventing `pkg/reconciler/subscription`. */
import { conditionOf } from '../../kinds/conditions.ts';
import type {
  DeliveryStatus,
  Destination,
  InMemoryChannel,
  KReference,
  PhysicalSubscription,
  Subscription,
} from '../../kinds/eventing/objects.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import { CHANNELS, IN_MEMORY_CHANNELS, SUBSCRIPTIONS } from '../../kube/refs.ts';
import type { Target } from '../model.ts';
import { channelKey } from './channels.ts';
import type { ControlContext } from './context.ts';
import type { Kind, Pass } from './kind.ts';
import { markNoIdentity, setDeadLetterSink } from './marks.ts';
import { NoSuchKind } from './objects.ts';
import { notFound, resourceOf } from './resources.ts';
import { deliveryTerms, subscriptionTerms } from './terms.ts';
import { nowhere } from './triggers.ts';

const subscriptionKey = (namespace: string, name: string): string => `subscription/${namespace}/${name}`;

type SubscriptionPass = Pass<Subscription>;
type Found<T> = { ok: true; value: T } | { ok: false; message: string };

const isEmpty = (value: object | undefined): boolean =>
  value === undefined || Object.keys(value).length === 0;

/** The channel whose stream it is: of a Channel, the one behind it. */
async function findChannel(
  { reader }: Pick<SubscriptionPass, 'reader'>,
  { apiVersion = '', kind, name }: KReference,
  namespace: string,
): Promise<Found<InMemoryChannel>> {
  const look = async (version: string, of: string, called: string): Promise<Found<UntypedObject>> => {
    const resource = resourceOf(version, of);
    const object = await reader.get(resource, namespace, called);
    return object ? { ok: true, value: object } : { ok: false, message: notFound(resource, called) };
  };
  try {
    let found = await look(apiVersion, kind, name);
    if (found.ok && resourceOf(apiVersion, kind) === CHANNELS) {
      const behind: KReference | undefined = found.value.status?.channel;
      if (conditionOf(found.value, 'Ready')?.status !== 'True' || behind === undefined)
        return { ok: false, message: 'channel is not ready.' };
      found = await look(behind.apiVersion ?? '', behind.kind, behind.name);
    }
    if (!found.ok) return found;
    if (found.value.kind !== IN_MEMORY_CHANNELS.kind)
      return { ok: false, message: `${found.value.kind} is no channel that this platform serves` };
    return { ok: true, value: found.value as unknown as InMemoryChannel };
  } catch (error) {
    if (error instanceof NoSuchKind) return { ok: false, message: error.message };
    throw error;
  }
}

export function subscriptions({ engine, config }: ControlContext): Kind<Subscription> {
  return {
    resource: SUBSCRIPTIONS,
    dependents: ['ReferencesResolved', 'AddedToChannel', 'ChannelReady', 'OIDCIdentityCreated'],
    async reconcile(pass) {
      const { object, namespace, name, status, conditions } = pass;
      const key = subscriptionKey(namespace, name);
      const before = status.physicalSubscription;
      const added = conditionOf(object, 'AddedToChannel')?.status === 'True';
      markNoIdentity(conditions);
      const foreign =
        config().features.crossNamespaceEventLinks === 'Enabled' && object.spec.channel.namespace;
      const channel = await findChannel(pass, object.spec.channel, foreign || namespace);
      if (!channel.ok) {
        const message = `Failed to get Spec.Channel or backing channel: ${channel.message}`;
        conditions.markUnknown('ReferencesResolved', 'ChannelReferenceFailed', message);
        // The channel's stream went with it, or is not there yet: its subscribers come again when it does.
        if (!added) engine.setSubscription(key, null);
        return undefined;
      }
      const physical: PhysicalSubscription = {};
      const resolved = await resolveAll(pass, channel.value, physical);
      status.physicalSubscription = physical;
      if (resolved.failure) {
        const { reason, message } = resolved.failure;
        conditions.markFalse('ReferencesResolved', reason, message);
        if (!added) {
          engine.setSubscription(key, null);
          return undefined;
        }
      } else conditions.markTrue('ReferencesResolved');
      const { jitter, anyAnswer, ...terms } = subscriptionTerms(object);
      const { metadata, spec } = channel.value;
      const subscriber = resolved.subscriber ?? (resolved.failure && nowhere(before?.subscriberUri));
      engine.setSubscription(key, {
        key,
        uid: object.metadata.uid ?? '',
        stream: channelKey(metadata.namespace ?? '', metadata.name),
        ...(subscriber && { subscriber: anyAnswer ? { ...subscriber, anyAnswer: true } : subscriber }),
        ...(resolved.reply && { reply: resolved.reply }),
        terms: deliveryTerms(object.spec.delivery ?? spec.delivery, resolved.deadLetter, jitter),
        ...terms,
      });
      conditions.markTrue('AddedToChannel');
      conditions.markTrue('ChannelReady');
      return undefined;
    },
    gone: (namespace, name) => engine.setSubscription(subscriptionKey(namespace, name), null),
  };
}

interface Resolved {
  subscriber?: Target;
  reply?: Target;
  deadLetter?: Target;
  failure?: { reason: string; message: string };
}

/** Subscriber, reply and dead letter sink, up to the first that cannot be resolved; into `physical` what can. */
async function resolveAll(
  pass: SubscriptionPass,
  channel: InMemoryChannel,
  physical: PhysicalSubscription,
): Promise<Resolved> {
  const { spec } = pass.object;
  const result: Resolved = {};
  const parts: [what: 'subscriber' | 'reply', reason: string, destination: Destination | undefined][] = [
    ['subscriber', 'SubscriberResolveFailed', spec.subscriber],
    ['reply', 'ReplyResolveFailed', spec.reply],
  ];
  for (const [what, reason, destination] of parts) {
    if (isEmpty(destination)) continue;
    const found = await pass.resolve(destination);
    if (!found.ok) {
      const message = `Failed to resolve spec.${what}: ${found.message}`;
      return { ...result, failure: { reason, message } };
    }
    const { url, CACerts, audience } = found.address;
    physical[`${what}Uri`] = url;
    if (CACerts) physical[`${what}CACerts`] = CACerts;
    if (audience) physical[`${what}Audience`] = audience;
    result[what] = found.target;
  }
  const own = spec.delivery?.deadLetterSink;
  const sink = own ?? channel.spec.delivery?.deadLetterSink;
  if (sink === undefined) return result;
  const found = await pass.resolve(sink);
  setDeadLetterSink(physical as DeliveryStatus, found.ok ? found.address : undefined);
  if (found.ok) return { ...result, deadLetter: found.target };
  const message = own
    ? `Failed to resolve spec.delivery.deadLetterSink: ${found.message}`
    : `channel ${channel.metadata.name} didn't set status.deadLetterSinkURI`;
  return { ...result, failure: { reason: 'DeadLetterSinkResolveFailed', message } };
}
