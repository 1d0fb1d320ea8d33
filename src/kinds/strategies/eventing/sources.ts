/**
 * Sources: PingSource, ApiServerSource, ContainerSource, SinkBinding, KafkaSource, and our own EventSource. Source: knative.dev/eventing
 * `pkg/apis/sources/v1`, knative-extensions/eventing-kafka-broker `pkg/apis/sources/v1`, knative.dev/pkg `tracker.Reference`.
 */
import { filterProblems } from '../../../cloudevents/filter-problems.ts';
import { parseSchedule, zoned } from '../../cron-schedule.ts';
import { dns1123Label, qualifiedName } from '../../name.ts';
import type { UntypedObject } from '../../object.ts';
import type { ResourceStrategy } from '../../resource.ts';
import {
  badKey,
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
import { indexed, items, type Untyped } from '../untyped.ts';
import { IMMUTABLE_FIELDS } from './brokers.ts';
import {
  defaultDelivery,
  defaultDestination,
  isAbsent,
  type Scope,
  scopeOf,
  validateDelivery,
  validateDestination,
  validateSource,
} from './destination.ts';

function validateSchedule({ schedule, timezone }: Untyped): KnativeProblem[] {
  if (schedule.includes('@every')) return [badValue('unsupported descriptor @every', 'spec.schedule')];
  const zone = timezone || zoned(schedule).timeZone || 'UTC';
  if (!isZone(zone))
    return [badValue(`provided bad location ${zone}: unknown time zone ${zone}`, 'spec.timezone')];
  try {
    parseSchedule(schedule, zone);
    return [];
  } catch (error) {
    return [badValue((error as Error).message, 'spec.schedule')];
  }
}

function isZone(timeZone: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone });
    return true;
  } catch {
    return false;
  }
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Upstream's limit counts the text as it stands in the object. */
function validateData(spec: Untyped, { config }: Scope): KnativeProblem[] {
  const { data, dataBase64, contentType } = spec;
  if (data && dataBase64) return [severalOf('spec.data', 'spec.dataBase64')];
  const [field, text] = dataBase64 ? ['dataBase64', dataBase64] : ['data', data ?? ''];
  const path = `spec.${field}`;
  const size = Buffer.byteLength(text);
  const limit = config.ping.dataMaxSize;
  const problems: KnativeProblem[] = [];
  if (limit > -1 && size > limit)
    problems.push(badValue(`the ${field} length of ${size} bytes exceeds limit set at ${limit}.`, path));
  if (field === 'dataBase64' && !BASE64.test(text))
    return [...problems, badValue('illegal base64 data', path)];
  if (contentType === 'application/json' && text !== '') {
    try {
      JSON.parse(field === 'data' ? text : Buffer.from(text, 'base64').toString('utf8'));
    } catch (error) {
      problems.push(badValue((error as Error).message, path));
    }
  }
  return problems;
}

export const PING_SOURCE_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    object.spec ??= {};
    object.spec.schedule ||= '* * * * *';
    defaultDestination(object.spec.sink, object.metadata.namespace);
  },
  deny(object, _, context) {
    const scope = scopeOf(object, context);
    return denial(
      [
        ...validateSchedule(object.spec),
        ...validateData(object.spec, scope),
        ...validateSource(object.spec, 'spec', scope),
      ],
      'eventing',
    );
  },
};

const MODES = ['Reference', 'Resource'];

function validateVersionAndKind({ apiVersion, kind }: Untyped, path: string): KnativeProblem[] {
  return [
    ...(String(apiVersion ?? '').split('/').length > 2 ? [badValue(apiVersion, `${path}.apiVersion`)] : []),
    ...(String(kind ?? '').trim() === '' ? [missing(`${path}.kind`)] : []),
  ];
}

function validateApiServerFilters(filters: Untyped, { features }: Scope): KnativeProblem[] {
  if (features.newApiServerSourceFilters === 'Enabled') return filterProblems(filters, 'spec.filters');
  return items(filters).length === 0
    ? []
    : [problem('Filters is not empty but the NewAPIServerFilters feature is disabled.', 'spec.filters')];
}

