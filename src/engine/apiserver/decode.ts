/** Values → objects of a kind: nothing of a wrong type, nothing unknown, and the client hears of what was dropped. */
import type { FieldError, Json, UntypedObject } from '../../kinds/object.ts';
import type { ResourceDefinition } from '../../kinds/resource.ts';
import {
  cannotBeHandled,
  pruneUnknownFields,
  schemaErrors,
  strictError,
  typeErrors,
} from '../../kinds/strict.ts';
import type { KubeRequest } from '../../kube/transport.ts';
import { type Decoded, decodeBody } from './body.ts';
import { badRequest, invalid } from './errors.ts';

/** What to do about fields that the kind does not have and keys that occur twice. */
export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

/** What the query asks for; `Warn` where it says nothing. Throws an Invalid for what is none of the three. */
export function fieldValidation(query: URLSearchParams): FieldValidation {
  const value = query.get('fieldValidation') || 'Warn';
  if (value === 'Strict' || value === 'Warn' || value === 'Ignore') return value;
  throw invalid({ group: 'meta.k8s.io', kind: 'CreateOptions' }, '', [
    {
      field: 'fieldValidation',
      reason: 'FieldValueNotSupported',
      message: `Unsupported value: ${JSON.stringify(value)}: supported values: "Ignore", "Strict", "Warn"`,
    },
  ]);
}

/** Kinds that Kubernetes itself would serve from a CustomResourceDefinition; some answers differ for them. */
export const isCustom = ({ group }: Pick<ResourceDefinition, 'group'>): boolean =>
  group.includes('.') && !group.endsWith('.k8s.io');

/** An object and the warnings its sender should get. */
export interface DecodedObject {
  object: UntypedObject;
  warnings: string[];
}

/** Whatever was sent must at least look like an object with metadata. */
export function asObject(value: Json): UntypedObject {
  const fields = asPlainObject(value) as { [key: string]: Json };
  const { metadata } = fields;
  if (metadata === undefined || metadata === null) fields.metadata = {};
  else if (typeof metadata !== 'object' || Array.isArray(metadata)) {
    throw badRequest('metadata of the object in the request body is not an object');
  }
  return fields as unknown as UntypedObject;
}

/** The object in a POST or PUT body. Throws 400, 413, 415, 422. */
export async function decodeObject(
  request: KubeRequest,
  definition: ResourceDefinition,
  validation: FieldValidation,
): Promise<DecodedObject> {
  const decoded = await decodeBody(request);
  const object = asObject(decoded.value);
  dropNulls(object as unknown as Json);
  checkTypes(object, definition);
  return { object, warnings: handleProblems(decoded, object, definition, validation) };
}

/**
 * The object that a patch has made, in place of a decoded one. What the patch brought in that the kind does not have is
 * refused as upstream refuses it, quoting the patch.
 */
export function checkPatched(
  object: UntypedObject,
  definition: ResourceDefinition,
  validation: FieldValidation,
  patch: { text: string; duplicates: string[] },
): string[] {
  dropNulls(object as unknown as Json);
  checkTypes(object, definition);
  const problems = [...patch.duplicates, ...pruneUnknownFields(object, definition.type)];
  if (problems.length === 0 || validation === 'Ignore') return [];
  if (validation === 'Warn') return problems;
  const error: FieldError = {
    field: 'patch',
    reason: 'FieldValueInvalid',
    message: `Invalid value: ${JSON.stringify(patch.text)}: ${strictError(problems)}`,
  };
  throw invalid({ group: '', kind: '' }, '', [error]);
}

function checkTypes(object: UntypedObject, definition: ResourceDefinition): void {
  if (isCustom(definition)) {
    const errors = schemaErrors(object, definition.type);
    if (errors.length > 0) throw invalid(definition, object.metadata.name ?? '', errors);
    return;
  }
  const [first] = typeErrors(object, definition.type);
  if (first !== undefined) {
    throw badRequest(cannotBeHandled(definition.kind, definition.version, first));
  }
}

function handleProblems(
  { duplicates }: Decoded,
  object: UntypedObject,
  definition: ResourceDefinition,
  validation: FieldValidation,
): string[] {
  const problems = [...duplicates, ...pruneUnknownFields(object, definition.type)];
  if (problems.length === 0 || validation === 'Ignore') return [];
  if (validation === 'Warn') return problems;
  const message = strictError(problems);
  throw badRequest(
    isCustom(definition) ? message : cannotBeHandled(definition.kind, definition.version, message),
  );
}

/** `null` means absent: decoding into a struct would drop it too. In a list it has no meaning; throws 400. */
function dropNulls(value: Json, path = ''): void {
  if (value === null || typeof value !== 'object') return;
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) {
      if (item === null) throw badRequest(`${path}[${i}] of the object in the request body is null`);
      dropNulls(item, `${path}[${i}]`);
    }
    return;
  }
  for (const [key, item] of Object.entries(value)) {
    if (item === null) delete value[key];
    else dropNulls(item, path === '' ? key : `${path}.${key}`);
  }
}

const OPTIONS = { version: 'v1', kind: 'DeleteOptions' };

/** The body of a DELETE; empty where there is none. Throws 400, 413, 415. */
export async function decodeDeleteOptions(request: KubeRequest): Promise<DeleteOptions> {
  if (request.body === undefined || request.body.length === 0) return {};
  const { value } = await decodeBody(request);
  return asDeleteOptions(asPlainObject(value));
}

/** The parts of `meta/v1.DeleteOptions` that are acted on. */
export interface DeleteOptions {
  gracePeriodSeconds?: number;
  propagationPolicy?: string;
  /** Before `propagationPolicy` existed. */
  orphanDependents?: boolean;
  preconditions?: { uid?: string; resourceVersion?: string };
  dryRun?: string[];
}

/** Throws 400 for values of a wrong type. */
function asDeleteOptions(value: Json): DeleteOptions {
  dropNulls(value);
  const [problem] = typeErrors(value as object, 'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions');
  if (problem !== undefined) throw badRequest(cannotBeHandled(OPTIONS.kind, OPTIONS.version, problem));
  return value as DeleteOptions;
}

function asPlainObject(value: Json): Json {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw badRequest('the request body is not an object');
  }
  return value;
}

/** An object that is acted on and not stored: a Binding, an Eviction. Throws 400, 413, 415. */
export async function decodeTransient(
  request: KubeRequest,
  kind: string,
  type: string,
): Promise<UntypedObject> {
  const object = asObject((await decodeBody(request)).value);
  dropNulls(object as unknown as Json);
  const [problem] = typeErrors(object, type);
  if (problem !== undefined) throw badRequest(cannotBeHandled(kind, 'v1', problem));
  return object;
}
