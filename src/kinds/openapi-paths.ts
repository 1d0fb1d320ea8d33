/** The operations on a resource, as OpenAPI v3 lists them. */
import { OBJECT_META_PACKAGE } from './openapi-schemas.ts';
import type { ResourceDefinition } from './resource.ts';

type Verb = 'get' | 'list' | 'post' | 'put' | 'patch' | 'delete' | 'deletecollection';

const parameter = (name: string, type: string, description: string) => ({
  name,
  in: 'query',
  description,
  schema: { type, uniqueItems: true },
});
const pretty = parameter('pretty', 'string', "If 'true', then the output is pretty printed.");
const write = [
  parameter('dryRun', 'string', 'When All, the request is processed but nothing is stored.'),
  parameter('fieldManager', 'string', 'A name associated with the actor that makes these changes.'),
  parameter(
    'fieldValidation',
    'string',
    'What to do with unknown and duplicate fields: Ignore, Warn or Strict.',
  ),
];
const select = [
  parameter('labelSelector', 'string', 'Restricts the returned objects by their labels.'),
  parameter('fieldSelector', 'string', 'Restricts the returned objects by their fields.'),
  parameter('limit', 'integer', 'The most items to return.'),
  parameter('continue', 'string', 'Token of the next page.'),
  parameter('resourceVersion', 'string', 'What revision the request may be served from.'),
  parameter('resourceVersionMatch', 'string', 'How resourceVersion applies to lists.'),
  parameter('timeoutSeconds', 'integer', 'How long the request may take.'),
];
const PARAMETERS: Record<Verb, object[]> = {
  get: [],
  list: [
    ...select,
    parameter('watch', 'boolean', 'Stream changes instead of a list.'),
    parameter('allowWatchBookmarks', 'boolean', 'Ask for bookmarks in a watch.'),
    parameter('sendInitialEvents', 'boolean', 'Begin a watch with the objects there are.'),
  ],
  post: write,
  put: write,
  patch: [...write, parameter('force', 'boolean', 'Take over fields that others manage; apply only.')],
  delete: [
    write[0] as object,
    parameter('gracePeriodSeconds', 'integer', 'Seconds before the object is deleted.'),
    parameter('propagationPolicy', 'string', 'Orphan, Background or Foreground.'),
  ],
  deletecollection: [...select, write[0] as object],
};
/** HTTP method and what Kubernetes calls the action. */
const METHODS: Record<Verb, [method: string, action: string]> = {
  get: ['get', 'get'],
  list: ['get', 'list'],
  post: ['post', 'post'],
  put: ['put', 'put'],
  patch: ['patch', 'patch'],
  delete: ['delete', 'delete'],
  deletecollection: ['delete', 'deletecollection'],
};
const PATCH_TYPES = ['json-patch+json', 'merge-patch+json', 'strategic-merge-patch+json'];

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const inPath = (name: string) => ({
  name,
  in: 'path',
  required: true,
  schema: { type: 'string', uniqueItems: true },
});

function operation(resource: ResourceDefinition, verb: Verb, id: string): [string, object] {
  const { group, version, kind, type } = resource;
  const [method, action] = METHODS[verb];
  const result =
    verb === 'list' ? `${type}List` : verb.startsWith('delete') ? `${OBJECT_META_PACKAGE}.Status` : type;
  const json = (name: string) => ({ 'application/json': { schema: ref(name) } });
  const isCustom = !type.startsWith('io.k8s.');
  const bodies: Partial<Record<Verb, object>> = {
    post: json(type),
    put: json(type),
    patch: Object.fromEntries(
      PATCH_TYPES.filter((t) => !(isCustom && t.startsWith('strategic'))).map((t) => [
        `application/${t}`,
        { schema: { type: 'object' } },
      ]),
    ),
    delete: json(`${OBJECT_META_PACKAGE}.DeleteOptions`),
  };
  const body = bodies[verb];
  return [
    method,
    {
      operationId: `${verb}${id}`,
      tags: [`${group === '' ? 'core' : group}_${version}`],
      parameters: PARAMETERS[verb],
      ...(body === undefined ? {} : { requestBody: { content: body } }),
      responses: { 200: { description: 'OK', content: json(result) } },
      'x-kubernetes-action': action,
      'x-kubernetes-group-version-kind': { group, version, kind },
    },
  ];
}

function item(resource: ResourceDefinition, verbs: Verb[], id: string, parameters: object[]): object {
  return {
    ...Object.fromEntries(verbs.map((verb) => operation(resource, verb, id))),
    parameters: [...parameters, pretty],
  };
}

/** Path → path item, for a resource whose group version is served under `prefix` (`/api/v1`, `/apis/apps/v1`). */
export function operationsOf(resource: ResourceDefinition, prefix: string): Record<string, object> {
  const { namespaced, plural, kind, subresources } = resource;
  const scope = namespaced ? [inPath('namespace')] : [];
  const base = `${prefix}${namespaced ? '/namespaces/{namespace}' : ''}/${plural}`;
  const id = `${namespaced ? 'Namespaced' : ''}${kind}`;
  const paths: Record<string, object> = {
    [base]: item(resource, ['list', 'post', 'deletecollection'], id, scope),
    [`${base}/{name}`]: item(resource, ['get', 'put', 'patch', 'delete'], id, [...scope, inPath('name')]),
  };
  if (namespaced) paths[`${prefix}/${plural}`] = item(resource, ['list'], `${kind}ForAllNamespaces`, []);
  if (subresources.includes('status')) {
    paths[`${base}/{name}/status`] = item(resource, ['get', 'put', 'patch'], `${id}Status`, [
      ...scope,
      inPath('name'),
    ]);
  }
  return paths;
}
