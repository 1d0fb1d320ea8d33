/** Broker, Trigger, EventType, EventPolicy, EventTransform. Source: knative.dev/eventing `pkg/apis/eventing`. */
import { isDeepStrictEqual } from 'node:util';
import { filterProblems, legacyFilterProblems } from '../../../cloudevents/filter-problems.ts';
import { streamWishProblems, subscriptionWishProblems, type WishProblem } from '../../eventing/wishes.ts';
import type { UntypedObject } from '../../object.ts';
import type { ResourceStrategy } from '../../resource.ts';
import {
  badValue,
  denial,
  differences,
  disallowed,
  type KnativeProblem,
  missing,
  noneOf,
  problem,
  severalOf,
} from '../knative/errors.ts';
import { indexed, type Untyped } from '../untyped.ts';
import {
  defaultDelivery,
  defaultDestination,
  defaultReference,
  isAbsent,
  type Scope,
  scopeOf,
  validateDelivery,
  validateDestination,
  validateReference,
} from './destination.ts';

export const BROKER_CLASS = 'eventing.knative.dev/broker.class';
const BROKER_LABEL = 'eventing.knative.dev/broker';
const DEPENDENCY = 'knative.dev/dependency';
const INJECTION = 'eventing.knative.dev/injection';

export const IMMUTABLE_FIELDS = 'Immutable fields changed (-old +new)';

export const wishes = (problems: WishProblem[]): KnativeProblem[] =>
  problems.map(({ annotation, value, why }) => badValue(value, `metadata.annotations[${annotation}]`, why));

function brokerChanged(object: UntypedObject, old: UntypedObject): KnativeProblem[] {
  const [before, now] = [old.spec?.config, object.spec?.config];
  if (!isDeepStrictEqual(before, now))
    return [problem(IMMUTABLE_FIELDS, 'spec', differences(before, now, 'spec.config'))];
  const [was, is] = [old, object].map(({ metadata }) => metadata.annotations?.[BROKER_CLASS]);
  return was === is
    ? []
    : [problem('Immutable annotations changed (-old +new)', 'annotations', differences(was, is, ''))];
}

export const BROKER_STRATEGY: ResourceStrategy = {
  setDefaults(object, _, context) {
    const { metadata } = object;
    const { namespace, config } = scopeOf(object, context);
    object.spec ??= {};
    const { spec } = object;
    const given = config.brokers.configFor(namespace, metadata.annotations?.[BROKER_CLASS]);
    if (isAbsent(spec.config) && given?.config) spec.config = structuredClone(given.config);
    if (isAbsent(spec.delivery) && given?.delivery) spec.delivery = structuredClone(given.delivery);
    defaultReference(spec.config, namespace);
    defaultDelivery(spec.delivery, namespace);
    const brokerClass = config.brokers.classFor(namespace);
    if (metadata.annotations?.[BROKER_CLASS] === undefined && brokerClass !== undefined)
      metadata.annotations = { ...metadata.annotations, [BROKER_CLASS]: brokerClass };
  },
  deny(object, old, context) {
    const { metadata, spec = {} } = object;
    const scope = scopeOf(object, context);
    const anyNamespace = scope.config.brokers.foreignConfig(scope.namespace);
    return denial(
      [
        ...(metadata.annotations?.[BROKER_CLASS] ? [] : [missing(BROKER_CLASS)]),
        ...(isAbsent(spec.config)
          ? []
          : validateReference(spec.config, 'spec.config', { ...scope, anyNamespace })),
        ...validateDelivery(spec.delivery, 'spec.delivery', scope),
        ...wishes(streamWishProblems(metadata.annotations)),
        ...(old === undefined ? [] : brokerChanged(object, old)),
      ],
      'eventing',
    );
  },
};

function validateDependency(text: string, namespace: string): KnativeProblem[] {
  const at = `metadata.annotations[${DEPENDENCY}]`;
  let reference: Untyped;
  try {
    reference = JSON.parse(text);
    if (typeof reference !== 'object' || reference === null || Array.isArray(reference))
      throw new Error('it is no JSON object');
  } catch (error) {
    const message = `The provided annotation was not a corev1.ObjectReference: ${JSON.stringify(text)}`;
    return [problem(message, at, (error as Error).message)];
  }
  const problems = ['kind', 'name', 'apiVersion'].flatMap((field) =>
    reference[field] ? [] : [missing(`${at}.${field}`)],
  );
  if (reference.namespace && reference.namespace !== namespace) {
    const message = `Namespace must be empty or equal to the trigger namespace ${JSON.stringify(namespace)}`;
    problems.push(problem(message, `${at}.namespace`));
  }
  return problems;
}

function validateInjection(text: string, broker: string): KnativeProblem[] {
  const at = `metadata.annotations[${INJECTION}]`;
  if (text !== 'enabled' && text !== 'disabled') {
    const message = `The provided injection annotation value can only be "enabled" or "disabled", not ${JSON.stringify(text)}`;
    return [problem(message, at)];
  }
  if (broker === 'default') return [];
  const message = `The provided injection annotation is only used for default broker, but non-default broker specified here: ${JSON.stringify(broker)}`;
  return [problem(message, at)];
}

function validateBrokerOf({ broker, brokerRef }: Untyped, { features }: Scope): KnativeProblem[] {
  const problems: KnativeProblem[] = [];
  if (isAbsent(brokerRef) && !broker) problems.push(missing('spec.broker'));
  else if (!isAbsent(brokerRef) && broker) problems.push(severalOf('spec.broker', 'spec.brokerRef'));
  if (brokerRef?.namespace && features.crossNamespaceEventLinks !== 'Enabled')
    problems.push({ ...disallowed('spec.namespace'), details: NO_NAMESPACE });
  return problems;
}

