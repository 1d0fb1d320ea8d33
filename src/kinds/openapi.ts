/**
 * OpenAPI v3 documents, one per group version, made from the type table when first asked for. What clients read from
 * them: kubectl looks for the query parameters of PATCH, for merge keys, and for descriptions (`kubectl explain`).
 * Source: kube-openapi, cli-runtime `query_param_verifier_v3`, kubectl `explain/v2`.
 */
import { createHash } from 'node:crypto';
import { operationsOf } from './openapi-paths.ts';
import { OBJECT_META_PACKAGE, schemasFor } from './openapi-schemas.ts';
import type { Registry } from './registry.ts';
import type { ResourceDefinition } from './resource.ts';

/** The answer to `GET /openapi/v3`. */
export interface OpenApiIndex {
  paths: Record<string, { serverRelativeURL: string }>;
}

interface Document {
  json: string;
  hash: string;
}

const documents = new WeakMap<Registry, Map<string, Document>>();

const apiVersion = ({ group, version }: ResourceDefinition): string =>
  group === '' ? version : `${group}/${version}`;
const pathOf = (groupVersion: string): string =>
  groupVersion.includes('/') ? `apis/${groupVersion}` : `api/${groupVersion}`;

/** Every group version's document with a URL that changes when the document does, so that clients cache it for good. */
export function openApiIndex(registry: Registry): OpenApiIndex {
  const paths: OpenApiIndex['paths'] = {};
  for (const groupVersion of new Set(registry.all.map(apiVersion))) {
    const path = pathOf(groupVersion);
    paths[path] = {
      serverRelativeURL: `/openapi/v3/${path}?hash=${documentOf(registry, groupVersion)?.hash}`,
    };
  }
  return { paths };
}

/** The document of a group version (`v1`, `apps/v1`) as JSON text; undefined when no resource belongs to it. */
export function openApiV3(registry: Registry, groupVersion: string): string | undefined {
  return documentOf(registry, groupVersion)?.json;
}

function documentOf(registry: Registry, groupVersion: string): Document | undefined {
  let known = documents.get(registry);
  if (known === undefined) {
    known = new Map();
    documents.set(registry, known);
  }
  let document = known.get(groupVersion);
  if (document === undefined) {
    const resources = registry.all.filter((r) => apiVersion(r) === groupVersion);
    if (resources.length === 0) return undefined;
    const json = JSON.stringify(build(resources, `/${pathOf(groupVersion)}`));
    document = { json, hash: createHash('sha256').update(json).digest('hex').slice(0, 32).toUpperCase() };
    known.set(groupVersion, document);
  }
  return document;
}

function build(resources: ResourceDefinition[], prefix: string): object {
  const paths: Record<string, object> = {};
  for (const resource of resources) Object.assign(paths, operationsOf(resource, prefix));
  const schemas = schemasFor(resources.map((r) => r.type));
  for (const { type, group, version, kind } of resources) {
    const gvk = [{ group, version, kind }];
    (schemas[type] as Record<string, unknown>)['x-kubernetes-group-version-kind'] = gvk;
    schemas[`${type}List`] = {
      description: `${kind}List is a list of ${kind}.`,
      type: 'object',
      required: ['items'],
      properties: {
        apiVersion: { type: 'string' },
        kind: { type: 'string' },
        metadata: { allOf: [{ $ref: `#/components/schemas/${OBJECT_META_PACKAGE}.ListMeta` }] },
        items: { type: 'array', items: { allOf: [{ $ref: `#/components/schemas/${type}` }] } },
      },
      'x-kubernetes-group-version-kind': [{ group, version, kind: `${kind}List` }],
    };
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: 'v1.32.4' },
    paths,
    components: { schemas },
  };
}
