/** What every cluster has from the start. */
import { CONFIG_NAMES, SERVING_NAMESPACE } from '../../kinds/config/index.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import type { Registry } from '../../kinds/registry.ts';
import type { Store } from '../store/contract.ts';
import type { User } from './context.ts';
import { MASTERS } from './context.ts';
import { SYSTEM_NAMESPACES } from './namespaces.ts';
import type { ApiServer } from './server.ts';

const SERVER: User = { name: 'system:apiserver', groups: [MASTERS] };

/** Creates what is missing; a start that finds everything writes nothing. */
export async function bootstrap(server: ApiServer, store: Store, registry: Registry): Promise<void> {
  if (registry.find('', 'v1', 'namespaces') === undefined) return;
  const create = async (path: string, object: UntypedObject): Promise<void> => {
    const headers = { 'content-type': 'application/json' };
    const response = await server.handle(
      { method: 'POST', path, headers, body: JSON.stringify(object) },
      SERVER,
    );
    if (response.status >= 400)
      throw new Error(`${object.kind} ${object.metadata.name} could not be created (${response.status})`);
  };
  const missing = (resource: string, namespace: string, names: readonly string[]): string[] =>
    names.filter((name) => store.latest(resource, namespace, name) === undefined);

  await Promise.all(
    missing('/namespaces', '', SYSTEM_NAMESPACES).map((name) =>
      create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }),
    ),
  );
  // Empty: tools patch them, and a JSON patch needs `data` to be there.
  await Promise.all(
    missing('/configmaps', SERVING_NAMESPACE, CONFIG_NAMES).map((name) =>
      create(`/api/v1/namespaces/${SERVING_NAMESPACE}/configmaps`, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name, labels: { 'app.kubernetes.io/part-of': 'knative-serving' } },
        data: {},
      }),
    ),
  );
}
