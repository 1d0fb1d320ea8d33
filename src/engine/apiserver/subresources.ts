/** What stands below an object: one table for discovery and for dispatch. */
import type { ResourceDefinition } from '../../kinds/resource.ts';

export interface Subresource {
  /** Verbs in discovery's order. */
  verbs: string[];
  /** The kind that is read and written there, where it is not the object's own. */
  kind?: { group: string; version: string; kind: string };
}

const SUBRESOURCES: Record<string, Subresource> = {
  status: { verbs: ['get', 'patch', 'update'] },
  finalize: { verbs: ['update', 'patch'] },
  log: { verbs: ['get'] },
  proxy: { verbs: ['get'], kind: { group: '', version: 'v1', kind: 'NodeProxyOptions' } },
  binding: { verbs: ['create'], kind: { group: '', version: 'v1', kind: 'Binding' } },
  eviction: { verbs: ['create'], kind: { group: 'policy', version: 'v1', kind: 'Eviction' } },
};

export const RESOURCE_VERBS = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
];

/** Name → subresource, for those of the resource that are served. */
export function subresourcesOf(definition: ResourceDefinition): [name: string, subresource: Subresource][] {
  return definition.subresources.flatMap((name) => {
    const subresource = SUBRESOURCES[name];
    return subresource === undefined ? [] : [[name, subresource]];
  });
}
