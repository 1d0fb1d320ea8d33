/**
 * Strategic merge patch: a merge patch that knows which lists merge by which key. What merges how is in the type table.
 * Source: apimachinery `util/strategicpatch`, and sig-api-machinery's `strategic-merge-patch.md`.
 */
import type { Json } from './object.ts';
import { PatchError } from './patch.ts';
import { isMessage, type MessageType, messageType, type TypeField } from './type-table.ts';

type JsonObject = { [key: string]: Json };

const DIRECTIVE = '$patch';
const RETAIN_KEYS = '$retainKeys';
const DELETE_PREFIX = '$deleteFromPrimitiveList/';
const ORDER_PREFIX = '$setElementOrder/';

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Elements of a map of messages have a type too, but no fields of their own to look up. */
interface Schema {
  message?: MessageType;
  /** Type of every value, for maps. */
  values?: Schema;
}

function schemaOf(field: TypeField | undefined): Schema {
  if (field === undefined || !isMessage(field.type)) return {};
  const message = messageType(field.type);
  return field.map ? { values: { message } } : { message };
}

/**
 * The object with the patch applied; neither argument is changed. `typeName` is the object's message name. Throws
 * `PatchError`: 400 for a malformed patch, 422 for one that does not fit the object.
 */
export function applyStrategicMerge(original: Json, patch: Json, typeName: string): Json {
  if (!isObject(patch)) throw new PatchError(400, 'invalid strategic merge patch: must be a JSON object');
  const base = isObject(original) ? structuredClone(original) : {};
  return mergeMap(base, structuredClone(patch), { message: messageType(typeName) });
}

/** Merges `patch` into `original`, both of which it may change. */
function mergeMap(original: JsonObject, patch: JsonObject, schema: Schema): JsonObject {
  const directive = patch[DIRECTIVE];
  if (directive !== undefined) {
    if (directive === 'replace') {
      delete patch[DIRECTIVE];
      return patch;
    }
    if (directive === 'delete') return {};
    throw new PatchError(400, `unknown patch type found: ${JSON.stringify(directive)} in map`);
  }
  retainKeys(original, patch);
  reorderLists(original, patch, schema);
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith(DELETE_PREFIX)) deleteFromList(original, key.slice(DELETE_PREFIX.length), value);
    else if (value === null) delete original[key];
    else mergeField(original, key, value, schema);
  }
  return original;
}

function mergeField(original: JsonObject, key: string, value: Json, schema: Schema): void {
  const current = Object.hasOwn(original, key) ? original[key] : undefined;
  const field = schema.message?.json.get(key);
  const inner = schema.values ?? schemaOf(field);
  const replaces = field?.patchStrategy.includes('replace') ?? false;
  let merged: Json | undefined;
  if (isObject(current) && isObject(value) && !replaces) merged = mergeMap(current, value, inner);
  else if (Array.isArray(current) && Array.isArray(value) && field?.patchStrategy.includes('merge')) {
    merged = mergeList(current, value, inner, field);
  } else if (Array.isArray(current) && Array.isArray(value)) merged = value;
  else merged = withoutDirectives(value);
  if (merged === undefined) delete original[key];
  else
    Object.defineProperty(original, key, {
      value: merged,
      enumerable: true,
      configurable: true,
      writable: true,
    });
}

/** `$retainKeys`: fields of the original that are not listed go. Every field of the patch must be listed. */
function retainKeys(original: JsonObject, patch: JsonObject): void {
  const keys = patch[RETAIN_KEYS];
  if (keys === undefined) return;
  delete patch[RETAIN_KEYS];
  const listed = Array.isArray(keys) ? new Set(keys) : undefined;
  const unlisted = Object.entries(patch).some(
    ([key, value]) =>
      value !== null && !key.startsWith(DELETE_PREFIX) && !key.startsWith(ORDER_PREFIX) && !listed?.has(key),
  );
  if (listed === undefined || unlisted) throw new PatchError(400, 'invalid patch format of retainKeys');
  for (const key of Object.keys(original)) if (!listed.has(key)) delete original[key];
}

function deleteFromList(original: JsonObject, key: string, values: Json): void {
  if (!Array.isArray(values)) throw new PatchError(400, 'invalid patch format of primitive list');
  const current = original[key];
  if (!Array.isArray(current)) return;
  original[key] = current.filter((item) => !values.includes(item));
}

/** `$setElementOrder/x`: merge list x now and put it in the given order; what only the server has keeps its place. */
function reorderLists(original: JsonObject, patch: JsonObject, schema: Schema): void {
  for (const key of Object.keys(patch)) {
    if (!key.startsWith(ORDER_PREFIX)) continue;
    const order = patch[key];
    delete patch[key];
    if (!Array.isArray(order)) throw new PatchError(400, 'invalid patch format of setElementOrder list');
    const name = key.slice(ORDER_PREFIX.length);
    const field = schema.message?.json.get(name);
    const mergeKey = field?.mergeKey;
    const current = original[name];
    const given = patch[name];
    if (given !== undefined && given !== null && !Array.isArray(given)) continue;
    if (given) checkOrder(given, order, mergeKey);
    let merged: Json[] | undefined;
    if (Array.isArray(current) && given) {
      merged = field?.patchStrategy.includes('merge')
        ? mergeList(current, given, schemaOf(field), field)
        : given;
    } else if (given) merged = withoutDirectives(given) as Json[];
    else if (Array.isArray(current) && given === undefined) merged = current;
    if (merged === undefined) continue;
    delete patch[name];
    original[name] = inOrder(
      merged,
      order,
      serverOrder(Array.isArray(current) ? current : [], merged, mergeKey),
      mergeKey,
    );
  }
}

