/** Revisions and their templates. Source: knative.dev/serving `pkg/apis/serving/v1/revision_validation.go`. */
import { isDeepStrictEqual } from 'node:util';
import type { ServingConfig } from '../../config/index.ts';
import { dns1035Label, forPrefix } from '../../name.ts';
import type { UntypedObject } from '../../object.ts';
import type { Untyped } from '../untyped.ts';
import { validateAutoscaling, validateTemplateAnnotations, warnTemplateAnnotations } from './annotations.ts';
import { badValue, differences, disallowed, type KnativeProblem, outOfBounds, problem } from './errors.ts';
import { validateOwnTemplate } from './own-annotations.ts';
import { validateKnativePod } from './pod.ts';
import { warnSecurity } from './security.ts';

type Config = Readonly<ServingConfig>;

/** Problems of a RevisionSpec at `path`. */
export function validateRevisionSpec(spec: Untyped, path: string, config: Config): KnativeProblem[] {
  const problems = validateKnativePod(spec, path, config.features);
  const { maxTimeoutSeconds, maxContainerConcurrency, allowContainerConcurrencyZero } = config.defaults;
  const timeout: number = spec?.timeoutSeconds ?? 0;
  const within = (field: string, low: number, high: number): void => {
    const value: number | undefined | null = spec?.[field];
    if (typeof value === 'number' && (value < low || value > high))
      problems.push(outOfBounds(value, low, high, `${path}.${field}`));
  };
  within('timeoutSeconds', 0, maxTimeoutSeconds);
  within('responseStartTimeoutSeconds', 0, timeout);
  within('idleTimeoutSeconds', 0, timeout);
  within('containerConcurrency', allowContainerConcurrencyZero ? 0 : 1, maxContainerConcurrency);
  return problems;
}

const TEMPLATE = 'spec.template';
const NAME_PATH = `${TEMPLATE}.metadata.name`;
const ANNOTATIONS = `${TEMPLATE}.metadata.annotations`;

/** Problems of `spec.template` of a Service or Configuration. */
export function validateTemplate(
  object: UntypedObject,
  old: UntypedObject | undefined,
  config: Config,
): KnativeProblem[] {
  const template = object.spec?.template ?? {};
  const annotations = template.metadata?.annotations;
  return [
    ...validateRevisionSpec(template.spec ?? {}, `${TEMPLATE}.spec`, config),
    ...validateAutoscaling(annotations, ANNOTATIONS, config.autoscaler),
    ...validateTemplateAnnotations(annotations, ANNOTATIONS),
    ...validateOwnTemplate(annotations, ANNOTATIONS),
    ...validateTemplateName(object, old),
    ...validateNameChange(template, old?.spec?.template),
  ];
}

/** What the client should be warned of in `spec.template`. */
export const warnTemplate = (object: UntypedObject, config: Config): KnativeProblem[] => [
  ...warnSecurity(object.spec?.template?.spec, `${TEMPLATE}.spec`, config.features),
  ...warnTemplateAnnotations(object.spec?.template?.metadata?.annotations),
];

const shown = (messages: string[]): string => `[${messages.join(' ')}]`;

/** A name that the user brought for the next revision. */
function validateTemplateName(
  { metadata: parent, spec }: UntypedObject,
  old: UntypedObject | undefined,
): KnativeProblem[] {
  const { name, generateName } = spec?.template?.metadata ?? {};
  const prefixProblems = generateName ? forPrefix(dns1035Label)(generateName) : [];
  if (prefixProblems.length > 0) {
    const message = `not a DNS 1035 label prefix: ${shown(prefixProblems)}`;
    return [badValue(message, `${TEMPLATE}.metadata.generateName`)];
  }
  if (!name) return [];
  const problems = dns1035Label(name);
  if (problems.length > 0) return [badValue(`not a DNS 1035 label: ${shown(problems)}`, NAME_PATH)];
  // The parent's name is generated before this runs, so what the client gave shows in generateName.
  if (old === undefined && parent.generateName) return [disallowed(NAME_PATH)];
  const prefix = `${parent.name}-`;
  if (name.startsWith(prefix)) return [];
  return [badValue(`${JSON.stringify(name)} must have prefix ${JSON.stringify(prefix)}`, NAME_PATH)];
}

/** The same name for something else would name two revisions. */
function validateNameChange(template: Untyped, before: Untyped): KnativeProblem[] {
  const name = template.metadata?.name;
  if (!name || before?.metadata?.name !== name || isDeepStrictEqual(before, template)) return [];
  return [
    problem(
      'Saw the following changes without a name change (-old +new)',
      NAME_PATH,
      differences(before, template, TEMPLATE),
    ),
  ];
}
