/** Reading what controllers say about an object. */
import type { Condition, KubeObject } from '../kinds/object.ts';

interface WithConditions extends KubeObject {
  status?: { observedGeneration?: number; conditions?: Condition[] };
}

/** The condition Ready, when it speaks about the newest generation of the object. */
export function readyCondition(object: WithConditions): Condition | undefined {
  const { status, metadata } = object;
  if (status?.observedGeneration !== undefined && status.observedGeneration !== metadata.generation)
    return undefined;
  return status?.conditions?.find((condition) => condition.type === 'Ready');
}

/** Age as kubectl prints it, from an RFC 3339 time. */
export function age(since: string | undefined, now: number): string {
  if (since === undefined) return '';
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
