/** Sequence and Parallel: channels and subscriptions made for them. Source: knative.dev/eventing `pkg/reconciler/{sequence,parallel}`. */
import { timestamp } from '../../base/clock.ts';
import { conditionOf } from '../../kinds/conditions.ts';
import type {
  BranchStatus,
  ChannelPart,
  ChannelTemplateSpec,
  DeliverySpec,
  Destination,
  KReference,
  ObjectReference,
  Parallel,
  Sequence,
  SubscriptionPart,
} from '../../kinds/eventing/objects.ts';
import type { Condition, UntypedObject } from '../../kinds/object.ts';
import { PARALLELS, SEQUENCES, SUBSCRIPTIONS } from '../../kube/refs.ts';
import { type Child, ensureChild, removeOthers } from './children.ts';
import type { ControlContext } from './context.ts';
import type { Kind, Pass } from './kind.ts';
import { markPolicies } from './marks.ts';
import { resourceOf } from './resources.ts';

type Flow = Sequence | Parallel;
type FlowPass = Pass<Sequence> | Pass<Parallel>;

/** A child that is there, or its absence under the name that it would have. */
interface Made {
  reference: ObjectReference;
  child: Child;
}

interface WantedSubscription {
  name: string;
  /** Name of the channel. */
  channel: string;
  subscriber: Destination;
  reply?: Destination;
  delivery?: DeliverySpec;
}

const plain = ({ ref, uri, CACerts, audience }: Destination): Destination =>
  JSON.parse(JSON.stringify({ ref, uri, CACerts, audience }));

/** Makes and corrects channels, then subscriptions, and takes away what is not wanted any more. */
async function makeParts(
  context: ControlContext,
  pass: FlowPass,
  template: ChannelTemplateSpec,
  channels: readonly string[],
  subscriptions: readonly WantedSubscription[],
): Promise<{ channels: Made[]; subscriptions: Made[] }> {
  const { namespace } = pass;
  const { apiVersion, kind, spec } = template;
  const resource = resourceOf(apiVersion, kind);
  const made: { channels: Made[]; subscriptions: Made[] } = { channels: [], subscriptions: [] };
  const around = pass as Pass<Flow>;
  for (const name of channels) {
    const child = await ensureChild(context, around, resource, {
      apiVersion,
      kind,
      metadata: { name, namespace },
      spec: { ...spec },
    });
    made.channels.push({ reference: { apiVersion, kind, name, namespace }, child });
  }
  for (const { name, channel, subscriber, reply, delivery } of subscriptions) {
    const own = { apiVersion: 'messaging.knative.dev/v1', kind: 'Subscription' };
    const child = await ensureChild(context, around, SUBSCRIPTIONS, {
      ...own,
      metadata: { name, namespace },
      spec: JSON.parse(
        JSON.stringify({
          channel: { apiVersion, kind, name: channel },
          subscriber: plain(subscriber),
          reply: reply && plain(reply),
          delivery,
        }),
      ),
    });
    made.subscriptions.push({ reference: { ...own, name, namespace }, child });
  }
  await removeOthers(context, around, SUBSCRIPTIONS, new Set(subscriptions.map(({ name }) => name)));
  await removeOthers(context, around, resource, new Set(channels));
  return made;
}

/** `Ready` of a child for the status of its owner. */
function readyOf({ child, reference }: Made, before: Condition | undefined, now: number): Condition {
  const ready = child.ok ? conditionOf(child.object, 'Ready') : undefined;
  if (ready) return ready;
  const [reason, message] = child.ok
    ? ['NoReady', `${reference.kind} does not have Ready condition`]
    : ['NotOwned', child.message];
  if (before?.reason === reason && before.message === message) return before;
  return { type: 'Ready', status: 'Unknown', reason, message, lastTransitionTime: timestamp(now) };
}

const isTrue = (part: { ready: Condition } | undefined): boolean => part?.ready.status === 'True';

function markParts(
  pass: FlowPass,
  channels: readonly (ChannelPart | undefined)[],
  subscriptions: readonly (SubscriptionPart | undefined)[],
  notReady: 'markUnknown' | 'markFalse',
): void {
  const { conditions } = pass;
  const mark = (type: string, parts: readonly ({ ready: Condition } | undefined)[], what: string) => {
    if (parts.length > 0 && parts.every(isTrue)) conditions.markTrue(type);
    else conditions[notReady](type, `${what}NotReady`, `${what} are not ready yet, or there are none`);
  };
  mark('ChannelsReady', channels, 'Channels');
  mark('SubscriptionsReady', subscriptions, 'Subscriptions');
}

/** The flow's address is that of its first channel. */
function markAddress(pass: FlowPass, first: Made | undefined, notReady: 'markUnknown' | 'markFalse'): void {
  const { status, conditions } = pass;
  const address = first?.child.ok ? (first.child.object as UntypedObject).status?.address : undefined;
  if (address?.url) {
    status.address = address;
    conditions.markTrue('Addressable');
  } else {
    delete status.address;
    conditions[notReady]('Addressable', 'emptyAddress', 'addressable is nil');
  }
}

