/** Objects by name and by any number of indexes, all reads O(1) plus what they return. */
import type { KubeObject } from '../kinds/object.ts';

/** `<namespace>/<name>`, or `<name>` for what has no namespace. */
export type ObjectKey = string;
/** The values under which an object is found. */
export type IndexFunction<T> = (object: T) => string[];

/** The key of an object in caches and work queues. */
export function keyOf(object: KubeObject): ObjectKey {
  return objectKey(object.metadata.namespace, object.metadata.name);
}

export function objectKey(namespace: string | undefined, name: string): ObjectKey {
  return namespace ? `${namespace}/${name}` : name;
}

/** The two halves of a key; `namespace` is undefined for what has none. */
export function splitKey(key: ObjectKey): { namespace: string | undefined; name: string } {
  const slash = key.indexOf('/');
  return slash === -1
    ? { namespace: undefined, name: key }
    : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

export interface IndexedStore<T> {
  key(namespace: string | undefined, name: string): ObjectKey;
  keyOf(object: T): ObjectKey;
  /** Returns what stood there before. */
  put(object: T): T | undefined;
  remove(key: ObjectKey): T | undefined;
  get(key: ObjectKey): T | undefined;
  keys(): ObjectKey[];
  all(): T[];
  byIndex(index: string, value: string): T[];
}

export function createIndexedStore<T extends KubeObject>(
  custom: Record<string, IndexFunction<T>>,
): IndexedStore<T> {
  const functions: Record<string, IndexFunction<T>> = {
    namespace: (object) => (object.metadata.namespace ? [object.metadata.namespace] : []),
    owner: (object) => (object.metadata.ownerReferences ?? []).map((owner) => owner.uid),
    ...custom,
  };
  const objects = new Map<ObjectKey, T>();
  const indexes = new Map(Object.keys(functions).map((name) => [name, new Map<string, Map<ObjectKey, T>>()]));

  const unindex = (key: ObjectKey, object: T) => {
    for (const [name, values] of indexes) {
      for (const value of functions[name]!(object)) {
        const bucket = values.get(value);
        bucket?.delete(key);
        if (bucket?.size === 0) values.delete(value);
      }
    }
  };

  return {
    key: objectKey,
    keyOf,
    put(object) {
      const key = keyOf(object);
      const old = objects.get(key);
      if (old) unindex(key, old);
      objects.set(key, object);
      for (const [name, values] of indexes) {
        for (const value of functions[name]!(object)) {
          const bucket = values.get(value);
          if (bucket) bucket.set(key, object);
          else values.set(value, new Map([[key, object]]));
        }
      }
      return old;
    },
    remove(key) {
      const old = objects.get(key);
      if (!old) return undefined;
      unindex(key, old);
      objects.delete(key);
      return old;
    },
    get: (key) => objects.get(key),
    keys: () => [...objects.keys()],
    all: () => [...objects.values()],
    byIndex(index, value) {
      const values = indexes.get(index);
      if (!values) throw new Error(`no index "${index}"`);
      const bucket = values.get(value);
      return bucket ? [...bucket.values()] : [];
    },
  };
}
