/** Whether the containers of a Pod run as its in-place update asks. Pure. */
import { launchKey, updateOf } from '../../kinds/in-place.ts';
import type { Condition } from '../../kinds/object.ts';
import { IN_PLACE_CONDITION, type Pod } from '../../kinds/pod.ts';
import { type Records, recordOf } from './lifecycle.ts';

/** The condition that tells whether the update has been made; none without an update. `pod` as `asUpdated` returns it. */
export function updateConditions(pod: Pod, records: Records): Condition[] {
  const update = updateOf(pod);
  if (!update) return [];
  const made = pod.spec.containers.every((container) => {
    const { state, key } = recordOf(records, container);
    return state.kind === 'running' && key === launchKey(container);
  });
  return [
    {
      type: IN_PLACE_CONDITION,
      status: made ? 'True' : 'False',
      reason: made ? 'Updated' : 'Updating',
      message: update.id,
    },
  ];
}
