/** How one revision scales now: followed through edits, its Service, the schedule, and the metric it goes by. */
import type { Clock, Timer } from '../../base/clock.ts';
import type { Revision } from '../../kinds/serving.ts';
import type { ScalingSpec } from '../autoscaler/config.ts';
import type { MetricScope, MetricSource } from '../autoscaler/metrics.ts';
import { LONGEST_TIMER_MS } from './services.ts';
import { resolveTerms, type Terms } from './terms.ts';

export interface ShapeOptions {
  key: string;
  revision: Revision;
  concurrency: number;
  terms: Terms;
  metrics: readonly MetricSource[];
  clock: Clock;
  /** Ids of the ready instances. */
  instances(): string[];
  /** Annotations cannot be understood and count as absent. */
  onProblem(revision: Revision, problem: string): void;
  onChange(before: ScalingSpec): void;
  onMetric(value: number, scope: MetricScope): void;
}

export interface Shape {
  readonly spec: ScalingSpec;
  /** Begins to follow schedule and metric. */
  begin(): void;
  update(revision: Revision): void;
  reshape(terms: Terms): void;
  end(): void;
}

export function createShape(options: ShapeOptions): Shape {
  const { key, clock } = options;
  let { revision, terms } = options;
  let ended = false;
  let timer: Timer | undefined;
  let watched: { spec: string; end(): void } | undefined;
  let complaint: string | undefined;
  const resolve = () =>
    resolveTerms(revision.metadata.annotations ?? {}, options.concurrency, terms, clock.now());
  let { spec, until, problem } = resolve();

  const follow = () => {
    if (ended) return;
    if (problem !== undefined && problem !== complaint) options.onProblem(revision, problem);
    complaint = problem;
    timer?.cancel();
    timer =
      until === undefined
        ? undefined
        : clock.after(Math.min(until - clock.now(), LONGEST_TIMER_MS), () => look());
    watch();
  };

  const watch = () => {
    const { source } = spec;
    const wanted = source && JSON.stringify(source);
    if (watched?.spec === wanted) return;
    watched?.end();
    watched = undefined;
    if (!source || wanted === undefined) return;
    const from = options.metrics.find(({ name }) => name === source.source);
    if (!from) options.onProblem(revision, `there is no source of metrics ${JSON.stringify(source.source)}`);
    const stop = from?.watch({ key, revision, spec: source, instances: options.instances }, options.onMetric);
    watched = { spec: wanted, end: () => stop?.() };
  };

  const look = () => {
    const before = spec;
    ({ spec, until, problem } = resolve());
    follow();
    if (JSON.stringify(spec) !== JSON.stringify(before)) options.onChange(before);
  };

  return {
    get spec() {
      return spec;
    },
    begin: follow,
    update(next) {
      revision = next;
      look();
    },
    reshape(next) {
      terms = next;
      look();
    },
    end() {
      ended = true;
      timer?.cancel();
      watched?.end();
    },
  };
}
