/** Knative Serving v1: defaults and validation. Source: knative.dev/serving `pkg/apis/serving/v1/*_validation.go`. */
import { isDeepStrictEqual } from 'node:util';
import { dns1035Label, forPrefix, qualifiedName } from '../name.ts';
import type { UntypedObject } from '../object.ts';
import type { ResourceStrategy } from '../resource.ts';
import { validateAutoscaling } from './knative-annotations.ts';
import {
  CREATOR,
  defaultRevisionSpec,
  defaultTemplate,
  defaultTraffic,
  LAST_MODIFIER,
  recordUser,
  SERVING_DEFAULTS,
} from './knative-defaults.ts';
import {
  badKey,
  badValue,
  denial,
  differences,
  disallowed,
  type KnativeProblem,
  noneOf,
  outOfBounds,
  problem,
  severalOf,
} from './knative-errors.ts';
import { validateKnativePod } from './knative-pod.ts';
import { indexed, items, type Untyped } from './untyped.ts';

function validateMeta(object: UntypedObject): KnativeProblem[] {
  const { name, generateName, annotations } = object.metadata;
  const problems: KnativeProblem[] = [];
  if (generateName) {
    const messages = forPrefix(dns1035Label)(generateName);
    if (messages.length > 0) {
      problems.push(problem(`not a DNS 1035 label prefix: [${messages.join(' ')}]`, 'metadata.generateName'));
    }
  }
  const messages = name ? dns1035Label(name) : [];
  if (messages.length > 0)
    problems.push(problem(`not a DNS 1035 label: [${messages.join(' ')}]`, 'metadata.name'));
  if (object.kind === 'Revision')
    return [...problems, ...validateAutoscaling(annotations, 'metadata.annotations')];
  for (const key of Object.keys(annotations ?? {})) {
    if (!key.startsWith('autoscaling.knative.dev')) continue;
    problems.push(
      badKey(
        key,
        'metadata.annotations',
        'autoscaling annotations must be put under "spec.template.metadata.annotations" to work',
      ),
    );
  }
  return problems;
}

function validateRevisionSpec(spec: Untyped, path: string): KnativeProblem[] {
  const problems = validateKnativePod(spec, path);
  const { maxTimeoutSeconds, maxContainerConcurrency } = SERVING_DEFAULTS;
  const timeout: number = spec?.timeoutSeconds ?? 0;
  const within = (field: string, high: number): void => {
    const value: number | undefined | null = spec?.[field];
    if (typeof value === 'number' && (value < 0 || value > high))
      problems.push(outOfBounds(value, 0, high, `${path}.${field}`));
  };
  within('timeoutSeconds', maxTimeoutSeconds);
  within('responseStartTimeoutSeconds', timeout);
  within('idleTimeoutSeconds', timeout);
  within('containerConcurrency', maxContainerConcurrency);
  return problems;
}

const NAME_PATH = 'spec.template.metadata.name';

function validateTemplate(object: UntypedObject, old: UntypedObject | undefined): KnativeProblem[] {
  const template = object.spec?.template ?? {};
  const problems = [
    ...validateRevisionSpec(template.spec ?? {}, 'spec.template.spec'),
    ...validateAutoscaling(template.metadata?.annotations, 'spec.template.metadata.annotations'),
  ];
  const name: string | undefined = template.metadata?.name;
  if (!name) return problems;
  const messages = dns1035Label(name);
  const parent = object.metadata;
  if (messages.length > 0)
    problems.push(badValue(`not a DNS 1035 label: [${messages.join(' ')}]`, NAME_PATH));
  // The name is generated before this runs, so what the client gave shows in generateName.
  else if (old === undefined && parent.generateName) problems.push(disallowed(NAME_PATH));
  else if (!name.startsWith(`${parent.name}-`)) {
    problems.push(
      badValue(`${JSON.stringify(name)} must have prefix ${JSON.stringify(`${parent.name}-`)}`, NAME_PATH),
    );
  }
  const before = old?.spec?.template;
  if (before?.metadata?.name === name && !isDeepStrictEqual(before, template)) {
    problems.push(
      problem(
        'Saw the following changes without a name change (-old +new)',
        NAME_PATH,
        differences(before, template, 'spec.template'),
      ),
    );
  }
  return problems;
}

