/** What create, update and delete share. */
import { isDeepStrictEqual } from 'node:util';
import type { UntypedObject } from '../../kinds/object.ts';
import type { ResourceDefinition } from '../../kinds/resource.ts';
import type { Stored } from '../store/contract.ts';
import { StoredObject } from '../store/stored.ts';
import { badRequest } from './errors.ts';
import type { Target } from './target.ts';

/** `v1`, `petrel.dev/v1`. */
export const apiVersionOf = ({ group, version }: Pick<ResourceDefinition, 'group' | 'version'>): string =>
  group === '' ? version : `${group}/${version}`;

/** A stored object in the version that was asked for; where that is the stored one, the object itself. */
export function asServed({ group, version, storedAs }: ResourceDefinition, stored: Stored): UntypedObject {
  if (storedAs === undefined) return stored.object;
  const object = stored.clone();
  storedAs.fromStored(object);
  object.apiVersion = apiVersionOf({ group, version });
  return object;
}

/**
 * What a request must say about the object: nothing else than the URL does. Fills in what it leaves out, and turns an object of another
 * version into the one that is stored.
 */
export function checkIdentity({ definition, namespace, name }: Target, object: UntypedObject): void {
  const apiVersion = apiVersionOf(definition);
  object.apiVersion ||= apiVersion;
  object.kind ||= definition.kind;
  if (object.apiVersion !== apiVersion) {
    throw badRequest(
      `the API version in the data (${object.apiVersion}) does not match the expected API version (${apiVersion})`,
    );
  }
  if (object.kind !== definition.kind) {
    throw badRequest(
      `the kind in the data (${object.kind}) does not match the expected kind (${definition.kind})`,
    );
  }
  const meta = object.metadata;
  if (definition.namespaced && meta.namespace && namespace !== '' && meta.namespace !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  if (name !== '' && meta.name && meta.name !== name) {
    throw badRequest(`the name of the object (${meta.name}) does not match the name on the URL (${name})`);
  }
  if (definition.storedAs === undefined) return;
  definition.storedAs.toStored(object);
  object.apiVersion = apiVersionOf({ group: definition.group, version: definition.storedAs.version });
}

/** Removes what clients echo back but only the server writes, and what it does not track. */
export function dropServerFields(object: UntypedObject): void {
  const meta = object.metadata as UntypedObject['metadata'] & { selfLink?: string; managedFields?: unknown };
  delete meta.selfLink;
  delete meta.managedFields;
  for (const field of Object.keys(meta) as (keyof typeof meta)[]) {
    if (meta[field] === null || meta[field] === undefined) delete meta[field];
  }
}

/** The result of a dry run: what would have been stored. */
export function simulated(resource: string, object: UntypedObject): Stored {
  const { namespace = '', name } = object.metadata;
  return new StoredObject(resource, namespace, name, 0, JSON.stringify(object), object);
}

/** Whether the two say the same, apart from the revision. */
export function sameObject(a: UntypedObject, b: UntypedObject): boolean {
  const { resourceVersion: ofA, ...metaA } = a.metadata;
  const { resourceVersion: ofB, ...metaB } = b.metadata;
  return isDeepStrictEqual({ ...a, metadata: metaA }, { ...b, metadata: metaB });
}

/** Whether anything but metadata and status differs: that is what `metadata.generation` counts. */
export function sameDesire(a: UntypedObject, b: UntypedObject): boolean {
  const { metadata: metaA, status: statusA, ...desireA } = a;
  const { metadata: metaB, status: statusB, ...desireB } = b;
  return isDeepStrictEqual(desireA, desireB);
}
