/** Request bodies → values, whatever they are written in. */
import type { Json } from '../../kinds/object.ts';
import { strictDecode } from '../../kinds/strict.ts';
import type { KubeRequest } from '../../kube/transport.ts';
import { badRequest, tooLarge, unsupportedMediaType } from './errors.ts';

/** Source: apiserver `MaxRequestBodyBytes`. */
export const MAX_BODY_BYTES = 3 * 1024 * 1024;

const JSON_TYPE = 'application/json';
const YAML_TYPE = 'application/yaml';
const PROTOBUF_TYPE = 'application/vnd.kubernetes.protobuf';
const OBJECT_TYPES = [JSON_TYPE, YAML_TYPE, PROTOBUF_TYPE];

/** A body and what was wrong with its writing, in the words of strict decoding. */
export interface Decoded {
  value: Json;
  duplicates: string[];
}

/** Media type of the body, without parameters. */
export const contentType = (request: KubeRequest): string =>
  (request.headers?.['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';

/** The body as text; throws 413 when it is larger than any object may be. */
export function bodyText(request: KubeRequest): string {
  const bytes = bodyBytes(request);
  return typeof bytes === 'string' ? bytes : bytes.toString('utf8');
}

function bodyBytes({ body = '' }: KubeRequest): string | Buffer {
  const size = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
  if (size > MAX_BODY_BYTES) throw tooLarge(MAX_BODY_BYTES);
  return typeof body === 'string' ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}

/** JSON text → value; throws 400. */
export function parseJson(text: string): Decoded {
  try {
    return strictDecode(text);
  } catch (error) {
    throw badRequest(`couldn't parse the request body as JSON: ${(error as Error).message}`);
  }
}

/** A JSON, YAML or protobuf body. Throws 400, 413, 415. The rarer forms are loaded when the first one arrives. */
export async function decodeBody(request: KubeRequest): Promise<Decoded> {
  switch (contentType(request) || JSON_TYPE) {
    case JSON_TYPE:
      return parseJson(bodyText(request));
    case YAML_TYPE:
      return parseYaml(bodyText(request));
    case PROTOBUF_TYPE:
      return parseProtobuf(bodyBytes(request));
    default:
      throw unsupportedMediaType(OBJECT_TYPES);
  }
}

/** One document; aliases are limited, so that a small body cannot become a large value. */
export async function parseYaml(text: string): Promise<Decoded> {
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text, { uniqueKeys: false, schema: 'core', version: '1.2' });
  const problem = document.errors[0];
  if (problem !== undefined) throw badRequest(`couldn't parse the request body as YAML: ${problem.message}`);
  try {
    const json = JSON.stringify(document.toJS({ maxAliasCount: 100 }) ?? null);
    return { value: JSON.parse(json) as Json, duplicates: [] };
  } catch (error) {
    throw badRequest(`couldn't parse the request body as YAML: ${(error as Error).message}`);
  }
}

async function parseProtobuf(body: string | Buffer): Promise<Decoded> {
  const { decodeKubernetesProtobuf, ProtobufError } = await import('../../kinds/protobuf.ts');
  try {
    const object = decodeKubernetesProtobuf(typeof body === 'string' ? Buffer.from(body, 'latin1') : body);
    return { value: object as unknown as Json, duplicates: [] };
  } catch (error) {
    if (error instanceof ProtobufError) throw badRequest(error.message);
    throw error;
  }
}
