/** Who owns whom, by uid, kept up with every change of the store. */
import type { OwnerReference } from '../../kinds/object.ts';
import type { Stored, StoreEvent } from '../store/contract.ts';

/** Names one object: resource, namespace and name on a line each. */
export type ObjectId = string;

export const idOf = ({
  resource,
  namespace,
  name,
}: Pick<Stored, 'resource' | 'namespace' | 'name'>): ObjectId => `${resource}\n${namespace}\n${name}`;

export function parseId(id: ObjectId): { resource: string; namespace: string; name: string } {
  const [resource = '', namespace = '', name = ''] = id.split('\n');
  return { resource, namespace, name };
}

/** Most objects have no owner; their text tells without parsing it. */
export function ownersOf(object: Stored): OwnerReference[] {
  return object.text.includes('"ownerReferences"') ? (object.object.metadata.ownerReferences ?? []) : [];
}

export class OwnerIndex {
  readonly #dependents = new Map<string, Set<ObjectId>>();
  readonly #owners = new Map<ObjectId, string[]>();

  /** Objects that name this uid as an owner. */
  dependents(uid: string): Iterable<ObjectId> {
    return this.#dependents.get(uid) ?? [];
  }

  /** Takes in a change; returns whether the object's owners are others than before. */
  apply({ type, current }: Pick<StoreEvent, 'type' | 'current'>): boolean {
    const id = idOf(current);
    const before = this.#owners.get(id) ?? [];
    const after = type === 'DELETED' ? [] : ownersOf(current).map((o) => o.uid);
    if (before.length === after.length && before.every((uid, i) => uid === after[i])) return false;
    for (const uid of before) {
      const set = this.#dependents.get(uid);
      set?.delete(id);
      if (set?.size === 0) this.#dependents.delete(uid);
    }
    for (const uid of after) {
      const set = this.#dependents.get(uid);
      if (set === undefined) this.#dependents.set(uid, new Set([id]));
      else set.add(id);
    }
    if (after.length > 0) this.#owners.set(id, after);
    else this.#owners.delete(id);
    return true;
  }
}
