/**
 * Destinations, references, delivery specs and filters, which most kinds of eventing have. Source: knative.dev/pkg `apis/duck/v1`,
 * knative.dev/eventing `pkg/apis/duck/v1`, `pkg/apis/eventing/v1/trigger_validation.go`.
 */
import { X509Certificate } from 'node:crypto';
import type { EventingConfig, EventingFeatures } from '../../config/eventing.ts';
import { DEFAULT_EVENTING_CONFIG } from '../../config/eventing.ts';
import { parseIsoDuration } from '../../eventing/iso-duration.ts';
import type { UntypedObject } from '../../object.ts';
import type { AdmissionContext } from '../../resource.ts';
import {
  badKey,
  badValue,
  disallowed,
  join,
  type KnativeProblem,
  missing,
  problem,
} from '../knative/errors.ts';
import { items, type Untyped } from '../untyped.ts';

/** What a rule may look at besides the value. */
export interface Scope {
  /** Of the object. */
  namespace: string;
  config: Readonly<EventingConfig>;
  features: EventingFeatures;
  /** Whether references may name another namespace than the object's. */
  anyNamespace?: boolean;
}

export function scopeOf({ metadata }: UntypedObject, context: AdmissionContext): Scope {
  const config = context.eventing?.() ?? DEFAULT_EVENTING_CONFIG;
  return { namespace: metadata.namespace ?? '', config, features: config.features };
}

const isAbsent = (value: unknown): boolean => value === undefined || value === null;
const isEmpty = (value: unknown): boolean =>
  isAbsent(value) || (typeof value === 'object' && Object.keys(value as object).length === 0);

/** The namespace of a reference that does not name one is the object's own. */
export function defaultReference(reference: Untyped, namespace: string | undefined): void {
  if (!isAbsent(reference)) reference.namespace ||= namespace;
}

export const defaultDestination = (destination: Untyped, namespace: string | undefined): void =>
  defaultReference(destination?.ref, namespace);

export const defaultDelivery = (delivery: Untyped, namespace: string | undefined): void =>
  defaultDestination(delivery?.deadLetterSink, namespace);

export function validateReference(reference: Untyped, path: string, scope: Scope): KnativeProblem[] {
  const { name, apiVersion, group, kind, namespace } = reference ?? {};
  const problems: KnativeProblem[] = [];
  if (!name) problems.push(missing(`${path}.name`));
  if (scope.features.kreferenceGroup === 'Enabled') {
    if (!apiVersion && !group) problems.push(missing(`${path}.apiVersion`), missing(`${path}.group`));
    if (apiVersion && group && !String(apiVersion).startsWith(group)) {
      problems.push({
        message: 'both apiVersion and group are specified and they refer to different API groups',
        paths: [`${path}.apiVersion`, `${path}.group`],
        details: 'Only one of them must be specified',
      });
    }
  } else {
    if (group) problems.push(disallowed(`${path}.group`));
    if (!apiVersion) problems.push(missing(`${path}.apiVersion`));
  }
  if (!kind) problems.push(missing(`${path}.kind`));
  if (namespace && scope.anyNamespace === false && namespace !== scope.namespace) {
    const details = `parent namespace: ${JSON.stringify(scope.namespace)} does not match ref: ${JSON.stringify(namespace)}`;
    problems.push(problem('mismatched namespaces', `${path}.namespace`, details));
  }
  return problems;
}

const isAbsolute = (uri: string): boolean => /^[A-Za-z][A-Za-z0-9+.-]*:/.test(uri);
/** What an event can be sent to. */
const hasHost = (uri: string): boolean => URL.canParse(uri) && new URL(uri).host !== '';