export const API_SERVER_SOURCE_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    object.spec ??= {};
    object.spec.mode ||= 'Reference';
    object.spec.serviceAccountName ||= 'default';
    defaultDestination(object.spec.sink, object.metadata.namespace);
  },
  deny(object, _, context) {
    const { spec } = object;
    const scope = scopeOf(object, context);
    return denial(
      [
        ...(MODES.includes(spec.mode) ? [] : [badValue(spec.mode, 'spec.mode')]),
        ...(items(spec.resources).length === 0 ? [missing('spec.resources')] : []),
        ...indexed(spec.resources, 'spec.resources').flatMap(([at, item]) =>
          validateVersionAndKind(item, at),
        ),
        ...(isAbsent(spec.owner) ? [] : validateVersionAndKind(spec.owner, 'spec.owner')),
        ...validateApiServerFilters(spec.filters, scope),
        ...validateSource(spec, 'spec', scope),
      ],
      'eventing',
    );
  },
};

export const CONTAINER_SOURCE_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    for (const [index, container] of items(object.spec?.template?.spec?.containers).entries())
      container.name ||= `${object.metadata.name}-${index}`;
    defaultDestination(object.spec?.sink, object.metadata.namespace);
  },
  deny(object, _, context) {
    const containers = items(object.spec?.template?.spec?.containers);
    return denial(
      [
        ...(containers.length === 0 ? [missing('spec.containers')] : []),
        ...indexed(containers, 'spec.containers').flatMap(([at, { name, image }]) => [
          ...(name ? [] : [missing(`${at}.name`)]),
          ...(image ? [] : [missing(`${at}.image`)]),
        ]),
        ...validateSource(object.spec, 'spec', scopeOf(object, context)),
      ],
      'eventing',
    );
  },
};

/** Go's idea of an identifier in C. */
const identifier = (text: string): string[] =>
  /^[A-Za-z_][A-Za-z0-9_]*$/.test(text)
    ? []
    : [
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
      ];

function validateSubject(subject: Untyped): KnativeProblem[] {
  const { name, selector } = subject ?? {};
  const rules: [field: string, rule: (text: string) => string[]][] = [
    ['apiVersion', qualifiedName],
    ['kind', identifier],
    ['namespace', dns1123Label],
  ];
  const problems = rules.flatMap(([field, rule]) => {
    const path = `spec.subject.${field}`;
    const value: string | undefined = subject?.[field];
    if (!value) return [missing(path)];
    const texts = rule(value);
    return texts.length === 0 ? [] : [badValue(texts.join(', '), path)];
  });
  const pair = ['spec.subject.selector', 'spec.subject.name'];
  if (!isAbsent(selector) && name) problems.push(severalOf(...pair));
  else if (isAbsent(selector) && !name) problems.push(noneOf(...pair));
  else if (name && dns1123Label(name).length > 0)
    problems.push(badValue(dns1123Label(name).join(', '), 'spec.subject.name'));
  return problems;
}

export const SINK_BINDING_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    const { namespace } = object.metadata;
    object.spec ??= {};
    if (!isAbsent(object.spec.subject)) object.spec.subject.namespace ||= namespace;
    defaultDestination(object.spec.sink, namespace);
  },
  deny(object, _, context) {
    const subject = object.spec?.subject;
    const foreign = subject?.namespace && subject.namespace !== object.metadata.namespace;
    return denial(
      [
        ...validateSubject(subject),
        ...validateSource(object.spec, 'spec', scopeOf(object, context)),
        ...(foreign ? [badValue(subject.namespace, 'spec.subject.namespace')] : []),
      ],
      'eventing',
    );
  },
};

const OFFSETS = ['earliest', 'latest'];
const ORDERINGS = ['ordered', 'unordered'];

