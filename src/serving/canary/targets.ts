/** Dividing a Service's traffic anew. Pure. */
import type { TrafficTarget } from '../../kinds/serving.ts';

/** A revision by name, or whatever is the latest at the time. */
export type Choice = { latestRevision: true } | { revisionName: string };

/** Whether a target is that choice. */
export function sameChoice(target: TrafficTarget, who: Choice): boolean {
  return 'revisionName' in who ? target.revisionName === who.revisionName : !target.revisionName;
}

/** The traffic as it is, with the default spelled out: everything to the latest. */
export function spelledOut(traffic: readonly TrafficTarget[] | undefined): TrafficTarget[] {
  return traffic?.length ? [...traffic] : [{ latestRevision: true, percent: 100 }];
}

/** Targets with exactly these percentages; tags stay where they are. */
export function divided(
  traffic: readonly TrafficTarget[] | undefined,
  shares: readonly { who: Choice; percent: number }[],
): TrafficTarget[] {
  const tags = spelledOut(traffic)
    .filter(({ tag }) => tag)
    .map(({ percent: _percent, ...target }): TrafficTarget => ({ ...target, percent: 0 }));
  const targets: TrafficTarget[] = [];
  for (const { who, percent } of shares) {
    // A tag on the same target carries the percentage itself, as one that was written by hand does.
    const there = [...tags, ...targets].find((target) => sameChoice(target, who));
    if (there) there.percent = (there.percent ?? 0) + percent;
    else if (percent > 0) targets.push({ ...who, percent });
  }
  return [...targets, ...tags];
}

/** Percent of the traffic that each revision gets, by name; `latest` is who the unnamed targets lead to. */
export function percents(
  traffic: readonly TrafficTarget[] | undefined,
  latest: string | undefined,
): Map<string, number> {
  const result = new Map<string, number>();
  for (const { revisionName, percent = 0 } of spelledOut(traffic)) {
    const name = revisionName || latest;
    if (name && percent > 0) result.set(name, (result.get(name) ?? 0) + percent);
  }
  return result;
}

/** Whether a new revision would get traffic by itself. */
export function takesLatest(traffic: readonly TrafficTarget[] | undefined): boolean {
  return spelledOut(traffic).some(({ revisionName, percent = 0 }) => !revisionName && percent > 0);
}