/** `required`: absent is a problem. */
export function validateDestination(
  destination: Untyped,
  path: string,
  scope: Scope,
  required = false,
): KnativeProblem[] {
  if (isAbsent(destination) && !required) return [];
  const { ref, uri, CACerts: caCerts } = destination ?? {};
  const at = (field: string) => join(path, field);
  if (isAbsent(ref) && !uri)
    return [{ message: 'expected at least one, got none', paths: [at('ref'), at('uri')] }];
  if (!isAbsent(ref) && uri && isAbsolute(uri)) {
    const message = 'Absolute URI is not allowed when Ref or [apiVersion, kind, name] is present';
    return [{ message, paths: ['[apiVersion, kind, name]', 'ref', 'uri'].map(at) }];
  }
  if (isAbsent(ref) && !(isAbsolute(uri) && hasHost(uri))) {
    const why = 'Relative URI is not allowed when Ref and [apiVersion, kind, name] is absent';
    return [badValue(why, at('uri'))];
  }
  const problems = isAbsent(ref) ? [] : validateReference(ref, at('ref'), scope);
  return caCerts ? [...problems, ...validateCaCerts(caCerts, at('caCert'))] : problems;
}

function validateCaCerts(pem: string, path: string): KnativeProblem[] {
  try {
    new X509Certificate(pem);
    return [];
  } catch {
    return [badValue('CA Cert provided is invalid', path)];
  }
}

const POLICIES = ['linear', 'exponential'];
const FORMATS = ['json', 'binary'];

export function validateDelivery(delivery: Untyped, path: string, scope: Scope): KnativeProblem[] {
  if (isAbsent(delivery)) return [];
  const { retry, timeout, backoffPolicy, backoffDelay, retryAfterMax, format } = delivery;
  const { features } = scope;
  const at = (field: string) => `${path}.${field}`;
  const problems = validateDestination(delivery.deadLetterSink, at('deadLetterSink'), scope);
  if (!isAbsent(retry) && retry < 0) problems.push(badValue(retry, at('retry')));
  if (!isAbsent(timeout)) {
    if (features.deliveryTimeout === 'Disabled') problems.push(disallowed(at('timeout')));
    else if (!((parseIsoDuration(timeout) ?? 0) > 0)) problems.push(badValue(timeout, at('timeout')));
  }
  if (!isAbsent(backoffPolicy) && !POLICIES.includes(backoffPolicy))
    problems.push(badValue(backoffPolicy, at('backoffPolicy')));
  if (!isAbsent(backoffDelay) && !((parseIsoDuration(backoffDelay) ?? -1) >= 0))
    problems.push(badValue(backoffDelay, at('backoffDelay')));
  if (!isAbsent(format) && !FORMATS.includes(format)) problems.push(badValue(format, at('format')));
  if (!isAbsent(retryAfterMax)) {
    if (features.deliveryRetryAfter === 'Disabled') problems.push(disallowed(at('retryAfterMax')));
    else if (!((parseIsoDuration(retryAfterMax) ?? -1) >= 0))
      problems.push(badValue(retryAfterMax, at('retryAfterMax')));
  }
  return problems;
}

/** `sink` and `ceOverrides` of a source. */
export function validateSource(spec: Untyped, path: string, scope: Scope): KnativeProblem[] {
  const problems = validateDestination(spec?.sink, `${path}.sink`, scope, true);
  const at = `${path}.ceOverrides.extensions`;
  for (const key of Object.keys(spec?.ceOverrides?.extensions ?? {})) {
    if (key === '') problems.push(badKey(key, at, 'keys MUST NOT be empty'));
    else if (!/^[A-Za-z0-9]+$/.test(key))
      problems.push(badKey(key, at, 'keys are expected to be alphanumeric'));
    else if (RESERVED_EXTENSIONS.has(key.toLowerCase()))
      problems.push(badKey(key, at, 'is an attribute of every event and cannot be overridden'));
  }
  return problems;
}

/** What an event is; the rest (`subject`, `time`, `dataschema`) may be overridden. */
const RESERVED_EXTENSIONS = new Set(['specversion', 'id', 'source', 'type', 'data', 'datacontenttype']);

/** `apiVersion` and `kind` of the channels that something makes. */
export function validateTemplate(template: Untyped, path: string): KnativeProblem[] {
  if (isAbsent(template)) return [missing(path)];
  return ['kind', 'apiVersion'].flatMap((field) => (template[field] ? [] : [missing(`${path}.${field}`)]));
}

export { isAbsent, isEmpty, items };
