/** Namespaces as the other kinds meet them: they must exist, and a dying one takes nothing new. */
import { SERVING_NAMESPACE } from '../../kinds/config/index.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import type { ResourceDefinition } from '../../kinds/resource.ts';
import type { ApiContext } from './context.ts';
import { forbidden, notFound } from './errors.ts';
import type { Target } from './target.ts';

const NAMESPACES = '/namespaces';
const RESOURCE = { group: '', plural: 'namespaces', kind: 'Namespace' };

/** Throws 404 or 403 when an object cannot be created in the target's namespace. Source: the NamespaceLifecycle admission. */
export function requireNamespace(
  { store }: ApiContext,
  { definition, namespace }: Target,
  name: string,
): void {
  if (!definition.namespaced) return;
  const found = store.latest(NAMESPACES, '', namespace);
  if (found === undefined) throw notFound(RESOURCE, namespace);
  if (found.object.metadata.deletionTimestamp !== undefined) {
    throw forbidden(
      definition,
      name,
      `unable to create new content in namespace ${namespace} because it is being terminated`,
      [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ],
    );
  }
}

/** Namespaces that exist from the start. */
export const SYSTEM_NAMESPACES = [
  'default',
  'kube-system',
  'kube-public',
  'petrel-system',
  SERVING_NAMESPACE,
];

const isNamespace = ({ group, kind }: ResourceDefinition): boolean => group === '' && kind === 'Namespace';

/** A namespace stays until its finalizer has been removed, by the controller that empties it. */
export function prepareNamespace(definition: ResourceDefinition, object: UntypedObject): void {
  if (!isNamespace(definition)) return;
  object.spec = { ...object.spec, finalizers: ['kubernetes'] };
  object.status = { phase: 'Active' };
}

/** Throws 403 for the namespaces that the platform itself lives in. */
export function refuseSystemNamespace(definition: ResourceDefinition, name: string): void {
  if (isNamespace(definition) && SYSTEM_NAMESPACES.includes(name)) {
    throw forbidden(definition, name, 'this namespace may not be deleted');
  }
}
