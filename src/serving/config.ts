/** The ConfigMaps by which Knative is configured, read live: one cache for all of serving. */
import { isDeepStrictEqual } from 'node:util';
import { type Clock, systemClock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type ConfigData, SERVING_NAMESPACE } from '../kinds/config/index.ts';
import type { KubeObject } from '../kinds/object.ts';
import type { KubeClient } from '../kube/client.ts';
import { createInformer } from '../kube/informer.ts';
import { CONFIGMAPS } from '../kube/refs.ts';

/** How one ConfigMap is read. `parse` must take `{}`, what an absent ConfigMap counts as; it throws for what makes no sense. */
export interface ConfigReader<T> {
  /** For example `config-network`. */
  readonly name: string;
  parse(data: ConfigData): T;
}

export interface LiveConfig {
  /** What the ConfigMap says now. One that cannot be read leaves its last good values in force, at first the defaults. */
  read<T>(reader: ConfigReader<T>): T;
  /** Calls `listener` after the data of that ConfigMap has changed. Returns the function that ends it. */
  onChange(name: string, listener: () => void): () => void;
}

export interface FollowedConfig extends LiveConfig {
  /** Resolves when what exists has been read. */
  start(): Promise<void>;
  stop(): void;
}

interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
}

const NOTHING: ConfigData = {};

/** What `read` hands out, parsed once for each content. */
function memory(dataOf: (name: string) => ConfigData, onBad: (name: string, error: unknown) => void) {
  const known = new Map<ConfigReader<unknown>, { data: ConfigData; value: unknown }>();
  return <T>(reader: ConfigReader<T>): T => {
    const data = dataOf(reader.name);
    const last = known.get(reader);
    if (last?.data === data) return last.value as T;
    let value: unknown;
    try {
      value = reader.parse(data);
    } catch (error) {
      onBad(reader.name, error);
      value = last ? last.value : reader.parse(NOTHING);
    }
    known.set(reader, { data, value });
    return value as T;
  };
}

/** Follows the ConfigMaps of `knative-serving`. */
export function createLiveConfig(options: {
  client: KubeClient;
  log: Logger;
  clock?: Clock;
}): FollowedConfig {
  const { client, log, clock = systemClock } = options;
  const informer = createInformer<ConfigMap>({
    client,
    log,
    clock,
    resource: CONFIGMAPS,
    namespace: SERVING_NAMESPACE,
  });
  const listeners = new Map<string, Set<() => void>>();
  const changed = (name: string) => {
    for (const listener of [...(listeners.get(name) ?? [])]) listener();
  };
  informer.addHandler({
    add: ({ metadata }) => changed(metadata.name),
    update(now, before) {
      if (!isDeepStrictEqual(now.data, before.data)) changed(now.metadata.name);
    },
    delete: ({ metadata }) => changed(metadata.name),
  });
  return {
    read: memory(
      (name) => informer.get(SERVING_NAMESPACE, name)?.data ?? NOTHING,
      (name, error) =>
        log.warn('a ConfigMap makes no sense; its last good values stay in force', {
          configMap: `${SERVING_NAMESPACE}/${name}`,
          error: messageOf(error),
        }),
    ),
    onChange(name, listener) {
      const set = listeners.get(name) ?? new Set();
      listeners.set(name, set.add(listener));
      return () => set.delete(listener);
    },
    async start() {
      informer.start();
      await informer.synced;
    },
    stop: () => informer.stop(),
  };
}

/** A configuration that stays as it is given, by ConfigMap. For tests and for parts that run alone. */
export function fixedConfig(maps: Readonly<Record<string, ConfigData>> = {}): LiveConfig {
  return {
    read: memory(
      (name) => maps[name] ?? NOTHING,
      (_, error) => {
        throw error;
      },
    ),
    onChange: () => () => {},
  };
}
