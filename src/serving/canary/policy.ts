/** Which policy speaks for a Service. */
import type { TrafficPolicy } from '../../kinds/traffic-policy.ts';

/** The oldest one that names the Service, or the Function that owns it; undefined when none does. */
export function policyFor(
  policies: readonly TrafficPolicy[],
  namespace: string | undefined,
  name: string,
): TrafficPolicy | undefined {
  const age = ({ metadata }: TrafficPolicy) => `${metadata.creationTimestamp ?? ''} ${metadata.name}`;
  return policies
    .filter(({ metadata, spec }) => {
      const { kind, name: target } = spec.targetRef;
      return metadata.namespace === namespace && target === name && kind !== 'Route';
    })
    .sort((a, b) => (age(a) < age(b) ? -1 : 1))[0];
}
