/**
 * Metrics that the gateway does not count: what an instance uses, what a Prometheus query says, how far a queue lags behind.
 * Annotations, in a revision's template or on its Service:
 *
 *     autoscaling.petrel.dev/metric-source: prometheus     # or usage, or the name of another source
 *     autoscaling.petrel.dev/metric-server: http://prometheus.monitoring:9090
 *     autoscaling.petrel.dev/metric-query: sum(rate(orders_total[1m]))
 *     autoscaling.petrel.dev/metric-target: "50"           # what one instance is meant to take of it
 *
 * With the KPA class (and those that build on it) the value takes the place of the requests at once: value / target, averaged over the
 * same windows, from zero up and back. With the HPA class it is decided as Kubernetes' HPA does; there `autoscaling.knative.dev/metric`
 * `cpu` (percent of the request) and `memory` (MiB) come from `usage` without further words, and `target` is the target.
 */
import type { Revision } from '../../kinds/serving.ts';

/** Which metric a revision scales by, and how much of it is for one instance. */
export interface MetricSpec {
  source: string;
  /** `cpu`, `memory`, or what the source calls it. */
  metric: string;
  server: string;
  query: string;
  target: number;
}

/** Whether a value is the mean of one instance, or of the whole revision. */
export type MetricScope = 'instance' | 'revision';

export interface MetricWatch {
  key: string;
  revision: Revision;
  spec: MetricSpec;
  /** Ids of the instances that are ready now. */
  instances(): string[];
}

/** Where values come from. */
export interface MetricSource {
  readonly name: string;
  /** Calls `listener` with the value now (or as soon as there is one) and whenever it is known anew. Returns the function that ends it. */
  watch(watch: MetricWatch, listener: (value: number, scope: MetricScope) => void): () => void;
}

/** A source that is told its values, such as the lag of a queue, by whoever knows them. */
export interface PushedMetrics extends MetricSource {
  /** The value for that revision from now on. */
  publish(key: string, value: number): void;
}

export function createPushedMetrics(name: string): PushedMetrics {
  const values = new Map<string, number>();
  const listeners = new Map<string, Set<(value: number, scope: MetricScope) => void>>();
  return {
    name,
    watch({ key }, listener) {
      const all = listeners.get(key) ?? new Set();
      listeners.set(key, all.add(listener));
      const known = values.get(key);
      if (known !== undefined) listener(known, 'revision');
      return () => {
        all.delete(listener);
        if (all.size === 0 && listeners.get(key) === all) {
          listeners.delete(key);
          values.delete(key);
        }
      };
    },
    publish(key, value) {
      values.set(key, value);
      for (const listener of listeners.get(key) ?? []) listener(value, 'revision');
    },
  };
}

const OWN = 'autoscaling.petrel.dev/metric-';
/** Kubernetes' default for a metric that nobody set a target for. */
const CPU_TARGET = 80;
const LONGEST_QUERY = 4096;
const NUMBER = /^\d+(\.\d+)?$/;

/**
 * The metric that these annotations name; undefined: what the gateway counts. `hpaMetric` and `hpaTarget` are those of the HPA class.
 * Throws an `Error` that says what is missing.
 */
export function metricSpec(
  annotations: Record<string, string>,
  hpaMetric: string | undefined,
  hpaTarget: number | undefined,
): MetricSpec | undefined {
  const text = (name: string) => annotations[OWN + name]?.trim() ?? '';
  const resource = hpaMetric === 'cpu' || hpaMetric === 'memory';
  const source = text('source') || (resource ? 'usage' : '');
  if (source === '') {
    if (hpaMetric === undefined) return undefined;
    throw new Error(`metric ${JSON.stringify(hpaMetric)} needs ${OWN}source`);
  }
  const written = text('target');
  if (written !== '' && !(NUMBER.test(written) && Number(written) > 0))
    throw new Error(`${OWN}target ${JSON.stringify(written)} is no number above 0`);
  const target =
    written !== '' ? Number(written) : (hpaTarget ?? (hpaMetric === 'cpu' ? CPU_TARGET : undefined));
  if (target === undefined) throw new Error(`${OWN}target must say what one instance is to take`);
  const spec = { source, metric: hpaMetric ?? 'value', server: text('server'), query: text('query'), target };
  if (source === 'prometheus') {
    const url = URL.canParse(spec.server) ? new URL(spec.server) : undefined;
    if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
      throw new Error(`${OWN}server must be a URL such as http://prometheus.monitoring:9090`);
    if (spec.query === '' || spec.query.length > LONGEST_QUERY)
      throw new Error(`${OWN}query must be a query of up to ${LONGEST_QUERY} characters`);
  }
  return spec;
}
