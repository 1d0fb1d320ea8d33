/**
 * Sources of metrics that the gateway does not count: what an instance uses, what a Prometheus query says, how far a queue lags behind.
 * Which one a revision scales by is in its annotations, see `kinds/scaling/metric.ts`.
 */
import type { MetricSpec } from '../../kinds/scaling/metric.ts';
import type { Revision } from '../../kinds/serving.ts';
import { LABELS } from '../names.ts';

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
  /** The value under that key from now on. */
  publish(key: string, value: number): void;
}

/** The Route that leads to the revisions of a Service, `<ns>/<name>`. */
export function routeOf({ revision: { metadata } }: MetricWatch): string {
  return `${metadata.namespace}/${metadata.labels?.[LABELS.service] ?? ''}`;
}

/** `name` is what the annotation `metric-source` says to have this source; `keyOf`: under which key a revision's value is told, by default its own. */
export function createPushedMetrics(
  name: string,
  keyOf: (watch: MetricWatch) => string = ({ key }) => key,
): PushedMetrics {
  const values = new Map<string, number>();
  const listeners = new Map<string, Set<(value: number, scope: MetricScope) => void>>();
  return {
    name,
    watch(watch, listener) {
      const key = keyOf(watch);
      const all = listeners.get(key) ?? new Set();
      listeners.set(key, all.add(listener));
      const known = values.get(key);
      if (known !== undefined) listener(known, 'revision');
      return () => {
        all.delete(listener);
        if (all.size === 0 && listeners.get(key) === all) listeners.delete(key);
      };
    },
    publish(key, value) {
      if (value === 0 && !listeners.has(key)) values.delete(key);
      else values.set(key, value);
      for (const listener of listeners.get(key) ?? []) listener(value, 'revision');
    },
  };
}
