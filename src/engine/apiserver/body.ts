/** Request bodies → objects. */
import type { Json, UntypedObject } from '../../kinds/object.ts';
import type { KubeRequest } from '../../kube/transport.ts';
import { badRequest, tooLarge, unsupportedMediaType } from './errors.ts';

/** Source: apiserver `MaxRequestBodyBytes`. */
export const MAX_BODY_BYTES = 3 * 1024 * 1024;

const JSON_TYPE = 'application/json';
const YAML_TYPE = 'application/yaml';
const PROTOBUF_TYPE = 'application/vnd.kubernetes.protobuf';
export const OBJECT_TYPES = [JSON_TYPE, YAML_TYPE, PROTOBUF_TYPE];

/** Media type of the body, without parameters. */
export const contentType = (request: KubeRequest): string =>
  (request.headers?.['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';

/** The body as text; throws 413 when it is larger than any object may be. */
export function bodyText({ body = '' }: KubeRequest): string {
  const size = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
  if (size > MAX_BODY_BYTES) throw tooLarge(MAX_BODY_BYTES);
  return typeof body === 'string'
    ? body
    : Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
}

/** JSON text → value; throws 400. */
export function parseJson(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw badRequest(`couldn't parse the request body as JSON: ${(error as Error).message}`);
  }
}

/** An object of any kind from a JSON, YAML or protobuf body. Throws 400, 413, 415. */
export async function decodeObject(request: KubeRequest): Promise<UntypedObject> {
  const type = contentType(request) || JSON_TYPE;
  if (type === JSON_TYPE) return asObject(parseJson(bodyText(request)));
  throw unsupportedMediaType(OBJECT_TYPES);
}

/** Whatever was sent must at least look like an object with metadata. */
export function asObject(value: Json): UntypedObject {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw badRequest('the request body is not an object');
  }
  const { metadata } = value;
  if (metadata === undefined || metadata === null) value.metadata = {};
  else if (typeof metadata !== 'object' || Array.isArray(metadata)) {
    throw badRequest('metadata of the object in the request body is not an object');
  }
  return value as unknown as UntypedObject;
}
