/** Conditions that several kinds have, in upstream's words. */
import type { ConditionManager } from '../../kinds/conditions.ts';
import type { EventingFeatures } from '../../kinds/config/eventing.ts';
import type { Addressable, DeliverySpec, DeliveryStatus } from '../../kinds/eventing/objects.ts';
import type { Condition } from '../../kinds/object.ts';
import type { Target } from '../model.ts';
import type { Pass } from './kind.ts';

/** A condition follows one of another object; `nothing` is said while that has none. */
export function propagate(
  conditions: ConditionManager,
  type: string,
  from: Condition | undefined,
  nothing: { reason: string; message: string },
): void {
  if (from === undefined) conditions.markUnknown(type, nothing.reason, nothing.message);
  else if (from.status === 'True') conditions.markTrue(type);
  else if (from.status === 'False') conditions.markFalse(type, from.reason ?? '', from.message ?? '');
  else conditions.markUnknown(type, from.reason ?? '', from.message ?? '');
}

/** `EventPoliciesReady`. Who sends is not authenticated here: asking for it must not look as if it were. */
export function markPolicies(conditions: ConditionManager, features: EventingFeatures): void {
  if (features.authenticationOidc !== 'Enabled') {
    const message = 'Feature "authentication-oidc" must be enabled to support Authorization';
    conditions.markTrue('EventPoliciesReady', 'OIDCDisabled', message);
    return;
  }
  const message =
    'the feature "authentication-oidc" is enabled, and senders of events cannot be authenticated here: disable it in config-features';
  conditions.markFalse('EventPoliciesReady', 'OIDCNotSupported', message);
}

/** The identity of a subscriber or source, which nobody asks for. */
export const markNoIdentity = (conditions: ConditionManager): void =>
  conditions.markTrue('OIDCIdentityCreated', 'authentication-oidc feature disabled', '');

/** Takes the fields of a dead letter sink out of a status, and puts what is given in. */
export function setDeadLetterSink(status: DeliveryStatus, address: Addressable | undefined): void {
  delete status.deadLetterSinkUri;
  delete status.deadLetterSinkCACerts;
  delete status.deadLetterSinkAudience;
  if (address?.url) status.deadLetterSinkUri = address.url;
  if (address?.CACerts) status.deadLetterSinkCACerts = address.CACerts;
  if (address?.audience) status.deadLetterSinkAudience = address.audience;
}

/** Resolves an object's own dead letter sink into its status and `DeadLetterSinkResolved`. */
export async function resolveDeadLetterSink(
  pass: Pick<Pass<never>, 'resolve' | 'conditions'>,
  status: DeliveryStatus,
  delivery: DeliverySpec | undefined,
  failure = "Unable to get the dead letter sink's URI",
): Promise<Target | undefined> {
  const type = 'DeadLetterSinkResolved';
  const sink = delivery?.deadLetterSink;
  if (sink === undefined) {
    setDeadLetterSink(status, undefined);
    pass.conditions.markTrue(type, 'DeadLetterSinkNotConfigured', 'No dead letter sink is configured.');
    return undefined;
  }
  const found = await pass.resolve(sink);
  setDeadLetterSink(status, found.ok ? found.address : undefined);
  if (found.ok) pass.conditions.markTrue(type);
  else pass.conditions.markFalse(type, failure, found.message);
  return found.ok ? found.target : undefined;
}
