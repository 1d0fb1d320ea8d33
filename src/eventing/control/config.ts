/** The ConfigMaps of eventing, as the controllers follow them; made when eventing begins, so that there is something to change. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import {
  DEFAULT_EVENTING_CONFIG,
  EVENTING_CONFIG_MAPS,
  EVENTING_NAMESPACE,
  type EventingConfig,
  withEventingConfigMap,
} from '../../kinds/config/eventing.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { type KubeClient, KubeError, type ResourceRef } from '../../kube/client.ts';
import { createInformer } from '../../kube/informer.ts';
import { CONFIGMAPS, NAMESPACES } from '../../kube/refs.ts';

interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
}

export interface LiveEventingConfig {
  current(): Readonly<EventingConfig>;
  /** Resolves when what exists has been read. */
  start(): Promise<void>;
  stop(): void;
}

/** `onChange` is called after something that matters has changed. */
export function followConfig(
  options: { client: KubeClient; clock: Clock; log: Logger },
  onChange: () => void,
): LiveEventingConfig {
  const informer = createInformer<ConfigMap>({
    ...options,
    resource: CONFIGMAPS,
    namespace: EVENTING_NAMESPACE,
  });
  let config: Readonly<EventingConfig> = DEFAULT_EVENTING_CONFIG;
  const take = ({ metadata }: ConfigMap, data: Record<string, string> | undefined) => {
    const next = withEventingConfigMap(config, metadata.name, data);
    if (next === config) return;
    config = next;
    if (informer.hasSynced) onChange();
  };
  informer.addHandler({
    add: (map) => take(map, map.data ?? {}),
    update: (map, old) => {
      if (JSON.stringify(map.data) !== JSON.stringify(old.data)) take(map, map.data ?? {});
    },
    delete: (map) => take(map, undefined),
  });
  return {
    current: () => config,
    async start() {
      informer.start();
      await informer.synced;
    },
    stop: () => informer.stop(),
  };
}

/** Makes the namespace and the ConfigMaps that are missing. */
export async function createConfigMaps(client: KubeClient): Promise<void> {
  const create = async (resource: ResourceRef, object: KubeObject): Promise<void> => {
    try {
      await client.create(resource, object);
    } catch (error) {
      if (!(error instanceof KubeError) || error.code !== 409) throw error;
    }
  };
  const labels = { 'app.kubernetes.io/part-of': 'knative-eventing' };
  const { items } = await client.list<ConfigMap>(CONFIGMAPS, { namespace: EVENTING_NAMESPACE });
  const have = new Set(items.map(({ metadata }) => metadata.name));
  const missing = Object.entries(EVENTING_CONFIG_MAPS).filter(([name]) => !have.has(name));
  if (missing.length === 0) return;
  await create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: EVENTING_NAMESPACE } });
  for (const [name, data] of missing) {
    const map = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace: EVENTING_NAMESPACE, labels },
      data,
    };
    await create(CONFIGMAPS, map);
  }
}
