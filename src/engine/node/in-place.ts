/** Updates of running containers: what they are to be now, and whether they are. Pure. See `InPlaceUpdate`. */
import type { Condition } from '../../kinds/object.ts';
import {
  type Container,
  IN_PLACE_CONDITION,
  type InPlaceUpdate,
  NODE_ANNOTATIONS,
  type Pod,
} from '../../kinds/pod.ts';
import { type Records, recordOf } from './lifecycle.ts';

/** Fields that an update may replace. */
const REPLACEABLE = ['command', 'args', 'env', 'envFrom', 'workingDir'] as const;

function updateOf(pod: Pod): InPlaceUpdate | undefined {
  const text = pod.metadata.annotations?.[NODE_ANNOTATIONS.inPlace];
  if (text === undefined) return undefined;
  try {
    const update = JSON.parse(text) as InPlaceUpdate;
    return typeof update.id === 'string' && typeof update.containers === 'object' ? update : undefined;
  } catch {
    return undefined;
  }
}

/** The Pod as its update has it; without one, or with one that makes no sense, as it is. */
export function asUpdated(pod: Pod): Pod {
  const update = updateOf(pod);
  if (!update) return pod;
  const containers = pod.spec.containers.map((container) => {
    const given = update.containers[container.name];
    if (!given) return container;
    const result: Container = { ...container };
    for (const field of REPLACEABLE) if (field in given) Object.assign(result, { [field]: given[field] });
    return result;
  });
  return { ...pod, spec: { ...pod.spec, containers } };
}

/** Everything that a process has from the moment it starts: another key is another process. */
export function launchKey({ image, command, args, env, envFrom, workingDir }: Container): string {
  return JSON.stringify([image, command, args, env, envFrom, workingDir]);
}

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