const DEPENDENTS = ['ChannelsReady', 'SubscriptionsReady', 'Addressable', 'EventPoliciesReady'];

const toChannel = ({ apiVersion, kind }: ChannelTemplateSpec, name: string, namespace: string) => ({
  ref: { apiVersion, kind, name, namespace } satisfies KReference,
});

export function sequences(context: ControlContext): Kind<Sequence> {
  return {
    resource: SEQUENCES,
    dependents: DEPENDENTS,
    async reconcile(pass) {
      const { object, namespace, name, status, conditions } = pass;
      const { steps, channelTemplate, reply } = object.spec;
      const part = (index: number) => `${name}-kn-sequence-${index}`;
      const wanted = steps.map((step, i): WantedSubscription => {
        const next = i < steps.length - 1 ? toChannel(channelTemplate, part(i + 1), namespace) : reply;
        return {
          name: part(i),
          channel: part(i),
          subscriber: step,
          ...(next && { reply: next }),
          ...(step.delivery && { delivery: step.delivery }),
        };
      });
      const made = await makeParts(
        context,
        pass,
        channelTemplate,
        steps.map((_, i) => part(i)),
        wanted,
      );
      const now = context.clock.now();
      status.channelStatuses = made.channels.map((one, i) => ({
        channel: one.reference,
        ready: readyOf(one, object.status?.channelStatuses?.[i]?.ready, now),
      }));
      status.subscriptionStatuses = made.subscriptions.map((one, i) => ({
        subscription: one.reference,
        ready: readyOf(one, object.status?.subscriptionStatuses?.[i]?.ready, now),
      }));
      markParts(pass, status.channelStatuses, status.subscriptionStatuses, 'markUnknown');
      markAddress(pass, made.channels[0], 'markUnknown');
      markPolicies(conditions, context.config().features);
      return undefined;
    },
    // What it made goes with it, by its owner.
    gone() {},
  };
}

export function parallels(context: ControlContext): Kind<Parallel> {
  return {
    resource: PARALLELS,
    dependents: DEPENDENTS,
    async reconcile(pass) {
      const { object, namespace, name, status, conditions } = pass;
      const { branches, channelTemplate, reply } = object.spec;
      const ingress = `${name}-kn-parallel`;
      const part = (index: number) => `${ingress}-${index}`;
      const wanted = branches.flatMap(
        ({ filter, subscriber, reply: own, delivery }, i): WantedSubscription[] => {
          const branch = toChannel(channelTemplate, part(i), namespace);
          const answer = own ?? reply;
          return [
            {
              name: `${ingress}-filter-${i}`,
              channel: ingress,
              // Without a filter the branch takes everything.
              subscriber: filter ?? branch,
              ...(filter && { reply: branch }),
            },
            {
              name: part(i),
              channel: part(i),
              subscriber,
              ...(answer && { reply: answer }),
              ...(delivery && { delivery }),
            },
          ];
        },
      );
      const made = await makeParts(
        context,
        pass,
        channelTemplate,
        [ingress, ...branches.map((_, i) => part(i))],
        wanted,
      );
      const now = context.clock.now();
      const before = object.status;
      const channelPart = (one: Made | undefined, old: ChannelPart | undefined) =>
        one && { channel: one.reference, ready: readyOf(one, old?.ready, now) };
      const subscriptionPart = (one: Made | undefined, old: SubscriptionPart | undefined) =>
        one && { subscription: one.reference, ready: readyOf(one, old?.ready, now) };
      status.ingressChannelStatus = channelPart(made.channels[0], before?.ingressChannelStatus);
      status.branchStatuses = branches.map((_, i): BranchStatus => {
        const old = before?.branchStatuses?.[i];
        return {
          filterChannelStatus: channelPart(made.channels[i + 1], old?.filterChannelStatus),
          filterSubscriptionStatus: subscriptionPart(
            made.subscriptions[2 * i],
            old?.filterSubscriptionStatus,
          ),
          subscriberSubscriptionStatus: subscriptionPart(
            made.subscriptions[2 * i + 1],
            old?.subscriberSubscriptionStatus,
          ),
        };
      });
      markParts(
        pass,
        [status.ingressChannelStatus, ...status.branchStatuses.map((branch) => branch.filterChannelStatus)],
        status.branchStatuses.flatMap((branch) => [
          branch.filterSubscriptionStatus,
          branch.subscriberSubscriptionStatus,
        ]),
        'markFalse',
      );
      markAddress(pass, made.channels[0], 'markFalse');
      markPolicies(conditions, context.config().features);
      return undefined;
    },
    gone() {},
  };
}
