/** Channel, InMemoryChannel, Subscription, Sequence, Parallel. Source: knative.dev/eventing `pkg/apis/{messaging,flows}/v1`. */
import { isDeepStrictEqual } from 'node:util';
import { streamWishProblems, subscriptionWishProblems } from '../../eventing/wishes.ts';
import type { UntypedObject } from '../../object.ts';
import type { AdmissionContext, ResourceStrategy } from '../../resource.ts';
import {
  badValue,
  denial,
  differences,
  disallowed,
  type KnativeProblem,
  missing,
  problem,
} from '../knative/errors.ts';
import { indexed, items, type Untyped } from '../untyped.ts';
import { IMMUTABLE_FIELDS, NO_NAMESPACE, wishes } from './brokers.ts';
import {
  defaultDelivery,
  defaultDestination,
  isAbsent,
  isEmpty,
  type Scope,
  scopeOf,
  validateDelivery,
  validateDestination,
  validateReference,
  validateTemplate,
} from './destination.ts';

const SUBSCRIBABLE = 'messaging.knative.dev/subscribable';
const SCOPE = 'eventing.knative.dev/scope';

function markSubscribable({ metadata }: UntypedObject): void {
  if (metadata.annotations?.[SUBSCRIBABLE] === undefined)
    metadata.annotations = { ...metadata.annotations, [SUBSCRIBABLE]: 'v1' };
}

function defaultTemplate(object: UntypedObject, context: AdmissionContext): void {
  object.spec ??= {};
  if (!isAbsent(object.spec.channelTemplate)) return;
  const { namespace, config } = scopeOf(object, context);
  object.spec.channelTemplate = structuredClone(config.channelFor(namespace));
}

/** What differs between the specs, apart from these fields. */
function changed(object: UntypedObject, old: UntypedObject, ...mutable: string[]): KnativeProblem[] {
  const [before, now] = [old, object].map(({ spec }) =>
    Object.fromEntries(Object.entries(spec ?? {}).filter(([key]) => !mutable.includes(key))),
  );
  return isDeepStrictEqual(before, now)
    ? []
    : [problem(IMMUTABLE_FIELDS, 'spec', differences(before, now, 'spec'))];
}

export const CHANNEL_STRATEGY: ResourceStrategy = {
  setDefaults(object, _, context) {
    markSubscribable(object);
    defaultTemplate(object, context);
    defaultDelivery(object.spec.delivery, object.metadata.namespace);
  },
  deny(object, old, context) {
    const { spec = {}, metadata } = object;
    return denial(
      [
        ...validateTemplate(spec.channelTemplate, 'spec.channelTemplate'),
        ...(items(spec.subscribers).length > 0 ? [disallowed('spec.subscribable.subscribers')] : []),
        ...validateDelivery(spec.delivery, 'spec.delivery', scopeOf(object, context)),
        ...wishes(streamWishProblems(metadata.annotations)),
        ...(old === undefined ? [] : changed(object, old, 'subscribers')),
      ],
      'eventing',
    );
  },
};

export const IN_MEMORY_CHANNEL_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    markSubscribable(object);
    object.spec ??= {};
    defaultDelivery(object.spec.delivery, object.metadata.namespace);
  },
  deny(object, _, context) {
    const { spec = {}, metadata } = object;
    const scope: unknown = metadata.annotations?.[SCOPE];
    const problems: KnativeProblem[] = indexed(spec.subscribers, 'spec.subscribable.subscriber').flatMap(
      ([at, { replyUri, subscriberUri }]) =>
        replyUri || subscriberUri
          ? []
          : [
              {
                ...missing(`${at}.replyURI`, `${at}.subscriberURI`),
                details: 'expected at least one of, got none',
              },
            ],
    );
    if (scope !== undefined && scope !== 'namespace' && scope !== 'cluster') {
      const at = `metadata.annotations[${SCOPE}]`;
      problems.push(badValue(scope, at, "expected either 'cluster' or 'namespace'"));
    }
    problems.push(...validateDelivery(spec.delivery, 'spec.delivery', scopeOf(object, context)));
    problems.push(...wishes(streamWishProblems(metadata.annotations)));
    return denial(problems, 'eventing');
  },
};

