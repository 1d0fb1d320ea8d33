/** Secrets and ConfigMaps for Pods: read fresh at every start, watched from the moment the first Pod refers to one. */
import type { Logger } from '../../base/log.ts';
import { type ConfigSource, references } from '../../kinds/container-env.ts';
import type { KubeObject } from '../../kinds/object.ts';
import type { ConfigMap, Pod, Secret } from '../../kinds/pod.ts';
import { type KubeClient, KubeError, type ResourceRef } from '../../kube/client.ts';
import { createInformer, type Informer } from '../../kube/informer.ts';
import { CONFIGMAPS, SECRETS } from '../../kube/refs.ts';

export interface ConfigReader {
  /** The objects a Pod refers to, as they are now. */
  read(pod: Pod): Promise<ConfigSource>;
  stop(): void;
}

const NOTHING: ConfigSource = { secret: () => undefined, configMap: () => undefined };

export function createConfigReader(options: {
  client: KubeClient;
  log: Logger;
  /** An object that some Pod may refer to has appeared, changed or gone. */
  changed(kind: 'secrets' | 'configMaps', namespace: string, name: string): void;
}): ConfigReader {
  const { client, log } = options;
  let informers: Informer<KubeObject>[] | undefined;

  const follow = (resource: ResourceRef, kind: 'secrets' | 'configMaps') => {
    const informer = createInformer<KubeObject>({ client, resource, log });
    const tell = ({ metadata }: KubeObject) => {
      if (informer.hasSynced) options.changed(kind, metadata.namespace ?? '', metadata.name);
    };
    informer.addHandler({ add: tell, update: tell, delete: tell });
    informer.start();
    return informer;
  };

  const getAll = async <T extends KubeObject>(
    resource: ResourceRef,
    namespace: string | undefined,
    names: Set<string>,
  ) => {
    const found = new Map<string, T>();
    await Promise.all(
      [...names].map(async (name) => {
        try {
          found.set(name, await client.get<T>(resource, namespace, name));
        } catch (error) {
          if (!(error instanceof KubeError && error.code === 404)) throw error;
        }
      }),
    );
    return found;
  };

  return {
    async read(pod) {
      const { secrets, configMaps } = references(pod);
      if (secrets.size === 0 && configMaps.size === 0) return NOTHING;
      // Followed before it is read: what appears in between is told.
      if (!informers) {
        informers = [follow(SECRETS, 'secrets'), follow(CONFIGMAPS, 'configMaps')];
        await Promise.all(informers.map(({ synced }) => synced));
      }
      const { namespace } = pod.metadata;
      const [foundSecrets, foundMaps] = await Promise.all([
        getAll<Secret>(SECRETS, namespace, secrets),
        getAll<ConfigMap>(CONFIGMAPS, namespace, configMaps),
      ]);
      return { secret: (name) => foundSecrets.get(name), configMap: (name) => foundMaps.get(name) };
    },
    stop() {
      for (const informer of informers ?? []) informer.stop();
    },
  };
}
