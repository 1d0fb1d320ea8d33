/** What this server serves, in the forms clients ask for: one document per group version, or all in one. */
import { createHash } from 'node:crypto';
import { DEFINITIONS } from '../../kinds/custom-resource-definitions.ts';
import type { Registry } from '../../kinds/registry.ts';
import type { KubeRequest, KubeResponse } from '../../kube/transport.ts';
import { JSON_TYPE, json, jsonText, notModified } from './reply.ts';
import { REVIEWS } from './reviews.ts';
import { RESOURCE_VERBS, type Subresource, subresourcesOf } from './subresources.ts';

/** A resource as discovery shows it: one of the registry, or one that can only be created. */
interface Listed {
  group: string;
  version: string;
  plural: string;
  singular: string;
  kind: string;
  namespaced: boolean;
  shortNames: string[];
  categories: string[];
  verbs: string[];
  subresources: [string, Subresource][];
}

const AGGREGATED = ['v2', 'v2beta1'];

export interface Discovery {
  /** The answer to a path of discovery, or undefined where nothing is served. */
  answer(segments: string[], request: KubeRequest): KubeResponse | undefined;
}

/** Built once, on the first question: the registry does not change while the server runs. */
export function createDiscovery(registry: Registry): Discovery {
  let listed: Listed[] | undefined;
  const all = (): Listed[] => {
    listed ??= listResources(registry);
    return listed;
  };
  const cache = new Map<string, { text: string; etag: string }>();

  const aggregated = (core: boolean, version: string, request: KubeRequest): KubeResponse => {
    const key = `${core} ${version}`;
    let document = cache.get(key);
    if (document === undefined) {
      const text = JSON.stringify(aggregate(all(), core, version));
      const etag = `"${createHash('sha256').update(text).digest('hex').toUpperCase()}"`;
      document = { text, etag };
      cache.set(key, document);
    }
    const headers = {
      'content-type': `${JSON_TYPE};g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
      etag: document.etag,
      vary: 'Accept',
    };
    if (request.headers?.['if-none-match'] === document.etag) return notModified(headers);
    return jsonText(200, document.text, headers);
  };

  return {
    answer(segments, request) {
      const [root, ...rest] = segments;
      if (rest.length === 0) {
        const version = aggregatedVersion(request.headers?.accept ?? '');
        if (version !== undefined) return aggregated(root === 'api', version, request);
        return json(200, root === 'api' ? apiVersions() : groupList(all()));
      }
      const [group, version] = root === 'api' ? ['', rest[0]] : rest;
      const inGroup = all().filter((r) => r.group === group);
      if (inGroup.length === 0 || rest.length > (root === 'api' ? 1 : 2)) return undefined;
      if (version === undefined)
        return json(200, { ...apiGroup(inGroup), kind: 'APIGroup', apiVersion: 'v1' });
      const inVersion = inGroup.filter((r) => r.version === version);
      return inVersion.length === 0 ? undefined : json(200, resourceList(inVersion));
    },
  };
}

/** The first form that is asked for, or undefined for the old one. */
function aggregatedVersion(accept: string): string | undefined {
  for (const range of accept.split(',')) {
    const parameters = range.split(';').map((p) => p.trim());
    if (!parameters.includes('as=APIGroupDiscoveryList') || !parameters.includes('g=apidiscovery.k8s.io'))
      continue;
    const version = AGGREGATED.find((v) => parameters.includes(`v=${v}`));
    if (version !== undefined) return version;
  }
  return undefined;
}

function listResources(registry: Registry): Listed[] {
  const stored = registry.all.map((d) => ({ ...d, verbs: RESOURCE_VERBS, subresources: subresourcesOf(d) }));
  const reviews = REVIEWS.map(({ group, version, plural, kind }) => ({
    group,
    version,
    plural,
    kind,
    singular: kind.toLowerCase(),
    namespaced: false,
    shortNames: [],
    categories: [],
    verbs: ['create'],
    subresources: [],
  }));
  const shown = DEFINITIONS.map((d) => ({ ...d, verbs: ['get', 'list', 'watch'], subresources: [] }));
  return [...stored, ...shown, ...reviews];
}

const groupVersion = ({ group, version }: Listed): string => (group === '' ? version : `${group}/${version}`);
const unique = (values: string[]): string[] => [...new Set(values)];
const optional = (name: string, values: string[]) => (values.length === 0 ? {} : { [name]: values });

function apiVersions(): object {
  return {
    kind: 'APIVersions',
    versions: ['v1'],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: '' }],
  };
}

function apiGroup(resources: Listed[]): { name: string; versions: object[]; preferredVersion: object } {
  const versions = unique(resources.map((r) => r.version)).map((version) => ({
    groupVersion: `${resources[0]?.group}/${version}`,
    version,
  }));
  return { name: resources[0]?.group ?? '', versions, preferredVersion: versions[0] ?? {} };
}

function groupList(all: Listed[]): object {
  const groups = unique(all.map((r) => r.group)).filter((g) => g !== '');
  return {
    kind: 'APIGroupList',
    apiVersion: 'v1',
    groups: groups.map((g) => apiGroup(all.filter((r) => r.group === g))),
  };
}

function resourceList(resources: Listed[]): object {
  const list = resources.flatMap((r) => [
    {
      name: r.plural,
      singularName: r.singular,
      namespaced: r.namespaced,
      kind: r.kind,
      verbs: r.verbs,
      ...optional('shortNames', r.shortNames),
      ...optional('categories', r.categories),
    },
    ...r.subresources.map(([name, { verbs, kind }]) => ({
      name: `${r.plural}/${name}`,
      singularName: '',
      namespaced: r.namespaced,
      kind: kind?.kind ?? r.kind,
      ...(kind === undefined || kind.group === r.group ? {} : { group: kind.group, version: kind.version }),
      verbs,
    })),
  ]);
  const [first] = resources;
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: first === undefined ? '' : groupVersion(first),
    resources: list,
  };
}

function aggregate(all: Listed[], core: boolean, documentVersion: string): object {
  const groups = unique(all.map((r) => r.group)).filter((g) => (g === '') === core);
  const items = groups.map((group) => {
    const inGroup = all.filter((r) => r.group === group);
    const versions = unique(inGroup.map((r) => r.version)).map((version) => ({
      version,
      resources: inGroup.filter((r) => r.version === version).map(aggregatedResource),
      freshness: 'Current',
    }));
    return { metadata: { ...(group === '' ? {} : { name: group }), creationTimestamp: null }, versions };
  });
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${documentVersion}`,
    metadata: {},
    items,
  };
}

function aggregatedResource(r: Listed): object {
  const own = { group: r.group, version: r.version, kind: r.kind };
  const subresources = r.subresources.map(([subresource, { verbs, kind }]) => ({
    subresource,
    responseKind: kind ?? own,
    verbs,
  }));
  return {
    resource: r.plural,
    responseKind: own,
    scope: r.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: r.singular,
    verbs: r.verbs,
    ...optional('shortNames', r.shortNames),
    ...optional('categories', r.categories),
    ...(subresources.length === 0 ? {} : { subresources }),
  };
}