function validateChannel(channel: Untyped, scope: Scope): KnativeProblem[] {
  const problems = validateReference(channel, 'spec.channel', scope);
  if (channel.namespace && scope.features.crossNamespaceEventLinks !== 'Enabled')
    problems.push({ ...disallowed('spec.channel.namespace'), details: NO_NAMESPACE });
  return problems;
}

export const SUBSCRIPTION_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    const { namespace } = object.metadata;
    object.spec ??= {};
    for (const field of ['subscriber', 'reply']) defaultDestination(object.spec[field], namespace);
    defaultDelivery(object.spec.delivery, namespace);
  },
  deny(object, old, context) {
    const { spec = {}, metadata } = object;
    const scope = scopeOf(object, context);
    if (isEmpty(spec.channel)) {
      const details = 'the Subscription must reference a channel';
      return denial([{ ...missing('spec.channel'), details }], 'eventing');
    }
    const subscriber = isEmpty(spec.subscriber)
      ? [{ ...missing('spec.subscriber'), details: 'the Subscription must reference a subscriber' }]
      : validateDestination(spec.subscriber, 'spec.subscriber', scope);
    return denial(
      [
        ...validateChannel(spec.channel, scope),
        ...subscriber,
        ...(isEmpty(spec.reply) ? [] : validateDestination(spec.reply, 'spec.reply', scope)),
        ...validateDelivery(spec.delivery, 'spec.delivery', scope),
        ...wishes(subscriptionWishProblems(metadata.annotations)),
        ...(old === undefined ? [] : changed(object, old, 'subscriber', 'reply', 'delivery')),
      ],
      'eventing',
    );
  },
};

export const SEQUENCE_STRATEGY: ResourceStrategy = {
  setDefaults(object, _, context) {
    const { namespace } = object.metadata;
    defaultTemplate(object, context);
    for (const step of items(object.spec.steps)) {
      defaultDestination(step, namespace);
      defaultDelivery(step.delivery, namespace);
    }
    defaultDestination(object.spec.reply, namespace);
  },
  deny(object, _, context) {
    const { spec = {} } = object;
    const scope = scopeOf(object, context);
    return denial(
      [
        ...(items(spec.steps).length === 0 ? [missing('spec.steps')] : []),
        ...indexed(spec.steps, 'spec.steps').flatMap(([at, step]) => [
          ...validateDestination(step, at, scope, true),
          ...validateDelivery(step.delivery, `${at}.delivery`, scope),
        ]),
        ...validateTemplate(spec.channelTemplate, 'spec.channelTemplate'),
        ...validateDestination(spec.reply, 'spec.reply', scope),
      ],
      'eventing',
    );
  },
};

export const PARALLEL_STRATEGY: ResourceStrategy = {
  setDefaults(object, _, context) {
    const { namespace } = object.metadata;
    defaultTemplate(object, context);
    for (const branch of items(object.spec.branches)) {
      for (const field of ['filter', 'subscriber', 'reply']) defaultDestination(branch[field], namespace);
      defaultDelivery(branch.delivery, namespace);
    }
    defaultDestination(object.spec.reply, namespace);
  },
  deny(object, _, context) {
    const { spec = {} } = object;
    const scope = scopeOf(object, context);
    return denial(
      [
        ...(items(spec.branches).length === 0 ? [missing('spec.branches')] : []),
        ...indexed(spec.branches, 'spec.branches').flatMap(([at, branch]) => [
          ...validateDestination(branch.filter, `${at}.filter`, scope),
          ...validateDestination(branch.subscriber, `${at}.subscriber`, scope, true),
          ...validateDestination(branch.reply, `${at}.reply`, scope),
          ...validateDelivery(branch.delivery, `${at}.delivery`, scope),
        ]),
        ...validateTemplate(spec.channelTemplate, 'spec.channelTemplate'),
        ...validateDestination(spec.reply, 'spec.reply', scope),
      ],
      'eventing',
    );
  },
};
