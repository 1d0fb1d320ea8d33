/** What Knative's ConfigMaps say, kept in memory: read once, then followed as they change. */
import {
  CONFIG_NAMES,
  DEFAULT_SERVING_CONFIG,
  SERVING_NAMESPACE,
  type ServingConfig,
  withConfigMap,
} from '../../kinds/config/index.ts';
import type { Store } from '../store/contract.ts';

const CONFIGMAPS = '/configmaps';

export interface LiveServingConfig {
  /** As of the newest commit. Costs nothing: no write waits for the store. */
  current(): Readonly<ServingConfig>;
  close(): void;
}

/** Follows the ConfigMaps in the store; `close` ends that. */
export function followServingConfig(store: Store): LiveServingConfig {
  let config: Readonly<ServingConfig> | undefined;
  const stop = store.subscribe(CONFIGMAPS, ({ type, current }) => {
    if (config === undefined || current.namespace !== SERVING_NAMESPACE) return;
    config = withConfigMap(
      config,
      current.name,
      type === 'DELETED' ? undefined : (current.object.data ?? {}),
    );
  });
  return {
    current() {
      config ??= CONFIG_NAMES.reduce(
        (sum: Readonly<ServingConfig>, name) =>
          withConfigMap(sum, name, store.get(CONFIGMAPS, SERVING_NAMESPACE, name)?.object.data),
        DEFAULT_SERVING_CONFIG,
      );
      return config;
    },
    close: stop,
  };
}
