/** Jobs: defaults and rules. Source: kubernetes `pkg/apis/batch/v1/defaults.go`, `pkg/registry/batch/job`, `ValidateJob`, 1.32. */
import { isDeepStrictEqual } from 'node:util';
import { forbidden, IMMUTABLE, invalid, notSupported, required } from '../field.ts';
import { JOB_LABELS } from '../job.ts';
import { dns1123Label } from '../name.ts';
import type { FieldError, UntypedObject } from '../object.ts';
import type { ResourceStrategy } from '../resource.ts';
import { defaultPodSpec } from './pod-defaults.ts';
import { validatePodSpec } from './pod-spec.ts';
import { defaults, indexed, items, type Untyped } from './untyped.ts';

const RESTART_POLICIES = ['OnFailure', 'Never'];
const ACTIONS = ['Count', 'FailJob', 'Ignore'];
/** Upstream's; `FailIndex` is for indexed Jobs. */
const MAX_RULES = 20;
const MAX_EXIT_CODES = 255;
const AMOUNTS = [
  'parallelism',
  'completions',
  'activeDeadlineSeconds',
  'backoffLimit',
  'ttlSecondsAfterFinished',
];
/** Fields of the spec that never change after the creation. */
const FIXED = ['completions', 'selector', 'podFailurePolicy', 'completionMode', 'managedBy', 'successPolicy'];

function validateRule(rule: Untyped, at: string, restartPolicy: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!ACTIONS.includes(rule.action)) errors.push(notSupported(`${at}.action`, rule.action ?? '', ACTIONS));
  const codes = rule.onExitCodes;
  const conditions = items(rule.onPodConditions);
  if (!codes && conditions.length === 0)
    errors.push(invalid(at, '', 'specifying one of OnExitCodes and OnPodConditions is required'));
  if (codes && conditions.length > 0)
    errors.push(invalid(at, '', 'specifying both OnExitCodes and OnPodConditions is not supported'));
  if (codes) {
    if (!['In', 'NotIn'].includes(codes.operator))
      errors.push(notSupported(`${at}.onExitCodes.operator`, codes.operator ?? '', ['In', 'NotIn']));
    const values = items(codes.values);
    if (values.length === 0)
      errors.push(invalid(`${at}.onExitCodes.values`, [], 'at least one value is required'));
    if (values.length > MAX_EXIT_CODES)
      errors.push(
        invalid(`${at}.onExitCodes.values`, values.length, `must have at most ${MAX_EXIT_CODES} items`),
      );
    if (codes.operator === 'In' && values.includes(0))
      errors.push(invalid(`${at}.onExitCodes.values`, 0, 'must not be 0 for the In operator'));
  }
  if (restartPolicy !== 'Never')
    errors.push(invalid('spec.podFailurePolicy', restartPolicy, 'restartPolicy must be Never'));
  return errors;
}

function validateJob({ metadata, spec = {} }: UntypedObject): FieldError[] {
  const errors: FieldError[] = [];
  for (const field of AMOUNTS) {
    const value = spec[field];
    if (typeof value === 'number' && value < 0)
      errors.push(invalid(`spec.${field}`, value, 'must be greater than or equal to 0'));
  }
  if (spec.completionMode !== undefined && spec.completionMode !== 'NonIndexed')
    errors.push(notSupported('spec.completionMode', spec.completionMode, ['NonIndexed']));
  for (const field of ['successPolicy', 'backoffLimitPerIndex', 'maxFailedIndexes']) {
    if (spec[field] !== undefined && spec[field] !== null)
      errors.push(forbidden(`spec.${field}`, 'is for indexed Jobs, which this platform does not run'));
  }
  if (!spec.selector) errors.push(required('spec.selector'));
  const template = spec.template?.spec;
  if (!template) return [...errors, required('spec.template.spec')];
  const labels = spec.template.metadata?.labels ?? {};
  for (const [key, value] of Object.entries(spec.selector?.matchLabels ?? {})) {
    if (labels[key] !== value)
      errors.push(
        invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'),
      );
  }
  // Pods are named after it, and it is the value of a label.
  for (const problem of metadata.name ? dns1123Label(metadata.name) : [])
    errors.push(invalid('metadata.name', metadata.name, problem));
  errors.push(...validatePodSpec(template, 'spec.template.spec'));
  const policy = template.restartPolicy;
  if (!RESTART_POLICIES.includes(policy)) {
    errors.push(
      policy === 'Always' || !policy
        ? required('spec.template.spec.restartPolicy', 'valid values: "OnFailure", "Never"')
        : notSupported('spec.template.spec.restartPolicy', policy, RESTART_POLICIES),
    );
  }
  const rules = items(spec.podFailurePolicy?.rules);
  if (rules.length > MAX_RULES)
    errors.push(invalid('spec.podFailurePolicy.rules', rules.length, `must have at most ${MAX_RULES} items`));
  for (const [at, rule] of indexed(rules, 'spec.podFailurePolicy.rules'))
    errors.push(...validateRule(rule, at, policy));
  return errors;
}

const plain = (value: Untyped): unknown => JSON.parse(JSON.stringify(value ?? null));

/** Labels, selector and template of a new Job carry its uid, so that no two Jobs ever take each other's Pods. */
function identify(job: UntypedObject): void {
  const { uid, name } = job.metadata;
  const { spec } = job;
  if (!spec || spec.manualSelector === true) return;
  spec.selector ??= {};
  spec.selector.matchLabels = { ...spec.selector.matchLabels, [JOB_LABELS.uid]: uid };
  spec.template ??= {};
  spec.template.metadata ??= {};
  spec.template.metadata.labels = {
    ...spec.template.metadata.labels,
    [JOB_LABELS.uid]: uid,
    [JOB_LABELS.name]: name,
    [JOB_LABELS.legacyUid]: uid,
    [JOB_LABELS.legacyName]: name,
  };
  job.metadata.labels ??= { ...spec.template.metadata.labels };
}

export const JOB_STRATEGY: ResourceStrategy = {
  prepareForCreate(job) {
    identify(job);
    job.status = {};
  },
  setDefaults(job) {
    job.spec ??= {};
    const { spec } = job;
    const none = (field: string) => spec[field] === undefined || spec[field] === null;
    if (none('completions') && none('parallelism')) defaults(spec, { completions: 1 });
    defaults(spec, {
      parallelism: 1,
      backoffLimit: 6,
      completionMode: 'NonIndexed',
      suspend: false,
      manualSelector: false,
      podReplacementPolicy: spec.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed',
    });
    if (spec.template?.spec) defaultPodSpec(spec.template.spec);
  },
  validate: validateJob,
  validateUpdate(job, old) {
    const errors = FIXED.filter(
      (field) => !isDeepStrictEqual(plain(job.spec?.[field]), plain(old.spec?.[field])),
    ).map((field) => invalid(`spec.${field}`, job.spec?.[field], IMMUTABLE));
    if (!isDeepStrictEqual(plain(job.spec?.template), plain(old.spec?.template)))
      errors.push(invalid('spec.template', job.spec?.template, IMMUTABLE));
    return errors;
  },
};
