/** What Fission's command asks the API for where Fission itself would be: the Service by whose name it writes the URLs of archives. */
import type { KubeObject } from '../../kinds/object.ts';
import { KubeError, type ResourceRef } from '../../kube/client.ts';
import { NAMESPACES, SERVICES } from '../../kube/refs.ts';
import type { Context, Part } from './context.ts';

/** Fission's own namespace, unless FISSION_NAMESPACE tells its command another. */
export const FISSION_NAMESPACE = 'fission';
/** The command takes the only Service with this label, in whatever namespace. Source: Fission `pkg/fission-cli/util`. */
const STORAGE_LABEL = 'application=fission-storage';

const STORAGE: KubeObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: {
    name: 'storagesvc',
    namespace: FISSION_NAMESPACE,
    labels: { application: 'fission-storage', svc: 'storagesvc' },
  },
  // Nothing is behind it: archives are found by the id in their URL.
  spec: { clusterIP: 'None', ports: [{ port: 80 }] },
} as KubeObject;

export function createPresence({ client, log }: Pick<Context, 'client' | 'log'>): Part {
  const ensure = async (resource: ResourceRef, object: KubeObject): Promise<void> => {
    try {
      await client.create(resource, object);
    } catch (error) {
      if (!(error instanceof KubeError) || error.code !== 409) throw error;
    }
  };
  return {
    async start() {
      try {
        const { items } = await client.list(SERVICES, { labelSelector: STORAGE_LABEL, limit: 1 });
        if (items.length > 0) return;
        await ensure(NAMESPACES, {
          apiVersion: 'v1',
          kind: 'Namespace',
          metadata: { name: FISSION_NAMESPACE },
        });
        await ensure(SERVICES, STORAGE);
      } catch (error) {
        log.warn('the Service by which archives are named could not be made', { error: String(error) });
      }
    },
    stop() {},
  };
}
