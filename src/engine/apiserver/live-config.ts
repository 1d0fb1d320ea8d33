/** What Knative's ConfigMaps say, kept in memory: read once, then followed as they change. */
import { createRequire } from 'node:module';
import type { EventingConfig } from '../../kinds/config/eventing.ts';
import {
  CONFIG_NAMES,
  type ConfigData,
  DEFAULT_SERVING_CONFIG,
  SERVING_NAMESPACE,
  type ServingConfig,
  withConfigMap,
} from '../../kinds/config/index.ts';
import type { Store } from '../store/contract.ts';

const CONFIGMAPS = '/configmaps';

export interface LiveConfig<T> {
  /** As of the newest commit. Costs nothing: no write waits for the store. */
  current(): Readonly<T>;
  close(): void;
}

/** How the ConfigMaps of one namespace are read. */
interface Reader<T> {
  namespace: string;
  names: readonly string[];
  initial: Readonly<T>;
  with(config: Readonly<T>, name: string, data: ConfigData | undefined): T;
}

/** Follows them from the first question on; `close` ends that. */
function follow<T>(store: Store, readerOf: () => Reader<T>): LiveConfig<T> {
  let config: Readonly<T> | undefined;
  let stop = () => {};
  const begin = (): Readonly<T> => {
    const reader = readerOf();
    stop = store.subscribe(CONFIGMAPS, ({ type, current }) => {
      if (config === undefined || current.namespace !== reader.namespace) return;
      const data = type === 'DELETED' ? undefined : (current.object.data ?? {});
      config = reader.with(config, current.name, data);
    });
    return reader.names.reduce(
      (sum: Readonly<T>, name) =>
        reader.with(sum, name, store.get(CONFIGMAPS, reader.namespace, name)?.object.data),
      reader.initial,
    );
  };
  return {
    current() {
      config ??= begin();
      return config;
    },
    close: () => stop(),
  };
}

/** Follows the ConfigMaps of Knative Serving in the store. */
export function followServingConfig(store: Store): LiveConfig<ServingConfig> {
  return follow(store, () => ({
    namespace: SERVING_NAMESPACE,
    names: CONFIG_NAMES,
    initial: DEFAULT_SERVING_CONFIG,
    with: withConfigMap,
  }));
}

/** Follows those of Knative Eventing; how they are read is loaded with the first object that asks. */
export function followEventingConfig(store: Store): LiveConfig<EventingConfig> {
  return follow(store, () => {
    const kinds = createRequire(import.meta.url)(
      '../../kinds/config/eventing.ts',
    ) as typeof import('../../kinds/config/eventing.ts');
    return {
      namespace: kinds.EVENTING_NAMESPACE,
      names: kinds.EVENTING_CONFIG_NAMES,
      initial: kinds.DEFAULT_EVENTING_CONFIG,
      with: kinds.withEventingConfigMap,
    };
  });
}
