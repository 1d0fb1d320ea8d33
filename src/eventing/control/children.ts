/** What controllers of eventing make of their own: channels and subscriptions behind Channels, Sequences and Parallels. */
import { messageOf } from '../../base/errors.ts';
import type { EventingObject } from '../../kinds/eventing/objects.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import type { ResourceRef } from '../../kube/client.ts';
import { KubeError } from '../../kube/client.ts';
import { controllerReference, isControlledBy } from '../../kube/owners.ts';
import type { ControlContext } from './context.ts';
import type { Pass } from './kind.ts';
import { NoSuchKind } from './objects.ts';

/** The child as the API has it, or why there is none. */
export type Child = { ok: true; object: UntypedObject } | { ok: false; message: string };

/** Whether `actual` says all that `wanted` says; what it says beyond that came by defaulting. */
export function covers(actual: unknown, wanted: unknown): boolean {
  if (wanted === undefined) return true;
  if (typeof wanted !== 'object' || wanted === null) return actual === wanted;
  if (typeof actual !== 'object' || actual === null) return false;
  if (Array.isArray(wanted))
    return (
      Array.isArray(actual) &&
      actual.length === wanted.length &&
      wanted.every((item, i) => covers(actual[i], item))
    );
  return Object.entries(wanted).every(([key, value]) =>
    covers((actual as Record<string, unknown>)[key], value),
  );
}

/** Brings a child of the object in line: created, corrected, or made anew where what differs cannot be changed. */
export async function ensureChild(
  { client, events }: Pick<ControlContext, 'client' | 'events'>,
  { object: owner, namespace, reader }: Pick<Pass<EventingObject>, 'object' | 'namespace' | 'reader'>,
  resource: ResourceRef,
  desired: UntypedObject,
): Promise<Child> {
  const { name } = desired.metadata;
  const what = `${resource.kind} ${JSON.stringify(name)}`;
  const whole = {
    ...desired,
    metadata: { ...desired.metadata, ownerReferences: [controllerReference(owner)] },
  };
  const create = async (): Promise<Child> => {
    const object = await client.create(resource, whole);
    events.record(owner, 'Normal', 'Created', `Created ${what}`);
    return { ok: true, object };
  };
  try {
    const existing = await reader.get(resource, namespace, name);
    if (existing === undefined || existing.metadata.deletionTimestamp !== undefined) return await create();
    if (!isControlledBy(existing, owner))
      return {
        ok: false,
        message: `${owner.kind} ${JSON.stringify(owner.metadata.name)} does not own ${what}`,
      };
    if (covers(existing.spec, desired.spec)) return { ok: true, object: existing };
    try {
      const changed = { ...existing, spec: { ...desired.spec, ...keptOf(existing) } };
      return { ok: true, object: await client.update(resource, changed) };
    } catch (error) {
      if (!(error instanceof KubeError) || error.code !== 400 || !/mmutable/.test(error.message)) throw error;
      await client.delete(resource, namespace, name, { preconditions: { uid: existing.metadata.uid } });
      return await create();
    }
  } catch (error) {
    if (error instanceof NoSuchKind || (error instanceof KubeError && error.code === 400))
      return { ok: false, message: messageOf(error) };
    throw error;
  }
}

/** What others write into a channel. */
const keptOf = ({ spec }: UntypedObject): object =>
  spec?.subscribers ? { subscribers: spec.subscribers } : {};

/** Takes away children of the object of that kind that it does not want any more. */
export async function removeOthers(
  { client, events }: Pick<ControlContext, 'client' | 'events'>,
  { object: owner, namespace, reader }: Pick<Pass<EventingObject>, 'object' | 'namespace' | 'reader'>,
  resource: ResourceRef,
  wanted: ReadonlySet<string>,
): Promise<void> {
  const owned = await reader.list(resource, namespace, (object) => isControlledBy(object, owner));
  for (const { metadata } of owned) {
    if (wanted.has(metadata.name) || metadata.deletionTimestamp !== undefined) continue;
    await client.delete(resource, namespace, metadata.name, { preconditions: { uid: metadata.uid } });
    events.record(owner, 'Normal', 'Deleted', `Deleted ${resource.kind} ${JSON.stringify(metadata.name)}`);
  }
}