export const NO_NAMESPACE =
  'only name, apiVersion and kind are supported fields when feature.CrossNamespaceEventLinks is disabled';

export const TRIGGER_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    const { metadata } = object;
    object.spec ??= {};
    const { spec } = object;
    spec.filter ??= {};
    defaultDestination(spec.subscriber, metadata.namespace);
    defaultDelivery(spec.delivery, metadata.namespace);
    const broker: string = spec.broker || spec.brokerRef?.name || '';
    if (broker !== '') metadata.labels = { ...metadata.labels, [BROKER_LABEL]: broker };
  },
  deny(object, old, context) {
    const { metadata, spec = {} } = object;
    const scope = scopeOf(object, context);
    const { [DEPENDENCY]: dependency, [INJECTION]: injection } = metadata.annotations ?? {};
    const changed = old !== undefined && (old.spec?.broker ?? '') !== (spec.broker ?? '');
    return denial(
      [
        ...validateBrokerOf(spec, scope),
        ...legacyFilterProblems(spec.filter, 'spec.filter'),
        ...filterProblems(spec.filters, 'spec.filters'),
        ...validateDestination(spec.subscriber, 'spec.subscriber', scope, true),
        ...validateDelivery(spec.delivery, 'spec.delivery', scope),
        ...(dependency === undefined ? [] : validateDependency(dependency, scope.namespace)),
        ...(injection === undefined ? [] : validateInjection(injection, spec.broker ?? '')),
        ...wishes(subscriptionWishProblems(metadata.annotations)),
        ...(changed
          ? [
              {
                message: IMMUTABLE_FIELDS,
                paths: ['spec', 'broker'],
                details: differences(old.spec?.broker, spec.broker, 'spec.broker'),
              },
            ]
          : []),
      ],
      'eventing',
    );
  },
};

export const EVENT_TYPE_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    object.spec ??= {};
    defaultReference(object.spec.reference, object.metadata.namespace);
  },
  deny: ({ spec }) => denial(spec?.type ? [] : [missing('spec.type')], 'eventing'),
};

function validatePolicyReference(reference: Untyped, path: string): KnativeProblem[] {
  if (isAbsent(reference)) return [];
  return ['kind', 'apiVersion', 'name'].flatMap((field) =>
    reference[field] ? [] : [missing(`${path}.${field}`)],
  );
}

function validatePolicyFrom({ ref, sub }: Untyped, path: string): KnativeProblem[] {
  const pair = [`${path}.ref`, `${path}.sub`];
  const star: number = typeof sub === 'string' ? sub.indexOf('*') : -1;
  return [
    ...(isAbsent(ref) && !sub ? [noneOf(...pair)] : []),
    ...(!isAbsent(ref) && !isAbsent(sub) ? [severalOf(...pair)] : []),
    ...validatePolicyReference(ref, `${path}.ref`),
    ...(star >= 0 && sub.length > 1 && star < sub.length - 1
      ? [badValue(sub, `${path}.sub`, "'*' is only allowed as suffix")]
      : []),
  ];
}

function validatePolicyTo({ ref, selector }: Untyped, path: string): KnativeProblem[] {
  const pair = [`${path}.ref`, `${path}.selector`];
  return [
    ...(isAbsent(ref) && isAbsent(selector) ? [noneOf(...pair)] : []),
    ...(!isAbsent(ref) && !isAbsent(selector) ? [severalOf(...pair)] : []),
    ...validatePolicyReference(ref, `${path}.ref`),
  ];
}

/** Upstream refuses policies while authentication is off; here they may wait for it, and their status says so. */
export const EVENT_POLICY_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    for (const from of object.spec?.from ?? []) defaultReference(from.ref, object.metadata.namespace);
  },
  deny({ spec = {} }) {
    return denial(
      [
        ...indexed(spec.from, 'spec.from').flatMap(([at, from]) => validatePolicyFrom(from, at)),
        ...indexed(spec.to, 'spec.to').flatMap(([at, to]) => validatePolicyTo(to, at)),
        ...filterProblems(spec.filters, 'spec.filters'),
      ],
      'eventing',
    );
  },
};

const SUGGESTION =
  'Suggestion: create a new transformation, migrate services to the new one, and delete this transformation.';

function validateTransform(object: UntypedObject, old: UntypedObject | undefined, scope: Scope) {
  const { jsonata, sink, reply } = object.spec ?? {};
  const problems: KnativeProblem[] = isAbsent(jsonata) ? [noneOf('spec.jsonata')] : [];
  problems.push(...validateDestination(sink, 'spec.sink', scope));
  if (!isAbsent(jsonata) && !jsonata.expression) problems.push(missing('spec.jsonata.expression'));
  if (!isAbsent(reply)) {
    if (isAbsent(sink)) problems.push(problem('reply is set without spec.sink', 'spec.reply'));
    else if (!isAbsent(reply.jsonata) && reply.discard === true)
      problems.push(severalOf('spec.reply.jsonata', 'spec.reply.discard'));
  }
  if (old !== undefined && isAbsent(jsonata) && !isAbsent(old.spec?.jsonata)) {
    const message = `Transformations types are immutable, transformation type cannot be changed to a jsonata transformation. ${SUGGESTION}`;
    problems.push(problem(message, 'spec.jsonata'));
  }
  return problems;
}

export const EVENT_TRANSFORM_STRATEGY: ResourceStrategy = {
  setDefaults: (object) => defaultDestination(object.spec?.sink, object.metadata.namespace),
  deny: (object, old, context) =>
    denial(validateTransform(object, old, scopeOf(object, context)), 'eventing'),
};
