/** What every cluster has from the start. */
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
  const definition = registry.find('', 'v1', 'namespaces');
  if (definition === undefined) return;
  const missing = SYSTEM_NAMESPACES.filter((name) => store.latest('/namespaces', '', name) === undefined);
  await Promise.all(
    missing.map(async (name) => {
      const namespace: UntypedObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
      const response = await server.handle(
        {
          method: 'POST',
          path: '/api/v1/namespaces',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(namespace),
        },
        SERVER,
      );
      if (response.status >= 400)
        throw new Error(`namespace ${name} could not be created (${response.status})`);
    }),
  );
}
