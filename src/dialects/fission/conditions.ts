/** Conditions as Fission's clients read them: upstream's `meta/v1.Condition`, in which every field is required. */
import { timestamp } from '../../base/clock.ts';
import type { Condition } from '../../kinds/object.ts';
import type { Problem } from './model.ts';

export interface Finding {
  type: string;
  status: Condition['status'];
  reason: string;
  message: string;
}

/** The condition that something is so, or is not because of a problem. */
export const found = (type: string, problem: Problem | undefined, reason = type): Finding =>
  problem === undefined
    ? { type, status: 'True', reason, message: '' }
    : { type, status: 'False', ...problem };

/** `before` with the findings in it. A transition time moves only with its status; with nothing new the result equals `before`. */
export function withFindings(
  before: Condition[] | undefined,
  findings: readonly Finding[],
  generation: number | undefined,
  now: number,
): Condition[] {
  const next = findings.map((finding): Condition => {
    const old = before?.find(({ type }) => type === finding.type);
    const lastTransitionTime =
      old?.status === finding.status && old.lastTransitionTime ? old.lastTransitionTime : timestamp(now);
    return { ...finding, lastTransitionTime, observedGeneration: generation ?? 1 };
  });
  const known = new Set(findings.map(({ type }) => type));
  return [...(before ?? []).filter(({ type }) => !known.has(type)), ...next];
}
