/** PATCH bodies applied to an object. */
import { applyPatch as applyJsonPatch, type Operation } from 'rfc6902';
import type { Json, UntypedObject } from '../../kinds/object.ts';
import type { KubeRequest } from '../../kube/transport.ts';
import { asObject, bodyText, contentType, parseJson } from './body.ts';
import { ApiError, badRequest, unsupportedMediaType } from './errors.ts';

const PATCH_TYPES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
];

/** Reads the patch; the result applies it to a copy of an object. */
export function decodePatch(request: KubeRequest): (object: UntypedObject) => UntypedObject {
  const type = contentType(request);
  if (!PATCH_TYPES.includes(type)) throw unsupportedMediaType(PATCH_TYPES);
  const patch = parseJson(bodyText(request));
  if (type === 'application/json-patch+json') {
    if (!Array.isArray(patch)) throw badRequest('a JSON patch is a list of operations');
    return (object) => {
      const problem = applyJsonPatch(object, patch as unknown as Operation[]).find((e) => e !== null);
      if (problem)
        throw new ApiError(
          422,
          'Invalid',
          `the server rejected our request due to an error in our request: ${problem.message}`,
        );
      return object;
    };
  }
  return (object) => asObject(merge(object as unknown as Json, patch));
}

function merge(target: Json, patch: Json): Json {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch;
  const result = target !== null && typeof target === 'object' && !Array.isArray(target) ? target : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merge(result[key] ?? null, value);
  }
  return result;
}
