/** `/openapi/v3`: the index, and one document per group version that clients may keep for good. */
import type { Registry } from '../../kinds/registry.ts';
import type { KubeRequest, KubeResponse } from '../../kube/transport.ts';
import { ApiError } from './errors.ts';
import { json, jsonText } from './reply.ts';
import type { Address } from './target.ts';

const FOREVER = 'public, immutable, max-age=31536000';

/** The answer below `/openapi`, or undefined where nothing is served. The documents are made when first asked for. */
export async function answerOpenApi(
  registry: Registry,
  { segments, query }: Address,
  request: KubeRequest,
): Promise<KubeResponse | undefined> {
  const [, version, root, ...rest] = segments;
  if (version === 'v2') throw noOpenApiV2();
  if (version !== 'v3') return undefined;
  const { openApiIndex, openApiV3 } = await import('../../kinds/openapi.ts');
  const index = openApiIndex(registry);
  if (root === undefined) return json(200, index);
  const text = openApiV3(registry, rest.join('/'));
  if (text === undefined) return undefined;
  const hash = new URLSearchParams(
    index.paths[`${root}/${rest.join('/')}`]?.serverRelativeURL.split('?')[1],
  ).get('hash');
  const etag = `"${hash}"`;
  const headers: Record<string, string> = { etag, vary: 'Accept' };
  if (query.get('hash') === hash) headers['cache-control'] = FOREVER;
  if (request.headers?.['if-none-match'] === etag) return jsonText(304, '', headers);
  return jsonText(200, text, headers);
}

const noOpenApiV2 = (): ApiError =>
  new ApiError(404, 'NotFound', 'OpenAPI v2 is not served; use /openapi/v3', {});
