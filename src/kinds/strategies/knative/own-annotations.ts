/** Annotations of our own group about scaling that are wrong: told when they are written, not found out later. */
import type { AutoscalerConfigMap } from '../../config/index.ts';
import { parseGoDuration } from '../../go-duration.ts';
import { AnnotationError } from '../../scaling/annotation-error.ts';
import { metricProblems, metricSpec } from '../../scaling/metric.ts';
import { parseSchedule, SCHEDULE } from '../../scaling/schedule.ts';
import { type Annotations, GROUP, HPA, validateAutoscaling } from './annotations.ts';
import { badKey, badValue, type KnativeProblem, problem } from './errors.ts';

/** What it says on a Service holds for all its revisions. */
const OWN_GROUP = 'autoscaling.petrel.dev/';
/** What it has under the names, and by the rules, of `autoscaling.knative.dev/`; on a Service only. */
const SHARED = new Set([
  'class',
  'metric',
  'target',
  'target-utilization-percentage',
  'target-burst-capacity',
  'min-scale',
  'max-scale',
  'activation-scale',
  'window',
  'panic-window-percentage',
  'panic-threshold-percentage',
  'scale-down-delay',
  'metric-aggregation-algorithm',
  'scale-to-zero-pod-retention-period',
]);
/** Annotations that name a metric begin so. */
export const OWN_METRIC = `${OWN_GROUP}metric-`;
const METRIC = ['metric-source', 'metric-server', 'metric-query', 'metric-target'];
/** What upstream has no name for; on a Service and in a template. */
const OWN = ['schedule', 'keep-alive', ...METRIC];

/** `autoscaling.petrel.dev/x` → `x`, with its value. */
const ownOf = (annotations: Annotations): [name: string, value: string][] =>
  Object.entries(annotations ?? {}).flatMap(([key, value]): [string, string][] =>
    key.startsWith(OWN_GROUP) ? [[key.slice(OWN_GROUP.length), value]] : [],
  );

const told = ({ at, why, example }: AnnotationError, path: string): KnativeProblem =>
  problem(why, `${path}.${at}`, `for example: ${example}`);

/** Our annotations on a Service, or on what carries a copy of them. */
export function validateOwnValues(
  annotations: Annotations,
  path: string,
  config: AutoscalerConfigMap,
): KnativeProblem[] {
  const own = ownOf(annotations);
  if (own.length === 0) return [];
  const shared: Record<string, string> = {};
  for (const [name, value] of own) if (SHARED.has(name)) shared[GROUP + name] = value;
  // Which metrics there are depends on the class, which may be the template's.
  if (shared[`${GROUP}class`] === undefined) delete shared[`${GROUP}metric`];
  const problems = validateAutoscaling(shared, path, config).map((found) => ({
    ...found,
    paths: found.paths.map((at) => at.replace(GROUP, OWN_GROUP)),
  }));
  const unknown = own.filter(([name]) => !SHARED.has(name) && !OWN.includes(name));
  return [
    ...problems,
    ...unknown.map(([name]) =>
      badKey(OWN_GROUP + name, path, `there are: ${[...SHARED, ...OWN].join(', ')}`),
    ),
    ...validateValues(annotations ?? {}, path),
  ];
}

/** Our annotations in a template, and on what is made from one: only what upstream has no name for means anything there. */
export function validateOwnTemplate(annotations: Annotations, path: string): KnativeProblem[] {
  const own = ownOf(annotations);
  if (own.length === 0) return [];
  const misplaced = own.flatMap(([name]) => {
    if (OWN.includes(name)) return [];
    const instead = SHARED.has(name)
      ? `for one revision it is ${JSON.stringify(GROUP + name)}; for all of them it stands in the Service's own metadata`
      : `there are: ${OWN.join(', ')}`;
    return [badKey(OWN_GROUP + name, path, instead)];
  });
  return [...misplaced, ...validateValues(annotations ?? {}, path)];
}

/** Each value on its own. */
function validateValues(annotations: Record<string, string>, path: string): KnativeProblem[] {
  const problems = metricProblems(annotations).map((error) => told(error, path));
  const schedule = annotations[SCHEDULE];
  if (schedule !== undefined) problems.push(...caught(path, () => parseSchedule(schedule)));
  const key = `${OWN_GROUP}keep-alive`;
  const text = annotations[key];
  if (text !== undefined && !((parseGoDuration(text) ?? -1) >= 0))
    problems.push(badValue(text, `${path}.${key}`, 'for example: 10m'));
  return problems;
}

function caught(path: string, read: () => unknown): KnativeProblem[] {
  try {
    read();
    return [];
  } catch (error) {
    if (error instanceof AnnotationError) return [told(error, path)];
    throw error;
  }
}

/**
 * Whether template and Service together name a metric, where either says anything of one; `service` takes the place of
 * `template`. `path` is where the problem is told: values that are wrong in themselves are told elsewhere.
 */
export function validateOwnMetric(
  template: Annotations,
  service: Annotations,
  path: string,
  { podAutoscalerClass }: AutoscalerConfigMap,
): KnativeProblem[] {
  const all = { ...template, ...service };
  if (!METRIC.some((name) => all[OWN_GROUP + name] !== undefined) || metricProblems(all).length > 0)
    return [];
  const text = (name: string) => service?.[OWN_GROUP + name] ?? template?.[GROUP + name];
  const isHpa = (text('class') ?? podAutoscalerClass) === HPA;
  const target = Number(text('target'));
  return caught(path, () => {
    const spec = metricSpec(
      all,
      isHpa ? (text('metric') ?? 'cpu') : undefined,
      target > 0 ? target : undefined,
    );
    if (spec === undefined)
      throw new AnnotationError(
        `${OWN_GROUP}metric-source`,
        'must say where the metric comes from',
        'prometheus',
      );
  });
}
