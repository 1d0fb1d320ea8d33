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
import { AnnotationError } from './annotation-error.ts';

/** Which metric a revision scales by, and how much of it is for one instance. */
export interface MetricSpec {
  source: string;
  /** `cpu`, `memory`, or what the source calls it. */
  metric: string;
  server: string;
  query: string;
  target: number;
}

const OWN = 'autoscaling.petrel.dev/metric-';
const EXAMPLES = {
  source: 'prometheus',
  server: 'http://prometheus.monitoring:9090',
  query: 'sum(rate(orders_total[1m]))',
  target: '50',
};
/** Kubernetes' default for a metric that nobody set a target for. */
const CPU_TARGET = 80;
const LONGEST_QUERY = 4096;
const NUMBER = /^\d+(\.\d+)?$/;

const wrong = (name: keyof typeof EXAMPLES, why: string) =>
  new AnnotationError(OWN + name, why, EXAMPLES[name]);

/** What is wrong with the annotations that are there, each on its own: the others may stand elsewhere. */
export function metricProblems(annotations: Record<string, string>): AnnotationError[] {
  const problems: AnnotationError[] = [];
  const check = (name: keyof typeof EXAMPLES, isRight: (text: string) => boolean, why: string) => {
    const text = annotations[OWN + name];
    if (text !== undefined && !isRight(text.trim())) problems.push(wrong(name, why));
  };
  check('source', (text) => text !== '', 'must name a source of metrics');
  check('target', isTarget, 'must be a number above 0');
  check('server', isServer, 'must be a URL of http or https');
  check('query', isQuery, `must be a query of up to ${LONGEST_QUERY} characters`);
  return problems;
}

const isTarget = (text: string): boolean => NUMBER.test(text) && Number(text) > 0;
const isServer = (text: string): boolean =>
  URL.canParse(text) && ['http:', 'https:'].includes(new URL(text).protocol);
const isQuery = (text: string): boolean => text !== '' && text.length <= LONGEST_QUERY;

/**
 * The metric that these annotations name; undefined: what the gateway counts. `hpaMetric` and `hpaTarget` are those of the HPA class.
 * Throws an `AnnotationError` that says what is missing.
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
    throw wrong('source', `must say where metric ${JSON.stringify(hpaMetric)} comes from`);
  }
  const written = text('target');
  if (written !== '' && !isTarget(written)) throw wrong('target', 'must be a number above 0');
  const target =
    written !== '' ? Number(written) : (hpaTarget ?? (hpaMetric === 'cpu' ? CPU_TARGET : undefined));
  if (target === undefined) throw wrong('target', 'must say what one instance is to take');
  const spec = { source, metric: hpaMetric ?? 'value', server: text('server'), query: text('query'), target };
  if (source === 'prometheus') {
    if (!isServer(spec.server)) throw wrong('server', 'must be a URL of http or https');
    if (!isQuery(spec.query)) throw wrong('query', `must be a query of up to ${LONGEST_QUERY} characters`);
  }
  return spec;
}
