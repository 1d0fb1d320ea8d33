/** JSON merge patch (RFC 7386) and JSON patch (RFC 6902) as the API applies them. Strategic merge: `strategic-merge.ts`. */
import { applyPatch, type Operation } from 'rfc6902';
import type { Json } from './object.ts';

/** A patch that is malformed (400 BadRequest) or does not fit the object (422 Invalid). */
export class PatchError extends Error {
  readonly code: 400 | 422;
  /** What exactly did not fit, for `details.causes`; empty when the message says it. */
  readonly detail: string;

  constructor(code: 400 | 422, message: string, detail = '') {
    super(message);
    this.code = code;
    this.detail = detail;
  }
}

/** Operations a JSON patch may have; upstream's limit. */
const MAX_OPERATIONS = 10_000;
/** What `copy` operations may add up to, characters of JSON; bounds exponential growth. */
const MAX_COPIED = 3 * 1024 * 1024;

type JsonObject = { [key: string]: Json };
const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Sets a key that comes from outside: also `__proto__` becomes a plain property. */
function set(target: JsonObject, key: string, value: Json): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

/** RFC 7386: objects merge, null deletes, all else replaces. Neither argument is changed. */
export function applyMergePatch(original: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const result: JsonObject = isObject(original) ? { ...original } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else set(result, key, applyMergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value));
  }
  return result;
}

/** What an operation must have besides `op` and `path`. */
const OPERANDS: Record<string, string | undefined> = {
  add: 'value',
  replace: 'value',
  test: 'value',
  move: 'from',
  copy: 'from',
  remove: undefined,
};
const DOES_NOT_APPLY = 'the server rejected our request due to an error in our request';

function checked(patch: Json): Operation[] {
  if (!Array.isArray(patch)) {
    throw new PatchError(
      400,
      'error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch',
    );
  }
  if (patch.length > MAX_OPERATIONS) {
    throw new PatchError(
      400,
      `The allowed maximum operations in a JSON patch is ${MAX_OPERATIONS}, got ${patch.length}`,
    );
  }
  for (const [i, operation] of patch.entries()) {
    const bad = (what: string) => new PatchError(422, DOES_NOT_APPLY, `operation ${i}: ${what}`);
    if (!isObject(operation)) throw bad('is not an object');
    const { op, path } = operation;
    if (typeof op !== 'string' || !Object.hasOwn(OPERANDS, op))
      throw bad(`unexpected kind: ${JSON.stringify(op)}`);
    if (typeof path !== 'string') throw bad('path is missing');
    const operand = OPERANDS[op];
    if (operand === 'value' && operation.value === undefined) throw bad('value is missing');
    if (operand === 'from' && typeof operation.from !== 'string') throw bad('from is missing');
  }
  return patch as unknown as Operation[];
}

/** RFC 6902, all operations or none. Returns a new object. Throws `PatchError`. */
export function applyJsonPatch(original: Json, patch: Json): Json {
  const operations = checked(patch);
  // The document stands in a holder so that an operation on the whole document ("") works too.
  const holder: { document: Json } = { document: structuredClone(original) };
  let copied = 0;
  for (const [i, operation] of operations.entries()) {
    const moved: JsonObject = { ...(operation as unknown as JsonObject), path: `/document${operation.path}` };
    if (typeof moved.from === 'string') moved.from = `/document${moved.from}`;
    if (operation.op === 'copy') {
      copied += JSON.stringify(holder.document).length;
      if (copied > MAX_COPIED) throw new PatchError(422, DOES_NOT_APPLY, `operation ${i}: copies too much`);
    }
    let failure: Error | null;
    try {
      [failure = null] = applyPatch(holder, [moved as unknown as Operation]);
    } catch (error) {
      failure = error as Error;
    }
    if (failure !== null) {
      throw new PatchError(
        422,
        DOES_NOT_APPLY,
        `operation ${i} (${operation.op} ${operation.path}): ${failure.message}`,
      );
    }
  }
  return holder.document;
}
