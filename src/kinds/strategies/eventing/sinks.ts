/**
 * Sinks: JobSink, IntegrationSink, KafkaSink, and our own EventSink. Source: knative.dev/eventing `pkg/apis/sinks/v1alpha1`,
 * knative-extensions/eventing-kafka-broker `pkg/apis/eventing/v1alpha1`.
 */
import type { UntypedObject } from '../../object.ts';
import type { AdmissionContext, ResourceStrategy } from '../../resource.ts';
import { JOB_STRATEGY } from '../job.ts';
import {
  badValue,
  denial,
  differences,
  type KnativeProblem,
  missing,
  noneOf,
  problem,
} from '../knative/errors.ts';
import { items, type Untyped } from '../untyped.ts';
import { IMMUTABLE_FIELDS } from './brokers.ts';
import { isAbsent } from './destination.ts';
import { validateConfig, validateType } from './sources.ts';

const EXECUTION_MODE = 'K_EXECUTION_MODE';

/** Upstream asks the API server in a dry run; the rules are at hand here. */
function validateJob(object: UntypedObject, context: AdmissionContext): KnativeProblem[] {
  const given = object.spec?.job;
  if (isAbsent(given)) return [noneOf('spec.job')];
  const job: UntypedObject = structuredClone({ ...given, apiVersion: 'batch/v1', kind: 'Job' });
  job.metadata = {
    ...job.metadata,
    name: `${object.metadata.name}-x`,
    namespace: object.metadata.namespace,
    uid: object.metadata.uid ?? '',
  };
  JOB_STRATEGY.prepareForCreate?.(job);
  JOB_STRATEGY.setDefaults?.(job, undefined, context);
  const errors = JOB_STRATEGY.validate?.(job) ?? [];
  return errors.map(({ field, message }) => problem(`${field}: ${message}`, 'spec.job'));
}

export const JOB_SINK_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    const pod = object.spec?.job?.spec?.template?.spec;
    for (const container of [...items(pod?.containers), ...items(pod?.initContainers)]) {
      container.env ??= [];
      if (!container.env.some(({ name }: Untyped) => name === EXECUTION_MODE))
        container.env.push({ name: EXECUTION_MODE, value: 'batch' });
    }
  },
  deny: (object, _, context) => denial(validateJob(object, context), 'eventing'),
};

/** What each kind of AWS sink must say. */
const AWS = ['s3', 'sqs', 'sns'];

function validateIntegration({ spec = {} }: UntypedObject): KnativeProblem[] {
  const { log, aws } = spec;
  const chosen = AWS.filter((name) => !isAbsent(aws?.[name]));
  const count = chosen.length + (isAbsent(log) ? 0 : 1);
  if (count > 1) return [problem('only one sink type can be set', 'spec')];
  const [name] = chosen;
  if (count === 0) return [problem('at least one sink type must be specified', 'spec')];
  if (name === undefined) return [];
  const { auth } = aws;
  const path = `spec.aws.${name}`;
  const credentials = auth?.secret?.ref?.name || auth?.serviceAccountName || auth?.accessKey;
  return [
    ...(credentials ? [] : [missing('spec.aws.auth.secret.ref.name')]),
    ...['arn', 'region'].flatMap((field) => (aws[name][field] ? [] : [missing(`${path}.${field}`)])),
  ];
}

export const INTEGRATION_SINK_STRATEGY: ResourceStrategy = {
  deny: (object) => denial(validateIntegration(object), 'eventing'),
};

const MODES = ['binary', 'structured'];
const shown = (value: unknown): unknown => (value === undefined ? '' : value);

function validateKafkaSink({ spec }: UntypedObject, old: UntypedObject | undefined): KnativeProblem[] {
  const positive = ['replicationFactor', 'numPartitions'].filter((field) => spec[field] <= 0);
  const fixed = ['topic', 'replicationFactor', 'numPartitions'].filter(
    (field) => old !== undefined && old.spec?.[field] !== spec[field],
  );
  const secret = spec.auth?.secret?.ref;
  return [
    ...(MODES.includes(spec.contentMode) ? [] : [badValue(spec.contentMode, 'spec.contentMode')]),
    ...(items(spec.bootstrapServers).length > 0 ? [] : [badValue('[]', 'spec.bootstrapServers')]),
    ...(spec.topic ? [] : [badValue(shown(spec.topic), 'spec.topic')]),
    ...positive.map((field) => badValue(spec[field], `spec.${field}`)),
    ...(!isAbsent(secret) && !secret.name ? [badValue('', 'spec.auth.secret.ref.name')] : []),
    ...fixed.map((field) => problem('Immutable field updated', `spec.${field}`)),
  ];
}

export const KAFKA_SINK_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    object.spec ??= {};
    object.spec.contentMode ||= 'binary';
  },
  deny: (object, old) => denial(validateKafkaSink(object, old), 'eventing'),
};

export const EVENT_SINK_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    object.spec ??= {};
    object.spec.config ??= {};
  },
  deny({ spec }, old) {
    const moved = old !== undefined && old.spec?.type !== spec.type;
    return denial(
      [
        ...validateType(spec.type),
        ...validateConfig(spec.config, 'spec.config'),
        ...(moved
          ? [problem(IMMUTABLE_FIELDS, 'spec.type', differences(old.spec?.type, spec.type, 'spec.type'))]
          : []),
      ],
      'eventing',
    );
  },
};
