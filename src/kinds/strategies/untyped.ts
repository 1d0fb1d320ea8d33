/** Access to fields of objects whose types were checked against the table, but that TypeScript knows nothing of. */
import type { UntypedObject } from '../object.ts';

/** The value of any field of an untyped object. */
export type Untyped = UntypedObject['field'];

/** The items of a list that may be absent or null. */
export const items = (list: Untyped): Untyped[] => (Array.isArray(list) ? list : []);

/** `path[i]` and item, for every item of a list that may be absent. */
export const indexed = (list: Untyped, path: string): [string, Untyped][] =>
  items(list).map((item, i) => [`${path}[${i}]`, item]);

/** Sets fields that are absent or null. */
export function defaults(target: Untyped, values: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(values)) {
    if (target[key] === undefined || target[key] === null) target[key] = value;
  }
}
