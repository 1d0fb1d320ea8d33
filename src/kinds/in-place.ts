/** Updates of running containers: what a Pod's containers are to be now. See `InPlaceUpdate`. */
import { type Container, type InPlaceField, type InPlaceUpdate, NODE_ANNOTATIONS, type Pod } from './pod.ts';

/** Fields that an update may replace. */
export const REPLACEABLE = [
  'command',
  'args',
  'env',
  'envFrom',
  'workingDir',
  'ports',
  'readinessProbe',
  'livenessProbe',
  'startupProbe',
] as const satisfies InPlaceField[];

/** The update that a Pod's annotation asks for; one that makes no sense is none. */
export function updateOf(pod: Pod): InPlaceUpdate | undefined {
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
    for (const field of REPLACEABLE)
      if (field in given) Object.assign(result, { [field]: given[field] ?? undefined });
    return result;
  });
  return { ...pod, spec: { ...pod.spec, containers } };
}

/** Whether new runs start before the old ones have ended. */
export const overlaps = (pod: Pod): boolean => updateOf(pod)?.overlap === true;

/** Everything that a process has from the moment it starts: another key is another process. */
export function launchKey({ image, command, args, env, envFrom, workingDir }: Container): string {
  return JSON.stringify([image, command, args, env, envFrom, workingDir]);
}
