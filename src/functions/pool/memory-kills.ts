/** Instances that were ended for using more memory than they may: found in the status of their Pods, told once each. */

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

/** Tells it in an Event of the Function whose instance it was; repetitions count up one Event. */
export function reportMemoryKill(
  pod: Pod,
  find: (namespace: string, name: string) => PetrelFunction | undefined,
  events: Pick<EventRecorder, 'record'>,
): void {
  const { labels, namespace = 'default' } = pod.metadata;
  const fn = find(namespace, labels?.[FUNCTION_LABELS.function] ?? '');
  if (fn === undefined) return;
  const limit = fn.spec.resources?.limits?.memory;
  const of = limit === undefined ? '' : ` of ${limit}`;
  events.record(
    fn,
    'Warning',
    'OOMKilled',
    `An instance used more memory than its limit${of} and was ended; the requests it was working on have failed. Look for what it keeps, or raise spec.resources.limits.memory (petrel deploy --memory).`,
  );
}
