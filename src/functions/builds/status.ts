/** A build as part of a Function's status. Pure. */

import { withCondition } from '../../kinds/conditions.ts';
import type { BuildStatus, PetrelFunction } from '../../kinds/function.ts';
import type { Condition } from '../../kinds/object.ts';
import type { BuildState } from './builds.ts';

/** Type of the condition of a Function that says whether its source could be built. Absent: nothing is built. */
export const BUILD_CONDITION = 'BuildSucceeded';

const STATUS: Record<BuildStatus['phase'], Condition['status']> = {
  Pending: 'Unknown',
  Running: 'Unknown',
  Succeeded: 'True',
  Failed: 'False',
};

const MESSAGE: Partial<Record<BuildStatus['phase'], string>> = {
  Pending: 'The build waits for its turn.',
  Running: 'The source is being built.',
};

/** The Function with the state of its build; without one, no trace of an earlier one is left. */
export function withBuild(fn: PetrelFunction, state: BuildState | undefined, now: number): PetrelFunction {
  if (state === undefined && fn.status?.build === undefined) return fn;
  const { build: _before, ...rest } = fn.status ?? {};
  const conditions = rest.conditions?.filter(({ type }) => type !== BUILD_CONDITION);
  if (state === undefined) return { ...fn, status: { ...rest, ...(conditions ? { conditions } : {}) } };
  const { status, reason } = state;
  const message = status.message ?? MESSAGE[status.phase];
  const condition: Condition = {
    type: BUILD_CONDITION,
    status: STATUS[status.phase],
    reason,
    ...(message ? { message } : {}),
  };
  return {
    ...fn,
    status: { ...rest, conditions: withCondition(fn.status?.conditions, condition, now), build: status },
  };
}
