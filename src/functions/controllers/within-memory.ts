/** What a Function says of instances that were ended for memory, until it is changed. Pure. */

import { withCondition } from '../../kinds/conditions.ts';
import type { PetrelFunction } from '../../kinds/function.ts';

const CONDITION = 'WithinMemory';

/** The Function with what it has to say: of an end that was told of now, or still of one before, if it is what it was then. */
export function withMemoryKill(fn: PetrelFunction, message: string | undefined, now: number): PetrelFunction {
  const { generation = 1 } = fn.metadata;
  const { conditions = [], observedGeneration = generation } = fn.status ?? {};
  if (message !== undefined) {
    const condition = {
      type: CONDITION,
      status: 'False' as const,
      reason: 'OOMKilled',
      message,
      // It goes on serving.
      severity: 'Warning' as const,
    };
    return { ...fn, status: { ...fn.status, conditions: withCondition(conditions, condition, now) } };
  }
  if (observedGeneration >= generation || !conditions.some(({ type }) => type === CONDITION)) return fn;
  return { ...fn, status: { ...fn.status, conditions: conditions.filter(({ type }) => type !== CONDITION) } };
}
