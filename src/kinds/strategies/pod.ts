/** Pods, and the templates of workloads. Source: kubernetes `pkg/registry/core/pod`, `ValidatePodUpdate`, 1.32. */
import { isDeepStrictEqual } from 'node:util';
import { forbidden, invalid, required } from '../field.ts';
import type { FieldError, UntypedObject } from '../object.ts';
import { parseQuantity } from '../quantity.ts';
import type { ResourceStrategy } from '../resource.ts';
import { defaultPodSpec, defaultRequests } from './pod-defaults.ts';
import { validatePodSpec } from './pod-spec.ts';
import { defaults, items, type Untyped } from './untyped.ts';

const UPDATABLE =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

/** Guaranteed: every container limits CPU and memory to what it requests. BestEffort: none says anything. */
export function qosClass(spec: Untyped): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const containers = [...items(spec?.containers), ...items(spec?.initContainers)];
  let guaranteed = true;
  let bestEffort = true;
  for (const { resources } of containers) {
    for (const name of ['cpu', 'memory']) {
      const limit = parseQuantity(resources?.limits?.[name] ?? '0');
      const request = parseQuantity(resources?.requests?.[name] ?? resources?.limits?.[name] ?? '0');
      if (limit > 0 || request > 0) bestEffort = false;
      if (!(limit > 0 && limit === request)) guaranteed = false;
    }
  }
  if (bestEffort) return 'BestEffort';
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

/** The spec with what an update may change set back to what it was. */
function frozen(spec: Untyped, old: Untyped): Untyped {
  const result = { ...spec, tolerations: old.tolerations, activeDeadlineSeconds: old.activeDeadlineSeconds };
  for (const list of ['containers', 'initContainers']) {
    if (!spec[list]) continue;
    result[list] = items(spec[list]).map((container, i) => ({ ...container, image: old[list]?.[i]?.image }));
  }
  // A scheduler binds by setting the node once.
  if (!old.nodeName) result.nodeName = old.nodeName;
  if (old.terminationGracePeriodSeconds < 0 && spec.terminationGracePeriodSeconds === 1) {
    result.terminationGracePeriodSeconds = old.terminationGracePeriodSeconds;
  }
  return result;
}

const plain = (value: Untyped): unknown => JSON.parse(JSON.stringify(value ?? null));

function validateTolerations(spec: Untyped, old: Untyped): FieldError[] {
  const identity = ({ tolerationSeconds: _, ...rest }: Untyped): string => JSON.stringify(rest);
  const now = items(spec.tolerations).map(identity);
  return items(old.tolerations).every((toleration) => now.includes(identity(toleration)))
    ? []
    : [forbidden('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds')];
}

function validateSpecUpdate(spec: Untyped, old: Untyped): FieldError[] {
  if (JSON.stringify(spec) === JSON.stringify(old)) return [];
  const errors: FieldError[] = [];
  for (const list of ['containers', 'initContainers']) {
    if (items(spec[list]).length !== items(old[list]).length) {
      return [forbidden(`spec.${list}`, 'pod updates may not add or remove containers')];
    }
    for (const [i, { image }] of items(spec[list]).entries()) {
      if (!image) errors.push(required(`spec.${list}[${i}].image`));
    }
  }
  const deadline = spec.activeDeadlineSeconds;
  if (typeof old.activeDeadlineSeconds === 'number') {
    const path = 'spec.activeDeadlineSeconds';
    if (typeof deadline !== 'number') {
      errors.push(invalid(path, undefined, 'must not update from a positive integer to nil value'));
    } else if (deadline > old.activeDeadlineSeconds) {
      errors.push(invalid(path, deadline, 'must be less than or equal to previous value'));
    }
  }
  errors.push(...validateTolerations(spec, old));
  if (!isDeepStrictEqual(plain(frozen(spec, old)), plain(old))) {
    const changed = [...new Set([...Object.keys(spec), ...Object.keys(old)])].filter(
      (key) => !isDeepStrictEqual(plain(frozen(spec, old)[key]), plain(old[key])),
    );
    errors.push(
      forbidden('spec', `${UPDATABLE}\n  changed: ${changed.map((key) => `spec.${key}`).join(', ')}`),
    );
  }
  return errors;
}

export const POD_STRATEGY: ResourceStrategy = {
  prepareForCreate(pod) {
    pod.status = { phase: 'Pending', qosClass: qosClass(pod.spec) };
  },
  setDefaults(pod) {
    pod.spec ??= {};
    defaults(pod.spec, { enableServiceLinks: true });
    defaultPodSpec(pod.spec);
    defaultRequests(pod.spec);
  },
  validate: (pod) => validatePodSpec(pod.spec, 'spec'),
  validateUpdate: (pod, old) => validateSpecUpdate(pod.spec ?? {}, old.spec ?? {}),
};

/** A rule for `spec.selector` of a workload: it must select what the template makes, and never change. */
function validateSelector(object: UntypedObject): FieldError[] {
  const { selector, template } = object.spec ?? {};
  if (!selector) return [required('spec.selector')];
  if (Object.keys(selector.matchLabels ?? {}).length === 0 && items(selector.matchExpressions).length === 0) {
    return [invalid('spec.selector', {}, 'empty selector is invalid for deployment')];
  }
  const labels = template?.metadata?.labels ?? {};
  return Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value)
    ? []
    : [invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`')];
}

/** Deployments and ReplicaSets: the common part. */
export const WORKLOAD_STRATEGY: ResourceStrategy = {
  setDefaults(object) {
    object.spec ??= {};
    defaults(object.spec, { replicas: 1 });
    if (object.kind === 'Deployment') {
      defaults(object.spec, { strategy: {}, revisionHistoryLimit: 10, progressDeadlineSeconds: 600 });
      defaults(object.spec.strategy, { type: 'RollingUpdate' });
      if (object.spec.strategy.type === 'RollingUpdate') {
        defaults(object.spec.strategy, { rollingUpdate: {} });
        defaults(object.spec.strategy.rollingUpdate, { maxUnavailable: '25%', maxSurge: '25%' });
      }
    }
    if (object.spec.template?.spec) defaultPodSpec(object.spec.template.spec);
  },
  validate(object) {
    const errors = validateSelector(object);
    if (object.spec?.replicas < 0) {
      errors.push(invalid('spec.replicas', object.spec.replicas, 'must be greater than or equal to 0'));
    }
    const spec = object.spec?.template?.spec;
    errors.push(...validatePodSpec(spec ?? {}, 'spec.template.spec'));
    if (spec?.restartPolicy && spec.restartPolicy !== 'Always') {
      errors.push({
        field: 'spec.template.spec.restartPolicy',
        reason: 'FieldValueNotSupported',
        message: `Unsupported value: ${JSON.stringify(spec.restartPolicy)}: supported values: "Always"`,
      });
    }
    return errors;
  },
  validateUpdate: (object, old) =>
    isDeepStrictEqual(plain(object.spec?.selector), plain(old.spec?.selector))
      ? []
      : [invalid('spec.selector', object.spec?.selector, 'field is immutable')],
};