const keyOf = (item: Json, mergeKey: string | undefined): Json | undefined =>
  mergeKey === undefined ? item : isObject(item) ? item[mergeKey] : undefined;

/**
 * The order that server-only items keep. When items were deleted, upstream's idea of it is the list that meanwhile
 * shrank and was appended to, cut to its old length; clients see lists in that order.
 */
function serverOrder(current: Json[], merged: Json[], mergeKey: string | undefined): Json[] {
  const keys = (list: Json[]) => new Set(list.map((item) => keyOf(item, mergeKey)));
  const [before, after] = [keys(current), keys(merged)];
  const kept = current.filter((item) => after.has(keyOf(item, mergeKey)));
  const added = merged.filter((item) => !before.has(keyOf(item, mergeKey)));
  return [...kept, ...added].slice(0, current.length);
}

/** What the patch changes must stand in the element order, in that order. */
function checkOrder(given: Json[], order: Json[], mergeKey: string | undefined): void {
  const wanted = order.map((item) => keyOf(item, mergeKey));
  let from = 0;
  for (const item of given) {
    if (isObject(item) && item[DIRECTIVE] !== undefined) continue;
    const at = wanted.indexOf(keyOf(item, mergeKey), from);
    if (at < 0) {
      throw new PatchError(
        400,
        `The order in patch list:\n${JSON.stringify(given)}\n doesn't match $setElementOrder list:\n${JSON.stringify(order)}\n`,
      );
    }
    from = at + 1;
  }
}

/**
 * Items named by `order` come in that order; the others keep the order they had on the server and go before the first
 * named item that came later there.
 */
function inOrder(items: Json[], order: Json[], server: Json[], mergeKey: string | undefined): Json[] {
  const rank = (list: Json[], item: Json): number => {
    const key = keyOf(item, mergeKey);
    return list.findIndex((other) => keyOf(other, mergeKey) === key);
  };
  const named = items.filter((item) => rank(order, item) >= 0);
  const others = items.filter((item) => rank(order, item) < 0);
  named.sort((a, b) => rank(order, a) - rank(order, b));
  others.sort((a, b) => rank(server, a) - rank(server, b));
  const result: Json[] = [];
  let next = 0;
  for (const item of named) {
    const place = rank(server, item);
    while (next < others.length && place >= 0) {
      const other = rank(server, others[next] as Json);
      if (other < 0 || other >= place) break;
      result.push(others[next++] as Json);
    }
    result.push(item);
  }
  return [...result, ...others.slice(next)];
}

function mergeList(original: Json[], patch: Json[], schema: Schema, field: TypeField): Json[] {
  const first = original[0] ?? patch[0];
  if (first === undefined) return original;
  if (Array.isArray(first)) throw new PatchError(422, 'lists of lists are not supported');
  if (!isObject(first)) {
    return inOrder([...new Set([...original, ...patch])], patch, original, undefined);
  }
  const { mergeKey } = field;
  if (mergeKey === undefined)
    throw new PatchError(422, `cannot merge lists without merge key for ${field.name}`);
  const { items, deleted, replace } = specialElements(patch, mergeKey);
  if (replace) return items;
  const merged = original.filter((item) => !deleted.includes(keyOf(item, mergeKey)));
  for (const item of items) {
    const at = merged.findIndex((other) => keyOf(other, mergeKey) === item[mergeKey]);
    const current = merged[at];
    if (isObject(current)) merged[at] = mergeMap(current, item, schema);
    else {
      const added = withoutDirectives(item);
      if (added !== undefined) merged.push(added);
    }
  }
  return inOrder(merged, items, original, mergeKey);
}

/** Splits a list patch into items to merge and what `$patch` elements say. */
function specialElements(
  patch: Json[],
  mergeKey: string,
): { items: JsonObject[]; deleted: (Json | undefined)[]; replace: boolean } {
  const items: JsonObject[] = [];
  const deleted: (Json | undefined)[] = [];
  let replace = false;
  for (const item of patch) {
    if (!isObject(item)) throw new PatchError(422, 'list element types are not identical');
    const directive = item[DIRECTIVE];
    if (directive === 'replace') {
      replace = true;
      continue;
    }
    if (directive !== undefined && directive !== 'delete') {
      throw new PatchError(
        400,
        directive === 'merge'
          ? 'merging lists cannot yet be specified in the patch'
          : `unknown patch type found: ${JSON.stringify(directive)} in list`,
      );
    }
    if (item[mergeKey] === undefined) {
      throw new PatchError(
        422,
        `map: ${JSON.stringify(item)} does not contain declared merge key: ${mergeKey}`,
      );
    }
    if (directive === 'delete') deleted.push(item[mergeKey]);
    else items.push(item);
  }
  return { items, deleted, replace };
}

/** A value that had nothing to merge with: directives and nulls go; undefined when it is a directive as a whole. */
function withoutDirectives(value: Json): Json | undefined {
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      const kept = withoutDirectives(item);
      return kept === undefined ? [] : [kept];
    });
  }
  if (!isObject(value)) return value;
  // Upstream too drops whatever carries a directive but meets nothing to apply it to.
  if (value[DIRECTIVE] !== undefined) return undefined;
  const result: JsonObject = {};
  for (const [key, inner] of Object.entries(value)) {
    if (inner === null || key === RETAIN_KEYS) continue;
    if (key.startsWith(ORDER_PREFIX) || key.startsWith(DELETE_PREFIX)) continue;
    const kept = withoutDirectives(inner);
    if (kept === undefined) continue;
    Object.defineProperty(result, key, { value: kept, enumerable: true, configurable: true, writable: true });
  }
  return result;
}
