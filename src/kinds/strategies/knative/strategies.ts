/** Knative Serving v1: defaults and validation by kind. Source: knative.dev/serving `pkg/apis/serving/v1`. */
import { isDeepStrictEqual } from 'node:util';
import type { AutoscalerConfigMap, ServingConfig } from '../../config/index.ts';
import type { UntypedObject } from '../../object.ts';
import type { ResourceStrategy } from '../../resource.ts';
import {
  type Annotations,
  validateAutoscaling,
  validateOuterAutoscaling,
  validateRollout,
} from './annotations.ts';
import { defaultRevisionSpec, defaultTemplate } from './defaults.ts';
import { denial, differences, type KnativeProblem, problem, texts } from './errors.ts';
import { recordUser, validateName, validateOwnerLabel, validateUsers } from './metadata.ts';
import { OWN_METRIC, validateOwnMetric, validateOwnTemplate, validateOwnValues } from './own-annotations.ts';
import { validateOwnTerms } from './own-terms.ts';
import { validateRevisionSpec, validateTemplate, warnTemplate } from './revision.ts';
import { warnSecurity } from './security.ts';
import { defaultTraffic, validateTraffic } from './traffic.ts';

const ANNOTATIONS = 'metadata.annotations';
const SERVICE_LABEL = 'serving.knative.dev/service';
const CONFIGURATION_LABEL = 'serving.knative.dev/configuration';

/** Metadata of what is not a Revision. What a Service carries is copied to its Configuration and Route. */
function validateOuter(object: UntypedObject, { autoscaler }: Readonly<ServingConfig>): KnativeProblem[] {
  const { annotations, ownerReferences } = object.metadata;
  const isService = object.kind === 'Service';
  const carriesBounds = isService || (ownerReferences ?? []).some((owner) => owner.kind === 'Service');
  return [
    ...validateName(object),
    ...validateOuterAutoscaling(annotations, ANNOTATIONS, autoscaler, carriesBounds),
    ...(carriesBounds ? validateOwnValues(annotations, ANNOTATIONS, autoscaler) : []),
    ...(isService || !carriesBounds ? validateMetric(object, autoscaler) : []),
    ...(object.kind === 'Configuration' ? [] : validateRollout(annotations, ANNOTATIONS)),
    ...(isService ? validateOwnTerms(annotations, ANNOTATIONS) : []),
    ...(isService ? [] : validateOwnerLabel(object, SERVICE_LABEL, 'Service')),
  ];
}

/** Part of what a metric needs may stand in the template, part on the Service itself. */
function validateMetric(
  { kind, metadata, spec }: UntypedObject,
  config: AutoscalerConfigMap,
): KnativeProblem[] {
  const template: Annotations = spec?.template?.metadata?.annotations;
  const service = kind === 'Service' ? metadata.annotations : undefined;
  const onService = Object.keys(service ?? {}).some((key) => key.startsWith(OWN_METRIC));
  const path = onService ? ANNOTATIONS : `spec.template.${ANNOTATIONS}`;
  return validateOwnMetric(template, service, path, config);
}

export const KSERVICE_STRATEGY: ResourceStrategy = {
  setDefaults(object, old, { user, config }) {
    defaultTemplate(object, old, config);
    defaultTraffic(object, true);
    recordUser(object, old, user);
  },
  deny: (object, old, { config }) =>
    denial([
      ...validateOuter(object, config),
      ...validateTemplate(object, old, config),
      ...validateTraffic(object, true),
      ...validateUsers(object, old),
    ]),
  warn: (object, _, { config }) => texts(warnTemplate(object, config)),
};

export const CONFIGURATION_STRATEGY: ResourceStrategy = {
  setDefaults(object, old, { user, config }) {
    defaultTemplate(object, old, config);
    recordUser(object, old, user);
  },
  deny: (object, old, { config }) =>
    denial([
      ...validateOuter(object, config),
      ...validateTemplate(object, old, config),
      ...validateUsers(object, old),
    ]),
  warn: (object, _, { config }) => texts(warnTemplate(object, config)),
};

export const ROUTE_STRATEGY: ResourceStrategy = {
  setDefaults(object, old, { user }) {
    defaultTraffic(object, false);
    recordUser(object, old, user);
  },
  deny: (object, old, { config }) =>
    denial([
      ...validateOuter(object, config),
      ...validateTraffic(object, false),
      ...validateUsers(object, old),
    ]),
};

function validateRevisionMeta(object: UntypedObject, config: Readonly<ServingConfig>): KnativeProblem[] {
  return [
    ...validateName(object),
    ...validateAutoscaling(object.metadata.annotations, ANNOTATIONS, config.autoscaler),
    ...validateOwnTemplate(object.metadata.annotations, ANNOTATIONS),
    ...validateOwnerLabel(object, CONFIGURATION_LABEL, 'Configuration'),
  ];
}

export const REVISION_STRATEGY: ResourceStrategy = {
  setDefaults(object, old, { config }) {
    object.spec ??= {};
    // Its spec never changes, whatever the defaults are by now.
    if (old === undefined) defaultRevisionSpec(object.spec, true, config);
  },
  deny(object, old, { config }) {
    if (old === undefined) {
      return denial([
        ...validateRevisionMeta(object, config),
        ...validateRevisionSpec(object.spec, 'spec', config),
      ]);
    }
    if (isDeepStrictEqual(object.spec, old.spec)) return denial(validateRevisionMeta(object, config));
    return denial([
      problem('Immutable fields changed (-old +new)', 'spec', differences(old.spec, object.spec, 'spec')),
    ]);
  },
  warn: (object, old, { config }) =>
    old === undefined ? texts(warnSecurity(object.spec, 'spec', config.features)) : [],
};
