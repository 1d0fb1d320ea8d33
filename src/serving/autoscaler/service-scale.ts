/**
 * What a Service says of its scaling on its own metadata, where upstream has nothing: it holds at once, for all its revisions,
 * without a new one. Annotations `autoscaling.petrel.dev/<name>` with the names (and meaning) of `autoscaling.knative.dev/`, which
 * upstream refuses there; `min-scale` and `max-scale` are taken from either group, ours first. They bound the sum over the revisions that receive traffic, each its share;
 * they take the place of what the revisions say. Everything else takes the place of the revisions' annotation of that name.
 */

const OWN = 'autoscaling.petrel.dev/';
const KNATIVE = 'autoscaling.knative.dev/';
/** What can be said for all revisions; the rest of our group is not Knative's and keeps its name. */
const OVERRIDES = [
  'class',
  'metric',
  'target',
  'target-utilization-percentage',
  'target-burst-capacity',
  'window',
  'panic-window-percentage',
  'panic-threshold-percentage',
  'scale-down-delay',
  'activation-scale',
  'metric-aggregation-algorithm',
  'scale-to-zero-pod-retention-period',
];
const WHOLE = /^\d{1,9}$/;
/** Knative's other spelling of the bounds. */
const camel = (name: string): string => name.replace('-s', 'S');

/** What holds for all revisions of a Service. */
export interface ServiceScale {
  /** Instances of all revisions with traffic together; undefined: what each revision says. */
  min: number | undefined;
  /** The same; 0 is unlimited. */
  max: number | undefined;
  /** Annotations that take the place of the revisions' own. */
  overrides: Record<string, string>;
}

/** The scaling that the Service with these annotations asks for. What makes no sense counts as absent. */
export function serviceScale(annotations: Record<string, string> = {}): ServiceScale {
  const whole = (name: string) => {
    const text = annotations[OWN + name] ?? annotations[KNATIVE + name] ?? annotations[KNATIVE + camel(name)];
    return text !== undefined && WHOLE.test(text) ? Number(text) : undefined;
  };
  const overrides: Record<string, string> = {};
  for (const [key, value] of Object.entries(annotations)) {
    if (!key.startsWith(OWN)) continue;
    const name = key.slice(OWN.length);
    if (name === 'min-scale' || name === 'max-scale' || name === 'schedule') continue;
    overrides[(OVERRIDES.includes(name) ? KNATIVE : OWN) + name] = value;
  }
  return { min: whole('min-scale'), max: whole('max-scale'), overrides };
}

/**
 * Parts of `total` in proportion to `weights`, whole and with that sum: what is left after rounding down goes to the largest
 * remainders. Nobody with a weight gets less than `least`, even if the sum is then larger.
 */
export function shareOut(
  total: number,
  weights: ReadonlyMap<string, number>,
  least = 0,
): Map<string, number> {
  const sum = weights.values().reduce((all, weight) => all + weight, 0);
  const parts = [...weights]
    .filter(([, weight]) => weight > 0)
    .map(([key, weight]) => {
      const quota = (total * weight) / sum;
      return { key, quota, part: Math.max(least, Math.floor(quota)) };
    })
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  let rest = total - parts.reduce((all, { part }) => all + part, 0);
  for (; rest > 0 && parts.length > 0; rest--) {
    parts.reduce((best, one) => (one.quota - one.part > best.quota - best.part ? one : best)).part++;
  }
  for (; rest < 0; rest++) {
    const above = parts.filter(({ part }) => part > least);
    if (above.length === 0) break;
    above.reduce((best, one) => (one.part - one.quota > best.part - best.quota ? one : best)).part--;
  }
  return new Map(parts.map(({ key, part }) => [key, part]));
}
