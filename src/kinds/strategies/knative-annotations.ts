/** Autoscaling annotations that are wrong. Source: knative.dev/serving `pkg/apis/autoscaling/annotation_validation.go`. */
import { badValue, type KnativeProblem, outOfBounds } from './knative-errors.ts';

const GROUP = 'autoscaling.knative.dev/';
const MAX_INT32 = 2147483647;
/** Whole numbers from 0, under either spelling. */
const WHOLE: [string, string][] = [
  ['min-scale', 'minScale'],
  ['max-scale', 'maxScale'],
  ['initial-scale', 'initialScale'],
];
/** Numbers within bounds. */
const NUMBERS: [string, string, number, number][] = [
  ['target', 'target', 0.01, MAX_INT32],
  ['target-utilization-percentage', 'targetUtilizationPercentage', 1, 100],
  ['panic-window-percentage', 'panicWindowPercentage', 1, 100],
  ['panic-threshold-percentage', 'panicThresholdPercentage', 110, 1000],
];

/** Problems of the autoscaling annotations among `annotations`, which lie at `path`. */
export function validateAutoscaling(
  annotations: Record<string, string> | undefined,
  path: string,
): KnativeProblem[] {
  const problems: KnativeProblem[] = [];
  const get = (name: string, alias: string): [key: string, value: string] | undefined => {
    for (const key of [GROUP + name, GROUP + alias]) {
      const value = annotations?.[key];
      if (value !== undefined) return [key, value];
    }
    return undefined;
  };
  const numbers: Record<string, { key: string; value: number }> = {};
  for (const [name, alias] of WHOLE) {
    const given = get(name, alias);
    if (given === undefined) continue;
    const [key, value] = given;
    if (!/^[+-]?\d+$/.test(value)) problems.push(badValue(value, `${path}.${key}`));
    else if (Number(value) < 0 || Number(value) > MAX_INT32) {
      problems.push(outOfBounds(Number(value), 0, MAX_INT32, `${path}.${key}`));
    } else numbers[name] = { key, value: Number(value) };
  }
  const [min, max] = [numbers['min-scale'], numbers['max-scale']];
  if (min && max && max.value !== 0 && max.value < min.value) {
    problems.push({
      message: `max-scale=${max.value} is less than min-scale=${min.value}`,
      paths: [`${path}.${max.key}`, `${path}.${min.key}`],
    });
  }
  for (const [name, alias, low, high] of NUMBERS) {
    const given = get(name, alias);
    if (given === undefined) continue;
    const number = Number(given[1]);
    if (given[1].trim() === '' || Number.isNaN(number))
      problems.push(badValue(given[1], `${path}.${given[0]}`));
    else if (number < low || number > high)
      problems.push(outOfBounds(number, low, high, `${path}.${given[0]}`));
  }
  return problems;
}
