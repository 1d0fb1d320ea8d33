/**
 * `/openapi/v3`: the index, and one document per group version that clients may keep for good. `/openapi/v2` is an empty
 * document: clients from before v3 (kubectl up to 1.26) insist on one, and do not check kinds that are not in it.
 */
import type { Registry } from '../../kinds/registry.ts';
import type { KubeRequest, KubeResponse } from '../../kube/transport.ts';
import { bytes, json, jsonText, notModified } from './reply.ts';
import type { Address } from './target.ts';
import { KUBERNETES_VERSION } from './version.ts';

const FOREVER = 'public, immutable, max-age=31536000';

/** The answer below `/openapi`, or undefined where nothing is served. The documents are made when first asked for. */
export async function answerOpenApi(
  registry: Registry,
  { segments, query }: Address,
  request: KubeRequest,
): Promise<KubeResponse | undefined> {
  const [, version, root, ...rest] = segments;
  if (version === 'v2' && root === undefined) return emptyV2(request.headers?.accept ?? '');
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
  if (request.headers?.['if-none-match'] === etag) return notModified(headers);
  return jsonText(200, text, headers);
}

/** Source: gnostic `openapiv2.proto`, `Document` and `Info`. */
const GNOSTIC_TYPE = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';
const SWAGGER = '2.0';
const TITLE = 'Kubernetes';

function emptyV2(accept: string): KubeResponse {
  if (!accept.includes('proto-openapi')) {
    return json(200, {
      swagger: SWAGGER,
      info: { title: TITLE, version: `v${KUBERNETES_VERSION}` },
      paths: {},
    });
  }
  const field = (number: number, content: Buffer): Buffer =>
    Buffer.concat([Buffer.from([(number << 3) | 2, content.length]), content]);
  const info = Buffer.concat([field(1, Buffer.from(TITLE)), field(2, Buffer.from(`v${KUBERNETES_VERSION}`))]);
  return bytes(200, Buffer.concat([field(1, Buffer.from(SWAGGER)), field(2, info)]), GNOSTIC_TYPE);
}
