/**
 * Secrets and ConfigMaps that functions take their environment from, in memory. Followed only once the first function names
 * one: a platform whose functions need none holds none.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { type ConfigSource, references } from '../../kinds/container-env.ts';
import type { ConfigMap, Container, Secret } from '../../kinds/pod.ts';
import type { KubeClient } from '../../kube/client.ts';
import { createInformer } from '../../kube/informer.ts';
import { CONFIGMAPS, SECRETS } from '../../kube/refs.ts';
import { USER_CONTAINER } from './pods.ts';

export interface ConfigCache {
  /** Begins to follow what this container refers to; resolves when it can be looked up, undefined when it can already. */
  prepare(container: Pick<Container, 'env' | 'envFrom'>): Promise<unknown> | undefined;
  sources(namespace: string): ConfigSource;
  stop(): void;
}

export function createConfigCache(options: { client: KubeClient; clock: Clock; log: Logger }): ConfigCache {
  const secrets = createInformer<Secret>({ ...options, resource: SECRETS });
  const configMaps = createInformer<ConfigMap>({ ...options, resource: CONFIGMAPS });
  return {
    prepare(container) {
      const needed = references({ spec: { containers: [{ name: USER_CONTAINER, ...container }] } });
      const informers = [
        ...(needed.secrets.size > 0 ? [secrets] : []),
        ...(needed.configMaps.size > 0 ? [configMaps] : []),
      ].filter((informer) => !informer.hasSynced);
      if (informers.length === 0) return undefined;
      for (const informer of informers) informer.start();
      return Promise.all(informers.map((informer) => informer.synced));
    },
    sources: (namespace) => ({
      secret: (name) => secrets.get(namespace, name),
      configMap: (name) => configMaps.get(namespace, name),
    }),
    stop() {
      secrets.stop();
      configMaps.stop();
    },
  };
}
