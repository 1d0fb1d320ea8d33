/** PATCH bodies: which kinds of patch a resource takes, and how one is applied. */
import type { Json, UntypedObject } from '../../kinds/object.ts';
import { applyJsonPatch, applyMergePatch, PatchError } from '../../kinds/patch.ts';
import type { ResourceDefinition } from '../../kinds/resource.ts';
import { applyStrategicMerge } from '../../kinds/strategic-merge.ts';
import type { KubeRequest } from '../../kube/transport.ts';
import { bodyText, contentType, parseJson, parseYaml } from './body.ts';
import { asObject, checkPatched, type FieldValidation, isCustom } from './decode.ts';
import { ApiError, badRequest, unsupportedMediaType } from './errors.ts';

type Apply = (object: Json, patch: Json, type: string) => Json;

const APPLY_TYPE = 'application/apply-patch+yaml';
const STRATEGIC_TYPE = 'application/strategic-merge-patch+json';
const PATCHES: Record<string, Apply> = {
  'application/json-patch+json': applyJsonPatch,
  'application/merge-patch+json': applyMergePatch,
  [STRATEGIC_TYPE]: applyStrategicMerge,
};

/** The patched object and the warnings its sender should get. */
export interface Patched {
  object: UntypedObject;
  warnings: string[];
}

/** Reads the patch; the result applies it to an object, without changing that. Throws 400, 413, 415. */
export async function decodePatch(
  request: KubeRequest,
  definition: ResourceDefinition,
  validation: FieldValidation,
): Promise<(object: UntypedObject) => Patched> {
  const type = contentType(request);
  if (type === APPLY_TYPE) throw applyRefused(definition);
  // How lists of a custom resource merge is not known to Kubernetes, so clients do not expect it to work.
  const taken = Object.keys(PATCHES).filter((t) => !(t === STRATEGIC_TYPE && isCustom(definition)));
  const apply = taken.includes(type) ? PATCHES[type] : undefined;
  if (apply === undefined) throw unsupportedMediaType(taken);
  const text = bodyText(request);
  const { value, duplicates } = text.trimStart().startsWith('---') ? await parseYaml(text) : parseJson(text);
  return (object) => {
    try {
      const patched = asObject(apply(object as unknown as Json, value, definition.type));
      return {
        object: patched,
        warnings: checkPatched(patched, definition, validation, { text, duplicates }),
      };
    } catch (error) {
      if (error instanceof PatchError) throw patchRefused(error);
      throw error;
    }
  };
}

function patchRefused({ code, message, detail }: PatchError): ApiError {
  if (code === 400) return badRequest(message);
  const causes = detail === '' ? {} : { causes: [{ message: detail }] };
  return new ApiError(422, 'Invalid', detail === '' ? message : `${message}: ${detail}`, causes);
}

function applyRefused(definition: ResourceDefinition): ApiError {
  const instead = isCustom(definition) ? 'merge patch' : 'strategic merge patch';
  return new ApiError(
    415,
    'UnsupportedMediaType',
    `server-side apply (${APPLY_TYPE}) is not served by this version; use client-side apply ` +
      `(kubectl apply without --server-side) or a ${instead}`,
  );
}
