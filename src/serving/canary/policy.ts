/** Which policy speaks for a Service. */
import type { TrafficPolicy } from '../../kinds/traffic-policy.ts';

/** Orders policies of one target: the first holds. Names decide between those of one second. */
export function olderFirst(a: TrafficPolicy, b: TrafficPolicy): number {
  const rank = ({ metadata }: TrafficPolicy) => `${metadata.creationTimestamp ?? ''} ${metadata.name}`;
  return rank(a) < rank(b) ? -1 : 1;
}

/** The oldest one that names the Service, or the Function that owns it; undefined when none does. */
export function policyFor(
  policies: readonly TrafficPolicy[],
  namespace: string | undefined,
  name: string,
): TrafficPolicy | undefined {
  return policies
    .filter(({ metadata, spec }) => {
      const { kind, name: target } = spec.targetRef;
      return metadata.namespace === namespace && target === name && kind !== 'Route';
    })
    .sort(olderFirst)[0];
}
