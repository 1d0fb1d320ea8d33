/** The one way in which controllers write a status. */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../base/clock.ts';
import { conditionOf } from '../kinds/conditions.ts';
import type { Condition, KubeObject } from '../kinds/object.ts';
import type { KubeClient, ResourceRef } from './client.ts';

interface Conditioned extends KubeObject {
  status?: { conditions?: Condition[]; observedGeneration?: number };
}

/**
 * Writes the status of an object when it differs from the one in the cache. A status that only says "still working" is held
 * back for a moment: most deploys are over by then, and one write says it all. Resolves to the milliseconds after which
 * to reconcile again, when something was held back.
 */
export type StatusWriter = <T extends Conditioned>(
  resource: ResourceRef,
  object: T,
  status: NonNullable<T['status']>,
) => Promise<number | undefined>;

/** Milliseconds for which an intermediate status is not written. */
const HOLD_MS = 100;

export function createStatusWriter(client: KubeClient, clock: Clock): StatusWriter {
  const held = new Map<string, number>();
  return async (resource, object, status) => {
    const id = `${resource.plural}/${object.metadata.namespace}/${object.metadata.name}`;
    const next = JSON.parse(JSON.stringify(status)) as typeof status;
    if (isDeepStrictEqual(next, object.status)) {
      held.delete(id);
      return undefined;
    }
    if (conditionOf({ ...object, status: next }, 'Ready')?.status === 'Unknown') {
      const since = held.get(id) ?? clock.monotonic();
      held.set(id, since);
      const left = since + HOLD_MS - clock.monotonic();
      if (left > 0) return left;
    }
    held.delete(id);
    await client.updateStatus(resource, { ...object, status: next });
    return undefined;
  };
}
