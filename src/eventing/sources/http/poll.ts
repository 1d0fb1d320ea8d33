/** What an answer of a polled address says that is new. Pure. */
import { createHash } from 'node:crypto';
import type { Json } from '../../../kinds/object.ts';

/** What lasts between polls. */
export interface PollState {
  etag?: string;
  modified?: string;
  /** Of the body that was told last. */
  digest?: string;
  /** Items told, the newest last. */
  seen?: string[];
}

/** Items that are remembered at most: an address that lists more at once tells some of them again. */
export const MAX_SEEN = 5000;

export const digestOf = (body: Buffer | string): string =>
  createHash('sha256').update(body).digest('base64url').slice(0, 22);

/** The value at a JSON Pointer; undefined where there is none. Source: RFC 6901. */
export function at(value: Json, pointer: string): Json | undefined {
  let found: Json | undefined = value;
  for (const part of pointer === '' ? [] : pointer.slice(1).split('/')) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (found === null || typeof found !== 'object') return undefined;
    found = Array.isArray(found)
      ? found[/^\d+$/.test(name) ? Number(name) : -1]
      : Object.hasOwn(found, name)
        ? found[name]
        : undefined;
    if (found === undefined) return undefined;
  }
  return found;
}

export interface Item {
  id: string;
  value: Json;
}

/** The items of a list, each with what tells it from others: the value at `idPointer`, or a digest of all of it. */
export function itemsOf(list: Json | undefined, idPointer: string | undefined): Item[] | undefined {
  if (!Array.isArray(list)) return undefined;
  return list.map((value) => {
    const id = idPointer === undefined ? undefined : at(value, idPointer);
    return {
      id: typeof id === 'string' || typeof id === 'number' ? String(id) : digestOf(JSON.stringify(value)),
      value,
    };
  });
}

/** Those that were not seen before, each once, and what has been seen once they are told. */
export function unseen(items: readonly Item[], seen: readonly string[]): { fresh: Item[]; seen: string[] } {
  const known = new Set(seen);
  const fresh: Item[] = [];
  for (const item of items) {
    if (known.has(item.id)) continue;
    known.add(item.id);
    fresh.push(item);
  }
  // What is listed now stays remembered, however long ago it was told.
  const listed = new Set(items.map(({ id }) => id));
  const kept = [...known].filter((id) => !listed.has(id));
  return { fresh, seen: [...kept, ...listed].slice(-MAX_SEEN) };
}
