/** Defaults and refusals of one write, in the order of upstream: defaulting, webhook-form refusal, field errors. */
import type { UntypedObject } from '../../kinds/object.ts';
import type { AdmissionContext } from '../../kinds/resource.ts';
import { badRequest, invalid } from './errors.ts';
import type { Target } from './target.ts';

/**
 * Fills in defaults in place and returns what the client should be warned of. Throws 400 with the words of the kind's
 * admission webhook, or 422 with one cause per field. `old` is absent on create; writes of `/status` are not refused in
 * the webhook's form (Knative validates specs only).
 */
export function admit(
  context: AdmissionContext,
  { definition, subresource }: Target,
  object: UntypedObject,
  old?: UntypedObject,
): string[] {
  const { strategy } = definition;
  // What holds by default may be something else by now; a write of `/status` must not bring it into the spec.
  if (subresource === '') strategy.setDefaults?.(object, old, context);
  const denial = subresource ? undefined : strategy.deny?.(object, old, context);
  if (denial !== undefined) throw badRequest(denial);
  const problems = [
    ...(strategy.validate?.(object) ?? []),
    ...((old && strategy.validateUpdate?.(object, old)) ?? []),
  ];
  if (problems.length > 0) throw invalid(definition, object.metadata.name ?? '', problems);
  return (subresource ? undefined : strategy.warn?.(object, old, context)) ?? [];
}
