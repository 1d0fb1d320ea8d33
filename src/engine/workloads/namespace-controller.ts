/** Empties a namespace that is being deleted, then lets it go. Source: kubernetes `pkg/controller/namespace`. */
import type { Logger } from '../../base/log.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import type { Registry } from '../../kinds/registry.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { createController } from '../../kube/controller.ts';
import type { Store, StoreEvent } from '../store/contract.ts';
import type { WorkloadController } from './garbage-collector.ts';

const RESOURCE = '/namespaces';
/** The finalizer in `spec.finalizers` that this controller removes. Source: core/v1 `FinalizerKubernetes`. */
const FINALIZER = 'kubernetes';

export interface NamespaceControllerOptions {
  store: Store;
  registry: Registry;
  client: KubeClient;
  log: Logger;
}

export function createNamespaceController(options: NamespaceControllerOptions): WorkloadController {
  const { store, registry, client, log } = options;
  const definition = registry.find('', 'v1', 'namespaces');
  const inside = registry.all.filter((d) => d.namespaced && d.storedAs === undefined);
  const dying = new Set<string>();

  const empty = async (namespace: string): Promise<void> => {
    for (const resource of inside) {
      const { items } = store.list(`${resource.group}/${resource.plural}`, { namespace });
      await Promise.all(
        items
          .filter((item) => item.object.metadata.deletionTimestamp === undefined)
          .map((item) =>
            client
              .delete(resource, namespace, item.name, { propagationPolicy: 'Background' })
              .catch((error) => {
                if (!(error instanceof KubeError && error.code === 404)) throw error;
              }),
          ),
      );
    }
  };

  const controller = createController({
    name: 'namespaces',
    log,
    async reconcile(name) {
      const stored = store.get(RESOURCE, '', name);
      if (stored?.object.metadata.deletionTimestamp === undefined || definition === undefined)
        return undefined;
      await empty(name);
      // What has finalizers or ends gracefully tells of its end itself.
      if (store.namespaceInUse(name)) return undefined;
      const namespace = stored.clone() as UntypedObject;
      const finalizers = (namespace.spec?.finalizers ?? []).filter((f: string) => f !== FINALIZER);
      namespace.spec = { ...namespace.spec, finalizers };
      await client.patch(
        definition,
        undefined,
        name,
        'merge',
        { spec: { finalizers } },
        { subresource: 'finalize' },
      );
      return undefined;
    },
  });

  const observe = ({ type, current }: StoreEvent): void => {
    if (current.resource === RESOURCE) {
      const ends = type !== 'DELETED' && current.object.metadata.deletionTimestamp !== undefined;
      if (ends) dying.add(current.name);
      else dying.delete(current.name);
      if (ends) controller.enqueue(current.name);
    } else if (dying.has(current.namespace) && type !== 'MODIFIED') controller.enqueue(current.namespace);
  };

  let unsubscribe: (() => void) | undefined;
  return {
    async start() {
      unsubscribe = store.onCommit((events) => events.forEach(observe));
      for (const current of store.list(RESOURCE).items) {
        if (current.text.includes('"deletionTimestamp"')) {
          observe({ type: 'MODIFIED', revision: current.revision, current, previous: undefined });
        }
      }
      controller.start();
    },
    async stop() {
      unsubscribe?.();
      await controller.stop();
    },
  };
}
