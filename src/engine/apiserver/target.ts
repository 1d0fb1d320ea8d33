/** What a URL names: a resource, or one of the few paths beside them. The grammar of URLs is fixed. */
import type { Registry } from '../../kinds/registry.ts';
import type { ResourceDefinition } from '../../kinds/resource.ts';
import { badRequest } from './errors.ts';

/** A collection, an object or a subresource. */
export interface Target {
  definition: ResourceDefinition;
  /** Empty: cluster-scoped, or all namespaces. */
  namespace: string;
  /** Empty: the collection. */
  name: string;
  /** Empty: the object itself. */
  subresource: string;
  /** What stands behind `proxy`, the one subresource with paths of its own. */
  path?: string[];
}

/** A path as its decoded segments, and its query. */
export interface Address {
  segments: string[];
  query: URLSearchParams;
}

/** Splits a request path; throws 400 where an escape is none. */
export function parseAddress(path: string): Address {
  const mark = path.indexOf('?');
  const [pathname, search] = mark < 0 ? [path, ''] : [path.slice(0, mark), path.slice(mark + 1)];
  try {
    const segments = pathname
      .split('/')
      .filter((s) => s !== '')
      .map((s) => (s.includes('%') ? decodeURIComponent(s) : s));
    return { segments, query: new URLSearchParams(search) };
  } catch {
    throw badRequest(`invalid path ${JSON.stringify(pathname)}`);
  }
}

/** Where objects of a resource lie in the store. */
export const storeKey = ({ group, plural }: Pick<ResourceDefinition, 'group' | 'plural'>): string =>
  `${group}/${plural}`;

/** Below `namespaces/<name>/` these are parts of the Namespace, everything else is a resource in it. */
const NAMESPACE_SUBRESOURCES = ['status', 'finalize'];

/** Segments of a path below `/api` or `/apis` → target, or undefined where no such resource is served. */
export function resolveTarget(registry: Registry, segments: string[]): Target | undefined {
  const [root, ...after] = segments;
  const group = root === 'api' ? '' : (after.shift() ?? '');
  const version = after.shift() ?? '';
  if (after.length === 0 || (root !== 'api' && group === '')) return undefined;
  let namespace = '';
  let rest = after;
  if (
    rest[0] === 'namespaces' &&
    rest.length > 2 &&
    !(rest.length === 3 && NAMESPACE_SUBRESOURCES.includes(rest[2] ?? ''))
  ) {
    namespace = rest[1] ?? '';
    rest = rest.slice(2);
  }
  const [plural = '', name = '', subresource = '', ...more] = rest;
  const definition = registry.find(group, version, plural);
  if (definition === undefined || (more.length > 0 && subresource !== 'proxy')) return undefined;
  if (namespace !== '' && !definition.namespaced) return undefined;
  // An object of a namespaced kind has no path without its namespace.
  if (name !== '' && definition.namespaced && namespace === '') return undefined;
  return { definition, namespace, name, subresource, ...(more.length > 0 && { path: more }) };
}
