/** Instances that were ended for using more memory than they may: found in the status of their Pods, told once each. Pure but for the Event. */
import { FUNCTION_LABELS, type PetrelFunction } from '../../kinds/function.ts';
import type { Pod } from '../../kinds/pod.ts';
import type { EventRecorder } from '../../kube/events.ts';

/** When a container of this Pod was last ended for memory (RFC 3339); undefined: its last end was another one. */
export function killedForMemory(pod: Pod): string | undefined {
  for (const { state, lastState } of pod.status?.containerStatuses ?? []) {
    const ended = state.terminated ?? lastState.terminated;
    if (ended?.reason === 'OOMKilled') return ended.finishedAt ?? '';
  }
  return undefined;
}

export interface MemoryKills {
  find(namespace: string, name: string): PetrelFunction | undefined;
  events: Pick<EventRecorder, 'record'>;
  /** Limit of functions that have none of their own. */
  memory: string | undefined;
  /** What the Function's conditions are to say. */
  tell(fn: PetrelFunction, message: string): void;
}

/** Tells the Function whose instance it was: in a condition, until it is changed, and in an Event, whose repetitions count up. */
export function reportMemoryKill(pod: Pod, { find, events, memory, tell }: MemoryKills): void {
  const { labels, namespace = 'default' } = pod.metadata;
  const fn = find(namespace, labels?.[FUNCTION_LABELS.function] ?? '');
  if (fn === undefined) return;
  const own = fn.spec.resources?.limits?.memory;
  const limit = own ?? memory;
  const of =
    limit === undefined ? '' : ` of ${limit}${own === undefined ? ' (that of functions without one)' : ''}`;
  const { name } = fn.metadata;
  const message = `An instance used more memory than its limit${of} and was ended; the requests it was working on have failed. Look for what it keeps, or raise the limit: petrel deploy ${name} --memory <amount> (spec.resources.limits.memory). What is in /tmp counts.`;
  events.record(fn, 'Warning', 'OOMKilled', message);
  tell(fn, message);
}