function validateKafka(
  object: UntypedObject,
  old: UntypedObject | undefined,
  scope: Scope,
): KnativeProblem[] {
  const { spec } = object;
  const [before, now] = [old?.spec?.consumerGroup, spec.consumerGroup];
  return [
    ...validateSource(spec, 'spec', scope),
    ...['topics', 'bootstrapServers'].flatMap((field) =>
      items(spec[field]).length > 0 ? [] : [missing(`spec.${field}`)],
    ),
    ...(OFFSETS.includes(spec.initialOffset) ? [] : [badValue(spec.initialOffset, 'spec.initialOffset')]),
    ...(ORDERINGS.includes(spec.ordering) ? [] : [badValue(spec.ordering, 'spec.ordering')]),
    ...(spec.consumers < 0 ? [badValue(spec.consumers, 'spec.consumers')] : []),
    ...validateDelivery(spec.delivery, 'spec.delivery', scope),
    ...(old !== undefined && before !== now
      ? [problem(IMMUTABLE_FIELDS, 'spec', differences(before, now, 'spec.consumerGroup'))]
      : []),
  ];
}

export const KAFKA_SOURCE_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    const { metadata } = object;
    object.spec ??= {};
    const { spec } = object;
    spec.consumerGroup ||= `knative-kafka-source-${metadata.uid}`;
    spec.consumers ??= 1;
    spec.initialOffset ||= 'latest';
    spec.ordering ??= 'ordered';
    defaultDestination(spec.sink, metadata.namespace);
    defaultDelivery(spec.delivery, metadata.namespace);
  },
  deny: (object, old, context) => denial(validateKafka(object, old, scopeOf(object, context)), 'eventing'),
};

/** Values may come from Secrets, at any depth: `{secretKeyRef: {name, key}}`. */
export function validateConfig(config: Untyped, path: string, depth = 0): KnativeProblem[] {
  if (isAbsent(config)) return [];
  if (depth === 0 && (typeof config !== 'object' || Array.isArray(config)))
    return [badValue(JSON.stringify(config), path, 'must be an object')];
  if (typeof config !== 'object') return [];
  if (depth > 16) return [problem('is nested more than 16 deep', path)];
  if (Array.isArray(config))
    return config.flatMap((item, i) => validateConfig(item, `${path}[${i}]`, depth + 1));
  if (config.secretKeyRef !== undefined && depth > 0) {
    const others = Object.keys(config).filter((key) => key !== 'secretKeyRef');
    return [
      ...others.map((key) => disallowed(`${path}.${key}`)),
      ...['name', 'key'].flatMap((field) =>
        config.secretKeyRef?.[field] ? [] : [missing(`${path}.secretKeyRef.${field}`)],
      ),
    ];
  }
  return Object.entries(config).flatMap(([key, value]) => validateConfig(value, `${path}.${key}`, depth + 1));
}

export function validateType(type: Untyped): KnativeProblem[] {
  if (!type) return [missing('spec.type')];
  return /^[a-z][a-z0-9-]{0,62}$/.test(type)
    ? []
    : [badKey(type, 'spec.type', 'must be a name such as "kafka"')];
}

export const EVENT_SOURCE_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    object.spec ??= {};
    object.spec.config ??= {};
    defaultDestination(object.spec.sink, object.metadata.namespace);
    defaultDestination(object.spec.reply, object.metadata.namespace);
    defaultDelivery(object.spec.delivery, object.metadata.namespace);
  },
  deny(object, old, context) {
    const { spec } = object;
    const scope = scopeOf(object, context);
    const moved = old !== undefined && old.spec?.type !== spec.type;
    return denial(
      [
        ...validateType(spec.type),
        ...validateConfig(spec.config, 'spec.config'),
        ...validateSource(spec, 'spec', scope),
        ...(spec.reply ? validateDestination(spec.reply, 'spec.reply', scope) : []),
        ...validateDelivery(spec.delivery, 'spec.delivery', scope),
        ...(moved
          ? [problem(IMMUTABLE_FIELDS, 'spec.type', differences(old.spec?.type, spec.type, 'spec.type'))]
          : []),
      ],
      'eventing',
    );
  },
};