function validateTarget(target: Untyped, at: string, ofService: boolean): KnativeProblem[] {
  const problems: KnativeProblem[] = [];
  const { revisionName = '', configurationName = '', latestRevision, percent } = target;
  if (typeof latestRevision === 'boolean' && latestRevision === (revisionName !== '')) {
    problems.push(
      problem(
        `may not set revisionName ${JSON.stringify(revisionName)} when latestRevision is ${latestRevision}`,
        `${at}.latestRevision`,
      ),
    );
  }
  if (ofService && configurationName) problems.push(disallowed(`${at}.configurationName`));
  else if (revisionName && configurationName)
    problems.push(severalOf(`${at}.revisionName`, `${at}.configurationName`));
  else if (!ofService && !revisionName && !configurationName) {
    problems.push(noneOf(`${at}.revisionName`, `${at}.configurationName`));
  } else {
    for (const field of ['revisionName', 'configurationName']) {
      const messages = target[field] ? qualifiedName(target[field]) : [];
      if (messages.length > 0) problems.push(badKey(target[field], `${at}.${field}`, ...messages));
    }
  }
  if (typeof percent === 'number' && (percent < 0 || percent > 100)) {
    problems.push(outOfBounds(percent, 0, 100, `${at}.percent`));
  }
  if (target.url) problems.push(disallowed(`${at}.url`));
  return problems;
}

function validateTraffic(object: UntypedObject, ofService: boolean): KnativeProblem[] {
  const traffic = object.spec?.traffic;
  const problems: KnativeProblem[] = [];
  const tags = new Map<string, string>();
  for (const [at, target] of indexed(traffic, 'spec.traffic')) {
    problems.push(...validateTarget(target, at, ofService));
    if (!target.tag) continue;
    const messages = dns1035Label(target.tag);
    if (messages.length > 0)
      problems.push(badValue(`not a DNS 1035 label: [${messages.join(' ')}]`, `${at}.tag`));
    const other = tags.get(target.tag);
    if (other !== undefined) {
      problems.push({
        message: `Multiple definitions for ${JSON.stringify(target.tag)}`,
        paths: [`${at}.tag`, other],
      });
    }
    tags.set(target.tag, `${at}.tag`);
  }
  const sum = items(traffic).reduce((total, { percent }) => total + (percent ?? 0), 0);
  if (sum !== 100) problems.push(problem(`Traffic targets sum to ${sum}, want 100`, 'spec.traffic'));
  return problems;
}

/** The creator stays, and the last modifier changes only with the spec. */
function validateUsers(object: UntypedObject, old: UntypedObject | undefined): KnativeProblem[] {
  if (old === undefined || object.metadata.ownerReferences?.some((o) => o.kind === 'Service')) return [];
  const changed = (key: string): boolean =>
    object.metadata.annotations?.[key] !== old.metadata.annotations?.[key];
  const immutable = (key: string) => problem('annotation value is immutable', `metadata.annotations.${key}`);
  const problems = changed(CREATOR) ? [immutable(CREATOR)] : [];
  if (changed(LAST_MODIFIER) && isDeepStrictEqual(object.spec, old.spec))
    problems.push(immutable(LAST_MODIFIER));
  return problems;
}

export const KSERVICE_STRATEGY: ResourceStrategy = {
  setDefaults(object, old, user) {
    defaultTemplate(object, old);
    defaultTraffic(object, true);
    recordUser(object, old, user);
  },
  deny: (object, old) =>
    denial([
      ...validateMeta(object),
      ...validateTemplate(object, old),
      ...validateTraffic(object, true),
      ...validateUsers(object, old),
    ]),
};

export const CONFIGURATION_STRATEGY: ResourceStrategy = {
  setDefaults(object, old, user) {
    defaultTemplate(object, old);
    recordUser(object, old, user);
  },
  deny: (object, old) =>
    denial([...validateMeta(object), ...validateTemplate(object, old), ...validateUsers(object, old)]),
};

export const ROUTE_STRATEGY: ResourceStrategy = {
  setDefaults(object, old, user) {
    defaultTraffic(object, false);
    recordUser(object, old, user);
  },
  deny: (object, old) =>
    denial([...validateMeta(object), ...validateTraffic(object, false), ...validateUsers(object, old)]),
};

export const REVISION_STRATEGY: ResourceStrategy = {
  setDefaults(object, old) {
    object.spec ??= {};
    if (old === undefined) defaultRevisionSpec(object.spec, true);
  },
  deny(object, old) {
    if (old === undefined)
      return denial([...validateMeta(object), ...validateRevisionSpec(object.spec, 'spec')]);
    if (isDeepStrictEqual(object.spec, old.spec)) return denial(validateMeta(object));
    return denial([
      problem('Immutable fields changed (-old +new)', 'spec', differences(old.spec, object.spec, 'spec')),
    ]);
  },
};
