/** Conditions of the kinds that this room's controllers write. Pure. */
import { timestamp } from '../../base/clock.ts';
import type { Condition } from '../../kinds/object.ts';

/** Sets one condition; its transition time moves only when its status does. */
export function withCondition(
  conditions: Condition[] | undefined,
  next: Condition,
  now: number,
): Condition[] {
  const old = conditions?.find(({ type }) => type === next.type);
  const lastTransitionTime =
    old?.status === next.status && old.lastTransitionTime ? old.lastTransitionTime : timestamp(now);
  return [...(conditions ?? []).filter(({ type }) => type !== next.type), { ...next, lastTransitionTime }];
}
