/**
 * Writes objects that tell of what is: when it is quiet, and only when they would say something else than they do. They are
 * not watched: one that somebody changes by hand stays so until there is something new to tell.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject, UntypedObject } from '../../kinds/object.ts';
import { type KubeClient, orUndefined, type ResourceRef } from '../../kube/client.ts';
import { objectKey } from '../../kube/indexed-store.ts';

type Told = KubeObject & { spec: object; status?: object };

export interface MirrorWriter {
  /** Makes the object say this. Undefined: it has said so since this process wrote or saw it last. */
  write(resource: ResourceRef, desired: Told): Promise<void>;
  /** The object goes with its owner. */
  forget(resource: ResourceRef, namespace: string | undefined, name: string): void;
}

export function createMirrorWriter(client: KubeClient): MirrorWriter {
  /** What each object says, as two short digests: of everything but the status, and of the status. */
  const said = new Map<string, { body: string; status: string }>();

  const find = (resource: ResourceRef, { metadata }: Told): Promise<UntypedObject | undefined> =>
    orUndefined(client.get<UntypedObject>(resource, metadata.namespace, metadata.name));

  return {
    async write(resource, desired) {
      const { name, namespace } = desired.metadata;
      const id = `${resource.plural}/${objectKey(namespace, name)}`;
      const { labels, annotations } = desired.metadata;
      const now = {
        body: digest({ labels, annotations, spec: desired.spec }),
        status: digest(desired.status),
      };
      const before = said.get(id);
      if (before?.body === now.body && before.status === now.status) return;
      let existing = await find(resource, desired);
      // Most API servers drop the status here; one that keeps it saves a write.
      if (!existing) existing = (await client.create<Told>(resource, desired)) as UntypedObject;
      else if (!says(existing, desired)) {
        const metadata = { ...existing.metadata, labels, annotations };
        existing = await client.update<UntypedObject>(resource, {
          ...existing,
          metadata,
          spec: desired.spec,
        });
      }
      if (desired.status) {
        const status = { ...desired.status, observedGeneration: existing.metadata.generation };
        if (!covers(existing.status, status)) await client.updateStatus(resource, { ...existing, status });
      }
      said.set(id, now);
    },
    forget: (resource, namespace, name) => said.delete(`${resource.plural}/${objectKey(namespace, name)}`),
  };
}

function digest(value: unknown): string {
  return createHash('sha1')
    .update(JSON.stringify(value) ?? '')
    .digest('base64url')
    .slice(0, 16);
}

function says(existing: UntypedObject, desired: Told): boolean {
  return (
    isDeepStrictEqual(existing.metadata.labels ?? {}, desired.metadata.labels ?? {}) &&
    isDeepStrictEqual(existing.metadata.annotations ?? {}, desired.metadata.annotations ?? {}) &&
    covers(existing.spec, desired.spec)
  );
}

/** Whether `value` says all that `wanted` does; what the server has filled in beside it does not matter. */
function covers(value: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(value) &&
      value.length === wanted.length &&
      wanted.every((one, index) => covers(value[index], one))
    );
  }
  if (wanted === null || typeof wanted !== 'object') return (value ?? '') === (wanted ?? '');
  return Object.entries(wanted).every(([key, one]) =>
    covers((value as Record<string, unknown> | undefined | null)?.[key], one),
  );
}
